//! When a snapshot is taken and what it takes.

use super::model::{DB, Model, Progress};
use super::stage::{
    eager, files, object, objects, persist_everything, planted, small, wal_is_cleaned,
};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::json;
use std::fmt::Write;
use std::fs;

/// Writes a line and waits until the WAL period ends that it is in.
fn write(client: &Client, line: &str) {
    let before = Progress::of(client).expect("the server lives");
    client.must_write(DB, line);
    assert!(before.period_is_over(client));
}

fn at_minute(minute: i64, second: i64) -> String {
    format!("m,k=v n=1i {}", (minute * 60 + second) * 1_000_000_000)
}

#[test]
fn five_periods_are_too_few_and_of_six_four_are_taken() {
    let server = small().start();
    for (minute, second) in [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1)] {
        write(&server.client, &at_minute(minute, second));
    }
    assert_eq!(Progress::of(&server.client).expect("alive").periods, 5.0);
    assert_eq!(objects(&server.setup, "dbs"), [""; 0]);
    assert_eq!(objects(&server.setup, "snapshots"), [""; 0]);
    write(&server.client, &at_minute(1, 2));
    eventually("a snapshot", || (objects(&server.setup, "snapshots").len() == 1).then_some(()));
    wal_is_cleaned(&server, "00000000005.wal");
    assert_eq!(objects(&server.setup, "dbs"), ["1/0/1970-01-01/00-00/0000000004.parquet"]);
    assert_eq!(objects(&server.setup, "wal")[..2], ["00000000005.wal", "00000000006.wal"]);
    assert_eq!(server.client.count(DB, "m"), 6);
    let sql = "SELECT row_count, min_time, max_time FROM system.parquet_files";
    let rows = server.client.rows(DB, sql);
    let second = 1_000_000_000_i64;
    assert_eq!(rows, json!([{"row_count": 4, "min_time": second, "max_time": 4 * second}]));
    let buffered: f64 = server.client.metric("store_buffer_bytes", &[]).expect("a gauge");
    assert!(buffered > 0.0, "the later chunk is still in memory");
    assert_eq!(server.killed_and_restarted().client.count(DB, "m"), 6);
}

#[test]
fn log_files_are_numbered_and_none_is_made_without_rows_or_written_over() {
    let mut server = small().start();
    for second in 1..=3 {
        write(&server.client, &at_minute(0, second));
    }
    // The last one waits for the next row.
    let names = ["00000000001.wal", "00000000002.wal", "00000000003.wal", "00000000004.wal"];
    eventually("the next file", || (objects(&server.setup, "wal") == names).then_some(()));
    let handled = || server.client.metric("actor_messages_total", &["actor=\"wal\""]);
    let enough = handled().map(|n| n + 2.0);
    eventually("two periods end without a row", || (handled() >= enough).then_some(()));
    assert_eq!(objects(&server.setup, "wal"), names);

    let foreign = object(&server.setup, "wal", "00000000005.wal");
    fs::write(&foreign, "not ours").expect("a file");
    let answer = server.client.write(DB, &at_minute(0, 4));
    let text = "another process has written to the WAL ahead of this one";
    assert!(answer.status == 500 && answer.text().contains(text), "{}", answer.text());
    assert_eq!(server.wait().code(), Some(70), "{}", server.log());
    assert_eq!(fs::read(&foreign).expect("a file"), b"not ours");
}

#[test]
fn a_row_of_the_future_waits_until_twelve_periods() {
    let server = small().start();
    write(&server.client, &format!("{}\n{}", at_minute(120, 0), at_minute(0, 0)));
    for second in 1..=10 {
        write(&server.client, &at_minute(0, second));
    }
    assert_eq!(Progress::of(&server.client).expect("alive").periods, 11.0);
    assert_eq!(objects(&server.setup, "dbs"), [""; 0]);
    write(&server.client, &at_minute(0, 11));
    eventually("a snapshot", || (objects(&server.setup, "snapshots").len() == 1).then_some(()));
    wal_is_cleaned(&server, "00000000013.wal");
    let names =
        ["1/0/1970-01-01/00-00/0000000012.parquet", "1/0/1970-01-01/02-00/0000000012.parquet"];
    assert_eq!(objects(&server.setup, "dbs"), names);
    assert_eq!(server.client.count(DB, "m"), 13);
    assert_eq!(server.killed_and_restarted().client.count(DB, "m"), 13);
}

#[test]
fn rows_of_the_past_do_not_hold_up_snapshots_for_ever() {
    let server = small().start();
    write(&server.client, &at_minute(100, 0));
    for minute in (0..11).rev() {
        write(&server.client, &at_minute(minute, 0));
    }
    eventually("a snapshot", || (objects(&server.setup, "snapshots").len() == 1).then_some(()));
    assert_eq!(objects(&server.setup, "dbs").len(), 12, "a file a minute");
    assert_eq!(server.client.count(DB, "m"), 12);
    assert_eq!(server.killed_and_restarted().client.count(DB, "m"), 12);
}

#[test]
fn memory_makes_a_snapshot_due() {
    let options = ["--wal-flush-interval", "50ms", "--force-snapshot-mem-threshold", "2MB"];
    let keep = ["--snapshotted-wal-files-to-keep", "0", "--wal-delete-delay", "0s"];
    let server = Setup::disk().with(&options).with(&keep).start();
    let held = || server.client.metric("store_buffer_bytes", &[]).expect("a gauge");
    let mut rows = 0;
    for request in 0..8_i64 {
        let mut lines = String::new();
        for n in 0..2_000 {
            let time_ns = (request * 2_000 + n) * 1_000_000;
            writeln!(lines, "m,k=v{} text=\"{n:0>150}\" {time_ns}", n % 10).expect("text");
        }
        server.client.must_write(DB, &lines);
        rows += 2_000;
    }
    eventually("memory is free again", || (held() < 2_000_000.0).then_some(()));
    let taken = eventually("a snapshot", || {
        server.client.metric("persist_snapshots_total", &[]).filter(|n| *n >= 1.0)
    });
    assert!(taken <= 8.0, "one after the other");
    assert!(!files(&server.client, DB).is_empty());
    assert_eq!(server.client.count(DB, "m"), rows);
    assert_eq!(server.killed_and_restarted().client.count(DB, "m"), rows);
}

