//! The actor with a real store shard and a real log.

use super::*;
#[cfg(feature = "failpoints")]
use crate::index::tests::gate::Gate;
use crate::index::{Index, IndexConfig};
use crate::persist::{Persist, PersistConfig};
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pulse::Pulse;
use crate::store::{Shard, ShardFiles, Store, StoreShards};
use crate::wal::{Owner, Replay, Wal, WalConfig, table_batch};
use arrow::array::AsArray;
use arrow::datatypes::TimestampNanosecondType;
use futures::FutureExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use protocols::columns::{ColumnData, StoredColumn, StoredRows};
use protocols::messages::persist::{CleanUp, FinishSnapshot};
use protocols::messages::store::{TableView, ViewTable};
use protocols::messages::wal::{AppendRows, PeriodDue, SyncMode};
use protocols::paths;
use protocols::wal_frame::entry;
#[cfg(feature = "failpoints")]
use std::collections::BTreeSet;
use tokio::time::Instant;

struct Node {
    objects: Objects,
    shard: Mailbox<Store>,
    wal: Mailbox<Wal>,
    persist: Mailbox<Persist>,
}

fn bounds(kind: &'static str) -> ActorConfig {
    let name = kind.to_owned();
    ActorConfig { kind, name, messages_max: 1000, bytes_max: 1 << 30, vital: true }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Node {
    async fn start(objects: &Objects) -> Self {
        let owner = Owner::take(objects, NODE).await.unwrap();
        let fatal = Fatal::default();
        let guardian = Guardian::new(fatal.clone());
        let (shard, wal) = (Guardian::mailbox(&bounds("store")), Guardian::mailbox(&bounds("wal")));
        let persist = Guardian::mailbox(&bounds("persist"));
        let index = Arc::new(crate::index::log::load(objects, NODE).await.unwrap());
        let files = ShardFiles::of(&index, 0, 1);
        let factory: Factory<Store> = Arc::new(move || {
            let files = files.clone();
            async move { Ok(Store::new(Shard::new(0, GEN1_NS, vec![], files))) }.boxed_local()
        });
        guardian.birth(bounds("store"), shard.clone(), factory).await.unwrap();

        let stores = StoreShards::new(vec![shard.clone()]);
        let log = WalConfig {
            owner: owner.clone(),
            above_file: index.wal_through(),
            put_by_period: false,
            stores: stores.clone(),
            persist: persist.clone().into(),
            snapshot_size: 2,
            gen1_duration_ns: GEN1_NS,
            force_snapshot_bytes: usize::MAX,
            waiting_writes_max: 100,
            waiting_bytes_max: 1 << 20,
            held_bytes_max: usize::MAX,
            triggers: None,
            clock: Clock::default(),
            fatal: fatal.clone(),
            pulse: Pulse::default(),
        };
        let what = Replay {
            objects: objects.clone(),
            node: NODE.to_owned(),
            catalog: catalog(1, &[]),
            index,
            shards: 1,
            only_shard: None,
            through: None,
            concurrency: 2,
            fail_on_damage: true,
        };
        let factory: Factory<Wal> = Arc::new(move || {
            let (log, what) = (log.clone(), what.clone());
            async move { Wal::open(log, async || Ok(what.clone())).await }.boxed_local()
        });
        guardian.birth(bounds("wal"), wal.clone(), factory).await.unwrap();

        let config = IndexConfig {
            node: NODE.to_owned(),
            owner,
            objects: objects.clone(),
            stores: stores.clone(),
            catalog: Published::new(catalog(1, &[])).1,
            cache: None,
            clock: Clock::default(),
            fatal,
            object_grace: LONG,
            cleanup_wait: LONG,
            retention_check_interval: LONG,
        };
        let index = Guardian::mailbox(&bounds("index"));
        let factory: Factory<Index> = Arc::new(move || {
            let config = config.clone();
            async move { Index::open(config).await }.boxed_local()
        });
        guardian.birth(bounds("index"), index.clone(), factory).await.unwrap();

        let config = PersistConfig {
            node: NODE.to_owned(),
            objects: objects.clone(),
            stores,
            wal: wal.clone(),
            index,
            catalog: Published::new(catalog(1, &[])).1,
            cache: None,
            triggers: None,
            concurrency: 2,
            bytes_max: 1 << 30,
            wal_files_kept: 0,
            wal_delete_delay: Duration::ZERO,
        };
        let factory: Factory<Persist> = Arc::new(move || {
            let config = config.clone();
            async move { Persist::open(config).await }.boxed_local()
        });
        guardian.birth(bounds("persist"), persist.clone(), factory).await.unwrap();
        Self { objects: objects.clone(), shard, wal, persist }
    }

    /// Writes a row and ends the WAL period.
    async fn write(&self, time: i64) {
        self.write_all(vec![time]).await;
    }

    /// The same with a row for each time.
    async fn write_all(&self, times: Vec<i64>) {
        let data = ColumnData::Integer(times.clone());
        let columns = vec![StoredColumn { id: ColumnId(1), data, validity: None }];
        let rows = StoredRows { table: TableId(1), times, columns };
        let entry = entry::encode(DbId(1), std::slice::from_ref(&rows)).unwrap().into();
        let batches = vec![table_batch(DbId(1), rows, &table(1)).unwrap()];
        let append = AppendRows { entry, batches, sync: SyncMode::Durable };
        self.wal.ask_from_edge(append, soon()).await.unwrap().unwrap();
        self.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
    }

    async fn view(&self) -> TableView {
        let ask = ViewTable { table: TableId(1), min_time_ns: i64::MIN, max_time_ns: i64::MAX };
        self.shard.ask_from_edge(ask, soon()).await.unwrap()
    }

    /// The times of all rows, each as often as it is there.
    async fn times(&self) -> Vec<i64> {
        let view = self.view().await;
        let mut batches: Vec<_> =
            view.chunks.into_iter().flat_map(|chunk| chunk.unsorted).collect();
        for file in view.files {
            let path = Path::from(paths::parquet_file(NODE, &file));
            let bytes = self.objects.store.get(&path).await.unwrap().bytes().await.unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
            batches.extend(reader.map(Result::unwrap));
        }
        let times = batches.iter().flat_map(|batch| {
            batch["time"].as_primitive::<TimestampNanosecondType>().values().iter().copied()
        });
        let mut times: Vec<i64> = times.collect();
        times.sort_unstable();
        times
    }

    async fn wal_file_exists(&self, file: u64) -> bool {
        self.objects.store.head(&Path::from(paths::wal_file(NODE, file))).await.is_ok()
    }
}

#[actix_rt::test]
async fn each_row_is_there_once_while_snapshots_run_and_after_a_restart() {
    let objects = Objects::memory();
    let node = Node::start(&objects).await;
    let mut expected = Vec::new();
    for minute in 0..40 {
        let time = minute * 60_000_000_000;
        node.write(time).await;
        expected.push(time);
        assert_eq!(node.times().await, expected);
    }
    let until = soon();
    while node.view().await.files.is_empty() {
        assert!(Instant::now() < until, "no snapshot was taken");
        tokio::task::yield_now().await;
        assert_eq!(node.times().await, expected);
    }
    node.persist.ask_from_edge(FinishSnapshot, soon()).await.unwrap();
    while node.wal_file_exists(1).await {
        assert!(Instant::now() < until, "the first WAL file was not removed");
        node.persist.ask_from_edge(CleanUp, soon()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(node.times().await, expected);

    let successor = Node::start(&objects).await;
    assert_eq!(successor.times().await, expected);
    assert!(!successor.view().await.files.is_empty());
}

/// Lets everything go on until somebody has to be let through: the clock of this thread is paused,
/// and goes on only when nobody has anything to do.
#[cfg(feature = "failpoints")]
async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

/// The actor dies while a snapshot is under way, and the next life takes it again.
#[cfg(feature = "failpoints")]
#[actix_rt::test]
async fn a_snapshot_under_way_is_taken_again_by_the_next_life() {
    // On a simulated machine panics can be planted, and all actors live on this thread.
    let machine = crate::runtime::simulated::Machine::new(1, None);
    let _entered = machine.enter();
    tokio::time::pause();
    let (gate, objects) = Gate::new();
    let node = Node::start(&objects).await;

    // A snapshot of two chunks, of which one becomes a file.
    gate.close_for("/00-00/");
    let mut expected = vec![0, GEN1_NS];
    node.write_all(expected.clone()).await;
    while node.view().await.files.is_empty() {
        let time = HOUR_NS + expected.len() as i64;
        node.write(time).await;
        expected.push(time);
        assert!(expected.len() < 100, "no snapshot was taken");
        settle().await;
    }
    assert_eq!(gate.waiting().len(), 1);

    // The next life of the actor gives the other chunk another number.
    machine.faults.borrow_mut().plant_panic("persist:CleanUp", 1);
    assert!(node.persist.ask_from_edge(CleanUp, soon()).await.is_err());
    settle().await;
    gate.close_for(".segment");
    while gate.waiting().iter().any(|key| key.contains("/00-00/")) {
        gate.let_through(0);
        settle().await;
    }
    // If there are two steps of the index, that of the new life comes first.
    gate.let_through(gate.waiting().len() - 1);
    settle().await;
    gate.open();
    node.persist.ask_from_edge(FinishSnapshot, soon()).await.unwrap();

    let index = crate::index::log::load(&objects, NODE).await.unwrap();
    let indexed: BTreeSet<u64> = index.files().map(|file| file.id).collect();
    let used: BTreeSet<u64> = node.view().await.files.iter().map(|file| file.id).collect();
    assert_eq!(node.times().await, expected, "each row is there once");
    assert_eq!(used, indexed, "the shard uses the files that the index names");
}
