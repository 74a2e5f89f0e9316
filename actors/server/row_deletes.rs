//! Deletes of rows, from the request to their end.
//!
//! A delete takes three steps, each of which is durable before the next one. The catalog notes what
//! is to be deleted. The log gets a cut, which divides what was written before from what is written
//! later; its stamp is the bound. The catalog notes the bound, and from then on the rows are hidden.
//! A delete whose bound is not noted, for whatever reason, was not accepted, and is dropped.
//!
//! The first step is there for the compaction: it makes one file of rows from both sides of a bound
//! only where it has applied the delete. It reads the catalog after the list of files, so a delete
//! that it does not know of gets its bound after all rows of these were written; while it knows of one
//! without a bound it waits.

use crate::catalog::Catalog;
use crate::runtime::canary;
use crate::runtime::mailbox::{AskError, Mailbox};
use crate::runtime::published::Published;
use crate::store::StoreShards;
use crate::wal::Wal;
use protocols::catalog::CatalogSnapshot;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::catalog::{
    AcceptRowDelete, By, CatalogError, CompleteRowDelete, DropRowDelete, RequestRowDelete,
};
use protocols::messages::store::{TableView, ViewTable};
use protocols::messages::wal::{CutRows, SnapshotWanted, WalError};
use protocols::principal::Principal;
use protocols::row_deletes::{RowCut, RowDelete, RowDeleteState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked which deletes have come to their end.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// After so long rows in memory that were deleted are to become files, so that they can go for good.
const MEMORY_TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// A delete that has no bound after so long will not get one: each step has a deadline.
const ACCEPTANCE_TIME_MAX: Duration = Duration::from_millis(4 * ADMIN_DEADLINE_MS);

/// Accepts deletes of rows.
#[derive(Clone)]
pub struct RowDeleter {
    catalog: Mailbox<Catalog>,
    snapshot: Published<CatalogSnapshot>,
    wal: Mailbox<Wal>,
    stores: StoreShards,
}

/// Why a delete of rows was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RowDeleteError {
    /// By the catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// By the log.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// Nobody has answered.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Where rows may be that a delete is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Files that are to be written anew.
    pub files: usize,
    /// Chunks in memory that are to become files first.
    pub chunks: usize,
}

impl RowDeleter {
    /// What it needs.
    pub fn new(
        catalog: Mailbox<Catalog>,
        snapshot: Published<CatalogSnapshot>,
        wal: Mailbox<Wal>,
        stores: StoreShards,
    ) -> Self {
        Self { catalog, snapshot, wal, stores }
    }

