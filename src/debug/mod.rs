//! `influxdb3 debug`: what a store holds, read without a server and without changing anything.

mod catalog;
mod file;
mod index;
mod show;
mod wal;

use crate::cli::debug::{DebugArgs, StoreArgs, What};
use crate::config;
use actors::storage::objects::Objects;
use actors::storage::objects::options::StoreOptions;
use anyhow::{Context, Result, bail};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use std::process::ExitCode;

/// Does what the arguments say; a failure is told on stderr.
pub fn run(args: DebugArgs) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().context("cannot start");
    crate::cli::ended("Debug", runtime.and_then(|runtime| runtime.block_on(look(args.what))))
}

async fn look(what: What) -> Result<()> {
    match what {
        What::Catalog(args) => catalog::look(args.what).await,
        What::Index(args) => index::list(args).await,
        What::Wal(args) => wal::look(args).await,
        What::File(args) => file::describe(args).await,
        What::VerifyReferences(args) => index::verify(args).await,
    }
}

/// The objects of a node.
struct Stored {
    objects: Objects,
    prefix: String,
}

impl Stored {
    async fn open(args: &StoreArgs) -> Result<Self> {
        let StoreArgs { store, catalog_prefix, cluster_id, node_id, .. } = args;
        let prefix = [catalog_prefix, cluster_id, node_id].into_iter().flatten().next();
        let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()).cloned() else {
            bail!("a catalog prefix is required: use --catalog-prefix or --node-id");
        };
        let options = StoreOptions {
            storage: config::storage(store)?,
            node: prefix.clone(),
            file_store_fsync: store.file_store_fsync,
            allow_unfenced: true,
        };
        Ok(Self { objects: Objects::open_to_read(&options)?, prefix })
    }

    /// The bytes of an object.
    async fn read(&self, path: &str) -> Result<bytes::Bytes> {
        self.find(path).await?.with_context(|| format!("there is no object {path}"))
    }

    /// The same, unless there is no such object.
    async fn find(&self, path: &str) -> Result<Option<bytes::Bytes>> {
        match self.objects.store.get(&Path::from(path)).await {
            Ok(found) => Ok(Some(found.bytes().await.with_context(|| path.to_owned())?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
