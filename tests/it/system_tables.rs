//! What the server tells about itself in SQL.

use crate::support::client::{Client, with_query};
use crate::support::server::{NODE, Server, Setup};
use serde_json::{Value, json};

fn names(rows: &Value, column: &str) -> Vec<String> {
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row[column].as_str().expect("a text").to_owned()).collect()
}

/// Columns of a system table with their types, in order.
fn columns(client: &Client, db: &str, table: &str) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT column_name, data_type FROM information_schema.columns \
         WHERE table_schema = 'system' AND table_name = '{table}' ORDER BY ordinal_position"
    );
    let rows = client.rows(db, &sql);
    names(&rows, "column_name").into_iter().zip(names(&rows, "data_type")).collect()
}

#[test]
fn queries_are_logged_with_the_trace_that_their_headers_name() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    let ask = |header: (&str, &str), sql: &str| {
        let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", sql)]);
        assert_eq!(server.client.send("GET", &path, &[header], "").status, 200);
    };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    ask(("traceparent", parent), "SELECT 1");
    ask(("uber-trace-id", "00AB:1:0:1"), "SELECT 2");
    ask(("traceparent", "nonsense"), "SELECT 3");
    let sql = "SELECT query_text, trace_id FROM system.queries WHERE query_text LIKE 'SELECT _'";
    let expected = json!([
        {"query_text": "SELECT 1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"},
        {"query_text": "SELECT 2", "trace_id": "00ab"},
        {"query_text": "SELECT 3"},
    ]);
    assert_eq!(server.client.rows("d", sql), expected);
}

#[test]
fn each_database_has_its_tables() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    let listed = |db: &str| {
        let rows = server.client.rows(db, "SHOW TABLES");
        let rows: Vec<Value> = rows.as_array().expect("rows").clone();
        let system = rows.into_iter().filter(|row| row["table_schema"] == "system").collect();
        names(&Value::Array(system), "table_name")
    };
    let everywhere = [
        "distinct_caches",
        "influxdb_schema",
        "last_caches",
        "parquet_files",
        "processing_engine_logs",
        "processing_engine_trigger_arguments",
        "processing_engine_triggers",
        "queries",
    ];
    assert_eq!(listed("d"), everywhere);
    let internal =
        ["databases", "generation_durations", "nodes", "plugin_files", "tables", "tokens"];
    let mut all: Vec<&str> = everywhere.into_iter().chain(internal).collect();
    all.sort_unstable();
    assert_eq!(listed("_internal"), all);
    for table in internal {
        let answer = server.client.sql("d", &format!("SELECT * FROM system.{table}"));
        let text = answer.text();
        assert_eq!(answer.status, 400, "{text}");
        assert!(text.contains(&format!("table 'public.system.{table}' not found")), "{text}");
    }
    // Every table can be read as a whole.
    for table in all {
        server.client.rows("_internal", &format!("SELECT * FROM system.{table}"));
    }
}

#[test]
fn tables_have_the_columns_that_clients_expect() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    let check = |db: &str, table: &str, expected: &[(&str, &str)]| {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        assert_eq!(columns(&server.client, db, table), expected, "{table}");
    };
    check(
        "d",
        "queries",
        &[
            ("id", "Utf8"),
            ("phase", "Utf8"),
            ("issue_time", "Timestamp(ns)"),
            ("query_type", "Utf8"),
            ("query_text", "Utf8"),
            ("partitions", "Int64"),
            ("parquet_files", "Int64"),
            ("plan_duration", "Duration(ns)"),
            ("permit_duration", "Duration(ns)"),
            ("execute_duration", "Duration(ns)"),
            ("end2end_duration", "Duration(ns)"),
            ("compute_duration", "Duration(ns)"),
            ("max_memory", "Int64"),
            ("success", "Boolean"),
            ("running", "Boolean"),
            ("cancelled", "Boolean"),
            ("trace_id", "Utf8"),
        ],
    );
    check(
        "d",
        "parquet_files",
        &[
            ("table_name", "Utf8"),
            ("path", "Utf8"),
            ("size_bytes", "UInt64"),
            ("row_count", "UInt64"),
            ("min_time", "Int64"),
            ("max_time", "Int64"),
        ],
    );
    check(
        "d",
        "influxdb_schema",
        &[("measurement", "Utf8"), ("key", "Utf8"), ("data_type", "Utf8")],
    );
    check(
        "_internal",
        "databases",
        &[
            ("database_name", "Utf8"),
            ("retention_period_ns", "UInt64"),
            ("deleted", "Boolean"),
            ("hard_deletion_time", "Timestamp(s, \"UTC\")"),
        ],
    );
    check(
        "_internal",
        "tables",
        &[
            ("database_name", "Utf8"),
            ("table_name", "Utf8"),
            ("column_count", "UInt64"),
            ("series_key_columns", "Utf8"),
            ("last_cache_count", "UInt64"),
            ("distinct_cache_count", "UInt64"),
            ("deleted", "Boolean"),
            ("hard_deletion_time", "Timestamp(s, \"UTC\")"),
        ],
    );
    let nodes: Vec<String> =
        columns(&server.client, "_internal", "nodes").into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        nodes,
        [
            "node_id",
            "node_catalog_id",
            "instance_id",
            "mode",
            "core_count",
            "state",
            "updated_at",
            "cli_params"
        ]
    );
}

