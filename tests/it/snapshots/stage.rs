//! Servers that take many small snapshots, and what they leave in their directory.

use super::model::Progress;
use crate::support::client::Client;
use crate::support::server::{NODE, Server, Setup};
use crate::support::{DEADLINE, eventually};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Periods of 50 ms, a snapshot after six of them at the earliest and after twelve at the latest,
/// and nothing is kept that a snapshot has made unnecessary. Files stay as snapshots write them.
pub(super) const SMALL: &[&str] = &[
    "--wal-flush-interval",
    "50ms",
    "--wal-snapshot-size",
    "4",
    "--snapshotted-wal-files-to-keep",
    "0",
    "--wal-delete-delay",
    "0s",
    "--gen1-duration",
    "1m",
    "--num-io-threads",
    "2",
    "--compaction",
    "off",
];

/// A server on the local disk with these options.
pub(super) fn small() -> Setup {
    Setup::disk().with(SMALL)
}

/// The same, with a snapshot about every period.
pub(super) fn eager() -> Setup {
    let mut options = SMALL.to_vec();
    options[3] = "1";
    Setup::disk().with(&options)
}

/// The same with these planted faults.
pub(super) fn planted(setup: &Setup, points: &str) -> Setup {
    setup.clone().with_variable("INFLUXDB3_FAILPOINTS", points)
}

/// The same, stopping at `point` until [`release`] is called.
pub(super) fn paused(setup: &Setup, point: &str) -> Setup {
    until_released(setup, &format!("{point}=pause"))
}

/// The same, failing at `point` until [`release`] is called.
pub(super) fn failing(setup: &Setup, point: &str) -> Setup {
    until_released(setup, &format!("{point}=fail"))
}

fn until_released(setup: &Setup, points: &str) -> Setup {
    let file = release_file(setup);
    planted(setup, points).with_variable("INFLUXDB3_FAILPOINT_RELEASE", &file.display().to_string())
}

fn release_file(setup: &Setup) -> PathBuf {
    setup.data_dir().with_file_name("release")
}

/// Lets servers pass where they are paused, also in future.
pub(super) fn release(setup: &Setup) {
    fs::write(release_file(setup), "").expect("a file");
}

/// From now on servers are paused again.
pub(super) fn unrelease(setup: &Setup) {
    fs::remove_file(release_file(setup)).expect("a file");
}

/// The objects under a folder of the node, sorted; names below that folder.
pub(super) fn objects(setup: &Setup, folder: &str) -> Vec<String> {
    objects_in(&setup.data_dir().join(NODE).join(folder))
}

pub(super) fn objects_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect(folder, folder, &mut names);
    names.sort();
    names
}

fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(root, &path, names);
        } else {
            let name = path.strip_prefix(root).expect("below").display().to_string();
            // What is being written has no name yet.
            if ["parquet", "json", "wal", "segment", "base", "catalog", "checkpoint"]
                .contains(&name.rsplit('.').next().unwrap_or_default())
            {
                names.push(name);
            }
        }
    }
}

/// The path of an object.
pub(super) fn object(setup: &Setup, folder: &str, name: &str) -> PathBuf {
    setup.data_dir().join(NODE).join(folder).join(name)
}

/// The Parquet files of a database as the server knows them.
pub(super) fn files(client: &Client, db: &str) -> Vec<String> {
    let rows = client.rows(db, "SELECT path FROM system.parquet_files");
    let rows = rows.as_array().expect("rows").iter();
    let mut paths: Vec<_> =
        rows.map(|row| row["path"].as_str().expect("a path").to_owned()).collect();
    paths.sort();
    paths
}

/// Has everything that was acknowledged before written as Parquet files. Needs [`eager`] options.
pub(super) fn persist_everything(client: &Client) {
    let taken = || Progress::of(client).expect("the server lives").snapshots;
    // The one under way may have begun before.
    let enough = taken() + 2.0;
    let begun = Instant::now();
    while taken() < enough {
        assert!(begun.elapsed() < DEADLINE, "no snapshot");
        let before = Progress::of(client).expect("the server lives");
        let minute = begun.elapsed().as_millis();
        // Later than all other rows, and each in a chunk of its own.
        client.must_write(
            "later",
            &format!("x f=1 {}", 4_000_000_000_000_000_000 + minute * 60_000_000_000),
        );
        assert!(before.period_is_over(client));
    }
}

/// Waits until no WAL file is left that a snapshot has made unnecessary.
pub(super) fn wal_is_cleaned(server: &Server, first_kept: &str) {
    eventually("unnecessary WAL files are gone", || {
        let files = objects(&server.setup, "wal");
        files.iter().all(|file| file.as_str() >= first_kept).then_some(())
    });
}
