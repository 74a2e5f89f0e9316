//! Rows past their retention period and of deleted tables: out of sight at once, out of the store
//! later, and never back.

use super::model::DB;
use super::stage::{eager, files, objects, persist_everything, planted};
use crate::flight::RUNTIME;
use crate::support::client::{Client, with_query};
use crate::support::eventually;
use crate::support::server::{NODE, Server, Setup};
use serde_json::json;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Objects of removed files go at once, not after the grace for queries that read them.
const NO_GRACE: &str = "object-grace=error(1)";

fn ago_ns(time: Duration) -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_nanos() - time.as_nanos()
}

const MINUTE: Duration = Duration::from_secs(60);

fn set_retention(client: &Client, period: &str) {
    let body = json!({"db": DB, "retention_period": period});
    let answer = client.json("PUT", "/api/v3/configure/database", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// With retention looked at often.
fn sweeping() -> Setup {
    eager().with(&["--retention-check-interval", "50ms"])
}

/// A stopped server with one row two hours old and one of half an hour, each in its file.
fn two_files(setup: &Setup) {
    let server = setup.start();
    for (age, n) in [(120, 1), (30, 2)] {
        server.client.must_write(DB, &format!("m,k=v n={n}i {}", ago_ns(age * MINUTE)));
    }
    persist_everything(&server.client);
    assert_eq!(files(&server.client, DB).len(), 2);
    assert_eq!(objects(setup, "dbs/1").len(), 2);
    server.stopped();
}

fn rows(client: &Client) -> serde_json::Value {
    client.rows(DB, "SELECT n FROM m ORDER BY n")
}

#[test]
fn rows_past_retention_vanish_at_once_and_their_files_later() {
    let setup = sweeping();
    two_files(&setup);
    let server = planted(&setup, NO_GRACE).start();
    assert_eq!(rows(&server.client), json!([{"n": 1}, {"n": 2}]));
    set_retention(&server.client, "1h");
    assert_eq!(rows(&server.client), json!([{"n": 2}]));
    eventually("the file is gone", || (objects(&setup, "dbs/1").len() == 1).then_some(()));
    assert_eq!(files(&server.client, DB).len(), 1);
    set_retention(&server.client, "3h");
    assert_eq!(rows(&server.client), json!([{"n": 2}]), "what was deleted stays so");
    assert_eq!(rows(&server.killed_and_restarted().client), json!([{"n": 2}]));
}

#[test]
fn files_of_a_table_go_by_its_own_retention_period() {
    let setup = sweeping();
    two_files(&setup);
    let server = planted(&setup, NO_GRACE).start();
    let path = "/api/v3/enterprise/configure/table/retention_period";
    let own = |duration| {
        let parameters = [("db", DB), ("table", "m"), ("duration", duration)];
        assert_eq!(server.client.post(&with_query(path, &parameters), "").status, 204);
    };
    own("9h");
    set_retention(&server.client, "1h");
    assert_eq!(rows(&server.client), json!([{"n": 1}, {"n": 2}]), "the database does not count");
    own("70m");
    assert_eq!(rows(&server.client), json!([{"n": 2}]));
    eventually("the file is gone", || (objects(&setup, "dbs/1").len() == 1).then_some(()));
}

#[test]
fn objects_stay_for_queries_that_had_begun() {
    let setup = sweeping();
    two_files(&setup);
    let server = setup.start();
    set_retention(&server.client, "1h");
    eventually("the file is removed", || (files(&server.client, DB).len() == 1).then_some(()));
    assert_eq!(objects(&setup, "dbs/1").len(), 2);
}

/// Its files are no longer known when it comes to them.
#[test]
fn a_query_under_way_ends_as_it_began_while_its_files_are_removed() {
    let setup = sweeping();
    let server = setup.start();
    let text = "x".repeat(2_000);
    for minute in 0..20 {
        let begin = ago_ns((150 - minute) * MINUTE);
        let lines = (0..400).map(|n| format!("m,k=v n=1i,s=\"{text}\" {}", begin + n));
        server.client.must_write(DB, &lines.collect::<Vec<_>>().join("\n"));
    }
    persist_everything(&server.client);
    let known = || files(&server.client, DB).len();
    assert!(known() >= 20);
    let path = with_query("/api/v3/query_sql", &[("db", DB), ("q", "SELECT * FROM m")]);
    let url = format!("{}{path}", server.client.base());
    let mut answer = RUNTIME.block_on(reqwest::Client::new().get(url).send()).expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut next = || RUNTIME.block_on(answer.chunk()).expect("no error before the end");
    let mut bytes = next().expect("rows").to_vec();
    set_retention(&server.client, "1h");
    eventually("no file is known", || (known() == 0).then_some(()));
    assert_eq!(rows(&server.client), json!([]));
    while let Some(more) = next() {
        bytes.extend_from_slice(&more);
    }
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&bytes).expect("a whole answer");
    assert_eq!(rows.len(), 20 * 400);
}

#[test]
fn row_17_the_index_forgot_a_file_and_its_object_is_there() {
    let setup = sweeping();
    two_files(&setup);
    let mut server = planted(&setup, "retention-after-index=abort").start();
    set_retention(&server.client, "1h");
    assert!(!server.wait().success());
    assert_eq!(objects(&setup, "dbs/1").len(), 2);
    let server = planted(&setup, NO_GRACE).start();
    set_retention(&server.client, "3h");
    assert_eq!(rows(&server.client), json!([{"n": 2}]));
    assert_eq!(files(&server.client, DB).len(), 1);
    eventually("the object is gone", || (objects(&setup, "dbs/1").len() == 1).then_some(()));
    persist_everything(&server.client);
    assert_eq!(rows(&server.killed_and_restarted().client), json!([{"n": 2}]));
}

#[test]
fn row_18_an_object_is_gone_and_its_file_is_known() {
    let setup = eager();
    two_files(&setup);
    let server = setup.start();
    set_retention(&server.client, "1h");
    let setup = server.stopped();
    let oldest = objects(&setup, "dbs/1").remove(0);
    fs::remove_file(setup.data_dir().join(NODE).join("dbs/1").join(oldest)).expect("removed");
    let server = setup.start();
    for _ in 0..3 {
        assert_eq!(rows(&server.client), json!([{"n": 2}]));
        assert_eq!(server.client.count(DB, "m"), 1);
    }
    persist_everything(&server.client);
    assert_eq!(rows(&server.client), json!([{"n": 2}]));
    assert_eq!(rows(&server.killed_and_restarted().client), json!([{"n": 2}]));
}

/// Files of the database that is deleted: more than are deleted at the same time.
const FILES: i64 = 40;

/// A server with rows of the database in files and in the buffer.
fn to_be_deleted(setup: &Setup) -> Server {
    let server = setup.start();
    let line = |minute: i64| format!("m,k=v n=1i {}", minute * 60_000_000_000);
    server.client.must_write(DB, &(0..FILES).map(line).collect::<Vec<_>>().join("\n"));
    persist_everything(&server.client);
    assert_eq!(files(&server.client, DB).len() as i64, FILES);
    server.client.must_write(DB, "m,k=v n=1i 9000000000000");
    server
}

fn delete_database(client: &Client) {
    let path = with_query("/api/v3/configure/database", &[("db", DB), ("hard_delete_at", "now")]);
    let answer = client.delete(&path);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn has_only_the_new_row(server: &Server) {
    assert_eq!(server.client.rows(DB, "SELECT n FROM m"), json!([{"n": 7}]));
}

#[test]
fn a_new_database_never_has_rows_of_a_deleted_one() {
    let setup = eager();
    let server = to_be_deleted(&planted(&setup, NO_GRACE));
    delete_database(&server.client);
    server.client.must_write(DB, "m,k=v n=7i 60000000000");
    has_only_the_new_row(&server);
    let deleted = server.client.databases().into_iter().find(|name| name.starts_with("d-"));
    if let Some(deleted) = deleted {
        let answer = server.client.write(&deleted, "m,k=v n=1i 1");
        let text = "cannot write to soft-deleted database";
        assert!(answer.status >= 400 && answer.text().contains(text), "{}", answer.text());
    }
    eventually("the objects are gone", || objects(&setup, "dbs/1").is_empty().then_some(()));
    has_only_the_new_row(&server);
    let mut server = server;
    server.kill();
    let server = setup.start();
    has_only_the_new_row(&server);
    persist_everything(&server.client);
    has_only_the_new_row(&server);
    has_only_the_new_row(&server.killed_and_restarted());
}

#[test]
fn row_19_a_deletion_that_was_cut_short_goes_on() {
    let setup = eager();
    let points = format!("{NO_GRACE};hard-delete-mid=abort");
    let mut server = to_be_deleted(&planted(&setup, &points));
    delete_database(&server.client);
    assert!(!server.wait().success(), "{}", server.log());
    let left = objects(&setup, "dbs/1").len() as i64;
    assert!(0 < left && left < FILES, "{left} of {FILES} are left");
    let server = planted(&setup, NO_GRACE).start();
    assert_eq!(server.client.count(DB, "m"), 0);
    server.client.must_write(DB, "m,k=v n=7i 60000000000");
    has_only_the_new_row(&server);
    eventually("the objects are gone", || objects(&setup, "dbs/1").is_empty().then_some(()));
    has_only_the_new_row(&server.killed_and_restarted());
}

#[test]
fn a_deleted_table_leaves_the_store_and_not_its_neighbours() {
    let setup = eager();
    let server = planted(&setup, NO_GRACE).start();
    server.client.must_write(DB, "m,k=v n=1i 1\nkept,k=v n=2i 1");
    persist_everything(&server.client);
    let path = "/api/v3/configure/table?db=d&table=m&hard_delete_at=now";
    assert_eq!(server.client.delete(path).status, 200);
    eventually("the object is gone", || (objects(&setup, "dbs/1").len() == 1).then_some(()));
    server.client.must_write(DB, "m,k=v n=7i 1");
    has_only_the_new_row(&server);
    let kept = |server: &Server| {
        assert_eq!(server.client.rows(DB, "SELECT n FROM kept"), json!([{"n": 2}]));
    };
    kept(&server);
    let server = server.killed_and_restarted();
    has_only_the_new_row(&server);
    kept(&server);
}
