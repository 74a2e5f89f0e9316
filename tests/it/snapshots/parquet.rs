//! Parquet files as other programs see them, and where the server reads them from.

use super::model::DB;
use super::stage::{eager, files, objects, persist_everything};
use crate::support::server::{BINARY, NODE, Setup};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots/read_parquet.py");

/// What pyarrow, DuckDB and pandas find in files.
pub(super) fn read_elsewhere(paths: &[PathBuf]) -> Value {
    // `deploy/test` installs these programs beside the binary under test.
    let target = Path::new(BINARY).ancestors().nth(2).expect("target/debug/influxdb3");
    let python = target.join("emulators/python/bin/python");
    assert!(python.exists(), "no {python:?}: run deploy/test once");
    let output = Command::new(python).arg(SCRIPT).args(paths).output().expect("python runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn paths(setup: &Setup, names: &[String]) -> Vec<PathBuf> {
    names.iter().map(|name| setup.data_dir().join(name)).collect()
}

#[test]
fn pyarrow_duckdb_and_pandas_read_what_sql_gives() {
    let server = eager().start();
    let client = &server.client;
    client.must_write(
        DB,
        "m,b=x,a=y i=-1i,u=18446744073709551615u,f=1.5,s=\"text\",t=true 1\n\
         m,b=x i=2i 2\n\
         m,a=y u=3u,f=-0.25 60000000003\n\
         m,b=z,a=y s=\"\",t=false 60000000004",
    );
    persist_everything(client);
    let names = files(client, DB);
    assert_eq!(names.len(), 2, "a file a minute");
    let found = read_elsewhere(&paths(&server.setup, &names));
    let types = json!({
        "b": "string", "a": "string", "i": "int64", "u": "uint64", "f": "double",
        "s": "string", "t": "bool", "time": "timestamp[ns]",
    });
    assert_eq!(found["types"], types);
    assert_eq!(
        found["duckdb_types"],
        json!({
            "b": "VARCHAR", "a": "VARCHAR", "i": "BIGINT", "u": "UBIGINT", "f": "DOUBLE",
            "s": "VARCHAR", "t": "BOOLEAN", "time": "TIMESTAMP_NS",
        })
    );
    assert_eq!(found["compression"], json!(["ZSTD"]));
    assert_eq!(found["time_nulls_allowed"], false);
    let sql = "SELECT a, b, f, i, s, t, u, CAST(time AS BIGINT) AS time FROM m ORDER BY time";
    let mut expected = client.rows(DB, sql);
    // SQL leaves nulls out.
    for row in expected.as_array_mut().expect("rows") {
        for column in ["a", "b", "f", "i", "s", "t", "u"] {
            let row = row.as_object_mut().expect("a row");
            row.entry(column).or_insert(Value::Null);
        }
    }
    assert_eq!(found["rows"], expected);
    assert_eq!(found["duckdb_rows"], expected);
    assert_eq!(found["rows_by_b"], json!({"x": 2, "z": 1}), "pandas groups by a tag");
}

#[test]
fn rows_are_sorted_by_tags_in_their_order_of_creation() {
    let server = eager().start();
    let client = &server.client;
    let mut lines = vec!["m,b=1,a=2 f=1 9".to_owned()];
    for n in [5, 3, 8, 1, 7, 2, 6, 4] {
        lines.push(format!("m,b={},a={} f={n} {n}", n % 3, n % 2));
    }
    lines.push("m,a=1 f=1 4".to_owned());
    lines.push("m f=1 5".to_owned());
    client.must_write(DB, &lines.join("\n"));
    persist_everything(client);
    client.must_write(DB, "m,c=q,a=0 f=1 3\nm,c=p f=1 4\nm,b=0,c=p f=1 1\nm,b=0 f=1 2");
    persist_everything(client);
    let names = files(client, DB);
    let found = read_elsewhere(&paths(&server.setup, &names));
    assert_eq!(found["unsorted"], json!([]), "{found}");
    assert_eq!(found["repeated_keys"], 0);
    assert_eq!(found["sorting"], json!([["b", "a", "time"], ["b", "a", "c", "time"]]));
    assert_eq!(client.count(DB, "m"), 15);
    assert_eq!(client.value(DB, "SELECT count(*) FROM m WHERE c IS NULL"), 12);
}

#[test]
fn fresh_files_are_read_from_memory() {
    let server = eager().start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    server.client.must_write(DB, &format!("m,k=v n=1i {now}\nm,k=w n=2i {now}"));
    persist_everything(&server.client);
    let setup = server.setup.clone();
    let [name] = &objects(&setup, "dbs/1")[..] else { panic!("one file") };
    let file = setup.data_dir().join(NODE).join("dbs/1").join(name);
    let bytes = fs::read(&file).expect("readable");
    fs::remove_file(&file).expect("removed");
    let misses = |client: &crate::support::client::Client| {
        client.metric("parquet_cache_misses_total", &[]).unwrap_or(0.0)
    };
    assert_eq!(server.client.value(DB, "SELECT sum(n) FROM m"), 3);
    assert_eq!(misses(&server.client), 0.0);

    let server = server.stopped();
    fs::write(&file, bytes).expect("written");
    let server = server.start();
    assert_eq!(server.client.value(DB, "SELECT sum(n) FROM m"), 3);
    assert!(misses(&server.client) >= 1.0, "it was not in memory after the start");
    crate::support::eventually("the file is fetched", || {
        server.client.metric("parquet_cache_files", &[]).filter(|n| *n >= 1.0)
    });
    fs::remove_file(&file).expect("removed");
    assert_eq!(server.client.value(DB, "SELECT sum(n) FROM m"), 3);
}
