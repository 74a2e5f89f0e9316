//! The process ends at a planted point; the next one has every acknowledged row, once, and goes on.

use super::model::{DB, Model};
use super::stage::{objects, paused, planted, release, small, unrelease, wal_is_cleaned};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::json;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;

const SIGABRT: i32 = 6;

/// Writes until the planted end.
fn write_until_abort(setup: &Setup, point: &str, model: &mut Model) {
    let mut server = planted(setup, &format!("{point}=abort")).start();
    eventually("the server ends", || (!model.step(&server.client)).then_some(()));
    assert_eq!(server.wait().signal(), Some(SIGABRT), "{point}: {}", server.log());
}

/// The next process has the rows; with further snapshots and in the process after it, too.
fn carry_on(setup: &Setup, model: &mut Model, look: impl FnOnce(&Server)) {
    let server = setup.start();
    model.check(&server.client);
    look(&server);
    model.resend(&server.client);
    model.check(&server.client);
    model.take_snapshots(&server.client, 2);
    model.check(&server.client);
    let server = server.killed_and_restarted();
    model.check(&server.client);
    model.steps(&server.client, 1);
    let server = server.stopped().start();
    model.check(&server.client);
}

fn crash_at(point: &str, look: impl FnOnce(&Server)) {
    let setup = small();
    let mut model = Model::default();
    write_until_abort(&setup, point, &mut model);
    carry_on(&setup, &mut model, look);
}

/// A stopped server that has rows in files and in the log.
fn prefilled() -> (Setup, Model) {
    let server = small().start();
    let mut model = Model::default();
    model.take_snapshots(&server.client, 1);
    model.steps(&server.client, 1);
    (server.stopped(), model)
}

/// The same, ending at the first write that the server takes after that.
fn crash_later_at(point: &str, look: impl FnOnce(&Server)) {
    let (setup, mut model) = prefilled();
    write_until_abort(&setup, point, &mut model);
    carry_on(&setup, &mut model, look);
}

#[test]
fn row_1_a_request_that_never_ended_leaves_no_trace() {
    let (setup, mut model) = prefilled();
    let mut server = setup.start();
    let address = server.client.base().trim_start_matches("http://").to_owned();
    let mut connection = std::net::TcpStream::connect(address).expect("a connection");
    let head = "POST /api/v3/write_lp?db=half HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    connection.write_all(format!("{head}m,k=v f=1 1\n").as_bytes()).expect("sent");
    // A whole request on another connection comes after it.
    model.steps(&server.client, 1);
    server.kill();
    let catalog = objects(&setup, "catalog");
    let server = setup.start();
    assert_eq!(server.client.databases(), ["_internal", DB], "{catalog:?}");
    drop(server);
    carry_on(&setup, &mut model, |_| ());
}

/// Stops at the put of a catalog record, which is stored by then, and kills the process there.
fn kill_after_catalog_put(setup: &Setup, request: impl FnOnce(&Client) + Send + 'static) {
    release(setup);
    let mut server = paused(setup, "catalog-after-put").start();
    unrelease(setup);
    let records = objects(setup, "catalog").len();
    let client = server.client.clone();
    let sender = std::thread::spawn(move || request(&client));
    eventually("a record is stored", || (objects(setup, "catalog").len() > records).then_some(()));
    server.kill();
    sender.join().expect("the request failed as expected");
}

#[test]
fn row_2_a_table_without_rows() {
    let (setup, mut model) = prefilled();
    kill_after_catalog_put(&setup, |client| {
        let sent = client.try_send("POST", "/api/v3/write_lp?db=d", &[], b"new,k=v f=1 1".to_vec());
        assert!(sent.is_err(), "the client saw a broken connection");
    });
    carry_on(&setup, &mut model, |server| {
        assert_eq!(server.client.count(DB, "new"), 0);
        server.client.must_write(DB, "new,k=v f=1 1");
        assert_eq!(server.client.count(DB, "new"), 1);
    });
}

#[test]
fn row_3_rows_that_were_only_buffered_are_gone() {
    crash_later_at("wal-before-put", |server| {
        let found = server.client.count(DB, "a");
        assert_eq!(server.client.count(DB, "b"), found, "both of a request or none");
    });
}

#[test]
fn row_4_a_put_with_unknown_outcome_is_whole_or_nothing() {
    crash_later_at("wal-put-ambiguous", |_| ());
}

#[test]
fn row_4_a_group_that_was_written_twice_counts_once() {
    let (setup, mut model) = prefilled();
    let server = planted(&setup, "wal-put-ambiguous=error(2)").start();
    model.steps(&server.client, 1);
    model.check(&server.client);
    drop(server);
    carry_on(&setup, &mut model, |_| ());
}

#[test]
fn row_5_stored_but_not_yet_visible() {
    crash_later_at("wal-after-put", |server| {
        assert!(server.client.metric("wal_damaged_files_total", &[]).unwrap_or(0.0) < 1.0);
    });
}

