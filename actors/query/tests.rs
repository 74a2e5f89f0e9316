//! What statements answer, through the actor and the engine.

use super::{Query, QueryConfig, QueryRuntime};
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::{Published, Publisher};
use crate::store::{Store, StoreShards};
use arrow::array::{DictionaryArray, Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::{Int32Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use futures::{StreamExt, TryStreamExt};
use protocols::error::ErrorKind;
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::query::{ParamValue, QueryError, QueryResult, RunSql};
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::schema::{
    CatalogSnapshot, ColumnKind, ColumnSchema, DatabaseSchema, FieldType, TableSchema, time_field,
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
        };
        let (publisher, catalog) = Published::new(Arc::new(snapshot));
        let guardian = Guardian::new(Fatal::default());
        let store = Guardian::mailbox::<Store>(&actor_config("store"));
        let empty = Arc::new(|| {
            let store = Store::new(0, GEN1_NS, vec![]);
            Box::pin(async move { Ok(store) }) as _
        });
        guardian.birth(actor_config("store"), store.clone(), empty).await.unwrap();
        let config = QueryConfig {
            catalog,
            stores: StoreShards::new(vec![store.clone()]),
            clock: Clock::System,
            threads: 2,
            memory_pool_bytes,
            timeout,
            settings: vec![("datafusion.execution.batch_size".into(), "1000".into())],
            max_concurrent,
            log_entries_max: 100,
        };
        let runtime = QueryRuntime::new(2).unwrap();
        let query = Guardian::mailbox(&actor_config("query"));
        let factory = Arc::new(move || {
            let actor = Query::new(config.clone(), runtime.clone());
            Box::pin(async move { actor }) as _
        });
        guardian.birth(actor_config("query"), query.clone(), factory).await.unwrap();
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
        let group = ApplyRows { sequence, batches: vec![batch] };
        let deadline = Instant::now() + Duration::from_secs(300);
        self.store.ask_from_edge(group, deadline).await.unwrap();
    }

    async fn start(
        &self,
        db: &str,
        text: &str,
        params: &[(&str, ParamValue)],
    ) -> Result<QueryResult, QueryError> {
        let message = RunSql {
            db: db.into(),
            text: text.into(),
            params: params.iter().map(|(n, v)| ((*n).into(), v.clone())).collect(),
        };
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

#[actix_rt::test]
async fn what_only_reads_is_let_through() {
    let server = Fixture::new().await;
    let plan = "Error during planning: ";
    for (text, kind, message) in [
        ("", ErrorKind::InvalidInput, "No SQL statements were provided in the query string"),
        ("DROP TABLE home", ErrorKind::InvalidInput, "DDL not supported: DropTable"),
        (
            "CREATE TABLE x AS SELECT 1",
            ErrorKind::InvalidInput,
            "DDL not supported: CreateMemoryTable",
        ),
        (
            "CREATE EXTERNAL TABLE p STORED AS CSV LOCATION '/etc/passwd'",
            ErrorKind::InvalidInput,
            "DDL not supported: CreateExternalTable",
        ),
        ("DELETE FROM home", ErrorKind::InvalidInput, "DML not supported: Delete"),
        ("UPDATE home SET co = 1", ErrorKind::InvalidInput, "DML not supported: Update"),
        ("COPY home TO '/tmp/x.csv'", ErrorKind::InvalidInput, "DML not supported: COPY"),
        ("EXPLAIN COPY home TO '/tmp/x.csv'", ErrorKind::InvalidInput, "DML not supported: COPY"),
        (
            "INSERT INTO home VALUES (1)",
            ErrorKind::InvalidInput,
            "Inconsistent data length across values list: got 1 values in row 0 but expected 7",
        ),
        (
            "SET datafusion.execution.batch_size = 1",
            ErrorKind::InvalidInput,
            "Statement not supported: SetVariable",
        ),
        ("SELECT * FROM nosuch", ErrorKind::InvalidInput, "table 'public.iox.nosuch' not found"),
        ("SELECT * FROM a.b.c", ErrorKind::InvalidInput, "table 'a.b.c' not found"),
        (
            "SELECT * FROM system.tokens",
            ErrorKind::InvalidInput,
            "table 'public.system.tokens' not found",
        ),
        (
            "SELECT * FROM '/etc/passwd'",
            ErrorKind::InvalidInput,
            "table 'public.iox./etc/passwd' not found",
        ),
        ("SELECT $a", ErrorKind::InvalidInput, "No value found for placeholder with name $a"),
    ] {
        let error = server.error(text).await;
        assert_eq!((error.kind, error.message), (kind, format!("{plan}{message}")), "{text}");
    }
    let error = server.error("SELECT 1; SELECT 2").await;
    let message = "This feature is not implemented: \
                   The context currently only supports a single SQL statement";
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotImplemented, message));
    server.check("SELECT 1;", &[], "1").await;
    let error = server.start("nope", "SELECT 1", &[]).await.err().unwrap();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::NotFound, "database not found: nope")
    );
}

