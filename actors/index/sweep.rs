//! Parquet files that nobody may see any more: past retention, or of deleted tables.
//!
//! First the index forgets such a file, then the shards, and after a grace period, in which
//! queries that had begun come to their end, the object goes. The index remembers until then which
//! objects are still to go, so that this goes on after a restart.

use super::ask::{Peers, Seen};
use super::due::Grace;
use super::keeper::{Keeper, Left, Settings};
use super::log::IndexChange;
use crate::runtime::faults;
use futures::{StreamExt, stream};
use hashbrown::HashMap;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use protocols::catalog::CatalogSnapshot;
use protocols::file_index::{FileIndex, Removal, RemovedFile};
use protocols::ids::TableId;
use protocols::paths;
use protocols::schema::{DatabaseSchema, TableSchema};
use protocols::snapshot::ParquetFile;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Objects that are deleted in one go: the index notes after that that they are gone.
const OBJECTS_AT_ONCE: usize = 1000;
/// Deletions under way at once.
const DELETIONS_AT_ONCE: usize = 16;
/// Pause before it is asked again whether queries still read a file.
const HELD_PAUSE: Duration = Duration::from_secs(1);
/// Pause after an object could not be deleted.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// Why rows of a table are not to be seen, or from when on they are.
enum Fate {
    Gone,
    VisibleFrom(i64),
}

/// Objects that were to be deleted.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// Ids of the files whose objects are gone.
    gone: Vec<u64>,
    /// Of those whose objects could not be deleted.
    failed: Vec<u64>,
    /// Of those that queries may still read.
    held: Vec<u64>,
}

/// Deletes the objects of files.
pub(super) async fn delete_objects(
    settings: &Settings,
    peers: &impl Peers,
    files: Vec<(Arc<ParquetFile>, Seen)>,
) -> Deleted {
    let mut deleted = Deleted::default();
    let oldest = peers.oldest_epochs().await;
    let is_held = |seen: &Seen| oldest.get(seen.shard).is_some_and(|oldest| *oldest <= seen.epoch);
    let (held, free): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, seen)| is_held(seen));
    deleted.held.extend(held.into_iter().map(|(file, _)| file.id));
    let files: Vec<_> = free.into_iter().map(|(file, _)| file).collect();
    let mut warned = false;
    let path = |file: &ParquetFile| paths::parquet_file(&settings.node, file);
    peers.evict(files.iter().map(|file| path(file).into()).collect()).await;
    let store = &settings.objects.store;
    let deletions = files.iter().map(|file| (file.id, Path::from(path(file))));
    let mut deletions = stream::iter(deletions)
        .map(|(id, path)| async move { (id, store.delete(&path).await) })
        .buffer_unordered(DELETIONS_AT_ONCE);
    while let Some((id, result)) = deletions.next().await {
        match result {
            Ok(()) | Err(Error::NotFound { .. }) => {
                deleted.gone.push(id);
                faults::fails("hard-delete-mid");
            }
            Err(error) => {
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!(%error, "cannot delete an object, trying again later");
                }
                deleted.failed.push(id);
            }
        }
    }
    deleted.gone.sort_unstable();
    deleted
}

impl<P: Peers> Keeper<P> {
    /// Has everybody forget what nobody may see any more.
    pub(super) async fn sweep(&mut self) -> Result<(), Left> {
        self.tell_of_removed().await;
        self.remove_files().await
    }

    /// Has the shards forget what the index has removed, those files included that an earlier life
    /// of the actor removed. Queries may still read the objects: their grace begins.
    pub(super) async fn tell_of_removed(&mut self) {
        let former = self.log.index().removed();
        let untold = former.filter(|former| !self.due.graces.contains_key(&former.file.id));
        let is_superseded = |why: Removal| matches!(why, Removal::Superseded { .. });
        let (superseded, gone): (Vec<_>, Vec<_>) =
            untold.cloned().partition(|former| is_superseded(former.why));
        let gone: Vec<_> = gone.iter().map(|former| (former.file.table, former.file.id)).collect();
        if !gone.is_empty() {
            let seen = self.peers.remove_files(&gone).await;
            let until = Instant::now() + self.settings.object_grace;
            let grace =
                |(table, id): (TableId, u64)| Some((id, Grace { until, seen: *seen.get(&table)? }));
            self.due.graces.extend(gone.into_iter().filter_map(grace));
        }
        self.tell_of_superseded(superseded).await;
    }

