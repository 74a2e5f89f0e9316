//! Every kind of statement, cache function and system table, asked for by every kind of token. A
//! kind of statement or a system table of the server that has no row here fails the test.

use super::matrix::{Asker, askers};
use super::{server_with_operator, setup};
use crate::support::client::{Client, with_query};
use protocols::influxql::{Counted, ShowWhat, Statement};
use serde_json::json;
use std::collections::BTreeSet;

/// What a statement needs.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// This right with the database `one`.
    One(&'static str),
    /// This right with every database.
    All(&'static str),
    /// The right to read some database.
    Reader,
    /// An admin.
    Admin,
}

use Need::{Admin, All, One, Reader};

fn may(asker: &Asker, need: Need) -> bool {
    let reads = || asker.name == "reader of all";
    match need {
        One(right) => asker.admin || asker.rights.contains(&right),
        All(right) => asker.admin || asker.name == "all of all" || (right == "read" && reads()),
        Reader => {
            let others = ["reader of two", "all of two"];
            asker.admin || asker.rights.contains(&"read") || others.contains(&asker.name)
        }
        Admin => asker.admin,
    }
}

/// What only reads, in SQL.
const SQL: &[&str] = &[
    "SELECT f FROM m",
    "SELECT one.f FROM m AS one JOIN m AS two ON one.time = two.time",
    "SELECT f FROM m UNION ALL SELECT f FROM m",
    "WITH x AS (SELECT f FROM m) SELECT * FROM x",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    "VALUES (1)",
    "TABLE m",
    "EXPLAIN SELECT f FROM m",
    "EXPLAIN ANALYZE SELECT f FROM m",
    "SHOW TABLES",
    "SHOW COLUMNS FROM m",
    "DESCRIBE m",
    "SELECT table_name FROM information_schema.tables",
    "SELECT column_name FROM information_schema.columns",
    "SELECT * FROM last_cache('m', 'newest')",
    "SELECT * FROM distinct_cache('m', 'rooms')",
    "SELECT * FROM nosuch",
    "no statement",
];

/// What is refused whoever asks.
const SQL_THAT_CHANGES: &[&str] = &[
    "INSERT INTO m VALUES (1)",
    "UPDATE m SET f = 2",
    "DELETE FROM m",
    "TRUNCATE TABLE m",
    "CREATE TABLE x (a INT)",
    "CREATE VIEW x AS SELECT 1",
    "CREATE SCHEMA x",
    "CREATE DATABASE x",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE FUNCTION x(INT) RETURNS INT RETURN $1",
    "DROP TABLE m",
    "DROP VIEW m",
    "COPY m TO '/tmp/x.csv'",
    "SET datafusion.execution.batch_size = 1",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "BEGIN",
    "COMMIT",
];

/// InfluxQL, as `/query` of the database `one` takes it.
const INFLUXQL: &[(&str, Need)] = &[
    ("SELECT f FROM m", One("read")),
    ("SELECT f FROM one..m", One("read")),
    ("SELECT f FROM one.autogen.m", One("read")),
    ("SELECT f FROM (SELECT f FROM one..m)", One("read")),
    ("EXPLAIN SELECT f FROM m", One("read")),
    ("EXPLAIN ANALYZE SELECT f FROM m", One("read")),
    ("SHOW DATABASES", One("read")),
    ("SHOW RETENTION POLICIES", One("read")),
    ("SHOW RETENTION POLICIES ON one", One("read")),
    ("SHOW MEASUREMENTS", One("read")),
    ("SHOW TAG KEYS", One("read")),
    ("SHOW FIELD KEYS ON one", One("read")),
    ("SHOW TAG VALUES WITH KEY = room", One("read")),
    ("SHOW SERIES", One("read")),
    ("SHOW SERIES CARDINALITY", One("read")),
    ("SHOW MEASUREMENT CARDINALITY", One("read")),
    ("SHOW TAG KEY CARDINALITY", One("read")),
    ("SHOW FIELD KEY CARDINALITY", One("read")),
    ("SHOW TAG VALUES CARDINALITY WITH KEY = room", One("read")),
    ("CREATE DATABASE one", One("create")),
    // A retention policy is a database of its own.
    ("CREATE RETENTION POLICY week ON one DURATION 1w REPLICATION 1", All("create")),
    ("ALTER RETENTION POLICY week ON one DURATION 2w", All("delete")),
    ("DROP RETENTION POLICY nosuch ON one", All("delete")),
    ("DROP DATABASE nosuch", All("delete")),
    ("DROP MEASUREMENT nosuch", One("delete")),
    ("DELETE FROM m WHERE time < 0", One("delete")),
    ("DROP SERIES FROM m WHERE room = 'nosuch'", One("delete")),
];

/// System tables: those of any database, those of the built-in one, those that are about the server.
const TABLES: [(&str, &str, Need); 24] = [
    ("one", "cache_states", One("read")),
    ("one", "distinct_caches", One("read")),
    ("one", "downsamples", One("read")),
    ("one", "influxdb_schema", One("read")),
    ("one", "last_caches", One("read")),
    ("one", "parquet_files", One("read")),
    ("one", "processing_engine_logs", One("read")),
    ("one", "processing_engine_plugins", One("read")),
    ("one", "processing_engine_runs", One("read")),
    ("one", "processing_engine_trigger_arguments", One("read")),
    ("one", "processing_engine_triggers", One("read")),
    ("one", "queries", One("read")),
    ("one", "row_deletes", One("read")),
    ("_internal", "databases", Reader),
    ("_internal", "file_indexes", Reader),
    ("_internal", "generation_durations", Reader),
    ("_internal", "tables", Reader),
    ("_internal", "table_retention", Reader),
    ("_internal", "actors", Admin),
    ("_internal", "audit", Admin),
    ("_internal", "compaction_events", Admin),
    ("_internal", "nodes", Admin),
    ("_internal", "plugin_files", Admin),
    ("_internal", "tokens", Admin),
];

/// The kind of a statement. A new one is to be added to the rows, and then here.
fn kind(statement: &Statement) -> &'static str {
    match statement {
        Statement::Select(_) => "select",
        Statement::Explain(_) => "explain",
        Statement::Show(show) => match &show.what {
            ShowWhat::Databases => "databases",
            ShowWhat::RetentionPolicies => "policies",
            ShowWhat::Measurements(_) => "measurements",
            ShowWhat::TagKeys => "tag keys",
            ShowWhat::FieldKeys => "field keys",
            ShowWhat::TagValues(_) => "tag values",
            ShowWhat::Series => "series",
            ShowWhat::Cardinality { of, .. } => match of {
                Counted::Series => "count of series",
                Counted::Measurements => "count of measurements",
                Counted::TagKeys => "count of tag keys",
                Counted::FieldKeys => "count of field keys",
                Counted::TagValues(_) => "count of tag values",
            },
        },
        Statement::CreateDatabase { .. } => "create database",
        Statement::DropDatabase { .. } => "drop database",
        Statement::DropMeasurement { .. } => "drop measurement",
        Statement::CreatePolicy { .. } => "create policy",
        Statement::AlterPolicy { .. } => "alter policy",
        Statement::DropPolicy { .. } => "drop policy",
        Statement::DropSeries { .. } => "drop series",
        Statement::Delete { .. } => "delete",
    }
}