#[actix_rt::test]
async fn errors_say_whose_fault_they_are() {
    let server = Fixture::new().await;
    for (text, part) in [
        ("SELECT", "SQL error: ParserError(\"Expected: an expression, found: EOF\")"),
        ("SELEC 1", "Expected: an SQL statement, found: SELEC at Line: 1, Column: 1"),
        ("SELECT nope FROM home", "No field named nope"),
        ("SELECT nosuch(1)", "Invalid function 'nosuch'"),
        ("SELECT 1/0", "Divide by zero"),
        ("SELECT v/0 FROM (VALUES (1), (2)) AS t(v)", "Divide by zero"),
        ("SELECT CAST(v AS BIGINT) FROM (VALUES ('a')) AS t(v)", "Cannot cast"),
        ("SELECT * FROM home WHERE time > 'garbage'", "Error parsing timestamp from 'garbage'"),
        (
            "SELECT * FROM home WHERE time >= 2998573200000000000",
            "Cannot infer common argument type for comparison operation Timestamp(ns) >= Int64",
        ),
        (
            "SELECT selector_first(temp) FROM home",
            "selector_first requires at least 2 arguments, got 1",
        ),
        (
            "SELECT selector_first(temp, hum) FROM home",
            "selector_first second argument must be a timestamp, but got Float64",
        ),
        (
            "SELECT tz(time, 'Bogus/Zone') FROM home",
            "TZ requires a valid timezone string, got \"Bogus/Zone\"",
        ),
        (
            "SELECT tz(time, note) FROM home",
            "tz requires its second argument to be a timezone string, got None",
        ),
        ("SELECT to_timestamp(1.5)", "to_timestamp"),
    ] {
        let error = server.error(text).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{text}: {}", error.message);
        assert!(error.message.contains(part), "{text}: {}", error.message);
    }
}

#[actix_rt::test]
async fn deep_statements_are_refused_and_long_ones_are_not() {
    let server = Fixture::new().await;
    let many = |part: &str, n: usize| vec![part; n].join("");
    for text in [
        format!("SELECT 1{}", many("+1", 2_000)),
        format!("SELECT * FROM home WHERE co=1{}", many(" OR co=1", 100_000)),
        format!("SELECT {}1{}", many("(", 100_000), many(")", 100_000)),
        format!("SELECT {}true", many("NOT ", 100_000)),
        format!("SELECT 1{}", many("::int", 100_000)),
        format!("SELECT 1{}", many(" UNION ALL SELECT 1", 10_000)),
        format!("SELECT 1 FROM home{}", many(", home", 10_000)),
        format!("{}SELECT 1", many("EXPLAIN ", 100_000)),
        format!("SELECT {}1{}", many("(", 150), many(")", 150)),
        format!("SELECT {}1", many("- ", 3_000)),
    ] {
        let error = server.error(&text).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{}", &text[..40]);
    }
    server.check(&format!("SELECT 1{}", many("+1", 500)), &[], "501").await;
    let text =
        format!("SELECT count(*) FROM (VALUES (1)) AS t(v) WHERE v IN (0{})", many(",1", 5_000));
    server.check(&text, &[], "1").await;
    let text = format!("SELECT v FROM (VALUES (1)) AS t(v) WHERE v=1{}", many(" OR v=2", 300));
    server.check(&text, &[], "1").await;
}

