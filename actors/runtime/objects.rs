//! The object store that everything but the appended WAL segments goes through.

use super::disk;
use super::pools::Pool;
use anyhow::Context;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::path::PathBuf;
use std::sync::Arc;

/// A directory as an object store whose puts survive a power loss: the library's own local store
/// does not sync what it writes. Reads and listings are the library's.
#[derive(Debug)]
pub struct DurableDirectory {
    inner: LocalFileSystem,
    root: PathBuf,
    disk: Pool,
}

impl DurableDirectory {
    /// Opens `root`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn new(root: PathBuf) -> anyhow::Result<Self> {
        disk::create_folders_durable(&root)?;
        let root = root.canonicalize()?;
        let inner = LocalFileSystem::new_with_prefix(&root)?;
        Ok(Self { inner, root, disk: Pool::new("disk", 4, 4096)? })
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
}

impl std::fmt::Display for DurableDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DurableDirectory({})", self.root.display())
    }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "DurableDirectory", source: source.into() }
}

#[async_trait]
impl ObjectStore for DurableDirectory {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let file = self.inner.path_to_filesystem(location)?;
        let create = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return self.inner.put_opts(location, payload, opts).await;
            }
        };
        let bytes = payload.iter().flat_map(|b| b.iter().copied()).collect::<Vec<u8>>();
        let written = self
            .disk
            .run(move || {
                if create {
                    disk::create_durable(&file, &bytes)
                } else {
                    disk::replace_durable(&file, &bytes)
                }
            })
            .await
            .map_err(generic)?;
        match written {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path: location.to_string(), source: e.into() })
            }
            Err(e) => Err(generic(e)),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Where a server keeps its state.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The same as a folder, when it is one: the WAL can then append instead of putting objects.
    pub directory: Option<PathBuf>,
}

impl Objects {
    /// A store that ends with the process.
    pub fn memory() -> Self {
        Self { store: Arc::new(object_store::memory::InMemory::new()), directory: None }
    }

    /// A store in a folder.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn directory(root: PathBuf) -> anyhow::Result<Self> {
        let shown = root.display().to_string();
        let store = DurableDirectory::new(root)
            .with_context(|| format!("cannot use {shown} to keep data in"))?;
        let directory = Some(store.root().to_owned());
        Ok(Self { store: Arc::new(store), directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("file");
        std::fs::write(&path, "").expect("a file");
        let error = Objects::directory(path.join("data")).expect_err("it is below a file");
        assert!(format!("{error:#}").contains(&*path.to_string_lossy()), "{error:#}");
    }
}
