//! What statements answer, through the actor and the engine.

mod bins;
mod catalog;
mod files;
mod functions;
mod guard;
mod plans;
mod rows;
mod running;
mod runs;
mod shapes;
mod statements;

use super::{Query, QueryConfig, QueryOptions, QueryRuntime, ServerFacts, Telling};
use crate::parquet_cache::HeldRows;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::{Published, Publisher};
use crate::storage::objects::Objects;
use crate::store::{Shard, ShardFiles, Store, StoreShards};
use arrow::array::{DictionaryArray, Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::{Int32Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::query::{
    Delivery, Language, ParamValue, QueryError, QueryResult, RunStatement, Statement,
};
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::principal::Principal;
use protocols::schema::{
    ColumnKind, ColumnSchema, DatabaseSchema, FieldType, TableSchema, time_field,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const GEN1_NS: i64 = 600_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A query actor over a catalog of two databases.
struct Fixture {
    query: Mailbox<Query>,
    store: Mailbox<Store>,
    _publisher: Publisher<CatalogSnapshot>,
}

fn actor_config(kind: &'static str) -> ActorConfig {
    ActorConfig { kind, name: kind.into(), messages_max: 100, bytes_max: 1 << 24, vital: false }
}

fn database(id: u32, name: &str, tables: Vec<TableSchema>) -> (Arc<str>, Arc<DatabaseSchema>) {
    let tables = tables.into_iter().map(|t| (Arc::clone(&t.name), Arc::new(t))).collect();
    let db = DatabaseSchema {
        id: DbId(id),
        name: name.into(),
        retention_ns: None,
        tables,
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    (name.into(), Arc::new(db))
}

fn home() -> TableSchema {
    use FieldType::{Boolean, Float, Integer, String};
    let columns = [
        ("room", ColumnKind::Tag),
        ("temp", ColumnKind::Field(Float)),
        ("hum", ColumnKind::Field(Float)),
        ("co", ColumnKind::Field(Integer)),
        ("open", ColumnKind::Field(Boolean)),
        ("note", ColumnKind::Field(String)),
    ];
    let column = |(i, (name, kind)): (usize, &(&str, ColumnKind))| ColumnSchema {
        id: ColumnId(i as u32),
        name: (*name).into(),
        kind: *kind,
    };
    let columns = columns.iter().enumerate().map(column).collect();
    TableSchema::new(TableId(1), "home".into(), columns, None)
}

impl Fixture {
    async fn new() -> Self {
        Self::with(10, None, 1 << 28).await
    }

    async fn with(
        max_concurrent: usize,
        timeout: Option<Duration>,
        memory_pool_bytes: usize,
    ) -> Self {
        let snapshot = CatalogSnapshot {
            uuid: Uuid::nil(),
            sequence: 1,
            databases: [database(0, "_internal", vec![]), database(1, "home", vec![home()])]
                .into_iter()
                .collect(),
            gen1_duration_ns: GEN1_NS,
            next_db_id: 2,
            next_table_id: 2,
            index: Default::default(),
            tokens: Arc::default(),
            row_deletes: Arc::default(),
        };
        let (publisher, catalog) = Published::new(Arc::new(snapshot));
        let guardian = Guardian::new(Fatal::default());
        let store = Guardian::mailbox::<Store>(&actor_config("store"));
        let empty =
            Lives::of(|| Ok(Store::new(Shard::new(0, GEN1_NS, vec![], ShardFiles::default()))));
        guardian.birth(actor_config("store"), store.clone(), empty).await.unwrap();
        let server = Arc::new(ServerFacts { roster: guardian.roster(), ..ServerFacts::default() });
        let config = QueryConfig {
            catalog,
            stores: StoreShards::new(vec![store.clone()]),
            node: "n".to_owned(),
            objects: Objects::memory(),
            cache: None,
            held: HeldRows::default(),
            write_window: None,
            clock: Clock::System,
            options: QueryOptions {
                threads: 2,
                memory_pool_bytes,
                query_memory_bytes: memory_pool_bytes,
                spill: None,
                file_limit: None,
                timeout,
                idle_timeout: Duration::from_secs(60),
                settings: vec![("datafusion.execution.batch_size".into(), "1000".into())],
                max_concurrent,
                token_queries_max: None,
                redacts: false,
                log_entries_max: 100,
            },
            telling: Telling::default(),
            server,
        };
        let runtime = QueryRuntime::new(2).unwrap();
        let query = Guardian::mailbox(&actor_config("query"));
        let lives = Lives::of(move || Query::new(config.clone(), runtime.clone()));
        guardian.birth(actor_config("query"), query.clone(), lives).await.unwrap();
        Self { query, store, _publisher: publisher }
    }

    /// Makes rows of `home` visible: room, temperature, seconds since 1970.
    async fn write(&self, sequence: u64, rows: &[(&str, Option<f64>, i64)]) {
        let table = home();
        let fields = ["room", "temp"].map(|name| table.column(name).unwrap().arrow_field());
        let schema = Schema::new(fields.into_iter().chain([time_field()]).collect::<Vec<_>>());
        let rooms: DictionaryArray<Int32Type> = rows.iter().map(|r| r.0).collect();
        let times = rows.iter().map(|r| r.2 * SECOND_NS);
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(rooms),
                Arc::new(rows.iter().map(|r| r.1).collect::<Float64Array>()),
                Arc::new(TimestampNanosecondArray::from_iter_values(times.clone())),
            ],
        );
        let batch = TableBatch {
            db: DbId(1),
            table: table.id,
            rows: batch.unwrap(),
            min_time_ns: times.clone().min().unwrap(),
            max_time_ns: times.max().unwrap(),
            size_bytes: 1000,
        };
        let group = ApplyRows {
            sequence,
            stamp: sequence as i64,
            batches: vec![batch],
            cuts: vec![],
            mark: None,
        };
        let deadline = Instant::now() + Duration::from_secs(300);
        self.store.ask_from_edge(group, deadline).await.unwrap();
    }

    async fn start(
        &self,
        db: &str,
        text: &str,
        params: &[(&str, ParamValue)],
    ) -> Result<QueryResult, QueryError> {
        self.start_in(Language::Sql, db, text, params).await
    }

    async fn start_in(
        &self,
        language: Language,
        db: &str,
        text: &str,
        params: &[(&str, ParamValue)],
    ) -> Result<QueryResult, QueryError> {
        let statement = Statement {
            language,
            db: db.into(),
            text: text.into(),
            params: params.iter().map(|(n, v)| ((*n).into(), v.clone())).collect(),
            principal: Principal::Everybody,
            ..Statement::default()
        };
        let message = RunStatement { statement, delivery: Delivery::WithRows };
        let deadline = Instant::now() + Duration::from_secs(300);
        self.query.ask_from_edge(message, deadline).await.unwrap()
    }

    async fn rows(
        &self,
        text: &str,
        params: &[(&str, ParamValue)],
    ) -> Result<Vec<RecordBatch>, QueryError> {
        self.start("home", text, params).await?.batches.try_collect().await
    }

    #[track_caller]
    fn check(
        &self,
        text: &str,
        params: &[(&str, ParamValue)],
        want: &str,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let batches = self.rows(text, params).await.unwrap_or_else(|e| panic!("{caller}: {e}"));
            let table = pretty_format_batches(&batches).unwrap().to_string();
            let cells: Vec<String> = table
                .lines()
                .filter(|line| line.starts_with('|'))
                .skip(1)
                .map(|line| {
                    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                    cells[1..cells.len() - 1].join(",")
                })
                .collect();
            assert_eq!(cells.join("\n"), want, "{caller}: {text}");
        }
    }

    async fn error(&self, text: &str) -> QueryError {
        match self.rows(text, &[]).await {
            Ok(rows) => panic!("{text}: {} batches", rows.len()),
            Err(error) => error,
        }
    }
}
