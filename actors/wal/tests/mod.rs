//! The log with a real store behind it, over memory, over a directory, and over logs that fail.

mod answers;
mod bounds;
mod failures;
mod snapshots;
mod stamps;
mod unread;

use super::log::{Log, LogError, WalGroup};
use super::replay::{Replay, replay, table_batch};
use super::{Owner, Wal, WalConfig};
use crate::persist::Persist;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Factory, Guardian};
use crate::runtime::mailbox::{AskError, Mailbox};
use crate::runtime::pulse::Pulse;
use crate::storage::objects::Objects;
use crate::store::{Shard, ShardFiles, Store, StoreShards};
use arrow::array::AsArray;
use arrow::datatypes::TimestampNanosecondType;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::join_all;
use protocols::catalog::CatalogSnapshot;
use protocols::columns::{ColumnData, StoredColumn, StoredRows};
use protocols::file_index::FileIndex;
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::rank;
use protocols::messages::store::{DropTables, TableView, ViewTable};
use protocols::messages::wal::{AppendRows, Drain, PeriodDue, Receipt, SyncMode, WalError};
use protocols::schema::{ColumnKind, ColumnSchema, DatabaseSchema, FieldType, TableSchema};
use protocols::wal_frame::entry;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const TABLE: TableId = TableId(1);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn table() -> TableSchema {
    let kind = ColumnKind::Field(FieldType::Integer);
    let column = ColumnSchema { id: ColumnId(0), name: "f".into(), kind };
    TableSchema::new(TABLE, "m".into(), vec![column], None)
}

fn catalog() -> Arc<CatalogSnapshot> {
    let tables = [("m".into(), Arc::new(table()))].into_iter().collect();
    let db = DatabaseSchema {
        id: DbId(1),
        name: "d".into(),
        retention_ns: None,
        tables,
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    Arc::new(CatalogSnapshot {
        uuid: uuid::Uuid::nil(),
        sequence: 1,
        databases: [("d".into(), Arc::new(db))].into_iter().collect(),
        gen1_duration_ns: 600_000_000_000,
        next_db_id: 2,
        next_table_id: 2,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    })
}

fn write(time: i64, sync: SyncMode) -> AppendRows {
    let rows = StoredRows {
        table: TABLE,
        times: vec![time],
        columns: vec![StoredColumn {
            id: ColumnId(0),
            data: ColumnData::Integer(vec![time]),
            validity: None,
        }],
    };
    let entry = entry::encode(DbId(1), std::slice::from_ref(&rows)).unwrap().into();
    let batch = table_batch(DbId(1), rows, &table()).unwrap();
    AppendRows { entry, batches: vec![batch], sync }
}

/// One process: a store shard, a log, and what would end it.
struct Node {
    objects: Objects,
    shard: Mailbox<Store>,
    store: Factory<Store>,
    wal: Mailbox<Wal>,
    fatal: Fatal,
    config: WalConfig,
}

fn bounds(kind: &'static str) -> ActorConfig {
    let name = kind.to_owned();
    ActorConfig { kind, name, messages_max: 1000, bytes_max: 1 << 30, vital: true }
}

/// How a node differs from the usual one.
struct Setup {
    /// Replaces the real log.
    log: Option<Box<dyn Log>>,
    /// Bytes that the store may hold.
    held_bytes_max: usize,
    put_by_period: bool,
    snapshot_size: usize,
    force_snapshot_bytes: usize,
    index: FileIndex,
    /// The shard is not there yet.
    shard_is_away: bool,
    /// Messages that the mailbox of the log takes.
    messages_max: usize,
    /// Bytes that may wait for the log.
    waiting_bytes_max: usize,
    clock: Clock,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            log: None,
            held_bytes_max: usize::MAX,
            put_by_period: false,
            snapshot_size: 600,
            force_snapshot_bytes: usize::MAX,
            index: FileIndex::default(),
            shard_is_away: false,
            messages_max: 1000,
            waiting_bytes_max: 1 << 20,
            clock: Clock::Fixed(Arc::default()),
        }
    }
}

impl Node {
    /// A node on `objects`; `log` replaces the real log.
    async fn start(objects: &Objects, log: Option<Box<dyn Log>>) -> Self {
        Self::start_with(objects, Setup { log, ..Setup::default() }).await
    }

