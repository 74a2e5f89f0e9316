//! The folder of an object store: how files get and lose their places in it.

use crate::runtime::random;
use crate::storage::{disk, file_system};
use object_store::path::Path;
use object_store::{Error, PutPayload};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{PoisonError, RwLock};

/// Folder of files that are being written, beside those of the nodes; no node's name begins with a
/// dot. Each process has a folder of its own in it, and holds a lock on the file of the same name
/// and this ending, so that a later process can tell what is left over.
pub(super) const UNFINISHED: &str = ".unfinished";
const LOCK_ENDING: &str = "lock";
/// How often a process tries to get a folder of its own.
const TRIES_MAX: usize = 10;
/// Folders down to this depth stay even if they are empty: `{node}/{kind}`.
const KEPT_DEPTH: usize = 2;

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
pub(super) struct Folder {
    pub(super) root: PathBuf,
    /// This process's own folder for what is not finished.
    unfinished: PathBuf,
    /// Tells other processes that this one lives.
    lock: File,
    fsync: bool,
    /// Read by whoever needs a folder to stay, written by whoever removes empty ones.
    folders: RwLock<()>,
}

impl Folder {
    pub(super) fn open(root: PathBuf, fsync: bool) -> io::Result<Self> {
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
        let folder = path.parent().unwrap_or(&self.root);
        let _stay = self.folders.read().unwrap_or_else(PoisonError::into_inner);
        // Of another kind: a folder that exists already as a file is not an object that does.
        let unsynced = disk::make_folders(folder).map_err(io::Error::other)?;
        if self.fsync {
            file.sync_all()?;
            unsynced.sync().map_err(io::Error::other)?;
        }
        if create {
            fs::hard_link(unfinished, path)?;
        } else {
            fs::rename(unfinished, path)?;
        }
        if self.fsync { file_system::sync_folder(folder) } else { Ok(()) }
    }

    pub(super) fn put(
        &self,
        path: &FilePath,
        payload: &PutPayload,
        create: bool,
    ) -> io::Result<()> {
        let (mut file, unfinished) = self.begin()?;
        if let Err(error) = payload.iter().try_for_each(|bytes| file.write_all(bytes)) {
            fs::remove_file(&unfinished).ok();
            return Err(error);
        }
        self.finish(&file, &unfinished, path, create)
    }

    /// Removes a file, and the folders that are empty then.
    pub(super) fn remove(&self, path: &FilePath) -> io::Result<()> {
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
            // Whoever meets it again, made by somebody else, must not take it for durable.
            disk::forget_folder(folder);
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
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
