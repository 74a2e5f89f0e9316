//! A panic in any handler of any actor: whoever waited gets an answer, the actor comes back, and
//! what was acknowledged before is still there.
//!
//! The binary has to be built with the feature, too: `cargo build` without it, in the same target
//! directory and meanwhile, replaces the one under test.

use crate::flight::ask_for_catalogs;
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::json;

/// Rows acknowledged before the panic.
const ROWS: u64 = 50;

/// A stopped server with [`ROWS`] rows in table `m` of database `d`.
fn prefilled() -> Setup {
    let server = Setup::disk().with(&["--num-io-threads", "1"]).start();
    // Younger than any retention period that a test sets.
    let first_ns = 1_700_000_000_000_000_000;
    let lines: Vec<String> = (0..ROWS).map(|n| format!("m n={n}i {}", first_ns + n)).collect();
    server.client.must_write("d", &lines.join("\n"));
    server.stopped()
}

fn planted(setup: &Setup, actor: &str, message: &str) -> Server {
    // Nobody looks for himself at what lies open, so that all that is asked goes by message.
    let points = format!("look=fail;{actor}:{message}=panic(1)");
    setup.clone().with_variable("INFLUXDB3_FAILPOINTS", &points).start()
}

fn restarts(client: &Client, actor: &str) -> Option<f64> {
    client.metric("actor_restarts_total", &[&format!("actor=\"{actor}\"")])
}

/// The server is whole again: it takes writes and queries, is healthy, and has all rows.
#[track_caller]
fn recovered(server: &Server, actor: &str) {
    let client = &server.client;
    eventually(&format!("{actor} was restarted"), || restarts(client, actor).filter(|n| *n >= 1.0));
    eventually("writes are accepted again", || {
        (client.write("d", "after,k=v f=1 1").status == 204).then_some(())
    });
    eventually("queries are answered again", || {
        (client.sql("d", "SELECT f FROM after").status == 200).then_some(())
    });
    eventually("the server is healthy again", || {
        (client.get("/health").status == 200).then_some(())
    });
    assert_eq!(client.count("d", "after"), 1);
    assert!(server.log().contains("planted panic"), "{}", server.log());
}

/// Plants a panic, provokes it, and expects a 5xx, not a hang; then everything is as before.
fn check(actor: &str, message: &str, provoke: impl FnOnce(&Client) -> u16) {
    let setup = prefilled();
    let mut server = planted(&setup, actor, message);
    let status = provoke(&server.client);
    assert!((500..600).contains(&status), "{actor}:{message} was answered {status}");
    recovered(&server, actor);
    assert_eq!(server.client.count("d", "m"), ROWS, "{actor}:{message}");
    server.kill();
    let server = setup.start();
    assert_eq!(server.client.count("d", "m"), ROWS, "{actor}:{message}, after a restart");
    assert_eq!(server.client.count("d", "after"), 1);
}

#[test]
fn compact() {
    check("compact", "CompactNow", |client| {
        client.json("POST", "/api/v3/configure/compact", &json!({"db": "d"})).status
    });
}

#[test]
fn catalog() {
    check("catalog", "EnsureSchema", |client| client.write("d", "new f=1 1").status);
    check("catalog", "CreateDatabase", |client| {
        client.json("POST", "/api/v3/configure/database", &json!({"db": "e"})).status
    });
    check("catalog", "SetRetention", |client| {
        let body = json!({"db": "d", "retention_period": "99y"});
        client.json("PUT", "/api/v3/configure/database", &body).status
    });
}

#[test]
fn catalog_tables() {
    check("catalog", "CreateTable", |client| {
        let body = json!({"db": "d", "table": "t", "tags": [], "fields": []});
        client.json("POST", "/api/v3/configure/table", &body).status
    });
    check("catalog", "SetTableRetention", |client| {
        let path = "/api/v3/enterprise/configure/table/retention_period?db=d&table=nope";
        client.delete(path).status
    });
    check("catalog", "SetIndexedColumns", |client| {
        client.delete("/api/v3/enterprise/configure/file_index?db=d&table=nope").status
    });
    check("catalog", "DeleteTable", |client| {
        client.delete("/api/v3/configure/table?db=d&table=nope").status
    });
    check("catalog", "DeleteDatabase", |client| {
        client.delete("/api/v3/configure/database?db=nope").status
    });
}

#[test]
fn downsamples() {
    let server = planted(&prefilled(), "downsamples", "SyncDownsamples");
    let body = json!({
        "db": "d", "table": "m", "to": "coarse", "interval": "1s", "aggregates": ["count"],
        "backfill": true,
    });
    // The tick comes to it first, or the request does.
    let status = server.client.json("POST", "/api/v3/configure/downsample", &body).status;
    assert!(status == 200 || (500..600).contains(&status), "{status}");
    recovered(&server, "downsamples");
    eventually("it goes on", || {
        let answer = server.client.sql("d", "SELECT n_count FROM coarse");
        (answer.status == 200 && answer.json() == json!([{"n_count": ROWS}])).then_some(())
    });
}

