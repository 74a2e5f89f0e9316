//! A value with one writer and many readers, who share immutable snapshots of it.

use arc_swap::ArcSwap;
use std::ops::Deref;
use std::sync::Arc;

/// The readers' side. Cheap to clone; reading never waits.
#[derive(Debug)]
pub struct Published<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Published<T> {
    /// A value that is published from the start.
    pub fn new(value: Arc<T>) -> (Publisher<T>, Self) {
        let shared = Arc::new(ArcSwap::new(value));
        (Publisher(Arc::clone(&shared)), Self(shared))
    }

    /// The newest value.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// The newest value, for a short look: what is kept for longer is to be loaded.
    pub fn peek(&self) -> impl Deref<Target = Arc<T>> + use<T> {
        self.0.load()
    }
}

/// The writer's side, owned by one actor.
#[derive(Debug)]
pub struct Publisher<T>(Arc<ArcSwap<T>>);

impl<T> Publisher<T> {
    /// Replaces the value that readers see.
    pub fn publish(&self, value: Arc<T>) {
        self.0.store(value);
    }

    /// Another handle for the same readers, for the actor's next life after a panic.
    pub fn again(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// The readers' side.
    pub fn reader(&self) -> Published<T> {
        Published(Arc::clone(&self.0))
    }

    /// The newest value.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }
}
