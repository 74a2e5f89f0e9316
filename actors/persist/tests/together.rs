//! The actor with a real store shard and a real log.

use super::*;
use crate::persist::{Persist, PersistConfig};
use crate::runtime::guardian::{ActorConfig, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::store::{ShardFiles, Store, StoreShards};
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
        let fatal = Fatal::default();
        let guardian = Guardian::new(fatal.clone());
        let (shard, wal) = (Guardian::mailbox(&bounds("store")), Guardian::mailbox(&bounds("wal")));
        let persist = Guardian::mailbox(&bounds("persist"));
        let index = Arc::new(crate::persist::index::load(objects, NODE).await.unwrap());
        let files = ShardFiles::of(&index, 0, 1);
        let factory: Factory<Store> = Arc::new(move || {
            let files = files.clone();
            async move { Ok(Store::new(0, GEN1_NS, vec![], files)) }.boxed_local()
        });
        guardian.birth(bounds("store"), shard.clone(), factory).await.unwrap();

        let stores = StoreShards::new(vec![shard.clone()]);
        let log = WalConfig {
            owner: Owner::take(objects, NODE).await.unwrap(),
            above_file: index.wal_through(),
            put_by_period: false,
            stores: stores.clone(),
            persist: persist.clone(),
            snapshot_size: 2,
            gen1_duration_ns: GEN1_NS,
            force_snapshot_bytes: usize::MAX,
            waiting_writes_max: 100,
            waiting_bytes_max: 1 << 20,
            held_bytes_max: usize::MAX,
            fatal: fatal.clone(),
        };
        let what = Replay {
            objects: objects.clone(),
            node: NODE.to_owned(),
            catalog: catalog(1, None, &[]),
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

        let config = PersistConfig {
            node: NODE.to_owned(),
            writer: crate::runtime::random::uuid().as_u128(),
            objects: objects.clone(),
            stores,
            wal: wal.clone(),
            catalog: Published::new(catalog(1, None, &[])).1,
            cache: None,
            clock: Clock::default(),
            fatal,
            concurrency: 2,
            wal_files_kept: 0,
            wal_delete_delay: Duration::ZERO,
            object_grace: LONG,
            retention_check_interval: LONG,
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
        let data = ColumnData::Integer(vec![time]);
        let columns = vec![StoredColumn { id: ColumnId(1), data, validity: None }];
        let rows = StoredRows { table: TableId(1), times: vec![time], columns };
        let entry = entry::encode(DbId(1), std::slice::from_ref(&rows)).into();
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
