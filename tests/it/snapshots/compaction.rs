//! Files become fewer while rows come in, the process ends at every point of that, and no answer
//! changes.

use super::model::{DB, Model};
use super::parquet::read_elsewhere;
use super::stage::{SMALL, eager, files, objects, paused, persist_everything, planted, release};
use crate::flight::RUNTIME;
use crate::support::client::{Client, with_query};
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;

const SIGABRT: i32 = 6;

/// Windows of two chunks, and then of four and of forty, which are looked at all the time; what is
/// in other files goes at once.
const COMPACTING: &[&str] = &[
    "--compaction-check-interval",
    "50ms",
    "--compaction-gen2-duration",
    "2m",
    "--compaction-multipliers",
    "2,10",
    "--compaction-cleanup-wait",
    "0s",
];

/// Small snapshots, and compaction of what they leave.
pub(super) fn compacting() -> Setup {
    let (others, switch) = SMALL.split_at(SMALL.len() - 2);
    assert_eq!(switch, ["--compaction", "off"]);
    Setup::disk().with(others).with(COMPACTING)
}

/// The same with a snapshot about every period.
fn compacting_eagerly() -> Setup {
    let mut options = SMALL[..SMALL.len() - 2].to_vec();
    options[3] = "1";
    Setup::disk().with(&options).with(COMPACTING)
}

/// Compacted by a command only.
pub(super) fn by_hand() -> Setup {
    eager().with(COMPACTING)
}

fn compactions(client: &Client) -> f64 {
    client.metric("compaction_jobs_total", &["outcome=\"success\""]).unwrap_or(0.0)
}

/// Writes until so many compactions were done since the start of the server.
fn steps_until(client: &Client, model: &mut Model, count: f64) {
    eventually("files are compacted", || {
        model.steps(client, 1);
        (compactions(client) >= count).then_some(())
    });
}

/// Of all compacted files in the store only those are left that the server knows.
fn only_known_ones_are_left(server: &Server) {
    eventually("what nobody knows is gone", || {
        let stored = objects(&server.setup, "c");
        let known = files(&server.client, DB);
        let known = known.iter().filter_map(|path| path.split_once("/c/")).map(|(_, name)| name);
        (known.collect::<Vec<_>>() == stored).then_some(())
    });
}

/// Writes until the planted end; the next process has the rows, goes on, and clears up.
fn crash_at(point: &str) {
    let setup = compacting();
    let mut model = Model::default();
    let mut server = planted(&setup, &format!("{point}=abort")).start();
    eventually("the server ends", || (!model.step(&server.client)).then_some(()));
    assert_eq!(server.wait().signal(), Some(SIGABRT), "{point}: {}", server.log());
    let server = setup.start();
    model.check(&server.client);
    model.resend(&server.client);
    model.check(&server.client);
    steps_until(&server.client, &mut model, 3.0);
    model.check(&server.client);
    only_known_ones_are_left(&server);
    let server = server.killed_and_restarted();
    model.check(&server.client);
    let server = server.stopped().start();
    model.check(&server.client);
}

#[test]
fn the_process_ends_after_the_first_new_file() {
    crash_at("compact-after-first-file");
}

#[test]
fn the_process_ends_before_the_new_files_are_known() {
    crash_at("compact-before-publish");
}

#[test]
fn the_process_ends_when_the_new_files_are_known_and_nobody_has_heard_of_it() {
    crash_at("compact-after-publish");
}

#[test]
fn the_process_ends_while_old_files_are_deleted() {
    crash_at("hard-delete-mid");
}

#[test]
fn a_store_that_takes_no_file_for_a_while_costs_time_only() {
    let setup = compacting();
    let mut model = Model::default();
    let server = planted(&setup, "compact-put=error(1);compact-manifest-put=error(2)").start();
    steps_until(&server.client, &mut model, 2.0);
    model.check(&server.client);
    let failed = server.client.metric("compaction_jobs_total", &["outcome=\"failed\""]);
    assert_eq!(failed, Some(1.0), "{}", server.log());
}

