//! Files that stand in the place of others, and what compactions leave behind that did not come to
//! their end.

use super::ask::Peers;
use super::due::Grace;
use super::keeper::{Keeper, Left};
use super::log::IndexChange;
use super::sweep::is_there;
use crate::file_writer::put_until_stored;
use crate::runtime::canary;
use crate::runtime::faults;
use bytes::Bytes;
use futures::TryStreamExt;
use hashbrown::HashSet;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use protocols::file_index::manifest::{Manifest, render};
use protocols::file_index::{FormerFile, Removal, RemovedFile, may_be_one};
use protocols::ids::TableId;
use protocols::messages::index::{AppendCompaction, CompactionRefused};
use protocols::messages::store::SwapFiles;
use protocols::paths;
use protocols::snapshot::{ParquetFile, PlacedMark, Stamps};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

impl<P: Peers> Keeper<P> {
    /// Puts files in the place of others, in one step of the index, and then in the shards.
    pub(super) async fn append_compaction(
        &mut self,
        append: AppendCompaction,
    ) -> Result<Vec<Arc<ParquetFile>>, CompactionRefused> {
        let known = self.outputs_of(&append);
        if !known.is_empty() {
            // Asked again, because the answer got lost.
            self.tell_of_removed().await;
            return Ok(known);
        }
        self.check_compaction(&append)?;
        let AppendCompaction { inputs, outputs, .. } = append.clone();
        let first_id = self.log.index().next_compacted_id();
        let added = (first_id..).zip(outputs).map(|(id, file)| ParquetFile { id, ..file });
        let why = Removal::Superseded { by: self.log.index().sequence() + 1 };
        let removed_at_ns = self.settings.clock.now_ns();
        let removed = inputs.iter().map(|id| RemovedFile { id: *id, removed_at_ns, why });
        let (added, removed) = (added.collect(), removed.collect());
        let appended = self.append(IndexChange { added, removed, ..IndexChange::default() }).await;
        faults::fails("compact-after-publish");
        // Also after a step that overtook this one: it may be one that nobody was told of.
        self.tell_of_removed().await;
        match appended {
            Ok(()) => Ok(self.outputs_of(&append)),
            Err(Left::Overtaken) => Err(CompactionRefused::Stale("the index has changed")),
            Err(Left::Fenced) => Err(CompactionRefused::Fenced),
        }
    }

    /// The new files, if they are part of their table.
    fn outputs_of(&self, append: &AppendCompaction) -> Vec<Arc<ParquetFile>> {
        let nonce = append.outputs.iter().find_map(|file| file.compacted);
        let is_output = |file: &&Arc<ParquetFile>| nonce.is_some() && file.compacted == nonce;
        let files = self.log.index().files_of(|_, table| table == append.table);
        files.filter(is_output).map(Arc::clone).collect()
    }

    /// Whether the step still fits: nothing has happened since it was planned that it does not take
    /// into account.
    fn check_compaction(&self, append: &AppendCompaction) -> Result<(), CompactionRefused> {
        let stale = |what| Err(CompactionRefused::Stale(what));
        let AppendCompaction { table, inputs, outputs, deletes } = append;
        let catalog = self.settings.catalog.load();
        if !is_there(&catalog, *table) {
            return stale("the table is gone");
        }
        let is_over = |sequence: &u64| {
            catalog.row_deletes.get(*sequence).is_none_or(|delete| !delete.is_in_force())
        };
        if deletes.iter().any(is_over) {
            return stale("a delete of rows was taken back");
        }
        let index = self.log.index();
        let found: Option<Vec<&ParquetFile>> = inputs
            .iter()
            .map(|id| index.file(*id).map(AsRef::as_ref).filter(|file| file.table == *table))
            .collect();
        let Some(found) = found.filter(|found| !found.is_empty()) else {
            return stale("a file that went in is no longer part of the table");
        };
        let others = index.files_of(|_, of| of == *table).map(AsRef::as_ref);
        if !may_be_one(&found, others) && !canary::is("compacts-with-a-hole") {
            return stale("a file was written in between");
        }
        let orders = found.iter().map(|file| file.order);
        let order = orders.reduce(Stamps::to).unwrap_or_default();
        // A file that is written anew by itself has nothing in between.
        let is_one = found.iter().all(|file| file.order == order);
        if order.hi > index.durable_stamp() && !is_one {
            return stale("rows that were written in between may not be in files yet");
        }
        let first = found.iter().map(|file| file.min_time_ns).min();
        let last = found.iter().map(|file| file.max_time_ns).max();
        let is_fit = |file: &ParquetFile| {
            let is_within = Some(file.min_time_ns) >= first && Some(file.max_time_ns) <= last;
            file.order == order && file.table == *table && is_within && file.compacted.is_some()
        };
        if (outputs.is_empty() && deletes.is_empty()) || !outputs.iter().all(is_fit) {
            tracing::error!(?outputs, "a compaction has made what nobody asked for");
            return stale("the new files are not those that were to be made");
        }
        Ok(())
    }