#[actix_rt::test]
async fn placeholders_are_typed_literals() {
    use ParamValue::{Boolean, Float, Integer, Null, String, UInteger};
    let server = Fixture::new().await;
    let text = "SELECT arrow_typeof($a), arrow_typeof($b), arrow_typeof($c), arrow_typeof($d), \
                arrow_typeof($e), $f IS NULL";
    let params = [
        ("a", UInteger(1)),
        ("b", Integer(-1)),
        ("c", Float(1.5)),
        ("d", String("x' OR 1=1".into())),
        ("e", Boolean(true)),
        ("f", Null),
        ("unused", Null),
    ];
    server.check(text, &params, "UInt64,Int64,Float64,Utf8,Boolean,true").await;
    let one = [("1", UInteger(1)), ("n", UInteger(2))];
    server.check("SELECT $1 + 1", &one, "2").await;
    let text = "SELECT v FROM (VALUES (1), (2), (3)) AS t(v) WHERE v >= $1 ORDER BY v LIMIT $n";
    server.check(text, &one, "1\n2").await;
    let text = "SELECT count(*) FROM (SELECT to_timestamp(5) AS time) AS t WHERE time > $t";
    server.check(text, &[("t", String("1970-01-01T00:00:00Z".into()))], "1").await;
    let error = server.rows("SELECT * FROM $t", &[]).await.unwrap_err();
    assert!(error.message.starts_with("SQL error: ParserError("), "{}", error.message);
}

#[actix_rt::test]
async fn the_catalog_is_shown() {
    let server = Fixture::new().await;
    let tables = "public,iox,home,BASE TABLE
public,system,distinct_caches,BASE TABLE
public,system,influxdb_schema,BASE TABLE
public,system,last_caches,BASE TABLE
public,system,parquet_files,BASE TABLE
public,system,processing_engine_logs,BASE TABLE
public,system,processing_engine_trigger_arguments,BASE TABLE
public,system,processing_engine_triggers,BASE TABLE
public,system,queries,BASE TABLE
public,information_schema,tables,VIEW
public,information_schema,views,VIEW
public,information_schema,columns,VIEW
public,information_schema,df_settings,VIEW
public,information_schema,schemata,VIEW
public,information_schema,routines,VIEW
public,information_schema,parameters,VIEW";
    server.check("SHOW TABLES", &[], tables).await;
    let columns = "co,Int64,YES
hum,Float64,YES
note,Utf8,YES
open,Boolean,YES
room,Dictionary(Int32, Utf8),YES
temp,Float64,YES
time,Timestamp(ns),NO";
    server.check("DESCRIBE home", &[], columns).await;
    let text = "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
                WHERE table_schema = 'iox' ORDER BY ordinal_position";
    server.check(text, &[], columns).await;
    let text = "SELECT schema_name FROM information_schema.schemata ORDER BY 1";
    server.check(text, &[], "iox\nsystem").await;
    server
        .check(
            "SHOW datafusion.catalog.default_schema",
            &[],
            "datafusion.catalog.default_schema,iox",
        )
        .await;
    server.rows("SHOW COLUMNS FROM home", &[]).await.unwrap();
    server.rows("SHOW ALL", &[]).await.unwrap();
    server.rows("SHOW FUNCTIONS", &[]).await.unwrap();
    let explained = "logical_plan,Projection: Int64(1)\n,EmptyRelation: rows=1\n\
                     physical_plan,ProjectionExec: expr=[1 as Int64(1)]\n,PlaceholderRowExec\n,";
    server.check("EXPLAIN SELECT 1", &[], explained).await;
}

#[actix_rt::test]
async fn system_tables_tell_what_is() {
    let server = Fixture::new().await;
    let text = "SELECT * FROM system.influxdb_schema WHERE key IN ('room', 'time', 'open')";
    server.check(text, &[], "home,open,boolean\nhome,room,tag\nhome,time,time").await;
    for name in [
        "distinct_caches",
        "last_caches",
        "parquet_files",
        "processing_engine_logs",
        "processing_engine_trigger_arguments",
        "processing_engine_triggers",
    ] {
        server.check(&format!("SELECT count(*) FROM system.{name}"), &[], "0").await;
    }
    server.error("SELECT 1/0").await;
    let text = "SELECT phase, success, running, cancelled, query_type, query_text \
                FROM system.queries WHERE query_text LIKE '%/0' AND end2end_duration IS NOT NULL";
    server.check(text, &[], "fail,false,false,false,sql,SELECT 1/0").await;
    let text = "SELECT phase, running FROM system.queries WHERE query_text LIKE '%itself%'";
    server.check(text, &[], "execution_permit,true").await;

    let internal = |text: &'static str| async {
        let result = server.start("_internal", text, &[]).await.unwrap();
        let batches: Vec<_> = result.batches.try_collect().await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    assert_eq!(internal("SELECT * FROM system.databases").await, 2);
    assert_eq!(internal("SELECT * FROM system.tables").await, 1);
    assert_eq!(internal("SELECT * FROM system.generation_durations").await, 1);
    assert_eq!(internal("SELECT * FROM system.tokens").await, 0);
}