    /// Removes files that nobody may see any more from the index and from the shards.
    async fn remove_files(&mut self) -> Result<(), Left> {
        let catalog = self.settings.catalog.load();
        let now = Instant::now();
        let retention_due = now >= self.due.retention;
        if !retention_due && self.due.catalog_sequence == Some(catalog.sequence) {
            return Ok(());
        }
        let now_ns = self.settings.clock.now_ns();
        let expired = expired(self.log.index(), &catalog, retention_due.then_some(now_ns));
        if !expired.is_empty() {
            let removed_at_ns = now_ns;
            let removed =
                expired.iter().map(|(f, why)| RemovedFile { id: f.id, removed_at_ns, why: *why });
            let removed: Vec<_> = removed.collect();
            self.append(IndexChange { removed, ..IndexChange::default() }).await?;
            faults::fails("retention-after-index");
            self.tell_of_removed().await;
            let files = expired.len();
            tracing::info!(files, "files past retention or of deleted tables removed");
            metrics::counter!("persist_files_removed_total").increment(files as u64);
            self.removed_since_snapshot.extend(expired.into_iter().map(|(file, _)| file));
        }
        if retention_due {
            self.due.retention = now + self.settings.retention_check_interval;
        }
        self.due.catalog_sequence = Some(catalog.sequence);
        Ok(())
    }

    /// The files whose objects may go by now.
    pub(super) fn deletable(&self) -> Vec<(Arc<ParquetFile>, Seen)> {
        let now = Instant::now();
        let due = |file: &Arc<ParquetFile>| {
            let grace = self.due.graces.get(&file.id).filter(|grace| grace.until <= now)?;
            Some((Arc::clone(file), grace.seen))
        };
        let former = self.log.index().removed().map(|former| &former.file);
        former.filter_map(due).take(OBJECTS_AT_ONCE).collect()
    }

    /// Has the index forget the files whose objects are gone.
    pub(super) async fn note_deleted(&mut self, deleted: Deleted) -> Result<(), Left> {
        let Deleted { gone, failed, held } = deleted;
        let now = Instant::now();
        let later = (failed.iter().map(|id| (id, now + FAILURE_PAUSE)))
            .chain(held.iter().map(|id| (id, now + HELD_PAUSE)));
        for (id, until) in later {
            if let Some(grace) = self.due.graces.get_mut(id) {
                grace.until = until;
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        self.append(IndexChange { deleted: gone.clone(), ..IndexChange::default() }).await?;
        metrics::counter!("persist_objects_deleted_total").increment(gone.len() as u64);
        self.due.graces.retain(|id, _| gone.binary_search(id).is_err());
        Ok(())
    }
}

/// The files that nobody may see any more, and why. Without `now_ns` only those of deleted tables.
fn expired(
    index: &FileIndex,
    catalog: &CatalogSnapshot,
    now_ns: Option<i64>,
) -> Vec<(Arc<ParquetFile>, Removal)> {
    let fates = fates(catalog, now_ns.unwrap_or(i64::MIN));
    let why = |file: &ParquetFile| match fates.get(&file.table) {
        Some(Fate::Gone) => Some(Removal::Dropped),
        Some(Fate::VisibleFrom(time_ns)) => {
            (now_ns.is_some() && file.max_time_ns < *time_ns).then_some(Removal::Expired)
        }
        // A table that the catalog has not heard of yet is not a table that it has forgotten.
        None => (file.table.0 < catalog.next_table_id).then_some(Removal::Dropped),
    };
    index.files().filter_map(|file| Some((Arc::clone(file), why(file)?))).collect()
}

/// Whether rows of the table may still be seen.
pub(super) fn is_there(catalog: &CatalogSnapshot, table: TableId) -> bool {
    let removed = |(db, table): (&DatabaseSchema, &Arc<TableSchema>)| {
        [db.deletion, table.deletion].iter().flatten().any(|d| d.rows_removed)
    };
    match catalog.table_by_id(table) {
        Some((db, table)) => !removed((db, table)),
        None => false,
    }
}

fn fates(catalog: &CatalogSnapshot, now_ns: i64) -> HashMap<TableId, Fate> {
    let tables = catalog.databases.values().flat_map(|db| db.tables.values().map(move |t| (db, t)));
    let fate = tables.map(|(db, table)| {
        let removed = [db.deletion, table.deletion].iter().flatten().any(|d| d.rows_removed);
        let fate = match db.retention_of(table) {
            _ if removed => Fate::Gone,
            Some(retention_ns) => Fate::VisibleFrom(now_ns.saturating_sub(retention_ns)),
            None => Fate::VisibleFrom(i64::MIN),
        };
        (table.id, fate)
    });
    fate.collect()
}
