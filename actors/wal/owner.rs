//! Who owns the log of a node: the process that started last.
//!
//! One small object holds the identity of the process that took the log over last. A process reads
//! it after each group that it has brought to stable storage, and acknowledges the group only if it
//! still finds itself. A successor first writes its own identity and reads the log afterwards, so
//! that it finds whatever could have been acknowledged. This holds even when the successor's files
//! have been removed again by the time its predecessor wakes up.

use crate::runtime::random;
use crate::storage::objects::Objects;
use anyhow::Context;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use protocols::paths;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The claim of this process on the log of a node.
#[derive(Clone, Debug)]
pub struct Owner {
    objects: Objects,
    node: String,
    identity: u128,
    progress: Arc<Progress>,
}

/// How far this process has come, for all lives of its actors.
#[derive(Debug, Default)]
struct Progress {
    /// See [`Owner::confirmed`].
    confirmed: AtomicU64,
    /// See [`Owner::visible`].
    visible: AtomicU64,
    /// See [`Owner::unneeded_through`].
    unneeded_through: AtomicU64,
}

impl Owner {
    /// Takes the log of `node` over. To be done before anything of it is read.
    ///
    /// # Errors
    /// When the store does not take the claim.
    pub async fn take(objects: &Objects, node: &str) -> anyhow::Result<Self> {
        let identity = random::uuid().as_u128();
        let (objects, node) = (objects.clone(), node.to_owned());
        let owner = Self { objects, node, identity, progress: Arc::default() };
        let claim = PutPayload::from(owner.text());
        owner.objects.store.put(&owner.key(), claim).await.context("cannot take over the WAL")?;
        Ok(owner)
    }

    /// Whether no other process has taken over since.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn is_current(&self) -> Result<bool, Error> {
        match self.objects.store.get(&self.key()).await {
            Ok(found) => Ok(found.bytes().await?.as_ref() == self.text().as_bytes()),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The identity of this process: random at its start.
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// Number of the last group that this process has found durable and without a successor, or has
    /// taken over. Beyond it the log may have groups of which it is not decided yet whether they
    /// count: who reads them back gets them from the [`Wal`](super::Wal) if they do.
    pub fn confirmed(&self) -> u64 {
        self.progress.confirmed.load(Ordering::Acquire)
    }

    /// Notes that a group counts. To be done before any shard gets it: a shard that is rebuilt
    /// then finds it in the log, or is given it.
    pub(super) fn confirm(&self, sequence: u64) {
        self.progress.confirmed.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Number of a group that queries see, as they see all groups before it.
    pub(super) fn visible(&self) -> u64 {
        self.progress.visible.load(Ordering::Acquire)
    }

    /// Notes that queries see all groups up to this one.
    pub(super) fn see(&self, sequence: u64) {
        self.progress.visible.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Number of the last file of the log that durable snapshots have made unnecessary, as far as
    /// this process has heard. All files up to there may have been removed, so that the listing of
    /// the log does not tell which numbers were given.
    pub(super) fn unneeded_through(&self) -> u64 {
        self.progress.unneeded_through.load(Ordering::Acquire)
    }

    /// Notes that files up to this one are not needed any more. To be done before they are removed.
    pub(super) fn need_not(&self, through: u64) {
        self.progress.unneeded_through.fetch_max(through, Ordering::AcqRel);
    }

    /// The file of the claim, when the store is a folder.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.objects.directory.as_ref().map(|root| root.join(paths::wal_owner(&self.node)))
    }

    /// What that file holds as long as nobody else has taken over.
    pub(super) fn text(&self) -> String {
        format!("{:032x}\n", self.identity)
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    fn key(&self) -> Path {
        Path::from(paths::wal_owner(&self.node))
    }
}