#[actix_rt::test]
async fn selectors_choose_a_row() {
    let server = Fixture::new().await;
    let table = "(SELECT g, v, to_timestamp(t) AS time, o FROM (VALUES \
                 ('a', 2.0, 10, 'x'), ('a', NULL, 5, 'y'), ('a', 1.0, 30, NULL), \
                 ('a', 1.0, 20, 'z'), ('b', NULL, 1, 'w')) AS s(g, v, t, o)) AS t";
    for (name, row) in [
        ("first", "2.0,1970-01-01T00:00:00.000000010,x"),
        ("last", "1.0,1970-01-01T00:00:00.000000030,"),
        ("min", "1.0,1970-01-01T00:00:00.000000020,z"),
        ("max", "2.0,1970-01-01T00:00:00.000000010,x"),
    ] {
        let text = format!(
            "SELECT g, s['value'], s['time'], s['other_1'] FROM \
             (SELECT g, selector_{name}(v, time, o) AS s FROM {table} GROUP BY g) ORDER BY g"
        );
        server.check(&text, &[], &format!("a,{row}\nb,,,")).await;
        let text = format!("SELECT selector_{name}(v, time)['value'] FROM {table}");
        server.check(&text, &[], row.split(',').next().unwrap()).await;
        let text = format!("SELECT selector_{name}(g, time)['value'] FROM {table} WHERE v > 9");
        server.check(&text, &[], "").await;
    }
    let text = format!(
        "SELECT selector_max(arrow_cast(o, 'Dictionary(Int32, Utf8)'), time)['value'] FROM {table}"
    );
    server.check(&text, &[], "z").await;
}

#[actix_rt::test]
async fn functions_that_differ_from_the_engines() {
    let server = Fixture::new().await;
    for (text, want) in [
        ("SELECT to_timestamp(1700000000)", "1970-01-01T00:00:01.700"),
        ("SELECT to_timestamp_seconds(1)", "1970-01-01T00:00:01"),
        ("SELECT to_timestamp('2025-06-01T10:00:00+01:00')", "2025-06-01T09:00:00"),
        ("SELECT arrow_typeof(now())", "Timestamp(ns)"),
        ("SELECT tz(to_timestamp('2025-06-01'), 'America/New_York')", "2025-05-31T20:00:00-04:00"),
        ("SELECT tz('2025-06-01')", "2025-06-01T00:00:00Z"),
        ("SELECT tz('2025-06-01', '+05:30')", "2025-06-01T05:30:00+05:30"),
        ("SELECT version() LIKE 'influxdb3 %DataFusion %'", "true"),
        (
            "SELECT approx_distinct(arrow_cast(v, 'Dictionary(Int32, Utf8)')) FROM (VALUES ('a'), ('b'), ('a')) AS t(v)",
            "2",
        ),
        (
            "SELECT date_bin('15 minutes', to_timestamp('2025-06-01T10:29:00Z'))",
            "2025-06-01T10:15:00",
        ),
        ("SELECT v FROM (VALUES (1), (NULL), (2)) AS t(v) ORDER BY v DESC", "\n2\n1"),
        ("SELECT arrow_cast('Kit', 'Dictionary(Int32, Utf8)') ~ '^K'", "true"),
        ("SELECT 7/2", "3"),
        ("SELECT count(*) FROM home", "0"),
        (
            "SELECT room, max(temp) FROM home WHERE time > now() - INTERVAL '1 day' GROUP BY room",
            "",
        ),
    ] {
        server.check(text, &[], want).await;
    }
}