/// How many kinds there are.
const KINDS: usize = 22;

#[test]
fn each_kind_of_statement_and_each_system_table_has_a_row() {
    let kinds: BTreeSet<&str> = INFLUXQL
        .iter()
        .map(|(text, _)| {
            let parsed = protocols::influxql::parse(text, |_| true).expect("a statement");
            kind(&parsed[0].statement)
        })
        .collect();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
    let rows: BTreeSet<&str> = TABLES.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(rows, actors::query::system_table_names().collect());
}

/// A server with a database `one`, of which every kind of statement finds something.
fn ready() -> (crate::support::server::Server, Client) {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("one", "m,room=a f=1 1");
    operator.must_write("two", "m,room=a f=1 1");
    let cache = json!({"db": "one", "table": "m", "name": "newest"});
    assert_eq!(operator.json("POST", "/api/v3/configure/last_cache", &cache).status, 201);
    let cache = json!({"db": "one", "table": "m", "name": "rooms", "columns": ["room"]});
    assert_eq!(operator.json("POST", "/api/v3/configure/distinct_cache", &cache).status, 201);
    (server, operator)
}

/// Checks that `asker` gets what they may, and nothing else; returns what is wrong.
fn check(asker: &Asker, client: &Client, request: (&str, &str), need: Need) -> Option<String> {
    let (method, path) = request;
    let answer = client.send(method, path, &[], "");
    let is_right = match asker.refused {
        Some(status) => answer.status == status,
        None if may(asker, need) => !matches!(answer.status, 401 | 403),
        None => answer.status == 403,
    };
    let told = || format!("{}: {method} {path}: {} {}", asker.name, answer.status, answer.text());
    (!is_right).then(told)
}

