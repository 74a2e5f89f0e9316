//! A folder as an object store whose puts survive a power loss.

use super::folder::{Folder, UNFINISHED, error_at, generic};
use super::upload::Upload;
use crate::runtime::pools::Pool;
use crate::storage::disk;
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// Files that are removed at once.
const DELETES_AT_ONCE: usize = 4;

/// A directory as an object store whose puts survive a power loss: the library's own local store
/// does not sync what it writes. Reads and listings are the library's.
#[derive(Debug)]
pub struct DurableDirectory {
    inner: LocalFileSystem,
    folder: Arc<Folder>,
    disk: Pool,
}

impl DurableDirectory {
    /// Opens `root`, which is made if it is missing. Without `fsync` nothing waits for the disk.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn new(root: PathBuf, fsync: bool) -> anyhow::Result<Self> {
        disk::create_folders_durable(&root)?;
        let root = root.canonicalize()?;
        let inner = LocalFileSystem::new_with_prefix(&root)?;
        let folder = Arc::new(Folder::open(root, fsync)?);
        Ok(Self { inner, folder, disk: Pool::new("disk", 4, 4096)? })
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &FilePath {
        &self.folder.root
    }
}

impl std::fmt::Display for DurableDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DurableDirectory({})", self.root().display())
    }
}

/// Whether an object is none: a file that is being written.
fn is_unfinished(location: &Path) -> bool {
    location.parts().next().is_some_and(|part| part.as_ref() == UNFINISHED)
}

#[async_trait]
impl ObjectStore for DurableDirectory {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return self.inner.put_opts(location, payload, opts).await;
            }
        };
        let file = self.inner.path_to_filesystem(location)?;
        let files = Arc::clone(&self.folder);
        let job = move || files.put(&file, &payload, create).map_err(|e| (file, e));
        match self.disk.run(job).await.map_err(generic)? {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err((file, error)) => Err(error_at(location, &file, error)),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let file = self.inner.path_to_filesystem(location)?;
        let files = Arc::clone(&self.folder);
        let upload = Upload::begin(files, self.disk.clone(), location.clone(), file).await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (files, disk, inner) =
            (Arc::clone(&self.folder), self.disk.clone(), self.inner.clone());
        locations
            .map(move |location| {
                let (files, disk, inner) = (Arc::clone(&files), disk.clone(), inner.clone());
                async move {
                    let location = location?;
                    let file = inner.path_to_filesystem(&location)?;
                    let job = move || files.remove(&file).map_err(|e| (file, e));
                    match disk.run(job).await.map_err(generic)? {
                        Ok(()) => Ok(location),
                        Err((file, error)) => Err(error_at(&location, &file, error)),
                    }
                }
            })
            .buffered(DELETES_AT_ONCE)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let finished = |meta: &ObjectMeta| future::ready(!is_unfinished(&meta.location));
        self.inner.list(prefix).try_filter(finished).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.inner.list_with_delimiter(prefix).await?;
        found.common_prefixes.retain(|prefix| !is_unfinished(prefix));
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let bytes = self.inner.get(from).await?.bytes().await?;
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        self.put_opts(to, bytes.into(), mode.into()).await.map(|_| ())
    }
}
