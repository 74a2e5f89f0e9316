//! Rows that a trigger must not miss: after a kill, after a backlog, after a pause.

use super::Plugins;
use crate::support::client::with_query;
use crate::support::eventually;
use serde_json::{Value, json};
use std::fs;

/// Writes down each value, as soon as there is a file with the name of the argument.
const NOTES: &str = r#"
import os, time
def process_writes(influxdb3_local, table_batches, args=None):
    while not os.path.exists(args["gate"]):
        time.sleep(0.01)
    if os.path.exists(args["gate"] + ".fails"):
        raise ValueError("planted")
    for batch in table_batches:
        for row in batch["rows"]:
            line = LineBuilder("seen")
            line.int64_field("v", int(row["v"]))
            line.time_ns(int(row["time"]))
            influxdb3_local.write_sync_to_db("notes", line, False)
"#;

/// A trigger for `cpu` that must miss nothing.
fn with_trigger(options: &[&str], behavior: &str) -> Plugins {
    let plugins = Plugins::with(options);
    plugins.client().must_write("notes", "other v=1 1");
    plugins.plugin("notes.py", NOTES);
    let settings = json!({
        "trigger_settings": {"delivery": "at-least-once", "error_behavior": behavior},
        "trigger_arguments": {"gate": gate(&plugins)},
    });
    plugins.trigger("t", "notes.py", "table:cpu", &settings);
    plugins
}

fn gate(plugins: &Plugins) -> String {
    plugins.directory.path().join("gate").display().to_string()
}

/// Writes rows with these values, each in a flush interval of its own, more or less.
fn write(plugins: &Plugins, values: std::ops::Range<u64>) {
    for v in values {
        plugins.client().must_write("mydb", &format!("cpu,host=a v={v} {}", 1000 + v));
    }
}

/// Waits until all these values are written down, and nothing else.
fn must_note(plugins: &Plugins, values: std::ops::Range<u64>) {
    let all: Vec<u64> = values.collect();
    eventually("all are written down", || {
        let answer = plugins.client().sql("notes", "SELECT v FROM seen ORDER BY v");
        let rows: Value = (answer.status == 200).then(|| answer.json())?;
        let noted = rows.as_array()?.iter().map(|row| row["v"].as_u64());
        (noted.collect::<Option<Vec<_>>>()? == all).then_some(())
    });
}

fn restarted(plugins: Plugins, is_killed: bool) -> Plugins {
    let Plugins { server, directory } = plugins;
    let server = match is_killed {
        true => server.killed_and_restarted(),
        false => server.stopped().start(),
    };
    Plugins { server, directory }
}

#[test]
fn rows_that_waited_at_a_kill_or_a_stop_are_delivered_after_the_start() {
    let plugins = with_trigger(&[], "log");
    write(&plugins, 0..5);
    let plugins = restarted(plugins, true);
    write(&plugins, 5..10);
    let plugins = restarted(plugins, false);
    fs::write(gate(&plugins), "").expect("a file");
    must_note(&plugins, 0..10);
    // After a stop it goes on where it was.
    let runs = |plugins: &Plugins| {
        let sql = "SELECT count(*) AS n FROM system.processing_engine_runs WHERE error IS NULL";
        plugins.client().value("mydb", sql)
    };
    let plugins = restarted(plugins, false);
    write(&plugins, 10..11);
    must_note(&plugins, 0..11);
    eventually("one run is told", || (runs(&plugins) == 1).then_some(()));
}

#[test]
fn a_backlog_of_any_length_is_worked_off() {
    let plugins = with_trigger(&["--wal-flush-interval", "1ms"], "log");
    // A trigger that is told of rows keeps 60 events.
    write(&plugins, 0..100);
    assert!(plugins.said().iter().all(|line| !line.contains("dropped")));
    fs::write(gate(&plugins), "").expect("a file");
    must_note(&plugins, 0..100);
}

#[test]
fn a_trigger_that_a_failure_disabled_goes_on_with_the_rows_that_failed() {
    let plugins = with_trigger(&[], "disable");
    let fails = gate(&plugins) + ".fails";
    fs::write(&fails, "").expect("a file");
    fs::write(gate(&plugins), "").expect("a file");
    write(&plugins, 0..3);
    plugins.must_say("ERROR error executing wal plugin");
    let disabled = "SELECT disabled FROM system.processing_engine_triggers";
    eventually("it is disabled", || {
        (plugins.client().value("mydb", disabled) == true).then_some(())
    });
    write(&plugins, 3..6);
    let plugins = restarted(plugins, true);
    fs::remove_file(&fails).expect("the file is there");
    assert_eq!(plugins.switch("t", "enable").status, 200);
    must_note(&plugins, 0..6);
}

#[test]
fn it_is_told_when_the_log_no_longer_has_the_rows() {
    let keep_none = ["--snapshotted-wal-files-to-keep", "0", "--wal-delete-delay", "0s"];
    let options =
        [&keep_none[..], &["--wal-snapshot-size", "1", "--wal-flush-interval", "1ms"]].concat();
    let plugins = with_trigger(&options, "log");
    assert_eq!(plugins.switch("t", "disable").status, 200);
    // Rows of later times let the snapshot hold those before.
    for minute in 0..40 {
        let line = format!("cpu,host=a v=1 {}", 1_000_000_000_000_u64 + minute * 60_000_000_000);
        plugins.client().must_write("mydb", &line);
    }
    let removed = || plugins.client().metric("wal_files_removed_total", &[]);
    eventually("files of the WAL are removed", || removed().filter(|files| *files > 5.0));
    assert_eq!(plugins.switch("t", "enable").status, 200);
    plugins.client().must_write("mydb", "cpu,host=a v=1 4000000000000");
    // A file that goes while it is read may be told of before.
    let is_told = |line: &String| {
        line.starts_with("WARN") && line.ends_with("gone or damaged: rows may be missing")
    };
    eventually("it is told", || plugins.said().iter().any(is_told).then_some(()));
}

#[test]
fn what_a_deleted_trigger_had_been_given_is_forgotten() {
    let plugins = with_trigger(&[], "log");
    let places = |plugins: &Plugins| {
        let folder = plugins.server.setup.data_dir().join("node-1/trigger-cursors");
        fs::read_dir(folder).map_or(0, Iterator::count)
    };
    assert_eq!(places(&plugins), 1);
    let delete = [("db", "mydb"), ("trigger_name", "t"), ("force", "true")];
    let path = with_query(super::TRIGGER_PATH, &delete);
    assert_eq!(plugins.client().delete(&path).status, 200);
    eventually("the place is gone", || (places(&plugins) == 0).then_some(()));
}

#[test]
fn only_rows_are_delivered_again() {
    let plugins = Plugins::start();
    plugins.plugin("notes.py", NOTES);
    let create = |delivery: &str, spec: &str| {
        let settings = json!({"trigger_settings": {"delivery": delivery}});
        let answer = plugins.create("t", "notes.py", spec, &settings);
        (answer.status, answer.text())
    };
    let (status, text) = create("at-least-once", "every:1h");
    assert!(status == 400 && text.contains("only triggers for rows"), "{status} {text}");
    let (status, text) = create("twice", "table:cpu");
    assert!(status == 400 && text.contains("unknown delivery 'twice'"), "{status} {text}");
    assert_eq!(create("At-Most-Once", "every:1h").0, 200);
}
