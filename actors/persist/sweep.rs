//! Parquet files that nobody may see any more: past retention, or of deleted tables.
//!
//! First the index forgets such a file, then the shards, and after a grace period, in which
//! queries that had begun come to their end, the object goes. The index remembers until then which
//! objects are still to go, so that this goes on after a restart.

use super::ask::Peers;
use super::index::IndexChange;
use super::worker::{Left, Worker};
use crate::runtime::faults;
use futures::{StreamExt, stream};
use hashbrown::HashMap;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use protocols::file_index::{FileIndex, RemovedFile};
use protocols::ids::TableId;
use protocols::paths;
use protocols::schema::CatalogSnapshot;
use protocols::snapshot::ParquetFile;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Objects that are deleted in one go, so that a snapshot that falls due does not wait long.
const OBJECTS_AT_ONCE: usize = 1000;
/// Deletions under way at once.
const DELETIONS_AT_ONCE: usize = 16;
/// Pause after an object could not be deleted.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// What was looked at, and what waits.
pub(super) struct Sweep {
    /// Sequence of the catalog whose tables were looked at. `None`: look again.
    catalog_sequence: Option<u64>,
    /// When retention is looked at next.
    retention_due: Instant,
    /// The removed files that the shards were told of, and when their objects may go.
    graces: HashMap<u64, Instant>,
}

/// Why rows of a table are not to be seen, or from when on they are.
enum Fate {
    Gone,
    VisibleFrom(i64),
}

impl Sweep {
    pub(super) fn new() -> Self {
        Self { catalog_sequence: None, retention_due: Instant::now(), graces: HashMap::new() }
    }

    /// The next clean-up looks at all files, for there are new ones.
    pub(super) fn look_at_everything(&mut self) {
        self.catalog_sequence = None;
        self.retention_due = Instant::now();
    }
}

impl<P: Peers> Worker<P> {
    /// Does what has become due. True when there is more to do at once.
    pub(super) async fn clean_up(&mut self) -> Result<bool, Left> {
        self.tell_of_removed().await;
        self.remove_files().await?;
        let more_objects = self.delete_objects().await?;
        let more_wal_files = self.wal_files.clean_up(&self.settings).await;
        Ok(more_objects || more_wal_files)
    }

    /// Has the shards forget what the index has removed, those files included that an earlier life
    /// of the actor removed. Queries may still read the objects: their grace begins.
    async fn tell_of_removed(&mut self) {
        let former = self.log.index().removed().map(|former| &former.file);
        let untold = former.filter(|file| !self.sweep.graces.contains_key(&file.id));
        let files: Vec<_> = untold.map(|file| (file.table, file.id)).collect();
        if files.is_empty() {
            return;
        }
        self.peers.remove_files(&files).await;
        let due = Instant::now() + self.settings.object_grace;
        self.sweep.graces.extend(files.into_iter().map(|(_, id)| (id, due)));
    }

    /// Removes files that nobody may see any more from the index and from the shards.
    async fn remove_files(&mut self) -> Result<(), Left> {
        let catalog = self.settings.catalog.load();
        let now = Instant::now();
        let retention_due = now >= self.sweep.retention_due;
        if !retention_due && self.sweep.catalog_sequence == Some(catalog.sequence) {
            return Ok(());
        }
        let now_ns = self.settings.clock.now_ns();
        let expired = expired(self.log.index(), &catalog, retention_due.then_some(now_ns));
        if !expired.is_empty() {
            let removed_at_ns = now_ns;
            let removed: Vec<_> =
                expired.iter().map(|f| RemovedFile { id: f.id, removed_at_ns }).collect();
            self.append(IndexChange { removed, ..IndexChange::default() }).await?;
            faults::fails("retention-after-index");
            self.tell_of_removed().await;
            let files = expired.len();
            tracing::info!(files, "files past retention or of deleted tables removed");
            metrics::counter!("persist_files_removed_total").increment(files as u64);
            self.removed_since_manifest.extend(expired);
        }
        if retention_due {
            self.sweep.retention_due = now + self.settings.retention_check_interval;
        }
        self.sweep.catalog_sequence = Some(catalog.sequence);
        Ok(())
    }

