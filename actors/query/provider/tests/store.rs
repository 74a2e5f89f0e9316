//! An object store that counts what is read of it, and fails when it is told to.

use crate::storage::objects::planned::{Plan, Planned};
use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetResult, ObjectStore, Result};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Counts the bytes that are read of each object.
pub(super) type CountingStore = Planned<Reads>;

/// The bytes of each object that was read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    bytes: Mutex<BTreeMap<Path, u64>>,
    fails: AtomicBool,
}

impl Reads {
    /// Lets all reads fail from now on.
    pub(super) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// How many objects and bytes were read since the last time.
    pub(super) fn take_reads(&self) -> (usize, u64) {
        let read = std::mem::take(&mut *self.bytes.lock().expect("no panic"));
        (read.len(), read.values().sum())
    }
}

#[async_trait]
impl Plan for Reads {
    async fn get(&self, inner: &InMemory, at: &Path, how: GetOptions) -> Result<GetResult> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::Generic { store: "memory", source: "connection reset".into() });
        }
        let result = inner.get_opts(at, how).await?;
        let bytes = result.range.end - result.range.start;
        *self.bytes.lock().expect("no panic").entry(at.clone()).or_default() += bytes;
        Ok(result)
    }
}
