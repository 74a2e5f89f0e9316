//! How an actor comes to life: for the first time, and again after each death.

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use std::sync::Arc;

/// Builds the actor's state, from durable state if it has any.
pub type Factory<A> = Arc<dyn Fn() -> LocalBoxFuture<'static, anyhow::Result<A>> + Send + Sync>;

/// The lives of an actor.
pub struct Lives<A> {
    pub(super) first: LocalBoxFuture<'static, anyhow::Result<A>>,
    pub(super) again: Factory<A>,
}

impl<A: 'static> Lives<A> {
    /// Each life begins alike, with nothing to wait for.
    pub fn of(make: impl Fn() -> anyhow::Result<A> + Send + Sync + 'static) -> Self {
        Self::alike(move || ready(make()))
    }

    /// Each life begins alike.
    pub fn alike<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<A>> + 'static,
    {
        let again: Factory<A> = Arc::new(move || make().boxed_local());
        again.into()
    }

    /// The first life begins otherwise than those after a death.
    pub fn begun_by<F>(
        first: impl Future<Output = anyhow::Result<A>> + 'static,
        again: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<A>> + 'static,
    {
        Self { first: first.boxed_local(), again: Arc::new(move || again().boxed_local()) }
    }
}

impl<A: 'static> From<Factory<A>> for Lives<A> {
    fn from(again: Factory<A>) -> Self {
        let first = Arc::clone(&again);
        Self { first: async move { first().await }.boxed_local(), again }
    }
}