    async fn start_with(objects: &Objects, setup: Setup) -> Self {
        let fatal = Fatal::default();
        let guardian = Guardian::new(fatal.clone());
        let shard = Guardian::mailbox(&bounds("store"));
        let gen1 = catalog().gen1_duration_ns;
        let index = Arc::new(setup.index);
        let files = ShardFiles::of(&index, 0, 1);
        let factory: Factory<Store> = Arc::new(move || {
            let files = files.clone();
            async move { Ok(Store::new(Shard::new(0, gen1, vec![], files))) }.boxed_local()
        });
        let store = Arc::clone(&factory);
        if !setup.shard_is_away {
            guardian.birth(bounds("store"), shard.clone(), factory).await.unwrap();
        }
        let config = WalConfig {
            owner: Owner::take(objects, "n").await.unwrap(),
            above_file: index.wal_through(),
            put_by_period: setup.put_by_period,
            stores: StoreShards::new(vec![shard.clone()]),
            persist: Guardian::mailbox::<Persist>(&bounds("persist")).into(),
            snapshot_size: setup.snapshot_size,
            gen1_duration_ns: gen1,
            force_snapshot_bytes: setup.force_snapshot_bytes,
            waiting_writes_max: 3,
            waiting_bytes_max: setup.waiting_bytes_max,
            held_bytes_max: setup.held_bytes_max,
            triggers: None,
            clock: setup.clock.clone(),
            fatal: fatal.clone(),
            pulse: Pulse::default(),
        };
        let what = replay_of(objects, catalog(), index, false);
        let log = Arc::new(Mutex::new(setup.log));
        let set_up = config.clone();
        let factory: Factory<Wal> = Arc::new(move || {
            let (config, what, log) = (set_up.clone(), what.clone(), Arc::clone(&log));
            async move {
                let log = log.lock().unwrap().take();
                match log {
                    Some(log) => Ok(Wal::with_log(config, log, (0, i64::MIN))),
                    None => Wal::open(config, async || Ok(what.clone())).await,
                }
            }
            .boxed_local()
        });
        let bounds = ActorConfig { messages_max: setup.messages_max, ..bounds("wal") };
        let wal = Guardian::mailbox(&bounds);
        guardian.birth(bounds, wal.clone(), factory).await.unwrap();
        Self { objects: objects.clone(), shard, store, wal, fatal, config }
    }

    /// Has another life of the log take the place of the one there is, as after a panic. Now the
    /// index is `index`.
    async fn rebuild_wal(&mut self, index: FileIndex) {
        let what = replay_of(&self.objects, catalog(), Arc::new(index), true);
        let config = self.config.clone();
        let factory: Factory<Wal> = Arc::new(move || {
            let (config, what) = (config.clone(), what.clone());
            async move { Wal::open(config, async || Ok(what.clone())).await }.boxed_local()
        });
        self.wal = Guardian::mailbox(&bounds("wal"));
        let guardian = Guardian::new(self.fatal.clone());
        guardian.birth(bounds("wal"), self.wal.clone(), factory).await.unwrap();
    }

    /// Starts the shard, if the node was started without one.
    async fn start_shard(&self) {
        let guardian = Guardian::new(self.fatal.clone());
        let factory = Arc::clone(&self.store);
        guardian.birth(bounds("store"), self.shard.clone(), factory).await.unwrap();
    }

    async fn write(&self, time: i64) -> Result<Receipt, WalError> {
        self.wal.ask_from_edge(write(time, SyncMode::Durable), soon()).await.unwrap()
    }

    async fn rows(&self) -> usize {
        self.times().await.len()
    }

    /// The times of all rows, which are different in these tests.
    async fn times(&self) -> BTreeSet<i64> {
        let ask = ViewTable { table: TABLE, min_time_ns: i64::MIN, max_time_ns: i64::MAX };
        let view: TableView = self.shard.ask_from_edge(ask, soon()).await.unwrap();
        let batches = view.chunks.iter().flat_map(|c| &c.unsorted);
        let times = batches.flat_map(|b| {
            b.column(b.num_columns() - 1).as_primitive::<TimestampNanosecondType>().values().iter()
        });
        times.copied().collect()
    }
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

#[test]
fn acknowledged_rows_are_visible_and_come_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in [Objects::memory(), Objects::directory(dir.path().to_owned()).unwrap()] {
            let node = Node::start(&objects, None).await;
            for time in 1..=5 {
                assert!(matches!(node.write(time).await, Ok(Receipt::Durable { .. })));
                assert_eq!(node.rows().await, time as usize);
                node.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
            }
            let again = Node::start(&objects, None).await;
            assert_eq!(again.rows().await, 5);
        }
    });
}

