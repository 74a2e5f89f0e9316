//! An object store whose puts fail or wait as a test says.

use crate::storage::objects::planned::{Plan, planted};
use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, PutOptions, PutPayload, PutResult, Result};
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::Semaphore;

/// Puts work.
pub(super) const WORKS: u8 = 0;
/// Puts fail and store nothing.
pub(super) const FAILS: u8 = 1;
/// Puts store the object and report an error.
pub(super) const LIES: u8 = 2;
/// Each put waits for a permit of [`Toxic::gate`].
pub(super) const WAITS: u8 = 3;

#[derive(Debug)]
pub(super) struct Toxic {
    mode: AtomicU8,
    pub(super) gate: Semaphore,
    /// A permit a put that has begun.
    pub(super) begun: Semaphore,
}

impl Toxic {
    pub(super) fn new() -> Self {
        Self { mode: AtomicU8::new(WORKS), gate: Semaphore::new(0), begun: Semaphore::new(0) }
    }

    pub(super) fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

#[async_trait]
impl Plan for Toxic {
    async fn put(
        &self,
        inner: &InMemory,
        at: &Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> Result<PutResult> {
        self.begun.add_permits(1);
        match self.mode.load(Ordering::SeqCst) {
            FAILS => return Err(planted()),
            LIES => {
                inner.put_opts(at, bytes, how).await?;
                return Err(planted());
            }
            WAITS => self.gate.acquire().await.map_err(|_| planted())?.forget(),
            _ => {}
        }
        inner.put_opts(at, bytes, how).await
    }
}