    /// The catalog as it is.
    pub(super) fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.snapshot.load()
    }

    /// Deletes rows: when it is answered they are hidden, and stay so whatever happens. Must not be
    /// given up half way: run it on a task of its own.
    ///
    /// # Errors
    /// When it is refused, or cannot be made durable. It may still be accepted then if the catalog
    /// could not say what came of it.
    pub async fn delete(
        &self,
        wanted: By<RequestRowDelete>,
    ) -> Result<Arc<RowDelete>, RowDeleteError> {
        let (request, origin) = (wanted.change.request, wanted.origin.clone());
        let noted = self.catalog.ask_from_edge(wanted, deadline()).await??;
        let found = noted.row_deletes.all().rev().find(|delete| delete.request == request);
        let Some(delete) = found.map(Arc::clone) else {
            return Err(CatalogError::Storage("the delete of rows got lost".to_owned()).into());
        };
        let sequence = delete.sequence;
        crate::runtime::faults::fails("row-delete-before-cut");
        let (min_time_ns, max_time_ns) = delete.times_ns();
        let cut = CutRows(RowCut { table: delete.table, min_time_ns, max_time_ns });
        let bound = match self.wal.ask_from_edge(cut, deadline()).await {
            Ok(Ok(bound)) => bound,
            refused => {
                self.by_server(DropRowDelete { sequence }).await.ok(); // or later
                return Err(match refused {
                    Ok(refused) => refused.err().map_or_else(lost, RowDeleteError::from),
                    Err(error) => error.into(),
                });
            }
        };
        crate::runtime::faults::fails("row-delete-before-accept");
        let bound = if canary::is("delete-spares-its-group") { bound - 1 } else { bound };
        let change = AcceptRowDelete { sequence, bound };
        let accept = By { principal: Principal::Server, origin, change };
        let accepted = self.catalog.ask_from_edge(accept, deadline()).await??;
        crate::runtime::faults::fails("row-delete-after-accept");
        accepted.row_deletes.get(sequence).map(Arc::clone).ok_or_else(lost)
    }

    /// Where rows may still be that a delete in force is about.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn left(&self, delete: &RowDelete) -> Result<Left, AskError> {
        let (min_time_ns, max_time_ns) = delete.times_ns();
        let question = ViewTable { table: delete.table, min_time_ns, max_time_ns };
        let shard = self.stores.shard_of(delete.table);
        let TableView { chunks, files, .. } = shard.ask_from_edge(question, deadline()).await?;
        let catalog = self.snapshot.load();
        let Some((_, table)) = catalog.table_by_id(delete.table) else {
            return Ok(Left::default());
        };
        Ok(Left {
            files: files.iter().filter(|file| delete.may_touch(file, table)).count(),
            chunks: chunks.iter().filter(|chunk| delete.is_about(chunk.order)).count(),
        })
    }

    /// Notes ends, for as long as the server runs. What is half way in the catalog `at_start` was left
    /// so by a former process.
    pub(super) async fn watch(self, at_start: Arc<CatalogSnapshot>) {
        for delete in at_start.row_deletes.all() {
            if delete.bound.is_none() {
                self.drop_late(delete.sequence).await;
            }
        }
        // Since when they are known to be awaited, or to have rows in memory.
        let mut waiting: BTreeMap<u64, Instant> = BTreeMap::new();
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let catalog = self.snapshot.load();
            let is_pending = |delete: &&Arc<RowDelete>| delete.state == RowDeleteState::Pending;
            let pending: Vec<_> = catalog.row_deletes.all().filter(is_pending).collect();
            waiting.retain(|sequence, _| pending.iter().any(|d| d.sequence == *sequence));
            let mut is_snapshot_wanted = false;
            for delete in pending {
                let since = *waiting.entry(delete.sequence).or_insert_with(Instant::now);
                if delete.is_in_force() {
                    let in_memory = self.check(delete, &catalog).await;
                    is_snapshot_wanted |= in_memory && since.elapsed() >= MEMORY_TIME_MAX;
                } else if since.elapsed() >= ACCEPTANCE_TIME_MAX {
                    self.drop_late(delete.sequence).await;
                }
            }
            if is_snapshot_wanted {
                waiting.clear(); // it takes its time
                self.wal.ask_from_edge(SnapshotWanted, deadline()).await.ok(); // or later
            }
        }
    }

    /// Notes the end of a delete of which no row is left anywhere. True if some may be in memory.
    async fn check(&self, delete: &RowDelete, catalog: &CatalogSnapshot) -> bool {
        let is_removed = match catalog.table_by_id(delete.table) {
            Some((db, table)) => {
                [db.deletion, table.deletion].iter().flatten().any(|d| d.rows_removed)
            }
            None => true,
        };
        let sequence = delete.sequence;
        let left = match is_removed {
            true => Left::default(),
            false => match self.left(delete).await {
                Ok(left) => left,
                Err(_) => return false, // the store is being rebuilt
            },
        };
        let is_early = canary::is("delete-forgets-chunks") && left.files == 0;
        if left == Left::default() || is_early {
            match self.by_server(CompleteRowDelete { sequence }).await {
                Ok(_) => {
                    tracing::info!(sequence, table = %delete.table_name, "deleted rows are gone")
                }
                Err(error) => tracing::warn!(sequence, %error, "an end could not be noted yet"),
            }
        }
        left.chunks > 0
    }

    async fn drop_late(&self, sequence: u64) {
        match self.by_server(DropRowDelete { sequence }).await {
            Ok(_) => tracing::warn!(sequence, "a delete of rows was not accepted, and is dropped"),
            Err(error) => {
                tracing::warn!(sequence, %error, "a delete of rows cannot be dropped yet")
            }
        }
    }

    async fn by_server<M>(&self, change: M) -> Result<Arc<CatalogSnapshot>, RowDeleteError>
    where
        M: protocols::messages::Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>>,
        Catalog: crate::runtime::actor::Receive<By<M>>,
    {
        let by = By { principal: Principal::Server, origin: Default::default(), change };
        Ok(self.catalog.ask_from_edge(by, deadline()).await??)
    }
}

fn lost() -> RowDeleteError {
    CatalogError::Storage("nobody knows what came of the delete of rows".to_owned()).into()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS)
}
