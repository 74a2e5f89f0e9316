//! A store in memory. Some of its next puts, parts and deletions fail.

use crate::storage::objects::planned::{self, Plan};
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many of the next calls fail, of each kind.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    pub(crate) puts: AtomicU32,
    pub(crate) deletions: AtomicU32,
    /// Parts of uploads.
    pub(crate) parts: Arc<AtomicU32>,
    /// Uploads that were aborted.
    pub(crate) aborted: Arc<AtomicU32>,
}

fn planted(left: &AtomicU32) -> Result<()> {
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)) {
        Ok(_) => Err(planned::planted()),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl Plan for Flaky {
    async fn put(
        &self,
        inner: &InMemory,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        planted(&self.puts)?;
        inner.put_opts(to, payload, options).await
    }

    async fn upload(
        &self,
        inner: &InMemory,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(FlakyUpload {
            inner: inner.put_multipart_opts(to, options).await?,
            failing: Arc::clone(&self.parts),
            aborted: Arc::clone(&self.aborted),
        }))
    }

    fn delete(
        &self,
        inner: &InMemory,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match planted(&self.deletions) {
            Ok(()) => inner.delete_stream(locations),
            Err(error) => Box::pin(stream::once(async { Err(error) })),
        }
    }
}

#[derive(Debug)]
struct FlakyUpload {
    inner: Box<dyn MultipartUpload>,
    failing: Arc<AtomicU32>,
    aborted: Arc<AtomicU32>,
}

#[async_trait]
impl MultipartUpload for FlakyUpload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        match planted(&self.failing) {
            Ok(()) => self.inner.put_part(data),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}
