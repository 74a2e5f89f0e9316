//! Caches that die again and again, or that nobody takes, on a simulated machine.

use super::actor::Newborn;
use super::{CacheKeeper, KeeperConfig};
use crate::cache_directory::{CacheAddress, CacheDirectory, CacheEntry};
use crate::cache_kit::{CacheBudget, CacheParts, CacheState};
use crate::last_cache::{LastCache, LastValues};
use crate::query::Query;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Factory, Guardian, SharedThreads};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::{Published, Publisher};
use crate::runtime::simulated::Machine;
use arrow::array::{ArrayRef, RecordBatch, TimestampNanosecondArray};
use futures::FutureExt;
use protocols::caches::{LastCacheDef, TableCaches};
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{CacheId, DbId, TableId};
use protocols::messages::caches::{
    CacheRef, CacheRows, EvictDue, LookAfterCaches, LookUpCache, SyncCaches,
};
use protocols::messages::rank;
use protocols::row_deletes::{RowDelete, RowDeleteState, RowDeletes};
use protocols::schema::{DatabaseSchema, TableSchema};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const CACHE: CacheRef = CacheRef { table: TableId(0), cache: CacheId(0) };

/// A cache that nobody has to fill.
fn last_cache() -> LastCacheDef {
    LastCacheDef {
        id: CACHE.cache,
        name: "c".into(),
        keys: vec![],
        values: None,
        count: 1,
        ttl_seconds: 60,
        starts_empty: true,
    }
}