/// Has `rows` asked for by everybody.
fn check_all(operator: &Client, rows: &[(String, String, Need)]) {
    let mut strangers = 1..;
    let mut wrong = Vec::new();
    for asker in askers(operator) {
        for (method, path, need) in rows {
            // Whoever tries one token after the other from one address has to wait.
            let client = match asker.refused.and_then(|_| strangers.next()) {
                Some(number) => asker.client.with_source(number),
                None => asker.client.clone(),
            };
            wrong.extend(check(&asker, &client, (method.as_str(), path.as_str()), *need));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn get(path: &str, db: &str, q: &str) -> (String, String) {
    ("GET".to_owned(), with_query(path, &[("db", db), ("q", q)]))
}

#[test]
fn each_statement_in_sql_lets_in_whoever_may_read() {
    let (_server, operator) = ready();
    let mut rows = Vec::new();
    for sql in SQL.iter().chain(SQL_THAT_CHANGES) {
        let (method, path) = get("/api/v3/query_sql", "one", sql);
        rows.push((method, path, One("read")));
    }
    check_all(&operator, &rows);
    for sql in SQL_THAT_CHANGES {
        assert_eq!(operator.sql("one", sql).status, 400, "{sql}");
    }
    assert_eq!(operator.count("one", "m"), 1);
}

#[test]
fn each_statement_in_influxql_lets_in_whoever_may() {
    let (_server, operator) = ready();
    let mut rows = Vec::new();
    for (text, need) in INFLUXQL {
        let parsed = protocols::influxql::parse(text, |_| true).expect("a statement");
        let path = with_query("/query", &[("db", "one"), ("q", text)]);
        rows.push(("POST".to_owned(), path, *need));
        // Version 3 only answers questions.
        let is_question = matches!(
            parsed[0].statement,
            Statement::Select(_) | Statement::Show(_) | Statement::Explain(_)
        );
        if is_question {
            let (method, path) = get("/api/v3/query_influxql", "one", text);
            rows.push((method, path, *need));
        }
    }
    check_all(&operator, &rows);
}

#[test]
fn each_system_table_is_shown_to_whoever_may_see_it() {
    let (_server, operator) = ready();
    let mut rows = Vec::new();
    for (db, name, need) in TABLES {
        let (method, path) =
            get("/api/v3/query_sql", db, &format!("SELECT * FROM system.{name} LIMIT 1"));
        rows.push((method, path, need));
    }
    check_all(&operator, &rows);
    for (db, name, _) in TABLES {
        let answer = operator.sql(db, &format!("SELECT * FROM system.{name} LIMIT 1"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(answer.json().is_array(), "{name}: {}", answer.text());
    }
}