#[test]
fn row_6_visible_but_not_yet_acknowledged() {
    crash_later_at("wal-before-ack", |_| ());
}

/// The files that the first snapshot of a [`Model`] writes: of the first four steps.
const FIRST_FILES: [&str; 4] = [
    "1/0/1970-01-01/00-00/0000000004.parquet",
    "1/0/1970-01-01/00-01/0000000004.parquet",
    "1/1/1970-01-01/00-00/0000000004.parquet",
    "1/1/1970-01-01/00-01/0000000004.parquet",
];
const FIRST_MANIFEST: &str = "18446744073709551614.info.json";

/// The snapshot that was cut short is taken again by the next process: the same number, the same
/// files, and none besides. A later one may follow at once.
fn first_snapshot_is_repeated(server: &Server) {
    eventually("the snapshot is taken again", || {
        let manifests = objects(&server.setup, "snapshots");
        manifests.iter().any(|manifest| manifest == FIRST_MANIFEST).then_some(())
    });
    let mut files = objects(&server.setup, "dbs");
    // The name is the number of the newest WAL file in it.
    files.retain(|file| file.rsplit('/').next().is_some_and(|name| name <= "0000000004.parquet"));
    assert_eq!(files, FIRST_FILES);
    let manifest = super::stage::object(&server.setup, "snapshots", FIRST_MANIFEST);
    let manifest = std::fs::read(manifest).expect("readable");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["snapshot_sequence_number"], 1);
    assert_eq!(manifest["wal_file_sequence_number"], 4);
    wal_is_cleaned(server, "00000000005.wal");
}

#[test]
fn row_9_the_mark_is_stored_and_no_file() {
    crash_at("snap-after-marker", first_snapshot_is_repeated);
}

#[test]
fn row_10_some_files_are_stored() {
    crash_at("snap-after-first-parquet", first_snapshot_is_repeated);
}

#[test]
fn row_11_all_files_are_stored_and_the_index_does_not_know() {
    crash_at("snap-after-all-parquet", first_snapshot_is_repeated);
}

#[test]
fn row_12_the_manifest_is_stored_and_the_wal_not_cleaned() {
    crash_at("snap-after-manifest", first_snapshot_is_repeated);
}

#[test]
fn row_13_the_wal_is_half_cleaned() {
    // The cleaning comes some time after the snapshot, when there may be a second one already.
    crash_at("snap-mid-wal-delete", |_| ());
}

#[test]
fn the_same_snapshot_is_cut_short_again_and_again() {
    let setup = small();
    let mut model = Model::default();
    write_until_abort(&setup, "snap-after-marker", &mut model);
    for point in ["snap-after-first-parquet", "snap-after-all-parquet", "snap-after-manifest"] {
        // The snapshot is repeated right after the replay, maybe before the server listens.
        let (status, log) = planted(&setup, &format!("{point}=abort")).start_refused();
        assert_eq!(status.signal(), Some(SIGABRT), "{point}: {log}");
    }
    carry_on(&setup, &mut model, first_snapshot_is_repeated);
}

#[test]
fn row_15_a_change_of_the_catalog_that_nobody_was_told_of() {
    let (setup, mut model) = prefilled();
    let create = |client: &Client| {
        let body = json!({"db": "created"}).to_string().into_bytes();
        let json = [("content-type", "application/json")];
        client.try_send("POST", "/api/v3/configure/database", &json, body)
    };
    kill_after_catalog_put(&setup, move |client| assert!(create(client).is_err()));
    carry_on(&setup, &mut model, |server| {
        assert_eq!(server.client.databases(), ["_internal", "created", DB]);
        let again = create(&server.client).expect("an answer");
        assert_eq!(again.status, 409, "{}", again.text());
    });
}

#[test]
fn row_16_during_a_checkpoint_of_the_catalog() {
    let setup = small();
    let mut server = planted(&setup, "catalog-checkpoint-mid=abort").start();
    let mut model = Model::default();
    model.steps(&server.client, 2);
    let mut acknowledged = 0;
    eventually("the server ends", || {
        let line = format!("t{acknowledged},k=v f=1 1");
        let sent =
            server.client.try_send("POST", "/api/v3/write_lp?db=many", &[], line.into_bytes());
        let done = !sent.is_ok_and(|answer| answer.status == 204);
        acknowledged += u32::from(!done);
        done.then_some(())
    });
    assert_eq!(server.wait().signal(), Some(SIGABRT), "{}", server.log());
    let has_all = |server: &Server| {
        let sql = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'iox'";
        let tables = server.client.value("many", sql).as_u64().expect("a count");
        assert!([acknowledged, acknowledged + 1].contains(&(tables as u32)), "{tables}");
        assert_eq!(server.client.count("many", &format!("t{}", acknowledged - 1)), 1);
    };
    carry_on(&setup, &mut model, |server| {
        has_all(server);
        server.client.must_write("many", "one_more f=1 1\nanother f=1 1");
    });
    assert!(objects(&setup, "catalog").iter().any(|name| name.ends_with(".checkpoint")));
}
