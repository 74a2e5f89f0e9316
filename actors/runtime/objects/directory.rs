//! A folder as an object store whose puts survive a power loss.

use super::upload::Upload;
use crate::runtime::pools::Pool;
use crate::runtime::{disk, files, random};
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Folder of files that are being written, beside those of the nodes; no node's name begins with a
/// dot. Each process has a folder of its own in it, and holds a lock on the file of the same name
/// and this ending, so that a later process can tell what is left over.
const UNFINISHED: &str = ".unfinished";
const LOCK_ENDING: &str = "lock";
/// How often a process tries to get a folder of its own.
const TRIES_MAX: usize = 10;
/// Files that are removed at once.
const DELETES_AT_ONCE: usize = 4;
/// Folders down to this depth stay even if they are empty: `{node}/{kind}`.
const KEPT_DEPTH: usize = 2;

/// A directory as an object store whose puts survive a power loss: the library's own local store
/// does not sync what it writes. Reads and listings are the library's.
#[derive(Debug)]
pub struct DurableDirectory {
    inner: LocalFileSystem,
    files: Arc<Files>,
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
        let files = Arc::new(Files::open(root, fsync)?);
        Ok(Self { inner, files, disk: Pool::new("disk", 4, 4096)? })
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &FilePath {
        &self.files.root
    }
}

impl std::fmt::Display for DurableDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DurableDirectory({})", self.root().display())
    }
}

/// An error of the file system with the file that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
struct FileError {
    path: PathBuf,
    source: io::Error,
}

pub(super) fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "DurableDirectory", source: source.into() }
}

/// The store's word for an error at `file`, which is where `location` is kept.
pub(super) fn error_at(location: &Path, file: &FilePath, source: io::Error) -> Error {
    match source.kind() {
        ErrorKind::AlreadyExists => {
            Error::AlreadyExists { path: location.to_string(), source: source.into() }
        }
        _ => generic(FileError { path: file.to_owned(), source }),
    }
}

/// The folder as the jobs on the disk's threads see it.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// This process's own folder for what is not finished.
    unfinished: PathBuf,
    /// Tells other processes that this one lives.
    lock: File,
    fsync: bool,
    /// Read by whoever needs a folder to stay, written by whoever removes empty ones.
    folders: RwLock<()>,
}

impl Files {
    fn open(root: PathBuf, fsync: bool) -> io::Result<Self> {
        let all = root.join(UNFINISHED);
        disk::create_folders_durable(&all)?;
        for _ in 0..TRIES_MAX {
            let unfinished = all.join(random::uuid().simple().to_string());
            let lock_file = unfinished.with_extension(LOCK_ENDING);
            let lock = OpenOptions::new().write(true).create_new(true).open(&lock_file)?;
            // Between these two lines another process may take the file for a leftover.
            lock.lock()?;
            if lock_file.try_exists()? {
                fs::create_dir(&unfinished)?;
                remove_leftovers(&all)?;
                let folders = RwLock::default();
                return Ok(Self { root, unfinished, lock, fsync, folders });
            }
        }
        Err(io::Error::other(format!("{} is being cleared all the time", all.display())))
    }

    /// A new file without a place yet.
    pub(super) fn begin(&self) -> io::Result<(File, PathBuf)> {
        let path = self.unfinished.join(random::uuid().simple().to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((file, path))
    }

    /// Gives a finished file its place, replacing what is there unless `create` is set. Afterwards
    /// the unfinished name is gone, whatever happened.
    pub(super) fn finish(
        &self,
        file: &File,
        unfinished: &FilePath,
        path: &FilePath,
        create: bool,
    ) -> io::Result<()> {
        let placed = self.place(file, unfinished, path, create);
        if create || placed.is_err() {
            // What is left is harmless; removing it only frees the space sooner.
            fs::remove_file(unfinished).ok();
        }
        placed
    }

    fn place(
        &self,
        file: &File,
        unfinished: &FilePath,
        path: &FilePath,
        create: bool,
    ) -> io::Result<()> {
        if self.fsync {
            file.sync_all()?;
        }
        let folder = path.parent().unwrap_or(&self.root);
        let _stay = self.folders.read().unwrap_or_else(PoisonError::into_inner);
        self.make_folders(folder)?;
        if create {
            fs::hard_link(unfinished, path)?;
        } else {
            fs::rename(unfinished, path)?;
        }
        if self.fsync { files::sync_folder(folder) } else { Ok(()) }
    }

    fn make_folders(&self, folder: &FilePath) -> io::Result<()> {
        let made = if self.fsync {
            disk::create_folders_durable(folder)
        } else {
            fs::create_dir_all(folder)
        };
        // Of another kind: a folder that exists already as a file is not an object that does.
        made.map_err(io::Error::other)
    }

    fn put(&self, path: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
        let (mut file, unfinished) = self.begin()?;
        if let Err(error) = payload.iter().try_for_each(|bytes| file.write_all(bytes)) {
            fs::remove_file(&unfinished).ok();
            return Err(error);
        }
        self.finish(&file, &unfinished, path, create)
    }

    /// Removes a file, and the folders that are empty then.
    fn remove(&self, path: &FilePath) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            // What is not there is removed, as in all other stores.
            Ok(()) | Err(_) => {}
        }
        let inside = |folder: &&FilePath| {
            folder.strip_prefix(&self.root).is_ok_and(|p| p.components().count() > KEPT_DEPTH)
        };
        let _alone = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        for folder in path.ancestors().skip(1).take_while(inside) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The next process does it otherwise.
        fs::remove_dir_all(&self.unfinished).ok();
        fs::remove_file(self.unfinished.with_extension(LOCK_ENDING)).ok();
        self.lock.unlock().ok();
    }
}

/// Removes the folders of processes that have ended.
fn remove_leftovers(all: &FilePath) -> io::Result<()> {
    let mut ended = Vec::new();
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        let lock_file = path.with_extension(LOCK_ENDING);
        let is_ended = match File::open(&lock_file) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(e)) => return Err(e),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => true,
            Err(e) => return Err(e),
        };
        if is_ended {
            ended.push(path);
        }
    }
    for path in ended {
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        // Another process may clear at the same time.
        if let Err(e) = removed
            && e.kind() != ErrorKind::NotFound
        {
            return Err(e);
        }
    }
    Ok(())
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
        let files = Arc::clone(&self.files);
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
        let files = Arc::clone(&self.files);
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
        let (files, disk, inner) = (Arc::clone(&self.files), self.disk.clone(), self.inner.clone());
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