#[test]
fn kills_at_any_time_lose_nothing() {
    let mut model = Model::default();
    let mut server = compacting_eagerly().start();
    for round in 0..6_usize {
        model.steps(&server.client, 3 + 5 * round);
        server = server.killed_and_restarted();
        model.check(&server.client);
    }
    steps_until(&server.client, &mut model, 1.0);
    model.check(&server.client);
    only_known_ones_are_left(&server);
}

#[test]
fn an_orderly_end_does_not_wait_for_a_compaction() {
    let setup = compacting_eagerly();
    let mut model = Model::default();
    // Each new file takes its time.
    let server = planted(&setup, "compact-put=sleep(300)").start();
    steps_until(&server.client, &mut model, 1.0);
    let server = server.stopped().start();
    model.check(&server.client);
    steps_until(&server.client, &mut model, 1.0);
    only_known_ones_are_left(&server);
    model.check(&server.client);
}

#[test]
fn a_query_reads_its_files_to_the_end_while_others_take_their_place() {
    let server = by_hand().with(&["--disable-parquet-mem-cache"]).start();
    let client = &server.client;
    let text = "x".repeat(2_000);
    for minute in 0..20_i64 {
        let begin = minute * 60_000_000_000;
        let lines = (0..400).map(|n| format!("m,k=v n=1i,s=\"{text}\" {}", begin + n));
        client.must_write(DB, &lines.collect::<Vec<_>>().join("\n"));
    }
    persist_everything(client);
    let before = objects(&server.setup, "dbs/1");
    assert!(before.len() >= 20);
    let path = with_query("/api/v3/query_sql", &[("db", DB), ("q", "SELECT * FROM m")]);
    let url = format!("{}{path}", client.base());
    let mut answer = RUNTIME.block_on(reqwest::Client::new().get(url).send()).expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut next = || RUNTIME.block_on(answer.chunk()).expect("no error before the end");
    let mut bytes = next().expect("rows").to_vec();
    compact(&server);
    assert_eq!(files(client, DB).len(), 1, "a query that begins now reads one file");
    assert_eq!(client.count(DB, "m"), 20 * 400);
    assert_eq!(objects(&server.setup, "dbs/1"), before, "somebody reads them");
    while let Some(more) = next() {
        bytes.extend_from_slice(&more);
    }
    let rows: Vec<Value> = serde_json::from_slice(&bytes).expect("a whole answer");
    assert_eq!(rows.len(), 20 * 400);
    eventually("nobody reads them", || objects(&server.setup, "dbs/1").is_empty().then_some(()));
    assert_eq!(client.count(DB, "m"), 20 * 400);
}

#[test]
fn a_table_that_is_deleted_meanwhile_leaves_nothing() {
    let setup = compacting_eagerly().with(&["--hard-delete-default-duration", "0s"]);
    let mut server = paused(&setup, "compact-before-publish").start();
    let client = server.client.clone();
    for minute in 0..6_i64 {
        client.must_write(DB, &format!("m,k=v n=1i {}", minute * 60_000_000_000));
    }
    client.must_write(DB, "other n=1i 1");
    eventually("a compaction waits to be known", || {
        persist_everything(&client);
        (!objects(&setup, "c").is_empty()).then_some(())
    });
    let deleted =
        client.delete(&format!("/api/v3/configure/table?db={DB}&table=m&hard_delete_at=now"));
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    release(&setup);
    server.kill();
    let server = planted(&setup, "object-grace=error(1)").start();
    let client = &server.client;
    eventually("nothing is left of the table", || {
        let of_table = |name: &String| name.starts_with("1/0/");
        let left = [objects(&setup, "c"), objects(&setup, "dbs")].concat();
        (!left.iter().any(of_table)).then_some(())
    });
    assert_eq!(client.count(DB, "other"), 1);
}

/// Compacts the database by command.
pub(super) fn compact(server: &Server) -> String {
    let directory = server.setup.data_dir();
    let shell = Shell { client: Some(&server.client), directory: &directory };
    shell.must(&["compact", "--database", DB, "--wait"])
}

