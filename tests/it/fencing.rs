//! Two processes under one node id: the newer one wins, the older one stops, and nothing that
//! either acknowledged is lost.

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{Server, Setup, wal_files};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a process that was fenced.
const EXIT_FENCED: i32 = 70;

#[test]
fn the_newer_process_wins() {
    let mut first = Server::disk();
    first.client.must_write("d", "m,by=first f=1 1");
    let second = first.setup.start();
    let refused = first.client.try_send("POST", "/write?db=d", &[], b"m,by=late f=1 1".to_vec());
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status >= 500));
    let status = first.wait();
    assert_eq!(status.code(), Some(EXIT_FENCED), "{}", first.log());
    let reason = "another process has written to the WAL ahead of this one";
    assert!(first.log().contains(reason), "{}", first.log());
    second.client.must_write("d", "m,by=second f=1 1");
    let mine = "SELECT count(*) FROM m WHERE by IN ('first', 'second')";
    assert_eq!(second.client.value("d", mine), 2);
    let restarted = second.killed_and_restarted();
    assert_eq!(restarted.client.value("d", mine), 2);
}

/// Writes until told to stop or refused; returns the tables and rows that were acknowledged.
fn write_until(client: &Client, name: &str, stop: &AtomicBool) -> Vec<(String, u64)> {
    let mut acknowledged = Vec::new();
    for n in 0..100_000_u64 {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Every so often a new table, so that the catalog changes hands as well.
        let table = if n % 5 == 0 { format!("t_{name}_{n}") } else { "m".to_owned() };
        let lines = format!("{table},w={name} n={n}u {n}");
        let path = "/api/v3/write_lp?db=d&precision=ns";
        match client.try_send("POST", path, &[], lines.into_bytes()) {
            Ok(answer) if answer.status == 204 => acknowledged.push((table, n)),
            _ => break,
        }
    }
    acknowledged
}

#[test]
fn both_keep_what_they_acknowledged_while_one_takes_over() {
    let setup = Setup::disk();
    let mut first = setup.start();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = |server: &Server, name: &'static str| {
        let (client, stop) = (server.client.clone(), Arc::clone(&stop));
        std::thread::spawn(move || (name, write_until(&client, name, &stop)))
    };
    let mut writers = vec![writer(&first, "a"), writer(&first, "b")];
    eventually("the first one has rows", || (first.client.count("d", "m") > 50).then_some(()));
    let second = setup.start();
    writers.extend([writer(&second, "c"), writer(&second, "d")]);
    assert_eq!(first.wait().code(), Some(EXIT_FENCED), "{}", first.log());
    eventually("the second one has rows", || {
        let sql = "SELECT count(*) FROM m WHERE w IN ('c', 'd')";
        (second.client.value("d", sql).as_u64() > Some(20)).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<_> = writers.into_iter().map(|w| w.join().expect("a writer")).collect();

    let check = |server: &Server| {
        for (name, rows) in &acknowledged {
            let found = server.client.rows("d", &format!("SELECT n FROM m WHERE w = '{name}'"));
            let found: Vec<u64> = found
                .as_array()
                .expect("rows")
                .iter()
                .filter_map(|row| row["n"].as_u64())
                .collect();
            for (table, n) in rows {
                let is_there = match table.as_str() {
                    "m" => found.contains(n),
                    table => server.client.count("d", table) == 1,
                };
                assert!(is_there, "acknowledged row {n} of {name} in {table} is lost");
            }
        }
    };
    check(&second);
    let second = second.killed_and_restarted();
    check(&second);
    // After an orderly end there is nobody to be kept out, so a start adds no group to the log.
    let setup = second.stopped();
    let groups = || {
        let bytes = wal_files(&setup.data_dir()).into_iter().map(|f| fs::read(f).expect("a file"));
        let count = |bytes: Vec<u8>| bytes.windows(4).filter(|four| four == b"GRUP").count();
        bytes.map(count).sum::<usize>()
    };
    let before = groups();
    let first = setup.start();
    check(&first);
    assert!(groups() <= before + 1, "at most the last one was copied");
}