#[test]
fn databases_and_their_tables_are_shown() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("s1", "cpu,host=a,region=b v=1,w=2i,s=\"x\" 1\nm f=true 1");
    let schema =
        client.rows("s1", "SELECT * FROM system.influxdb_schema WHERE measurement = 'cpu'");
    assert_eq!(names(&schema, "key"), ["host", "region", "s", "time", "v", "w"]);
    let types = names(&schema, "data_type");
    assert_eq!(types, ["tag", "tag", "string", "time", "float", "integer"]);
    let internal = |sql: &str| client.rows("_internal", sql);
    assert_eq!(
        internal("SELECT * FROM system.databases ORDER BY database_name"),
        json!([
            {"database_name": "_internal", "retention_period_ns": 604_800_000_000_000_u64, "deleted": false},
            {"database_name": "s1", "deleted": false}
        ])
    );
    assert_eq!(
        internal("SELECT * FROM system.tables WHERE table_name = 'cpu'"),
        json!([{
            "database_name": "s1", "table_name": "cpu", "column_count": 6,
            "series_key_columns": "host, region", "last_cache_count": 0,
            "distinct_cache_count": 0, "deleted": false
        }])
    );
    assert_eq!(
        internal("SELECT * FROM system.generation_durations ORDER BY level"),
        json!([
            {"level": 1, "duration_seconds": 600},
            {"level": 2, "duration_seconds": 1_200},
            {"level": 3, "duration_seconds": 3_600},
            {"level": 4, "duration_seconds": 14_400},
            {"level": 5, "duration_seconds": 86_400},
            {"level": 6, "duration_seconds": 432_000},
            {"level": 7, "duration_seconds": 2_592_000},
        ])
    );
}

#[test]
fn the_node_tells_how_it_was_started() {
    let server = Setup::memory().with(&["--aws-secret-access-key", "hush"]).start();
    let node = &server.client.rows("_internal", "SELECT * FROM system.nodes")[0];
    assert_eq!(node["node_id"], NODE);
    assert_eq!(node["mode"], json!(["core"]));
    assert_eq!(node["state"], "running");
    assert!(node["core_count"].as_u64().is_some_and(|cores| cores > 0), "{node}");
    let options = node["cli_params"].as_str().expect("a text");
    let options: Value = serde_json::from_str(options).expect("JSON");
    assert_eq!(options["node-id"], NODE);
    assert_eq!(options["aws-secret-access-key"], "*******");
    assert_eq!(options["without-auth"], "true");
}

#[test]
fn actors_are_measured() {
    let server = Server::memory();
    for i in 0..20 {
        server.client.must_write("d", &format!("m f={i} {i}"));
    }
    let actors = server.client.rows("_internal", "SELECT * FROM system.actors");
    let actors = actors.as_array().expect("rows");
    for kind in ["catalog", "store", "wal", "index", "ingest", "persist", "query"] {
        let of_kind: Vec<&Value> = actors.iter().filter(|actor| actor["kind"] == kind).collect();
        assert!(!of_kind.is_empty(), "{kind}");
        for actor in of_kind {
            assert_eq!(actor["state"], "running", "{actor}");
            assert_eq!(actor["restarts"], 0, "{actor}");
            let number = |name: &str| actor[name].as_u64().expect("a number");
            assert!(number("mailbox_depth") <= number("mailbox_capacity"), "{actor}");
            if number("messages_handled") > 0 {
                let (p50, p99) =
                    (actor["handler_p50_us"].as_f64(), actor["handler_p99_us"].as_f64());
                assert!(p50 > Some(0.0) && p99 >= p50, "{actor}");
            }
        }
    }
    let wal = actors.iter().find(|actor| actor["kind"] == "wal").expect("it is there");
    assert!(wal["messages_handled"].as_u64() >= Some(20), "{wal}");
}

#[test]
fn the_log_of_queries() {
    let server = Setup::memory().with(&["--query-log-size", "5"]).start();
    let client = &server.client;
    client.must_write("d", "m f=1 1");
    client.must_write("e", "m f=1 1");
    client.rows("d", "SELECT 1 AS qlog1");
    assert_eq!(client.sql("d", "SELECT nope AS qlog2 FROM m").status, 400);
    assert_eq!(client.sql("d", "SELECT 1/0 AS qlog3").status, 400);
    let ended = "SELECT phase, query_type, success, running, cancelled, \
                 end2end_duration IS NULL AS open FROM system.queries \
                 WHERE query_text LIKE '%qlog%' AND query_text NOT LIKE '%system.queries%' \
                 ORDER BY issue_time";
    let row = |phase: &str, success: bool| {
        json!({
            "phase": phase, "query_type": "sql", "success": success, "running": false,
            "cancelled": false, "open": false
        })
    };
    let expected = json!([row("success", true), row("fail", false), row("fail", false)]);
    // The log is that of the server, whatever the database.
    assert_eq!(client.rows("e", ended), expected);
    for i in 0..9 {
        client.rows("d", &format!("SELECT {i}"));
    }
    assert_eq!(client.value("d", "SELECT count(*) FROM system.queries"), 5);
}