    /// Has the shards take other files in the place of those, and other programs know of it. What
    /// came in their place is not known any more: all compacted files of the table are named, most
    /// of which are known already.
    pub(super) async fn tell_of_superseded(&mut self, superseded: Vec<FormerFile>) {
        let mut tables: BTreeMap<TableId, Vec<FormerFile>> = BTreeMap::new();
        for former in superseded {
            tables.entry(former.file.table).or_default().push(former);
        }
        for (table, former) in tables {
            let Some(db) = former.first().map(|former| former.file.db) else { continue };
            let added = self.compacted_files(table);
            for step in former.iter().filter_map(step_of).collect::<BTreeSet<_>>() {
                self.write_compaction_manifest(step, &former, &added).await;
            }
            let removed = former.iter().map(|former| former.file.id).collect();
            let seen = self.peers.swap_files(SwapFiles { db, table, removed, added }).await;
            let until = Instant::now() + self.settings.cleanup_wait;
            let graces = former.iter().map(|former| (former.file.id, Grace { until, seen }));
            self.due.graces.extend(graces);
        }
    }

    fn compacted_files(&self, table: TableId) -> Vec<Arc<ParquetFile>> {
        let files = self.log.index().files_of(|_, of| of == table);
        files.filter(|file| file.compacted.is_some()).map(Arc::clone).collect()
    }

    /// Tells other programs which files a step has put in the place of which, unless that was done
    /// in a former life.
    async fn write_compaction_manifest(
        &self,
        step: u64,
        former: &[FormerFile],
        compacted: &[Arc<ParquetFile>],
    ) {
        let node = &self.settings.node;
        let path = paths::compaction_manifest(node, step);
        let store = self.settings.objects.store.as_ref();
        if store.head(&Path::from(path.as_str())).await.is_ok() {
            return;
        }
        let removed = former.iter().filter(|former| step_of(former) == Some(step));
        let removed: Vec<&ParquetFile> = removed.map(|former| former.file.as_ref()).collect();
        let shares_time = |file: &ParquetFile| {
            let overlaps = |other: &&ParquetFile| {
                other.min_time_ns <= file.max_time_ns && file.min_time_ns <= other.max_time_ns
            };
            removed.iter().any(overlaps)
        };
        let added = compacted.iter().map(AsRef::as_ref).filter(|file| shares_time(file)).collect();
        let manifest = render(&Manifest {
            node,
            snapshot: self.log.index().snapshots().next_back().copied().unwrap_or(NO_SNAPSHOT),
            catalog_sequence: self.settings.catalog.load().sequence,
            next_file_id: self.log.index().next_file_id(),
            added,
            removed: removed.clone(),
        });
        put_until_stored(store, &path, &Bytes::from(manifest), "compact-manifest-put").await;
    }

    /// Deletes compacted files that the index does not name. Nobody is at work on any by now. Returns
    /// how many were deleted, or nothing when the store fails.
    pub(super) async fn sweep_orphans(&mut self) -> Result<Option<usize>, Left> {
        let Ok(orphans) = self.orphans().await else { return Ok(None) };
        if orphans.is_empty() {
            return Ok(Some(0));
        }
        // Another process may have taken over, and named some of them. Who has done so has taken a
        // step of the index before it wrote any of its own, so that this step would fail.
        self.append(IndexChange::default()).await?;
        let mut deleted = 0;
        for path in &orphans {
            match self.settings.objects.store.delete(path).await {
                Ok(()) | Err(Error::NotFound { .. }) => deleted += 1,
                Err(error) => tracing::warn!(%path, %error, "an orphan stays for now"),
            }
        }
        tracing::info!(deleted, "removed what unfinished compactions had left");
        metrics::counter!("compaction_orphans_removed_total").increment(deleted as u64);
        Ok((deleted == orphans.len()).then_some(deleted))
    }

    /// The objects among the compacted files that the index does not name.
    async fn orphans(&self) -> Result<Vec<Path>, Error> {
        let node = &self.settings.node;
        let index = self.log.index();
        let former = index.removed().map(|former| &former.file);
        let named = index.files().chain(former).filter(|file| file.compacted.is_some());
        let named: HashSet<Path> =
            named.map(|file| Path::from(paths::parquet_file(node, file))).collect();
        let folder = Path::from(paths::compacted_dir(node));
        let mut listed = self.settings.objects.store.list(Some(&folder));
        let mut orphans = Vec::new();
        while let Some(object) = listed.try_next().await? {
            if !named.contains(&object.location) {
                orphans.push(object.location);
            }
        }
        Ok(orphans)
    }
}

/// Files of the time before there were snapshots do not exist.
const NO_SNAPSHOT: PlacedMark = PlacedMark {
    mark: protocols::snapshot::SnapshotMark {
        number: 0,
        end_time_ns: 0,
        wal_through: 0,
        forced: false,
        durable_stamp: i64::MIN,
    },
    sequence: 0,
    stamp: i64::MIN,
};

/// The step that put others in the place of a file.
fn step_of(former: &FormerFile) -> Option<u64> {
    match former.why {
        Removal::Superseded { by } => Some(by),
        Removal::Expired | Removal::Dropped => None,
    }
}
