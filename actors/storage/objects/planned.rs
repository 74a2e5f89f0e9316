//! A store in memory whose calls a test counts, holds or lets fail.

use super::Objects;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// What becomes of calls. A method that a test does not write does what a store does.
#[async_trait]
pub(crate) trait Plan: fmt::Debug + Send + Sync + 'static {
    async fn put(
        &self,
        inner: &InMemory,
        at: &Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> Result<PutResult> {
        inner.put_opts(at, bytes, how).await
    }

    async fn upload(
        &self,
        inner: &InMemory,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        inner.put_multipart_opts(at, how).await
    }

    async fn get(&self, inner: &InMemory, at: &Path, how: GetOptions) -> Result<GetResult> {
        inner.get_opts(at, how).await
    }

    fn delete(
        &self,
        inner: &InMemory,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        inner.delete_stream(at)
    }

    fn list(
        &self,
        inner: &InMemory,
        prefix: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        inner.list(prefix)
    }
}

/// A store in memory that follows a plan, whose counters and switches it lends.
#[derive(Debug, Default)]
pub(crate) struct Planned<P> {
    /// What is stored, for a test that looks or changes it by itself.
    pub(crate) inner: InMemory,
    plan: P,
}

impl<P: Plan> Planned<P> {
    /// An empty store, for the test and for what it tests.
    pub(crate) fn new(plan: P) -> (Arc<Self>, Objects) {
        let planned = Arc::new(Self { inner: InMemory::new(), plan });
        let store: Arc<dyn ObjectStore> = Arc::<Self>::clone(&planned);
        (planned, Objects { store, ..Objects::memory() })
    }
}

impl<P> Deref for Planned<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.plan
    }
}

/// What a call answers that fails by plan.
pub(crate) fn planted() -> Error {
    Error::Generic { store: "Planned", source: "planted".into() }
}

impl<P> fmt::Display for Planned<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planned")
    }
}

#[async_trait]
impl<P: Plan> ObjectStore for Planned<P> {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.plan.put(&self.inner, at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.plan.upload(&self.inner, at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.plan.get(&self.inner, at, how).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.plan.delete(&self.inner, at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.plan.list(&self.inner, prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
