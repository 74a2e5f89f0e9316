//! An object store that counts what is read of it.

use crate::runtime::objects::planned::{Plan, Planned};
use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore, Result};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts the bytes that are read of each object.
pub(super) type CountingStore = Planned<Reads>;

/// The bytes of each object that was read.
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<BTreeMap<Path, u64>>);

impl Reads {
    /// How many objects and bytes were read since the last time.
    pub(super) fn take_reads(&self) -> (usize, u64) {
        let read = std::mem::take(&mut *self.0.lock().expect("no panic"));
        (read.len(), read.values().sum())
    }
}

#[async_trait]
impl Plan for Reads {
    async fn get(&self, inner: &InMemory, at: &Path, how: GetOptions) -> Result<GetResult> {
        let result = inner.get_opts(at, how).await?;
        let bytes = result.range.end - result.range.start;
        *self.0.lock().expect("no panic").entry(at.clone()).or_default() += bytes;
        Ok(result)
    }
}
