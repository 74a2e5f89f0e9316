//! Claims, steps and removals. The other actors are played by [`Fake`].

mod claims;
mod compaction;
pub(crate) mod flaky;
pub(crate) mod gate;
mod removal;
mod steps;

use super::ask::{Peers, Seen};
use super::keeper::{Keeper, Settings};
use super::log::{IndexLog, load};
use super::sweep::delete_objects;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::published::{Published, Publisher};
use crate::storage::objects::Objects;
use hashbrown::HashMap;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{DbId, TableId};
use protocols::messages::index::{AppendSnapshot, SnapshotFiles};
use protocols::messages::store::SwapFiles;
use protocols::paths;
use protocols::schema::{DatabaseSchema, Deletion, TableSchema};
use protocols::snapshot::{Keys, ParquetFile, PlacedMark, SnapshotMark, Stamps};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NODE: &str = "n";
const HOUR_NS: i64 = 3_600_000_000_000;
const GEN1_NS: i64 = 600_000_000_000;
const LONG: Duration = Duration::from_secs(3600);

/// What the shards and the cache were told.
#[derive(Default)]
struct State {
    /// What queries see.
    files: BTreeMap<u64, Arc<ParquetFile>>,
    ended: Vec<u64>,
    evicted: BTreeSet<String>,
    epoch: u64,
    /// The epoch of a view that somebody holds.
    held_epoch: Option<u64>,
}

impl State {
    fn end_epoch(&mut self) -> Seen {
        self.epoch += 1;
        Seen { shard: 0, epoch: self.epoch - 1 }
    }
}

/// One shard and the cache. They check that what must be durable before is.
#[derive(Clone)]
struct Fake {
    objects: Objects,
    state: Arc<Mutex<State>>,
}

impl Fake {
    fn files(&self) -> Vec<Arc<ParquetFile>> {
        self.state.lock().unwrap().files.values().cloned().collect()
    }
}

impl Peers for Fake {
    async fn end_snapshot(&self, snapshot: PlacedMark, files: &[Arc<ParquetFile>]) {
        let index = load(&self.objects, NODE).await.unwrap();
        assert!(index.is_durable(&snapshot), "the index comes first");
        let mut state = self.state.lock().unwrap();
        state.files.extend(files.iter().map(|file| (file.id, Arc::clone(file))));
        state.ended.push(snapshot.mark.number);
    }

    async fn remove_files(&self, files: &[(TableId, u64)]) -> HashMap<TableId, Seen> {
        let index = load(&self.objects, NODE).await.unwrap();
        let mut state = self.state.lock().unwrap();
        for (_, id) in files {
            assert!(index.file(*id).is_none(), "the index forgets a file first");
            state.files.remove(id);
        }
        files.iter().map(|(table, _)| (*table, state.end_epoch())).collect()
    }

    async fn swap_files(&self, swap: SwapFiles) -> Seen {
        let index = load(&self.objects, NODE).await.unwrap();
        let mut state = self.state.lock().unwrap();
        for id in &swap.removed {
            assert!(index.file(*id).is_none(), "the index forgets a file first");
            state.files.remove(id);
        }
        for file in swap.added {
            assert_eq!(index.file(file.id), Some(&file), "the index names a file first");
            state.files.insert(file.id, file);
        }
        state.end_epoch()
    }

    async fn oldest_epochs(&self) -> Vec<u64> {
        let state = self.state.lock().unwrap();
        vec![state.held_epoch.unwrap_or(state.epoch)]
    }

    async fn evict(&self, paths: Vec<Arc<str>>) {
        let mut state = self.state.lock().unwrap();
        state.evicted.extend(paths.iter().map(|path| path.to_string()));
    }
}

fn placed(number: u64, wal_through: u64) -> PlacedMark {
    let mark = SnapshotMark { number, end_time_ns: HOUR_NS, wal_through, ..Default::default() };
    PlacedMark { mark, sequence: number * 10, stamp: number as i64 * 1000 }
}

/// A database with retention and the tables 1 to 3, of which some are removed.
fn catalog(sequence: u64, retention_ns: Option<i64>, removed: &[u32]) -> Arc<CatalogSnapshot> {
    let deletion = Deletion { deleted_at_ns: 0, hard_delete_at_ns: Some(0), rows_removed: true };
    let tables = (1..=3).map(|id| {
        let deletion = removed.contains(&id).then_some(deletion);
        let table = TableSchema::new(TableId(id), format!("m{id}").into(), vec![], deletion);
        (Arc::clone(&table.name), Arc::new(table))
    });
    let db = DatabaseSchema {
        id: DbId(1),
        name: "d".into(),
        retention_ns,
        tables: tables.collect(),
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    Arc::new(CatalogSnapshot {
        uuid: uuid::Uuid::nil(),
        sequence,
        databases: [("d".into(), Arc::new(db))].into_iter().collect(),
        gen1_duration_ns: GEN1_NS,
        next_db_id: 2,
        next_table_id: 4,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    })
}

/// Everything that outlives a keeper.
struct World {
    objects: Objects,
    publisher: Publisher<CatalogSnapshot>,
    fake: Fake,
    settings: Settings,
    now_ns: Arc<AtomicI64>,
}

impl World {
    fn new(objects: Objects) -> Self {
        let (publisher, catalog) = Published::new(catalog(1, None, &[]));
        let now_ns = Arc::new(AtomicI64::new(HOUR_NS));
        let settings = Settings {
            node: NODE.to_owned(),
            objects: objects.clone(),
            catalog,
            clock: Clock::Fixed(Arc::clone(&now_ns)),
            fatal: Fatal::default(),
            object_grace: LONG,
            cleanup_wait: LONG,
            retention_check_interval: LONG,
        };
        let fake = Fake { objects: objects.clone(), state: Arc::default() };
        Self { objects, publisher, fake, settings, now_ns }
    }

    async fn keeper(&self) -> Keeper<Fake> {
        self.keeper_of(1).await
    }

    /// A keeper of another process.
    async fn keeper_of(&self, writer: u128) -> Keeper<Fake> {
        let log = IndexLog::open(&self.objects, NODE, writer).await.unwrap();
        Keeper::new(self.settings.clone(), self.fake.clone(), log)
    }

    /// A snapshot whose files are of these tables and chunks, with rows in the first 3 ns of each.
    async fn snapshot(
        &self,
        keeper: &mut Keeper<Fake>,
        snapshot: PlacedMark,
        files: &[(u32, i64)],
    ) -> SnapshotFiles {
        let mut added = Vec::new();
        for (id, (table, chunk_time_ns)) in (keeper.log.index().next_file_id()..).zip(files) {
            let file = ParquetFile {
                id,
                db: DbId(1),
                table: TableId(*table),
                chunk_time_ns: *chunk_time_ns,
                wal_file: snapshot.mark.wal_through,
                part: 0,
                size_bytes: 4,
                row_count: 3,
                min_time_ns: chunk_time_ns + 1,
                max_time_ns: chunk_time_ns + 3,
                crc32: 0,
                order: Stamps::at(snapshot.stamp),
                keys: Keys::default(),
                compacted: None,
            };
            let path = Path::from(paths::parquet_file(NODE, &file));
            self.objects.store.put(&path, "rows".into()).await.unwrap();
            added.push(file);
        }
        keeper.append_snapshot(AppendSnapshot { snapshot, added }).await.unwrap()
    }

    async fn exists(&self, path: &str) -> bool {
        self.objects.store.head(&Path::from(path)).await.is_ok()
    }
}
