//! Two processes under one node id while snapshots are taken, and copies of a running server.

use super::model::{DB, Model};
use super::stage::{SMALL, eager, files, objects, paused, release, small};
use crate::support::eventually;
use crate::support::server::{NODE, Setup};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Exit code of a process that was fenced.
const EXIT_FENCED: i32 = 70;
/// How long a snapshot is waited for that may not come.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_millis(250);

/// One process stands still at `point`; a second one takes over, goes on and takes snapshots; then
/// the first wakes up.
fn overtaken_at(point: &str) {
    let setup = small();
    let mut model = Model::default();
    let mut first = paused(&setup, point).start();
    model.steps(&first.client, 6);
    let second = setup.start();
    model.check(&second.client);
    model.take_snapshots(&second.client, 2);
    model.check(&second.client);
    release(&setup);
    // It may notice by itself, at its next step of the snapshot; at the latest at its next write.
    eventually("the first one ends", || {
        let sent = first.client.try_send("POST", "/write?db=d", &[], b"late,k=v f=1 1".to_vec());
        assert!(sent.as_ref().map_or(true, |answer| answer.status >= 500), "{sent:?}");
        sent.is_err().then_some(())
    });
    assert_eq!(first.wait().code(), Some(EXIT_FENCED), "{}", first.log());
    model.check(&second.client);
    model.take_snapshots(&second.client, 1);
    model.check(&second.client);
    let second = second.killed_and_restarted();
    model.check(&second.client);
    assert_eq!(second.client.count(DB, "late"), 0);
}

#[test]
fn row_23_overtaken_between_two_files() {
    overtaken_at("snap-after-first-parquet");
}

#[test]
fn row_23_overtaken_before_the_index() {
    overtaken_at("snap-after-all-parquet");
}

#[test]
fn row_23_overtaken_after_the_manifest() {
    overtaken_at("snap-after-manifest");
}

#[test]
fn row_23_overtaken_while_the_wal_is_cleaned() {
    overtaken_at("snap-mid-wal-delete");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), &target) {
            // A temporary file of the server, for example.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{target:?}");
        }
    }
}

#[test]
fn a_copy_of_the_files_of_a_running_server_starts() {
    let setup = Setup::disk().with(&SMALL[..4]).with(&SMALL[8..]);
    let server = setup.start();
    let mut model = Model::default();
    model.take_snapshots(&server.client, 2);
    let acknowledged = model.clone();
    let client = server.client.clone();
    let writer = std::thread::spawn(move || model.take_snapshots(&client, 3));
    let from = setup.data_dir().join(NODE);
    let copied = small();
    let to = copied.data_dir().join(NODE);
    let mut copies = 0;
    while !writer.is_finished() || copies == 0 {
        fs::remove_dir_all(&to).ok();
        // What names other objects before what it names.
        for folder in ["snapshots", "index", "dbs", "wal", "catalog"] {
            copy(&from.join(folder), &to.join(folder));
        }
        copies += 1;
    }
    writer.join().expect("snapshots went on");
    let copy = copied.start();
    // Later rows may be there as well, whole requests in their order.
    let known = acknowledged.found_at_least(&copy.client);
    assert!(known, "rows that were acknowledged before the copy are missing from it");
    assert!(!files(&copy.client, DB).is_empty());
}

/// More snapshots than an index has steps between two bases, and a crash while one is written.
#[test]
fn row_14_a_long_history_is_whole_after_each_restart() {
    let mut setup = eager();
    setup = setup.without("50ms").without("--wal-flush-interval");
    setup = setup.with(&["--wal-flush-interval", "10ms"]);
    let mut server = super::stage::planted(&setup, "index-base-mid=abort").start();
    let mut rows = 0_u64;
    let write = |client: &crate::support::client::Client, n: u64| {
        let line = format!("m,k=v n={n}i {}", n * 60_000_000_000);
        let sent = client.try_send("POST", "/api/v3/write_lp?db=d&precision=ns", &[], line.into());
        sent.is_ok_and(|answer| answer.status == 204)
    };
    let manifests = || objects(&setup, "snapshots").len();
    // On a busy machine many writes would share a snapshot.
    let await_snapshot = |before: usize| {
        let until = Instant::now() + SNAPSHOT_TIME_MAX;
        while manifests() <= before && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    eventually("a base of the index is written", || {
        let before = manifests();
        let done = !write(&server.client, rows);
        rows += u64::from(!done);
        await_snapshot(before);
        done.then_some(())
    });
    assert!(!server.wait().success());
    let check = |server: &crate::support::server::Server, rows: u64| {
        let found = server.client.count(DB, "m");
        assert!((rows..=rows + 1).contains(&found), "{found} of {rows}");
        let oldest = "SELECT n FROM m WHERE time < '1970-01-01T00:01:00Z'";
        assert_eq!(server.client.rows(DB, oldest), serde_json::json!([{"n": 0}]));
    };
    assert!(objects(&setup, "index/v1").iter().any(|name| name.ends_with(".base")));
    let server = setup.start();
    check(&server, rows);
    let segments =
        || objects(&setup, "index/v1").iter().filter(|n| n.ends_with(".segment")).count();
    let many = segments();
    eventually("two more bases, and what they replace is removed", || {
        let before = manifests();
        assert!(write(&server.client, rows));
        rows += 1;
        await_snapshot(before);
        let bases = objects(&setup, "index/v1").iter().filter(|n| n.ends_with(".base")).count();
        (bases == 2 && segments() < many && manifests() > 200).then_some(())
    });
    let server = server.killed_and_restarted();
    check(&server, rows);
}