#[test]
fn counts_do_not_change_while_files_take_the_place_of_chunks() {
    let server = planted(&eager(), "snap-parquet-put=sleep(20)").start();
    let mut lines = String::new();
    for minute in 0..15 {
        for table in ["a", "b", "c"] {
            let time_ns = minute * 60_000_000_000_i64;
            for row in 0..4 {
                writeln!(lines, "{table},k=v{row} n=1i {time_ns}").expect("text");
            }
        }
    }
    server.client.must_write(DB, &lines);
    let client = server.client.clone();
    let pusher = std::thread::spawn(move || persist_everything(&client));
    while !pusher.is_finished() {
        for table in ["a", "b", "c"] {
            assert_eq!(server.client.count(DB, table), 60, "{table}");
        }
    }
    pusher.join().expect("snapshots are taken");
    assert_eq!(files(&server.client, DB).len(), 45);
    for table in ["a", "b", "c"] {
        assert_eq!(server.client.count(DB, table), 60, "{table}");
    }
}

#[test]
fn chunks_before_1970_begin_below_their_rows() {
    let mut setup = eager();
    setup = setup.without("--gen1-duration").without("1m").with(&["--gen1-duration", "10m"]);
    let server = setup.start();
    let times = [-600_000_000_001_i64, -1, 0, 1];
    let lines: Vec<_> = times.iter().map(|t| format!("m,k=v n=1i {t}")).collect();
    server.client.must_write(DB, &lines.join("\n"));
    let check = |server: &Server| {
        for (range, expected) in [
            ("time < '1970-01-01T00:00:00Z'", 2),
            ("time >= '1970-01-01T00:00:00Z'", 2),
            ("time < '1969-12-31T23:50:00Z'", 1),
            ("time >= '1969-12-31T23:50:00Z' AND time < '1970-01-01T00:00:00Z'", 1),
        ] {
            let sql = format!("SELECT count(*) FROM m WHERE {range}");
            assert_eq!(server.client.value(DB, &sql), expected, "{range}");
        }
    };
    check(&server);
    persist_everything(&server.client);
    let folders: Vec<_> = files(&server.client, DB)
        .iter()
        .map(|path| path.split("/dbs/1/0/").nth(1).expect("a chunk")[..16].to_owned())
        .collect();
    assert_eq!(folders, ["1969-12-31/23-40", "1969-12-31/23-50", "1970-01-01/00-00"]);
    check(&server);
    check(&server.killed_and_restarted());
}

#[test]
fn equal_keys_become_one_row_wherever_they_are() {
    let server = eager().start();
    let client = &server.client;
    client.must_write(DB, "m,t=a f=1,g=1 5\nm,t=a f=2 5\nm,t=a f=3,h=3 5");
    let no_sync = "/api/v3/write_lp?db=d&no_sync=true&precision=ns";
    assert_eq!(client.post(no_sync, "m,t=b f=1,g=1 5").status, 204);
    assert_eq!(client.post(no_sync, "m,t=b f=2 5").status, 204);
    let sql = "SELECT f, g, h FROM m ORDER BY t";
    let expected = json!([{"f": 3.0, "g": 1.0, "h": 3.0}, {"f": 2.0, "g": 1.0}]);
    eventually("both are visible", || (client.rows(DB, sql) == expected).then_some(()));
    persist_everything(client);
    assert_eq!(files(client, DB).len(), 1);
    assert_eq!(client.rows(DB, sql), expected);
    // Over a file and the buffer, then over two files, then over three.
    for (line, f, h) in [("m,t=a h=4 5", 3.0, 4.0), ("m,t=a f=5 5", 5.0, 4.0)] {
        client.must_write(DB, line);
        let expected = json!([{"f": f, "g": 1.0, "h": h}, {"f": 2.0, "g": 1.0}]);
        assert_eq!(client.rows(DB, sql), expected);
        persist_everything(client);
        assert_eq!(client.rows(DB, sql), expected);
        // A value that was replaced is not found by what it was.
        assert_eq!(
            client.value(DB, "SELECT count(*) FROM m WHERE f = 1 OR h = 3"),
            u64::from(h < 4.0)
        );
    }
    let before = client.rows(DB, sql);
    assert_eq!(server.killed_and_restarted().client.rows(DB, sql), before);
}

#[test]
fn whoever_wrote_a_row_reads_it_while_snapshots_are_taken() {
    let server = small().start();
    let clients: Vec<_> = (0..6)
        .map(|w| {
            let client = server.client.clone();
            std::thread::spawn(move || {
                for n in 0..20 {
                    let time_ns = n * 30_000_000_000_i64 + w;
                    client.must_write(DB, &format!("m,w=w{w} n={n}i {time_ns}"));
                    let sql = format!("SELECT count(*) FROM m WHERE w = 'w{w}'");
                    assert_eq!(client.value(DB, &sql), n + 1);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("all rows were read"));
    let mut model = Model::default();
    model.take_snapshots(&server.client, 2);
    assert_eq!(server.client.count(DB, "m"), 120);
}
