//! Stores that fail for a while, and the orderly end in the middle of a snapshot.

use super::model::{DB, Model, Progress};
use super::stage::{failing, files, objects, planted, release, small};
use crate::support::client::with_query;
use crate::support::eventually;
use crate::support::server::{BINARY, NODE, Server, Setup};
use std::fs;
use std::process::Command;

/// Stopped, with rows in files and in the log.
fn prefilled() -> (Setup, Model) {
    let server = small().start();
    let mut model = Model::default();
    model.take_snapshots(&server.client, 1);
    model.steps(&server.client, 1);
    (server.stopped(), model)
}

/// The first write fails for good, after which the store works again.
fn failing_for_ten_seconds(point: &str) {
    let (setup, mut model) = prefilled();
    // No snapshot falls due meanwhile: its mark would fail in the place of the write.
    let rarely = failing(&setup, point).without("--wal-snapshot-size").without("4");
    let server = rarely.with(&["--wal-snapshot-size", "1000"]).start();
    let client = server.client.clone();
    let path = with_query("/api/v3/write_lp", &[("db", DB), ("precision", "ns")]);
    let refused = std::thread::spawn(move || client.post(&path, "m,k=v n=1i 1\nm,k=w n=1i 1"));
    while !refused.is_finished() {
        model.check(&server.client);
    }
    let refused = refused.join().expect("an answer");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert!(refused.text().contains("error writing wal file: "), "{}", refused.text());
    assert_eq!(server.client.count(DB, "m"), 0, "nobody sees what was not stored");
    release(&setup);
    model.steps(&server.client, 1);
    model.check(&server.client);
    let whole_or_nothing = |server: &Server| {
        let found = server.client.count(DB, "m");
        assert!(
            found == 0 || (found == 2 && refused.text().contains("outcome unknown")),
            "{found}"
        );
        found
    };
    drop(server);
    let server = setup.start();
    model.check(&server.client);
    let found = whole_or_nothing(&server);
    model.take_snapshots(&server.client, 2);
    model.check(&server.client);
    let server = server.killed_and_restarted();
    model.check(&server.client);
    assert_eq!(whole_or_nothing(&server), found, "what was seen once stays");
}

#[test]
fn row_8_and_24_writes_are_refused_and_go_on_later() {
    failing_for_ten_seconds("wal-put");
}

#[test]
fn row_8_a_write_that_failed_although_it_was_stored() {
    failing_for_ten_seconds("wal-put-ambiguous");
}

#[test]
fn row_25_files_that_cannot_be_stored_stay_in_memory() {
    let setup = small();
    let server = setup.start();
    // Nothing can be put below what is not a folder.
    let dbs = setup.data_dir().join(NODE).join("dbs");
    fs::write(&dbs, "").expect("a file");
    let mut model = Model::default();
    eventually("an upload fails", || {
        model.steps(&server.client, 1);
        server.client.metric("persist_upload_errors_total", &[]).filter(|n| *n >= 1.0)
    });
    model.steps(&server.client, 10);
    model.check(&server.client);
    let progress = Progress::of(&server.client).expect("alive");
    assert!(progress.snapshots < 1.0 && progress.periods >= 12.0, "{progress:?}");
    assert_eq!(server.log().matches("snapshot begins").count(), 1, "they do not stack");
    fs::remove_file(&dbs).expect("removed");
    eventually("the snapshot is taken", || {
        (Progress::of(&server.client)?.snapshots >= 1.0).then_some(())
    });
    model.take_snapshots(&server.client, 1);
    model.check(&server.client);
    assert!(!files(&server.client, DB).is_empty());
    model.check(&server.killed_and_restarted().client);
}

#[test]
fn row_25_killed_while_files_cannot_be_stored() {
    let setup = small();
    let mut model = Model::default();
    let server = planted(&setup, "snap-parquet-put=error(1000000)").start();
    eventually("an upload fails", || {
        model.steps(&server.client, 1);
        server.client.metric("persist_upload_errors_total", &[]).filter(|n| *n >= 1.0)
    });
    model.steps(&server.client, 3);
    let mut server = server;
    server.kill();
    let server = setup.start();
    model.check(&server.client);
    model.take_snapshots(&server.client, 2);
    model.check(&server.client);
    model.check(&server.killed_and_restarted().client);
}

#[test]
fn row_26_a_full_disk() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/disk_full.py");
    let output = Command::new("python3").args([script, BINARY, "--rounds", "2"]).output();
    let output = output.expect("python3 is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn row_28_a_snapshot_under_way_is_finished_before_the_end() {
    let setup = small();
    let mut server = planted(&setup, "snap-parquet-put=sleep(200)").start();
    let mut model = Model::default();
    eventually("a snapshot begins", || {
        model.steps(&server.client, 1);
        server.log().contains("snapshot begins").then_some(())
    });
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert_eq!(objects(&setup, "snapshots").len(), 1, "{}", server.log());
    let server = setup.start();
    model.check(&server.client);
    model.take_snapshots(&server.client, 1);
    model.check(&server.client);
}

#[test]
fn a_folder_that_cannot_be_written_stops_the_start() {
    let setup = Setup::of(&["serve", "--node-id", NODE, "--object-store", "file"]);
    // Nobody can make folders here, not even root.
    let (status, log) = setup.with(&["--data-dir", "/proc/influxdb3"]).start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Serve command failed: cannot use /proc/influxdb3"), "{log}");
}
