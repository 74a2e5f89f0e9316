//! Remote stores, made alike where they differ.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Range;

/// A store on which the removal of an object that is not there succeeds, as it does on S3 but not
/// on Google's and Azure's, and which can read the end of an object, which Azure's cannot.
#[derive(Debug)]
pub(super) struct Uniform<S>(pub(super) S);

impl<S: ObjectStore> fmt::Display for Uniform<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uniform({})", self.0)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Uniform<S> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        let Some(GetRange::Suffix(bytes)) = options.range else {
            return self.0.get_opts(location, options).await;
        };
        match self.0.get_opts(location, options.clone()).await {
            Err(Error::NotSupported { .. }) => {
                let size = self.0.head(location).await?.size;
                options.range = Some(GetRange::Bounded(size.saturating_sub(bytes)..size));
                self.0.get_opts(location, options).await
            }
            found => found,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let removed = self.0.delete_stream(locations).map(|removed| match removed {
            Err(Error::NotFound { path, .. }) => Ok(Path::from(path)),
            removed => removed,
        });
        removed.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