#[actix_rt::test]
async fn results_stream_and_stop_with_their_reader() {
    let server = Fixture::with(1, None, 1 << 28).await;
    let endless = "SELECT value FROM generate_series(1, 9000000000000000000)";
    let mut result = server.start("home", endless, &[]).await.unwrap();
    for _ in 0..20 {
        assert_eq!(result.batches.next().await.unwrap().unwrap().num_rows(), 1000);
    }
    let refused = server.start("home", "SELECT 1", &[]).await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Overloaded);
    drop(result);
    let until = Instant::now() + Duration::from_secs(60);
    while server.start("home", "SELECT 1", &[]).await.is_err() {
        assert!(Instant::now() < until, "the place of a dropped query comes back");
        tokio::task::yield_now().await;
    }
}

#[actix_rt::test]
async fn time_and_memory_are_limited() {
    let server = Fixture::with(4, Some(Duration::from_millis(50)), 1 << 20).await;
    let error = server.error("SELECT count(*) FROM generate_series(1, 9000000000000000000)").await;
    assert_eq!(error.kind, ErrorKind::Timeout, "{}", error.message);

    let server = Fixture::with(4, None, 1 << 20).await;
    let error =
        server.error("SELECT value FROM generate_series(1, 10000000) ORDER BY -value").await;
    assert_eq!(error.kind, ErrorKind::Overloaded, "{}", error.message);
    assert!(error.message.contains("Resources exhausted"), "{}", error.message);
}

#[actix_rt::test]
async fn an_error_behind_the_first_row_is_no_end() {
    let server = Fixture::new().await;
    let text = "SELECT 1/(100000 - value) FROM generate_series(1, 1000000)";
    let mut result = server.start("home", text, &[]).await.unwrap();
    let mut last = None;
    while let Some(batch) = result.batches.next().await {
        last = Some(batch);
    }
    let error = last.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("Divide by zero"), "{}", error.message);
}

#[actix_rt::test]
async fn rows_of_tables_are_read() {
    let server = Fixture::new().await;
    server
        .write(1, &[("Kitchen", Some(21.5), 0), ("Bath", None, 0), ("Kitchen", Some(9.0), 60)])
        .await;
    server.write(2, &[("Kitchen", Some(22.5), 60), ("Bath", Some(19.0), 700)]).await;
    for (text, want) in [
        ("SELECT count(*) FROM home", "4"),
        (
            "SELECT room, temp, time FROM home ORDER BY time, room",
            "Bath,,1970-01-01T00:00:00\nKitchen,21.5,1970-01-01T00:00:00\n\
             Kitchen,22.5,1970-01-01T00:01:00\nBath,19.0,1970-01-01T00:11:40",
        ),
        ("SELECT temp FROM home WHERE temp < 10", ""),
        ("SELECT temp FROM home WHERE time > '1970-01-01T00:01:00Z'", "19.0"),
        (
            "SELECT temp FROM home WHERE time BETWEEN '1970-01-01' AND '1970-01-01 00:00:59' AND temp > 0",
            "21.5",
        ),
        ("SELECT temp FROM home WHERE room ~ '^K' ORDER BY time DESC LIMIT 1", "22.5"),
        (
            "SELECT room, selector_first(temp, time)['value'], max(temp) FROM home \
             GROUP BY room ORDER BY room",
            "Bath,19.0,19.0\nKitchen,21.5,22.5",
        ),
        (
            "SELECT date_bin(INTERVAL '10 minutes', time) AS b, avg(temp) FROM home \
             GROUP BY b ORDER BY b",
            "1970-01-01T00:00:00,22.0\n1970-01-01T00:10:00,19.0",
        ),
        ("SELECT approx_distinct(room), count(DISTINCT room) FROM home", "2,2"),
        (
            "SELECT lag(temp) OVER (PARTITION BY room ORDER BY time) FROM home WHERE room = 'Kitchen' ORDER BY time",
            "\n21.5",
        ),
        ("SELECT count(*) FROM home a JOIN home b ON a.time = b.time AND a.room < b.room", "1"),
    ] {
        server.check(text, &[], want).await;
    }
    server
        .check(
            "SELECT temp FROM home WHERE room = $r AND time >= $t",
            &[
                ("r", ParamValue::String("Kitchen".into())),
                ("t", ParamValue::String("1970-01-01T00:00:30Z".into())),
            ],
            "22.5",
        )
        .await;
    let result = server.start("home", "SELECT room, temp + 1 AS x FROM home", &[]).await.unwrap();
    let kind = |i: usize| result.schema.field(i).metadata().get("iox::column::type").cloned();
    assert_eq!((kind(0).as_deref(), kind(1)), (Some("iox::column_type::tag"), None));
}
