//! A store that a release wrote which knew nothing of the order of writes: it opens, and goes on in
//! the formats of today.
//!
//! `store_v1` is what that release left when it was killed. Of table `m` in database `d` there are
//! two files of one minute, the later of which has a newer value of the series `a`, and rows in the
//! log alone, one of which has a newer value of the series `b`.

use super::compaction::compact;
use super::stage::{eager, files, object, objects, persist_everything};
use crate::support::client::Client;
use crate::support::server::Setup;
use serde_json::json;
use std::fs;
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a copy");
        }
    }
}

fn older_store() -> Setup {
    let setup = eager();
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/store_v1");
    copy(&stored, &setup.data_dir());
    setup
}

#[track_caller]
fn check_rows(client: &Client, newest_of_a: f64) {
    let rows = client.rows("d", "SELECT t, f, g FROM m ORDER BY time, t");
    let expected = json!([
        {"t": "a", "f": newest_of_a, "g": 10.0},
        {"t": "a", "f": 4.0},
        {"t": "b", "f": 2.0, "g": 20.0},
        {"t": "c", "f": 5.0},
    ]);
    assert_eq!(rows, expected);
    assert_eq!(client.count("d", "later"), 12);
}

#[test]
fn an_upgrade_that_is_cut_off_is_taken_up_again() {
    let setup = older_store();
    for _ in 0..2 {
        let mut server = setup.start();
        server.kill();
    }
    let server = setup.start();
    check_rows(&server.client, 3.0);
    server.client.must_write("d", "m,t=a f=6 1700000000000000000");
    check_rows(&server.client, 6.0);
}

/// The version that a segment or base of the index has in its header.
fn version(setup: &Setup, name: &str) -> u8 {
    fs::read(object(setup, "index/v1", name)).expect("an object")[8]
}

#[test]
fn a_store_of_the_release_before_the_order_of_writes_opens_and_goes_on() {
    let setup = older_store();
    let mut server = setup.start();
    check_rows(&server.client, 3.0);
    let count = files(&server.client, "d").len();
    assert!(count >= 13, "{count}");
    // A third file of the minute that has two: its rows are newer than those of both.
    server.client.must_write("d", "m,t=a f=6 1700000000000000000");
    check_rows(&server.client, 6.0);
    persist_everything(&server.client);
    check_rows(&server.client, 6.0);
    assert!(files(&server.client, "d").len() > count);
    server.kill();

    let names = objects(&setup, "index/v1");
    let versions: Vec<u8> = names.iter().map(|name| version(&setup, name)).collect();
    assert_eq!((versions.first(), versions.last()), (Some(&1), Some(&4)), "{names:?}");
    let newest = objects(&setup, "wal").pop().expect("a file of the log");
    let newest = fs::read(object(&setup, "wal", &newest)).expect("an object");
    assert!(newest.starts_with(b"ix3.wal3"));

    let server = setup.start();
    check_rows(&server.client, 6.0);
    // Files of that time have a place in the order of writes, too.
    compact(&server);
    assert!(files(&server.client, "d").len() < count);
    check_rows(&server.client, 6.0);
}