#[test]
fn a_command_compacts_and_says_what_it_did() {
    let server = by_hand().start();
    let client = &server.client;
    let mut model = Model::default();
    model.steps(client, 24);
    persist_everything(client);
    let before = files(client, DB).len();
    assert!(before >= 20, "{before}");
    assert_eq!(compactions(client), 0.0, "nothing is done by itself");
    let said = compact(&server);
    assert!(said.starts_with("Compaction 1 done: "), "{said}");
    assert_eq!(files(client, DB).len(), 2, "one for each table");
    model.check(client);

    let events = "SELECT event_type, event_status, event_data FROM system.compaction_events";
    let events = client.rows("_internal", events);
    let events = events.as_array().expect("rows");
    assert!(!events.is_empty());
    for event in events {
        assert_eq!(
            (&event["event_type"], &event["event_status"]),
            (&json!("compaction"), &json!("success"))
        );
        let data: Value =
            serde_json::from_str(event["event_data"].as_str().expect("text")).expect("JSON");
        assert_eq!(data["database"], DB);
        assert!(data["files_in"].as_u64() > data["files_out"].as_u64(), "{data}");
    }
    let durations =
        "SELECT level, duration_seconds FROM system.generation_durations ORDER BY level";
    let widths: Vec<u64> = client
        .rows("_internal", durations)
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["duration_seconds"].as_u64())
        .collect();
    assert_eq!(widths, [60, 120, 240, 2_400]);
    eventually("nothing is due", || {
        client.metric("compaction_backlog_windows", &[]).filter(|windows| *windows == 0.0)
    });

    // What was written since has a later place in the order of writes, also when it comes late.
    model.steps(client, 6);
    model.check(client);
    let server = server.killed_and_restarted();
    model.check(&server.client);
    let shell = Shell { client: Some(&server.client), directory: &server.setup.data_dir() };
    shell.fails(&["compact", "--database", "nosuch"], 1, &["database not found: nosuch"]);
    shell.fails(&["compact", "-d", DB, "-t", "nosuch"], 1, &["table not found: nosuch"]);
    let unknown = server.client.get("/api/v3/configure/compact?run=77");
    assert_eq!(unknown.status, 404);
}

#[test]
fn other_programs_read_compacted_files() {
    let server = by_hand().start();
    let client = &server.client;
    for n in 0..12_i64 {
        let time = n * 60_000_000_000;
        client.must_write(
            DB,
            &format!("m,b=x{},a=y i={n}i,u={n}u,f={n}.5,s=\"text {n}\",t=true {time}", n % 3),
        );
        if n == 6 {
            client.must_write(DB, &format!("m,b=x0,a=y,late=z i=1i {time}\nm,b=x0,a=y i=100i 0"));
        }
        persist_everything(client);
    }
    compact(&server);
    let names = files(client, DB);
    assert_eq!(names.len(), 1, "{names:?}");
    let paths: Vec<_> = names.iter().map(|name| server.setup.data_dir().join(name)).collect();
    let found = read_elsewhere(&paths);
    assert_eq!((&found["unsorted"], &found["repeated_keys"]), (&json!([]), &json!(0)), "{found}");
    assert_eq!(found["sorting"], json!([["b", "a", "late", "time"]]));
    let rows = found["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 13);
    assert_eq!(client.count(DB, "m"), 13);
    assert_eq!(client.value(DB, "SELECT i FROM m WHERE time = '1970-01-01T00:00:00Z'"), 100);
    let followed = objects(&server.setup, "compactions");
    assert!(!followed.is_empty(), "there is a manifest to follow");
}

#[test]
fn options_that_do_not_go_together_are_named_at_the_start() {
    let (status, log) =
        Setup::memory().with(&["--compaction-gen2-duration", "15m"]).start_refused();
    assert!(!status.success());
    assert!(log.contains("--compaction-gen2-duration must be a multiple"), "{log}");
    let (_, log) = Setup::memory().with(&["--compaction-multipliers", "3,1"]).start_refused();
    assert!(log.contains("--compaction-multipliers"), "{log}");
}
