//! What was acknowledged is kept: over SIGKILL, over SIGTERM, over restarts.

use crate::support::client::with_query;
use crate::support::server::{NODE, Server, Setup};
use serde_json::json;
use std::fs;

#[test]
fn sigkill_loses_nothing_that_was_acknowledged() {
    let server = Server::disk();
    let lines: Vec<String> = (0..1_000).map(|i| format!("m,k={} n={i}i {i}", i % 7)).collect();
    server.client.must_write("d", &lines.join("\n"));
    let server = server.killed_and_restarted();
    assert_eq!(server.client.count("d", "m"), 1_000);
    assert_eq!(server.client.value("d", "SELECT sum(n) FROM m"), 499_500);
    server.client.must_write("d", "m,k=0 f=1 0");
    let server = server.killed_and_restarted();
    let rows = server.client.rows("d", "SELECT n, f FROM m WHERE k = '0' ORDER BY time LIMIT 1");
    assert_eq!(rows, json!([{"n": 0, "f": 1.0}]), "the fields of both lives are one row");
    assert_eq!(server.client.count("d", "m"), 1_000);
}

#[test]
fn administration_survives_sigkill() {
    let server = Server::disk();
    let client = &server.client;
    let database = |body| client.json("POST", "/api/v3/configure/database", &body).status;
    assert_eq!(database(json!({"db": "kept", "retention_period": "7d"})), 200);
    assert_eq!(database(json!({"db": "gone"})), 200);
    let table = json!({"db": "kept", "table": "t", "tags": ["b", "a"],
                       "fields": [{"name": "f", "type": "uint64"}]});
    assert_eq!(client.json("POST", "/api/v3/configure/table", &table).status, 200);
    client.must_write("gone", "m f=1 1");
    client.must_write("other", "m f=1 1\nn f=1 1");
    assert_eq!(client.delete("/api/v3/configure/database?db=gone").status, 200);
    assert_eq!(client.delete("/api/v3/configure/table?db=other&table=m").status, 200);

    let server = server.killed_and_restarted();
    let client = &server.client;
    assert_eq!(client.databases(), ["_internal", "kept", "other"]);
    let sql = "SELECT retention_period_ns FROM system.databases WHERE database_name = 'kept'";
    assert_eq!(client.value("_internal", sql), 604_800_000_000_000_u64);
    assert_eq!(client.rows("kept", "SELECT * FROM t"), json!([]));
    assert_eq!(client.sql("gone", "SELECT 1").status, 404);
    assert_eq!(client.count("other", "m"), 0);
    assert_eq!(client.count("other", "n"), 1);
    client.must_write("gone", "m f=\"new\" 1");
    assert_eq!(client.rows("gone", "SELECT f FROM m"), json!([{"f": "new"}]));
}

#[test]
fn rows_that_were_removed_do_not_come_back() {
    let server = Server::disk();
    server.client.must_write("d", "m f=1 1");
    let path = "/api/v3/configure/table?db=d&table=m&hard_delete_at=now";
    assert_eq!(server.client.delete(path).status, 200);
    server.client.must_write("d", "m f=\"new\" 2");
    let server = server.killed_and_restarted().killed_and_restarted();
    assert_eq!(server.client.rows("d", "SELECT f FROM m"), json!([{"f": "new"}]));
}

#[test]
fn signals_drain_and_exit_with_0() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::disk();
        server.client.must_write("d", "m f=1 1");
        let path = with_query("/api/v3/write_lp", &[("db", "d"), ("no_sync", "true")]);
        for n in 2..=20 {
            assert_eq!(server.client.post(&path, format!("m f=1 {n}")).status, 204);
        }
        server.signal(signal);
        let status = server.wait();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {}", server.log());
        let server = server.setup.start();
        assert_eq!(server.client.count("d", "m"), 20, "queued writes are drained too");
    }
}

#[test]
fn writes_under_way_at_sigterm_are_whole_or_refused() {
    let mut server = Server::disk();
    server.client.must_write("d", "m,w=0 n=0i 0");
    let writers: Vec<_> = (1..=50)
        .map(|w| {
            let client = server.client.clone();
            std::thread::spawn(move || {
                let mut acknowledged = 0_u64;
                for n in 0.. {
                    let path = "/api/v3/write_lp?db=d&precision=ns";
                    let lines = format!("m,w={w} n={n}i {n}\nm,w={w} n={n}i {}", n + 1_000_000);
                    match client.try_send("POST", path, &[], lines.into_bytes()) {
                        Ok(answer) if answer.status == 204 => acknowledged += 2,
                        last => return (acknowledged, last),
                    }
                }
                unreachable!("the server stops")
            })
        })
        .collect();
    while server.client.count("d", "m") < 1_000 {}
    assert_eq!(node_is_running(&server.setup), Some(true));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert_eq!(node_is_running(&server.setup), Some(false));
    let (mut acknowledged, mut unanswered) = (0, 0);
    for writer in writers {
        let (rows, last) = writer.join().expect("a writer");
        acknowledged += rows;
        match last {
            Ok(answer) => assert!(
                answer.status == 503
                    || answer.text().contains("wal is shutdown and not accepting writes"),
                "{} {}",
                answer.status,
                answer.text()
            ),
            // The connection was closed, or there was none any more.
            Err(_) => unanswered += 1,
        }
    }
    let server = server.setup.start();
    assert_eq!(node_is_running(&server.setup), Some(true));
    let found = server.client.count("d", "m") - 1;
    let possible = acknowledged..=acknowledged + 2 * unanswered;
    assert!(possible.contains(&found), "{found} found, {possible:?} expected");
    assert_eq!(found % 2, 0, "a request is there whole or not at all");
}

/// What the newest record about the node says, as anybody finds it who looks into the store.
fn node_is_running(setup: &Setup) -> Option<bool> {
    let folder = setup.data_dir().join(NODE).join("catalog/v1/logs");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a catalog").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let records = files.iter().map(|file| fs::read_to_string(file).expect("text"));
    records
        .filter_map(|text| {
            let record: serde_json::Value = serde_json::from_str(text.lines().nth(1)?).ok()?;
            let changes = record["changes"].as_array()?.clone();
            changes.iter().find_map(|change| change["set_node"]["running"].as_bool())
        })
        .next_back()
}

#[test]
fn restarts_without_writes_keep_everything() {
    let mut server = Server::disk();
    for life in 1..=4_u64 {
        server.client.must_write("d", &format!("m,life={life} f=1 1"));
        server =
            if life % 2 == 0 { server.stopped().start() } else { server.killed_and_restarted() };
        assert_eq!(server.client.count("d", "m"), life);
        server = server.killed_and_restarted();
        assert_eq!(server.client.count("d", "m"), life);
    }
}

#[test]
fn nodes_share_a_directory_without_interference() {
    let setup = Setup::disk();
    let other = setup.clone().without(NODE).without("--node-id").with(&["--node-id", "node-2"]);
    let (first, second) = (setup.start(), other.start());
    first.client.must_write("d", "m f=1 1");
    second.client.must_write("d", "m f=2 1");
    assert_eq!(first.client.rows("d", "SELECT f FROM m"), json!([{"f": 1.0}]));
    assert_eq!(second.client.rows("d", "SELECT f FROM m"), json!([{"f": 2.0}]));
}

#[test]
fn a_start_that_cannot_work_is_refused() {
    let setup = Setup::disk();
    fs::write(setup.data_dir(), "a file where the directory would be").expect("a file");
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Serve command failed: "), "{log}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let setup = Setup::memory().with_bind(&address);
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Serve command failed: Failed to bind address"), "{log}");
}