#[test]
fn the_newer_of_two_processes_wins_and_has_every_acknowledged_row() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in [Objects::memory(), Objects::directory(dir.path().to_owned()).unwrap()] {
            let old = Node::start(&objects, None).await;
            old.write(1).await.unwrap();
            let new = Node::start(&objects, None).await;
            assert_eq!(old.write(2).await, Err(WalError::Fenced));
            assert_eq!(old.write(3).await, Err(WalError::Fenced));
            assert!(old.fatal.reason().is_some());
            new.write(4).await.unwrap();
            assert_eq!(new.rows().await, 2);
            let third = Node::start(&objects, None).await;
            assert!(third.rows().await >= 2, "rows 1 and 4 at least");
            assert!(new.fatal.reason().is_none());
        }
    });
}

#[test]
fn what_a_former_writer_still_brings_into_its_file_hides_nothing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::directory(dir.path().to_owned()).unwrap();
        let first = Node::start(&objects, None).await;
        first.write(1).await.unwrap();
        let second = Node::start(&objects, None).await;
        let third = Node::start(&objects, None).await;
        // The first two do not know yet, and have more than one group under way.
        for former in [&first, &second] {
            let late = join_all((100..103).map(|time| former.write(time))).await;
            assert!(late.iter().all(|r| *r == Err(WalError::Fenced)), "{late:?}");
        }
        for time in 2..10 {
            third.write(time).await.unwrap();
        }
        let last = Node::start(&objects, None).await;
        let times = last.times().await;
        assert_eq!(times, (1..10).collect(), "and nothing that came after a takeover");
    });
}

fn replay_of(
    objects: &Objects,
    catalog: Arc<CatalogSnapshot>,
    index: Arc<FileIndex>,
    fail_on_damage: bool,
) -> Replay {
    Replay {
        objects: objects.clone(),
        node: "n".to_owned(),
        index,
        catalog,
        shards: 1,
        only_shard: None,
        through: None,
        concurrency: 4,
        fail_on_damage,
    }
}

/// The damage that a replay of the directory reports, or why it stopped.
async fn replayed(
    objects: &Objects,
    catalog: Arc<CatalogSnapshot>,
    fail_on_damage: bool,
) -> Result<usize, String> {
    let what = replay_of(objects, catalog, Arc::new(FileIndex::default()), fail_on_damage);
    let stats = replay(&what, None, async |_, _| Ok(())).await;
    stats.map(|s| s.damaged_files).map_err(|e| e.to_string())
}

/// A directory with a file for each of the times from 1 on, and the paths of these.
async fn directory_with_files(root: &std::path::Path, files: i64) -> (Objects, Vec<PathBuf>) {
    let objects = Objects::directory(root.to_owned()).unwrap();
    let node = Node::start(&objects, None).await;
    for time in 1..=files {
        node.write(time).await.unwrap();
        node.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
    }
    let path = |n| root.join(protocols::paths::wal_file("n", n));
    (objects, (1..=files as u64).map(path).collect())
}

#[test]
fn files_that_are_missing_or_in_the_wrong_place_are_reported() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (objects, files) = directory_with_files(dir.path(), 5).await;
        assert_eq!(replayed(&objects, catalog(), true).await, Ok(0));
        std::fs::remove_file(&files[1]).unwrap();
        assert_eq!(replayed(&objects, catalog(), false).await, Ok(1));
        let stopped = replayed(&objects, catalog(), true).await.unwrap_err();
        assert!(stopped.contains("00000000002.wal is damaged: the file is missing"), "{stopped}");
        std::fs::copy(&files[3], &files[1]).unwrap();
        let stopped = replayed(&objects, catalog(), true).await.unwrap_err();
        assert!(
            stopped.contains("00000000002.wal is damaged: it is a copy of file 4"),
            "{stopped}"
        );
    });
}

#[test]
fn rows_of_a_name_that_the_catalog_never_had_stop_the_replay() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (objects, _) = directory_with_files(dir.path(), 1).await;
        let mut without = CatalogSnapshot::clone(&catalog());
        let mut db = DatabaseSchema::clone(&without.databases["d"]);
        let empty = TableSchema::new(TABLE, "m".into(), vec![], None);
        db.tables.insert("m".into(), Arc::new(empty));
        without.databases.insert("d".into(), Arc::new(db));
        let stopped = replayed(&objects, Arc::new(without), false).await.unwrap_err();
        assert!(stopped.contains("00000000001.wal has rows of column 0 of table m"), "{stopped}");
        let mut without = CatalogSnapshot::clone(&catalog());
        without.databases.clear();
        // The table was there and is gone for good: its rows do not matter.
        assert_eq!(replayed(&objects, Arc::new(without.clone()), true).await, Ok(0));
        without.next_table_id = TABLE.0;
        let stopped = replayed(&objects, Arc::new(without), false).await.unwrap_err();
        assert!(stopped.contains("00000000001.wal has rows of table 1"), "{stopped}");
    });
}
