//! An object store whose puts fail or wait as a test says.

use crate::runtime::objects::Objects;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::sync::Arc;
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
    inner: InMemory,
    pub(super) mode: AtomicU8,
    pub(super) gate: Semaphore,
    /// A permit a put that has begun.
    pub(super) begun: Semaphore,
}

impl Toxic {
    pub(super) fn new() -> (Arc<Self>, Objects) {
        let toxic = Arc::new(Self {
            inner: InMemory::new(),
            mode: AtomicU8::new(WORKS),
            gate: Semaphore::new(0),
            begun: Semaphore::new(0),
        });
        let store: Arc<dyn ObjectStore> = Arc::<Self>::clone(&toxic);
        (toxic, Objects { store, ..Objects::memory() })
    }

    pub(super) fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

impl std::fmt::Display for Toxic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Toxic")
    }
}

fn planted() -> Error {
    Error::Generic { store: "Toxic", source: "planted".into() }
}

#[async_trait]
impl ObjectStore for Toxic {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.begun.add_permits(1);
        match self.mode.load(Ordering::SeqCst) {
            FAILS => return Err(planted()),
            LIES => {
                self.inner.put_opts(at, bytes, how).await?;
                return Err(planted());
            }
            WAITS => self.gate.acquire().await.map_err(|_| planted())?.forget(),
            _ => {}
        }
        self.inner.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
