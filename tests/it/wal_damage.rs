//! Files of the log that are not as they were written: what a crash leaves is cut off, anything
//! else is reported, and the rest is used.

use crate::support::client::Client;
use crate::support::server::{Server, Setup, wal_files};
use std::fs;
use std::path::PathBuf;

/// Marks the begin of each group in a log file.
const GROUP_MARK: &[u8] = b"GRUP";

const ROWS: u64 = 10;

/// A stopped server with [`ROWS`] rows, each its own group, all in one file; and that file.
fn written() -> (Setup, PathBuf) {
    let server = Setup::disk().with(&["--wal-flush-interval", "1h"]).start();
    for n in 1..=ROWS {
        server.client.must_write("d", &format!("m n={n}i {n}"));
    }
    let setup = server.stopped();
    let file = wal_files(&setup.data_dir()).pop().expect("a log file");
    let bytes = fs::read(&file).expect("readable");
    assert_eq!(groups(&bytes).len() as u64, ROWS, "one file with all groups");
    (setup, file)
}

/// Where each group begins.
fn groups(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(GROUP_MARK)).collect()
}

fn rows(client: &Client) -> Vec<u64> {
    let rows = client.rows("d", "SELECT n FROM m ORDER BY n");
    rows.as_array().expect("rows").iter().filter_map(|row| row["n"].as_u64()).collect()
}

/// What is said of a file that was durable as a whole, and of one that a crash could leave.
const DAMAGED: &str = "damaged WAL file";
const CUT_OFF: &str = "the last group of a WAL file is unfinished and was cut off";

/// Starts on the damaged file and compares the rows; then writes one more and starts again.
#[track_caller]
fn check(setup: &Setup, expected: &[u64], said: &str) -> Server {
    let server = setup.start();
    assert_eq!(rows(&server.client), expected);
    for text in [DAMAGED, CUT_OFF] {
        assert_eq!(server.log().contains(text), text == said, "{}", server.log());
    }
    server.client.must_write("d", "m n=99i 99");
    let server = server.killed_and_restarted();
    assert_eq!(rows(&server.client), [expected, &[99]].concat());
    server
}

fn without(n: u64) -> Vec<u64> {
    (1..=ROWS).filter(|row| *row != n).collect()
}

#[test]
fn a_torn_last_group_is_cut_off() {
    for bytes_lost in [1, 3, 40] {
        let (setup, file) = written();
        let bytes = fs::read(&file).expect("readable");
        fs::write(&file, &bytes[..bytes.len() - bytes_lost]).expect("writable");
        check(&setup, &without(ROWS), CUT_OFF);
    }
}

#[test]
fn a_garbled_last_group_is_cut_off() {
    let (setup, file) = written();
    let mut bytes = fs::read(&file).expect("readable");
    let last = *groups(&bytes).last().expect("a group");
    bytes[last + 30..].fill(0);
    fs::write(&file, &bytes).expect("writable");
    check(&setup, &without(ROWS), CUT_OFF);
}

#[test]
fn bytes_after_the_last_group_are_ignored() {
    let (setup, file) = written();
    let mut bytes = fs::read(&file).expect("readable");
    bytes.extend_from_slice(b"GRUPnever finished");
    fs::write(&file, &bytes).expect("writable");
    check(&setup, &(1..=ROWS).collect::<Vec<_>>(), CUT_OFF);
}

#[test]
fn an_empty_newest_file_does_not_stop_the_start() {
    let (setup, file) = written();
    let number: u64 = file
        .file_stem()
        .and_then(|stem| stem.to_str()?.parse().ok())
        .expect("a file is named after its number");
    fs::write(file.with_file_name(format!("{:011}.wal", number + 1)), b"").expect("writable");
    let server = setup.start();
    assert_eq!(rows(&server.client), (1..=ROWS).collect::<Vec<_>>());
}

#[test]
fn a_flipped_byte_in_the_middle_is_reported_and_the_rest_is_used() {
    let (setup, file) = written();
    let mut bytes = fs::read(&file).expect("readable");
    let fifth = groups(&bytes)[4];
    let sixth = groups(&bytes)[5];
    bytes[(fifth + sixth) / 2] ^= 0x40;
    fs::write(&file, &bytes).expect("writable");
    let server = check(&setup, &without(5), DAMAGED);
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(server.log().contains(&name), "{}", server.log());
    assert!(server.client.metric("wal_damaged_files_total", &[]) >= Some(1.0));
    assert!(file.exists(), "damaged files are kept");
}

#[test]
fn an_option_refuses_to_start_on_damage() {
    let (setup, file) = written();
    let mut bytes = fs::read(&file).expect("readable");
    let second = groups(&bytes)[1];
    bytes[second - 1] ^= 1;
    fs::write(&file, &bytes).expect("writable");
    let (status, log) = setup.clone().with(&["--wal-replay-fail-on-error"]).start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(log.contains("Serve command failed: ") && log.contains(&name), "{log}");
    check(&setup, &without(1), DAMAGED);
}