/// A catalog of one table with that cache.
fn catalog() -> CatalogSnapshot {
    let last = vec![Arc::new(last_cache())];
    let caches = TableCaches { next_id: 1, last, distinct: vec![] };
    let table = TableSchema::new(CACHE.table, "t".into(), vec![], None);
    let table = Arc::new(table.with_caches(Arc::new(caches)));
    let database = DatabaseSchema {
        id: DbId(0),
        name: "x".into(),
        retention_ns: None,
        tables: [("t".into(), table)].into_iter().collect(),
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    CatalogSnapshot {
        uuid: Uuid::nil(),
        sequence: 1,
        databases: [("x".into(), Arc::new(database))].into_iter().collect(),
        gen1_duration_ns: 1,
        next_db_id: 1,
        next_table_id: 1,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    }
}

fn config(kind: &'static str) -> ActorConfig {
    ActorConfig { kind, name: kind.into(), messages_max: 10, bytes_max: 1 << 20, vital: false }
}

struct Fixture {
    keeper: Mailbox<CacheKeeper>,
    directory: CacheDirectory,
    _catalog: Publisher<CatalogSnapshot>,
}

impl Fixture {
    async fn new() -> Self {
        let (publisher, catalog) = Published::new(Arc::new(catalog()));
        let (caches, directory) = Published::new(Arc::default());
        let guardian = Guardian::new(Fatal::default());
        let keeper = KeeperConfig {
            catalog,
            query: Guardian::mailbox::<Query>(&config("query")),
            index: None,
            guardian: guardian.clone(),
            threads: SharedThreads::start(1),
            budget: CacheBudget::new(1 << 20),
            clock: Clock::System,
        };
        let mailbox = Guardian::mailbox(&config("cache-keeper"));
        let factory = CacheKeeper::lives(keeper, caches);
        guardian.birth(config("cache-keeper"), mailbox.clone(), factory).await.unwrap();
        let fixture = Self { keeper: mailbox, directory, _catalog: publisher };
        fixture.sync().await;
        fixture
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    async fn sync(&self) {
        self.keeper.ask_from_edge(SyncCaches, Self::deadline()).await.unwrap();
    }

    fn state(&self) -> CacheState {
        self.directory.load().find(CACHE).unwrap().state()
    }

    async fn look_after(&self) {
        self.keeper.ask_from_edge(LookAfterCaches, Self::deadline()).await.unwrap();
    }

    /// Brings a row to the cache.
    async fn write_row(&self) {
        let times = Arc::new(TimestampNanosecondArray::from(vec![1]));
        let rows = RecordBatch::try_from_iter([("time", times as ArrayRef)]).unwrap();
        let rows = CacheRows { batches: vec![rows].into(), size_bytes: 8 };
        let directory = self.directory.load();
        let cache = &directory.find(CACHE).unwrap().address;
        cache.ask::<{ rank::EDGE }, _>(rows, Self::deadline()).await.unwrap();
    }

    fn rows(&self) -> usize {
        self.directory.load().find(CACHE).unwrap().status().rows
    }

    /// True if the cache answers.
    async fn evict(&self) -> bool {
        let directory = self.directory.load();
        let cache = &directory.find(CACHE).unwrap().address;
        cache.ask::<{ rank::EDGE }, _>(EvictDue, Self::deadline()).await.is_ok()
    }
}

/// Runs `test` on a simulated machine.
fn run(test: impl AsyncFnOnce(Rc<Machine>)) {
    let machine = Machine::new(1, None);
    let entered = machine.enter();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test(Rc::clone(&machine)));
    drop(entered);
}

/// Who asks for a delete of rows may not learn that it came into force, or was taken back.
#[test]
fn caches_begin_anew_when_a_delete_of_rows_has_an_effect_that_nobody_tells() {
    run(async |_| {
        let fixture = Fixture::new().await;
        for state in [RowDeleteState::Pending, RowDeleteState::Aborted { at_ns: 1, reason: None }] {
            fixture.write_row().await;
            fixture.look_after().await;
            assert_eq!(fixture.rows(), 1);
            let delete = Arc::new(RowDelete { state, ..accepted_delete() });
            let row_deletes = Arc::new(RowDeletes::new(1, [delete]));
            fixture._catalog.publish(Arc::new(CatalogSnapshot { row_deletes, ..catalog() }));
            fixture.look_after().await;
            assert_eq!(fixture.rows(), 0);
        }
    });
}

fn accepted_delete() -> RowDelete {
    RowDelete {
        sequence: 1,
        request: Uuid::nil(),
        db: DbId(0),
        table: CACHE.table,
        db_name: "x".into(),
        table_name: "t".into(),
        min_time_ns: None,
        max_time_ns: None,
        tags: Default::default(),
        created_at_ns: 0,
        bound: Some(1),
        state: RowDeleteState::Pending,
    }
}

/// The keeper may die while it waits for a birth, and the cache may be dead at that moment.
#[test]
fn a_cache_that_nobody_takes_into_the_directory_ends() {
    for is_dead in [false, true] {
        nobody_takes(is_dead);
    }
}

fn nobody_takes(is_dead: bool) {
    run(async |machine| {
        let mailbox: Mailbox<LastCache> = Guardian::mailbox(&config("last-cache"));
        let address = CacheAddress::Last(mailbox.clone());
        let entry = Arc::new(CacheEntry::new(CACHE, ["x", "t", "c"].map(Arc::from), address));
        let parts = CacheParts {
            standing: Arc::clone(entry.standing()),
            budget: CacheBudget::new(1 << 20),
            clock: Clock::System,
            keeper: Guardian::mailbox::<CacheKeeper>(&config("cache-keeper")).into(),
            fill: false,
        };
        let factory: Factory<LastCache> = Arc::new(move || {
            let content = LastValues::new(Arc::new(last_cache()));
            let cache = LastCache::new(content, parts.clone());
            async move { Ok(cache) }.boxed_local()
        });
        let guardian = Guardian::new(Fatal::default());
        let born = guardian.birth(config("last-cache"), mailbox.clone(), factory).await.unwrap();
        assert_eq!(guardian.roster().actors().len(), 1);
        if is_dead {
            machine.faults.borrow_mut().plant_panic("last-cache:EvictDue", 1);
            assert!(mailbox.tell(EvictDue));
            sleep(Duration::from_millis(50)).await;
            assert_eq!(mailbox.vitals().state(), "rebuilding");
        }
        drop(Newborn { entry, birth: Some(born) });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(mailbox.vitals().state(), "stopped");
        assert_eq!(guardian.roster().actors().len(), 0);
    });
}

#[test]
fn a_cache_that_was_given_up_gets_another_life() {
    run(async |machine| {
        let fixture = Fixture::new().await;
        assert!(fixture.evict().await);
        for death in 0..6 {
            assert_eq!(fixture.state(), CacheState::Running, "{death}");
            machine.faults.borrow_mut().plant_panic("last-cache-0-0:EvictDue", 1);
            assert!(!fixture.evict().await);
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(fixture.state(), CacheState::Failed);
        for _ in 0..2 {
            fixture.sync().await;
            assert!(!fixture.evict().await, "it is left alone for a while");
            sleep(Duration::from_secs(40)).await;
        }
        fixture.sync().await;
        assert!(fixture.evict().await);
        assert_eq!(fixture.state(), CacheState::Running);
        let directory = fixture.directory.load();
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let question = LookUpCache { tests: vec![], schema, limit: None };
        let cache = directory.find(CACHE).unwrap();
        assert!(cache.look_up(question, Fixture::deadline()).await.is_ok_and(|rows| rows.is_ok()));
    });
}
