//! Who owns the log of a node: the process that started last.
//!
//! One small object holds the identity of the process that took the log over last. A process reads
//! it after each group that it has brought to stable storage, and acknowledges the group only if it
//! still finds itself. A successor first writes its own identity and reads the log afterwards, so
//! that it finds whatever could have been acknowledged. This holds even when the successor's files
//! have been removed again by the time its predecessor wakes up.

use crate::runtime::objects::Objects;
use crate::runtime::random;
use anyhow::Context;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use protocols::paths;
use std::path::PathBuf;

/// The claim of this process on the log of a node.
#[derive(Clone, Debug)]
pub struct Owner {
    objects: Objects,
    node: String,
    identity: u128,
}

impl Owner {
    /// Takes the log of `node` over. To be done before anything of it is read.
    ///
    /// # Errors
    /// When the store does not take the claim.
    pub async fn take(objects: &Objects, node: &str) -> anyhow::Result<Self> {
        let identity = random::uuid().as_u128();
        let owner = Self { objects: objects.clone(), node: node.to_owned(), identity };
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

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    fn key(&self) -> Path {
        Path::from(paths::wal_owner(&self.node))
    }
}
