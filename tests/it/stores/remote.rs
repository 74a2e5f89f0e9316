//! What has to hold on each store behind a network.

use super::emulator::{AZURE, Bucket, Emulator, GOOGLE, S3};
use crate::support::eventually;
use crate::support::server::{NODE, Server};
use std::fmt::Write;

/// Exit code of a process that was fenced.
const EXIT_FENCED: i32 = 70;
/// Minutes over which rows are spread, so that a snapshot writes several files.
const MINUTES: i64 = 4;

/// Runs one test on every store.
macro_rules! on_each_store {
    ($($test:ident),* $(,)?) => {
        mod s3 { $(#[test] fn $test() { super::$test(&super::S3); })* }
        mod google { $(#[test] fn $test() { super::$test(&super::GOOGLE); })* }
        mod azure { $(#[test] fn $test() { super::$test(&super::AZURE); })* }
    };
}

on_each_store!(
    acknowledged_rows_stay,
    the_newer_process_wins,
    a_bucket_that_is_not_there_stops_the_start,
    a_store_that_is_not_there_stops_the_start,
    snapshots_are_written_and_read,
);

fn acknowledged_rows_stay(store: &'static Emulator) {
    let bucket = store.bucket();
    let server = bucket.setup().start();
    server.client.must_write("d", "m,t=a f=1 1\nm,t=b f=2 2");
    assert_eq!(server.client.count("d", "m"), 2, "what was acknowledged can be read");
    let server = server.killed_and_restarted();
    assert_eq!(server.client.count("d", "m"), 2, "after SIGKILL");
    server.client.must_write("d", "m,t=c f=3 3");
    let server = server.stopped().start();
    assert_eq!(server.client.count("d", "m"), 3, "after SIGTERM");
    let keys = bucket.keys("");
    let prefix = format!("{NODE}/");
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with(&prefix)), "{keys:?}");
    let wal = format!("{NODE}/wal/");
    assert!(keys.iter().any(|key| key.starts_with(&wal)), "{keys:?}");
    assert!(keys.iter().all(|key| !key.contains("probe")), "the probe is removed: {keys:?}");
}

fn the_newer_process_wins(store: &'static Emulator) {
    let bucket = store.bucket();
    let mut first = bucket.setup().start();
    first.client.must_write("d", "m,by=first f=1 1");
    let second = first.setup.start();
    let refused = first.client.try_send("POST", "/write?db=d", &[], b"m,by=late f=1 1".to_vec());
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status >= 500));
    assert_eq!(first.wait().code(), Some(EXIT_FENCED), "{}", first.log());
    second.client.must_write("d", "m,by=second f=1 1");
    let mine = "SELECT count(*) FROM m WHERE by IN ('first', 'second')";
    assert_eq!(second.client.value("d", mine), 2);
    assert_eq!(second.killed_and_restarted().client.value("d", mine), 2);
}

fn a_bucket_that_is_not_there_stops_the_start(store: &'static Emulator) {
    let bucket = store.bucket();
    let setup = bucket.setup_with("bucket-of-nobody", &store.address, &store.secret);
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    for text in ["Serve command failed: cannot use ", "'bucket-of-nobody'", "does not exist"] {
        assert!(log.contains(text), "{text}: {log}");
    }
}

fn a_store_that_is_not_there_stops_the_start(store: &'static Emulator) {
    let bucket = store.bucket();
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let address = format!("http://{}", nobody.expect("an address"));
    let (status, log) = bucket.setup_with(&bucket.name, &address, &store.secret).start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    for text in ["Serve command failed: cannot use ", &bucket.name, "Connection refused"] {
        assert!(log.contains(text), "{text}: {log}");
    }
}

/// Writes one row a minute and series.
fn write(server: &Server, round: i64) {
    let mut lines = String::new();
    for minute in 0..MINUTES {
        for series in 0..5 {
            let time_ns = (minute * 60 + round) * 1_000_000_000;
            writeln!(lines, "m,s={series} round={round}i,minute={minute}i {time_ns}")
                .expect("text");
        }
    }
    server.client.must_write("d", &lines);
}

fn parquet_files(bucket: &Bucket) -> usize {
    let keys = bucket.keys(&format!("{NODE}/dbs/"));
    keys.iter().filter(|key| key.ends_with(".parquet")).count()
}

fn snapshots_are_written_and_read(store: &'static Emulator) {
    let bucket = store.bucket();
    let setup = bucket.setup().with(&["--wal-snapshot-size", "1", "--gen1-duration", "1m"]);
    let server = setup.with(&["--wal-flush-interval", "50ms"]).start();
    let mut rounds = 0;
    eventually("a snapshot has written files", || {
        write(&server, rounds);
        rounds += 1;
        (parquet_files(&bucket) >= 2).then_some(())
    });
    let check = |server: &Server| {
        let rows = server.client.count("d", "m");
        assert_eq!(rows, rounds.unsigned_abs() * MINUTES.unsigned_abs() * 5);
        let sum = server.client.value("d", "SELECT sum(round) FROM m WHERE s = '3'");
        assert_eq!(sum, rounds * (rounds - 1) / 2 * MINUTES);
    };
    check(&server);
    let server = server.killed_and_restarted();
    check(&server);
    let server = server.stopped().start();
    check(&server);
    let files = server
        .client
        .value("d", "SELECT count(*) FROM system.parquet_files WHERE table_name = 'm'");
    assert!(files.as_u64() >= Some(2), "{files}");
}
