//! `influxdb3 debug`: what a store holds, without a server.

use super::without_server;
use crate::support::command::{Outcome, Shell};
use crate::support::eventually;
use crate::support::server::{NODE, Setup};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// A store with two Parquet files or more, a WAL and a catalog; its server has ended.
fn store() -> Setup {
    let options =
        ["--wal-flush-interval", "1ms", "--wal-snapshot-size", "1", "--compaction", "off"];
    let server = Setup::disk().with(&options).start();
    for minute in 0..40 {
        let line =
            format!("cpu,host=a v={minute} {}", 1_000_000_000_000_u64 + minute * 60_000_000_000);
        server.client.must_write("d", &line);
    }
    let files = "SELECT count(*) AS n FROM system.parquet_files WHERE table_name = 'cpu'";
    eventually("a snapshot is taken", || {
        server.client.value("d", files).as_u64().filter(|files| *files >= 2)
    });
    server.stopped()
}

/// Runs a command on the store.
fn run(shell: &Shell<'_>, setup: &Setup, what: &[&str]) -> Outcome {
    let (folder, node) = (setup.data_dir().display().to_string(), format!("--node-id={NODE}"));
    let place = ["--data-dir", folder.as_str(), node.as_str(), "--format", "json"];
    shell.run(&[&["debug"], what, &place].concat(), b"")
}

/// What a command prints.
fn looked(shell: &Shell<'_>, setup: &Setup, what: &[&str]) -> Value {
    let outcome = run(shell, setup, what);
    assert_eq!(outcome.code, 0, "{what:?}: {}", outcome.stderr);
    serde_json::from_str(&outcome.text()).expect("JSON")
}

/// What a command that fails says.
fn failure(shell: &Shell<'_>, setup: &Setup, what: &[&str]) -> String {
    let outcome = run(shell, setup, what);
    assert_eq!(outcome.code, 1, "{what:?}: {}", outcome.stderr);
    outcome.stderr
}

#[test]
fn each_kind_of_object_is_shown() {
    let setup = store();
    without_server(|shell| {
        let objects = looked(shell, &setup, &["catalog", "list"]);
        let newest = objects.as_array().expect("objects").last().expect("one")["sequence"].clone();
        let record = looked(shell, &setup, &["catalog", "sequence", &newest.to_string()]);
        assert_eq!(record["sequence"], newest);
        assert!(record["changes"].as_array().is_some_and(|changes| !changes.is_empty()));
        let header = looked(shell, &setup, &["catalog", "sequence", "--headers-only"]);
        assert_eq!((&header["uuid"], header.get("changes")), (&record["uuid"], None));
        let first = looked(shell, &setup, &["catalog", "sequence", "1", "--skip-crc"]);
        assert_eq!(first["changes"][0]["create_catalog"]["gen1_duration_ns"], 600_000_000_000_u64);

        let index = looked(shell, &setup, &["index"]);
        let file = &index["files"][0];
        assert_eq!((&file["generation"], &file["state"]), (&1.into(), &"live".into()));
        let path = file["path"].as_str().expect("a path");
        let described = looked(shell, &setup, &["file", path]);
        assert_eq!(
            (&described["rows"], &described["size_bytes"]),
            (&file["rows"], &file["size_bytes"])
        );
        assert!(described["columns"].to_string().contains("\"host\""), "{described}");

        let wal = looked(shell, &setup, &["wal"]);
        let with_rows = wal.as_array().expect("files").iter().find(|file| file["rows"] == 1);
        let number = with_rows.expect("a file with a row")["file"].to_string();
        let entries = &looked(shell, &setup, &["wal", &number])["entries"];
        assert_eq!((&entries[0]["kind"], &entries[0]["rows"]), (&"rows".into(), &1.into()));

        // For a person.
        let folder = setup.data_dir().display().to_string();
        let node = format!("--catalog-prefix={NODE}");
        let text = shell.must(&["debug", "index", "--data-dir", &folder, &node]);
        assert!(text.contains("| database_id |") && text.contains(path), "{text}");
    });
}

#[test]
fn files_that_are_not_as_the_index_says_are_found() {
    let setup = store();
    let objects = |shell: &Shell<'_>| -> Vec<PathBuf> {
        let index = looked(shell, &setup, &["index"]);
        let files = index["files"].as_array().expect("files").iter();
        files.map(|file| setup.data_dir().join(file["path"].as_str().expect("a path"))).collect()
    };
    without_server(|shell| {
        let report = looked(shell, &setup, &["verify-references", "--checksums"]);
        assert!(
            report["files"].as_u64() >= Some(2) && report["faults"] == Value::Array(vec![]),
            "{report}"
        );
        let files = objects(shell);
        let mut bytes = fs::read(&files[0]).expect("the file is there");
        bytes[10] ^= 1;
        fs::write(&files[0], bytes).expect("it can be written");
        looked(shell, &setup, &["verify-references"]);
        let faults = |arguments: &[&str]| {
            let outcome = run(shell, &setup, arguments);
            assert_eq!(outcome.code, 1, "{}", outcome.stderr);
            assert!(outcome.stderr.contains("not as the index says"), "{}", outcome.stderr);
            let report: Value = serde_json::from_str(&outcome.text()).expect("JSON");
            report["faults"].as_array().expect("faults").len()
        };
        assert_eq!(faults(&["verify-references", "--checksums"]), 1);
        fs::remove_file(&files[1]).expect("the file is there");
        assert_eq!(faults(&["verify-references"]), 1);
        assert_eq!(faults(&["verify-references", "--checksums"]), 2);
        // Nothing was put right, or made, by looking.
        assert!(!files[1].exists());
    });
}

#[test]
fn what_is_not_there_is_named() {
    let setup = store();
    without_server(|shell| {
        let folder = setup.data_dir().display().to_string();
        let prefix = ["debug", "index", "--data-dir", folder.as_str()];
        shell.fails(&prefix, 1, &["a catalog prefix is required: "]);
        for (what, text) in [
            (&["catalog", "snapshot"][..], "no checkpoint yet"),
            (&["catalog", "sequence", "999"], "there is no object node-1/catalog"),
            (&["wal", "999"], "there is no object node-1/wal/00000000999.wal"),
            (&["file", "node-1/wal-owner"], "node-1/wal-owner is no Parquet file"),
        ] {
            let said = failure(shell, &setup, what);
            assert!(said.contains(text), "{said}");
        }
        let nowhere = ["debug", "wal", "--data-dir", "/nonexistent/folder", "--node-id", "n"];
        shell.fails(&nowhere, 1, &["cannot read /nonexistent/folder"]);
        let memory = ["debug", "wal", "--object-store", "memory", "--node-id", "n"];
        shell.fails(&memory, 1, &["a store in memory is its server's alone"]);
    });
}