    /// Deletes objects whose grace is over. True when there are more of them.
    async fn delete_objects(&mut self) -> Result<bool, Left> {
        let now = Instant::now();
        let due = |id: &u64| self.sweep.graces.get(id).is_some_and(|due| *due <= now);
        let former = self.log.index().removed().map(|former| &former.file);
        let mut files: Vec<_> = former.filter(|file| due(&file.id)).map(Arc::clone).collect();
        if files.is_empty() {
            return Ok(false);
        }
        let more = files.len() > OBJECTS_AT_ONCE;
        files.truncate(OBJECTS_AT_ONCE);
        let path = |file: &ParquetFile| paths::parquet_file(&self.settings.node, file);
        self.peers.evict(files.iter().map(|file| path(file).into()).collect()).await;

        let store = &self.settings.objects.store;
        let deletions = files.iter().map(|file| (file.id, Path::from(path(file))));
        let mut deletions = stream::iter(deletions)
            .map(|(id, path)| async move { (id, store.delete(&path).await) })
            .buffer_unordered(DELETIONS_AT_ONCE);
        let mut deleted = Vec::with_capacity(files.len());
        let mut failed: Vec<u64> = Vec::new();
        while let Some((id, result)) = deletions.next().await {
            match result {
                Ok(()) | Err(Error::NotFound { .. }) => {
                    deleted.push(id);
                    faults::fails("hard-delete-mid");
                }
                Err(error) => {
                    if failed.is_empty() {
                        tracing::warn!(%error, "cannot delete an object, trying again later");
                    }
                    failed.push(id);
                }
            }
        }
        drop(deletions);
        self.sweep.graces.extend(failed.iter().map(|id| (*id, now + FAILURE_PAUSE)));
        if deleted.is_empty() {
            return Ok(false);
        }
        deleted.sort_unstable();
        self.append(IndexChange { deleted: deleted.clone(), ..IndexChange::default() }).await?;
        metrics::counter!("persist_objects_deleted_total").increment(deleted.len() as u64);
        self.sweep.graces.retain(|id, _| deleted.binary_search(id).is_err());
        Ok(more && failed.is_empty())
    }
}

/// The files that nobody may see any more. Without `now_ns` only those of deleted tables.
fn expired(
    index: &FileIndex,
    catalog: &CatalogSnapshot,
    now_ns: Option<i64>,
) -> Vec<Arc<ParquetFile>> {
    let fates = fates(catalog, now_ns.unwrap_or(i64::MIN));
    let is_expired = |file: &ParquetFile| match fates.get(&file.table) {
        Some(Fate::Gone) => true,
        Some(Fate::VisibleFrom(time_ns)) => now_ns.is_some() && file.max_time_ns < *time_ns,
        // A table that the catalog has not heard of yet is not a table that it has forgotten.
        None => file.table.0 < catalog.next_table_id,
    };
    index.files().filter(|file| is_expired(file)).map(Arc::clone).collect()
}

fn fates(catalog: &CatalogSnapshot, now_ns: i64) -> HashMap<TableId, Fate> {
    let tables = catalog.databases.values().flat_map(|db| db.tables.values().map(move |t| (db, t)));
    let fate = tables.map(|(db, table)| {
        let removed = [db.deletion, table.deletion].iter().flatten().any(|d| d.rows_removed);
        let fate = match db.retention_ns {
            _ if removed => Fate::Gone,
            Some(retention_ns) => Fate::VisibleFrom(now_ns.saturating_sub(retention_ns)),
            None => Fate::VisibleFrom(i64::MIN),
        };
        (table.id, fate)
    });
    fate.collect()
}