/// Nobody waits for it, so nobody hears of its failure; it goes on with its file.
#[test]
fn audit() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("audit.log");
    let setup = prefilled().with(&["--audit-log", path.to_str().expect("text")]);
    let server = planted(&setup, "audit", "KeepAudit");
    recovered(&server, "audit");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    let mut tables = 0..;
    // What it is told while it is away is lost.
    eventually("it hears of what comes later", || {
        let table = tables.next().expect("another");
        server.client.must_write("d", &format!("later{table} f=1 1"));
        text().contains("\"d.later").then_some(())
    });
    let rows = server.client.rows("_internal", "SELECT object FROM system.audit");
    assert!(rows.to_string().contains("d.later"), "{rows}");
    assert_eq!(server.client.count("d", "m"), ROWS);
}

#[test]
fn ingest() {
    check("ingest-0", "WriteLines", |client| client.write("d", "m n=1i 1000").status);
}

#[test]
fn wal() {
    check("wal", "AppendRows", |client| client.write("d", "m n=0i 0").status);
}

/// Not the log panics, but what it has the disk do.
#[test]
fn the_disk_thread_of_the_log() {
    let setup = prefilled();
    let points = "wal-disk=panic(1)";
    let mut server = setup.clone().with_variable("INFLUXDB3_FAILPOINTS", points).start();
    assert_eq!(server.client.write("d", "m n=0i 0").status, 503);
    recovered(&server, "wal");
    assert_eq!(server.client.count("d", "m"), ROWS);
    server.kill();
    assert_eq!(setup.start().client.count("d", "m"), ROWS);
}

#[test]
fn query() {
    check("query", "RunStatement", |client| client.sql("d", "SELECT * FROM m").status);
}

#[test]
fn store_while_it_answers_a_query() {
    check("store-0", "ViewTable", |client| client.sql("d", "SELECT * FROM m").status);
}

#[test]
fn store_while_it_takes_rows() {
    // The rows are durable before the shard sees them, so the write may also succeed late.
    let setup = Setup::disk().with(&["--num-io-threads", "1"]);
    let mut server = planted(&setup, "store-0", "ApplyRows");
    let status = server.client.write("d", "m n=1i 1").status;
    assert!(status == 204 || (500..600).contains(&status), "{status}");
    recovered(&server, "store-0");
    eventually("the durable row is visible", || (server.client.count("d", "m") == 1).then_some(()));
    server.kill();
    let server = setup.start();
    assert_eq!(server.client.count("d", "m"), 1);
}

/// Plants a panic where nobody waits for an answer; `provoke` leads there.
fn check_unseen(actor: &str, message: &str, provoke: impl FnOnce(&Client)) {
    let server = planted(&prefilled(), actor, message);
    provoke(&server.client);
    recovered(&server, actor);
    assert_eq!(server.client.count("d", "m"), ROWS, "{actor}:{message}");
}

#[test]
fn regular_work() {
    check_unseen("wal", "PeriodDue", |_| ());
    check_unseen("catalog", "SweepDeleted", |_| ());
}

#[test]
fn query_behind_the_scenes() {
    check_unseen("query", "CommandAnswered", ask_for_catalogs);
}

#[test]
fn store_behind_the_scenes() {
    check_unseen("store-0", "KeepSorted", |client| {
        assert_eq!(client.sql("d", "SELECT * FROM m").status, 200);
    });
    check_unseen("store-0", "DropTables", |client| {
        client.must_write("d", "gone f=1 1");
        let path = "/api/v3/configure/table?db=d&table=gone&hard_delete_at=now";
        assert_eq!(client.delete(path).status, 200);
    });
}

#[test]
fn the_orderly_end() {
    for (actor, message) in [("wal", "Drain"), ("catalog", "NodeStopped")] {
        let setup = prefilled();
        let mut server = planted(&setup, actor, message);
        server.client.must_write("d", &format!("m n=0i {}", ROWS + 1));
        server.signal("TERM");
        server.wait();
        let server = setup.start();
        assert_eq!(server.client.count("d", "m"), ROWS + 1, "{actor}:{message}");
    }
}

#[test]
fn an_actor_that_cannot_be_kept_alive_ends_the_process() {
    let setup = prefilled();
    let points = "wal:AppendRows=panic(100)";
    let mut server = setup.clone().with_variable("INFLUXDB3_FAILPOINTS", points).start();
    eventually("the process ends", || {
        let path = "/api/v3/write_lp?db=d";
        server.client.try_send("POST", path, &[], b"m n=0i".to_vec()).is_err().then_some(())
    });
    assert_eq!(server.wait().code(), Some(70), "{}", server.log());
    let server = setup.start();
    assert_eq!(server.client.count("d", "m"), ROWS);
}
