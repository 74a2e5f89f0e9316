//! What takes the steps of the index, one at a time.

use super::IndexConfig;
use super::ask::Peers;
use super::due::Due;
use super::log::{IndexChange, IndexLog, IndexLogError};
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::EXIT_UNSAFE;
use crate::runtime::mailbox::RETRY_PAUSE;
use crate::runtime::published::Published;
use crate::storage::objects::Objects;
use protocols::catalog::CatalogSnapshot;
use protocols::file_index::FileIndex;
use protocols::messages::index::{
    AppendSnapshot, FileList, FindSnapshot, FoundSnapshot, SnapshotFiles,
};
use protocols::snapshot::ParquetFile;
use std::sync::Arc;
use std::time::Duration;

/// Why work was left before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Another process has taken over: this one ends.
    Fenced,
    /// The index has changed under our hands: what is to be done has to be found out again.
    Overtaken,
}

/// What the work needs to know.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) node: String,
    pub(super) objects: Objects,
    pub(super) catalog: Published<CatalogSnapshot>,
    pub(super) clock: Clock,
    pub(super) fatal: Fatal,
    pub(super) object_grace: Duration,
    pub(super) cleanup_wait: Duration,
    pub(super) retention_check_interval: Duration,
}

impl Settings {
    pub(super) fn of(config: &IndexConfig) -> Self {
        Self {
            node: config.node.clone(),
            objects: config.objects.clone(),
            catalog: config.catalog.clone(),
            clock: config.clock.clone(),
            fatal: config.fatal.clone(),
            object_grace: config.object_grace,
            cleanup_wait: config.cleanup_wait,
            retention_check_interval: config.retention_check_interval,
        }
    }
}

/// See the page of this file.
pub(super) struct Keeper<P> {
    pub(super) settings: Settings,
    pub(super) peers: P,
    pub(super) log: IndexLog,
    pub(super) due: Due,
    /// Files that went since the newest snapshot, for the manifest of the next one.
    pub(super) removed_since_snapshot: Vec<Arc<ParquetFile>>,
    /// The number of the newest snapshot, and those that were told of with it: who asks again is
    /// told the same again.
    told: (u64, Vec<Arc<ParquetFile>>),
}

impl<P: Peers> Keeper<P> {
    pub(super) fn new(settings: Settings, peers: P, log: IndexLog) -> Self {
        measure_files(&log);
        let (removed_since_snapshot, told) = (Vec::new(), (0, Vec::new()));
        Self { settings, peers, log, due: Due::new(), removed_since_snapshot, told }
    }

    pub(super) fn find(&self, find: FindSnapshot) -> FoundSnapshot {
        let index = self.log.index();
        let mut snapshots = index.snapshots().rev();
        FoundSnapshot {
            durable: snapshots.find(|placed| placed.mark.number == find.number).copied(),
            wal_through: index.wal_through(),
            next_file_id: index.next_file_id(),
        }
    }

    /// All files, and what of the order of writes they cover.
    pub(super) fn list(&self) -> FileList {
        let index = self.log.index();
        FileList {
            files: index.files().map(Arc::clone).collect(),
            durable_stamp: index.durable_stamp(),
        }
    }

    /// Makes a snapshot durable, unless it is, and has every shard know of its end.
    pub(super) async fn append_snapshot(
        &mut self,
        append: AppendSnapshot,
    ) -> Result<SnapshotFiles, Left> {
        let AppendSnapshot { snapshot, added } = append;
        while !self.log.index().is_durable(&snapshot) {
            let added = added.clone();
            check_order(self.log.index(), &added);
            let change = IndexChange { snapshot: Some(snapshot), added, ..IndexChange::default() };
            match self.append(change).await {
                Ok(()) | Err(Left::Overtaken) => {}
                Err(Left::Fenced) => return Err(Left::Fenced),
            }
        }
        let of_snapshot = |file: &&Arc<ParquetFile>| {
            file.compacted.is_none() && file.wal_file == snapshot.mark.wal_through
        };
        let files: Vec<_> = self.log.index().files().filter(of_snapshot).map(Arc::clone).collect();
        self.peers.end_snapshot(snapshot, &files).await;
        self.due.look_at_everything();
        if snapshot.mark.number > self.told.0 {
            let removed = std::mem::take(&mut self.removed_since_snapshot);
            self.told = (snapshot.mark.number, removed);
        }
        let (removed, next_file_id) = (self.told.1.clone(), self.log.index().next_file_id());
        Ok(SnapshotFiles { files, removed, next_file_id })
    }

    /// Takes a step of the index, for as long as it takes.
    pub(super) async fn append(&mut self, change: IndexChange) -> Result<(), Left> {
        let mut tries = 0_u64;
        loop {
            let error = match self.log.append(change.clone()).await {
                Ok(()) => {
                    measure_files(&self.log);
                    return Ok(());
                }
                Err(error) => error,
            };
            match &error {
                IndexLogError::Store { .. } => {
                    metrics::counter!("persist_upload_errors_total").increment(1);
                    if tries == 0 {
                        tracing::error!(%error, "trying again");
                    }
                    tries += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                IndexLogError::Fenced(_) => {
                    let text = "another process has written to the file index ahead of this one";
                    self.settings.fatal.raise(EXIT_UNSAFE, format!("{text}: {error}"));
                    return Err(Left::Fenced);
                }
                IndexLogError::Overtaken(_) => {
                    tracing::warn!(%error, "working out again what is to be done");
                    measure_files(&self.log);
                    return Err(Left::Overtaken);
                }
                // Nothing that a retry could mend: from its durable state the actor knows better.
                IndexLogError::Unfit(_) => panic!("{error}"),
            }
        }
    }
}

/// Of files of one table that share some time, the stretches of writes must not overlap: else nobody
/// could tell which of two values is newer. Parts of one chunk are from one stretch, and have no key
/// in common. Checked where everything that is written is known to be right.
fn check_order(index: &FileIndex, added: &[ParquetFile]) {
    if !cfg!(feature = "simulation") {
        return;
    }
    for file in added {
        let known = index.files_of(|_, table| table == file.table).map(AsRef::as_ref);
        for other in known.chain(added.iter().filter(|other| other.table == file.table)) {
            let shares_time =
                other.min_time_ns <= file.max_time_ns && file.min_time_ns <= other.max_time_ns;
            let is_part = other.order == file.order;
            let apart = !shares_time || !other.order.overlaps(file.order);
            assert!(apart || is_part, "{other:?} and {file:?} overlap");
        }
    }
}

fn measure_files(log: &IndexLog) {
    metrics::gauge!("parquet_files").set(log.index().files().len() as f64);
    metrics::gauge!("parquet_files_removed").set(log.index().removed().len() as f64);
}
