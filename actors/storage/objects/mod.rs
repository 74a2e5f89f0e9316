//! The object store that everything but the appended WAL segments goes through.

mod credentials;
pub mod directory;
mod folder;
pub mod options;
#[cfg(test)]
pub(crate) mod planned;
mod probe;
mod remote;
mod requests;
#[cfg(test)]
mod tests;
mod throttled;
mod unfenced;
mod uniform;
mod upload;

use crate::runtime::pools;
use crate::storage::disk;
use anyhow::Context;
use directory::DurableDirectory;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use options::{Storage, StoreOptions};
use remote::Patience;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a server keeps its state.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The same as a folder, when it is one: the WAL can then append instead of putting objects.
    pub directory: Option<PathBuf>,
    /// A put costs a round trip over a network, or as much time: better few puts of much than many
    /// of little.
    pub remote: bool,
    /// What is written to the folder survives a power loss before it counts as stored.
    pub fsync: bool,
}

impl Objects {
    /// Opens the store that the options name, and makes sure that it can be used.
    ///
    /// # Errors
    /// When it cannot be reached or used, or cannot keep a second process from replacing objects.
    /// The text names the store and the cause. It takes about a minute at most to find out.
    pub async fn open(options: &StoreOptions) -> anyhow::Result<Self> {
        match &options.storage {
            Storage::Memory => Ok(Self::memory()),
            Storage::MemoryThrottled => Ok(Self::throttled_memory()),
            Storage::Directory(root) => {
                Self::open_directory(root.clone(), options.file_store_fsync)
            }
            Storage::S3(_) | Storage::Google(_) | Storage::Azure(_) => {
                let store = remote::open(options)
                    .await
                    .with_context(|| format!("cannot use {}", options.storage))?;
                Ok(Self { store, directory: None, remote: true, fsync: true })
            }
        }
    }

    /// The same for somebody who changes nothing: nothing is made, claimed or probed.
    ///
    /// # Errors
    /// When the folder is not there, or the store ends with its process.
    pub fn open_to_read(options: &StoreOptions) -> anyhow::Result<Self> {
        let store: Arc<dyn ObjectStore> = match &options.storage {
            Storage::Memory | Storage::MemoryThrottled => {
                anyhow::bail!("a store in memory is its server's alone")
            }
            Storage::Directory(root) => Arc::new(
                LocalFileSystem::new_with_prefix(root)
                    .with_context(|| format!("cannot read {}", root.display()))?,
            ),
            remote => remote::client(remote, Patience::Service)?,
        };
        Ok(Self { store, directory: None, remote: true, fsync: false })
    }

    /// A store that ends with the process.
    pub fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()), directory: None, remote: false, fsync: true }
    }

    /// The same with the delays of a store behind a network.
    pub fn throttled_memory() -> Self {
        Self { store: Arc::new(throttled::memory()), directory: None, remote: true, fsync: true }
    }

    /// Makes sure that objects which were found in `folder` stay. One in a directory can be read
    /// before it is durable, and whoever stored it may have died in between: to be done before
    /// anything builds on it.
    ///
    /// # Errors
    /// When the directory cannot be synced.
    pub async fn settle(&self, folder: &str) -> io::Result<()> {
        let Some(root) = self.directory.as_ref().filter(|_| self.fsync) else { return Ok(()) };
        let folder = root.join(folder);
        pools::spawn_blocking(move || disk::sync_names(&folder)).await.map_err(io::Error::other)?
    }

    /// A store in a folder.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn directory(root: PathBuf) -> anyhow::Result<Self> {
        Self::open_directory(root, true)
    }

    fn open_directory(root: PathBuf, fsync: bool) -> anyhow::Result<Self> {
        let shown = root.display().to_string();
        let store = DurableDirectory::new(root, fsync)
            .with_context(|| format!("cannot use {shown} to keep data in"))?;
        let directory = Some(store.root().to_owned());
        Ok(Self { store: Arc::new(store), directory, remote: false, fsync })
    }
}
