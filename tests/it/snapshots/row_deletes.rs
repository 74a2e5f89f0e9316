//! Rows are deleted while others come in, become files and are compacted, and the process ends at
//! every point of that.

mod history;

use super::compaction::{by_hand, compact, compacting};
use super::model::DB;
use super::stage::{files, persist_everything, planted};
use crate::support::client::Client;
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use history::{Deleted, Event, History, MINUTE_NS, PATH, body, disposition, is_completed};
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;

const SIGABRT: i32 = 6;

/// Rows of four hosts, two fields, of which one comes later, in files and in memory.
fn filled(client: &Client) -> History {
    let mut history = History::default();
    for minute in 0..8 {
        for host in ["h0", "h1", "h2", "h3"] {
            history.write(client, &[(host, minute, "a", minute), (host, minute, "b", 10 + minute)]);
        }
        if minute == 3 {
            persist_everything(client);
        }
    }
    history
}

#[test]
fn deleted_rows_are_hidden_at_once_and_go_when_files_are_compacted() {
    let server = by_hand().start();
    let client = &server.client;
    let mut history = filled(client);
    history.check(client);
    let first = history.delete(client, Some("h1"), Some((2, 6)));
    history.check(client);
    let second = history.delete(client, None, Some((7, 8)));
    history.check(client);
    // What is written later stays, and is not filled up with what was there before.
    history.write(client, &[("h1", 3, "a", 100), ("h1", 7, "b", 200), ("h2", 7, "a", 300)]);
    history.check(client);
    assert_eq!((disposition(client, first), disposition(client, second)), two("pending"));
    let shown = client.get(&format!("{PATH}?include_progress=true&min_sequence={first}")).json();
    assert!(shown[0]["progress"]["files_left"].as_u64() > Some(0), "{shown}");
    let server = server.killed_and_restarted();
    let client = &server.client;
    history.check(client);
    persist_everything(client);
    history.check(client);
    assert_eq!(disposition(client, first), "pending", "files still have the rows");
    compact(&server);
    history.check(client);
    is_completed(client, first);
    is_completed(client, second);
    let rows = "SELECT sum(row_count) FROM system.parquet_files WHERE table_name = 'm'";
    assert_eq!(client.value(DB, rows), history.rows().len() as i64, "nothing else is in files");
    let server = server.killed_and_restarted();
    history.check(&server.client);
    let aborted = server.client.json("POST", &format!("{PATH}/{first}/abort"), &json!({}));
    assert_eq!(aborted.status, 409, "{}", aborted.text());
    assert_eq!(disposition(&server.client, first), "completed");
}

fn two(word: &str) -> (String, String) {
    (word.to_owned(), word.to_owned())
}

#[test]
fn files_without_a_row_left_go_and_the_table_takes_new_ones() {
    let server = by_hand().start();
    let client = &server.client;
    let mut history = filled(client);
    persist_everything(client);
    let everything = history.delete(client, None, None);
    history.check(client);
    assert_eq!(client.count(DB, "m"), 0);
    compact(&server);
    is_completed(client, everything);
    assert!(!files(client, DB).iter().any(|file| file.contains("/m/")), "{:?}", files(client, DB));
    history.check(client);
    history.write(client, &[("h1", 3, "b", 1)]);
    history.check(client);
    let server = server.killed_and_restarted();
    history.check(&server.client);
}

#[test]
fn a_delete_that_is_taken_back_gives_the_rows_back() {
    let server = by_hand().start();
    let client = &server.client;
    let mut history = filled(client);
    let sequence = history.delete(client, Some("h2"), None);
    history.write(client, &[("h2", 1, "b", 77)]);
    history.check(client);
    persist_everything(client);
    let answer = client.json("POST", &format!("{PATH}/{sequence}/abort"), &json!({"reason": "no"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = answer.json();
    assert_eq!((&shown["disposition"], &shown["abort_reason"]), (&json!("aborted"), &json!("no")));
    let Some(Event::Delete(deleted)) =
        history.0.iter_mut().find(|event| matches!(event, Event::Delete(_)))
    else {
        panic!("there is one")
    };
    deleted.is_aborted = true;
    history.check(client);
    compact(&server);
    history.check(client);
    let again = client.json("POST", &format!("{PATH}/{sequence}/abort"), &json!({}));
    assert_eq!(again.status, 409);
    let unknown = client.json("POST", &format!("{PATH}/77/abort"), &json!({}));
    assert_eq!(unknown.status, 404);
    let server = server.killed_and_restarted();
    history.check(&server.client);
    assert_eq!(disposition(&server.client, sequence), "aborted");
}

#[test]
fn compaction_applies_deletes_by_itself() {
    let server = compacting().start();
    let client = &server.client;
    let mut history = filled(client);
    let sequence = history.delete(client, Some("h3"), Some((0, 5)));
    history.check(client);
    eventually("what was deleted is gone", || {
        persist_some(client);
        history.check(client);
        (disposition(client, sequence) == "completed").then_some(())
    });
    history.check(client);
}

/// Writes what makes snapshots due.
fn persist_some(client: &Client) {
    static MINUTE: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(66_000_000);
    let minute = MINUTE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    client.must_write("later", &format!("x f=1 {}", minute * MINUTE_NS));
}

#[test]
fn random_histories_are_what_they_are_said_to_be() {
    for seed in 1..=2_u64 {
        let mut random = Random(seed);
        let mut server = by_hand().start();
        let mut history = History::default();
        history.write(&server.client, &[("h0", 0, "a", 0), ("h1", 1, "b", 1)]);
        let mut open: Vec<u64> = Vec::new();
        for step in 0..60 {
            let client = server.client.clone();
            match random.below(20) {
                0..=9 => {
                    let hosts = ["h0", "h1", "h2"];
                    let rows: Vec<(&str, i64, &str, i64)> = (0..=random.below(4))
                        .map(|_| {
                            let host = hosts[random.below(3) as usize];
                            let field = ["a", "b"][random.below(2) as usize];
                            (host, random.below(12), field, random.below(1000))
                        })
                        .collect();
                    history.write(&client, &rows);
                }
                10..=13 => {
                    let host = format!("h{}", random.below(3));
                    let host = (random.below(3) > 0).then_some(host.as_str());
                    let min = random.below(12);
                    let minutes = (min, min + 1 + random.below(5));
                    let minutes = (random.below(4) > 0).then_some(minutes);
                    open.push(history.delete(&client, host, minutes));
                }
                14 => {
                    if let Some(sequence) = open.pop()
                        && disposition(&client, sequence) == "pending"
                    {
                        history.abort(&client, sequence);
                    }
                }
                15 | 16 => persist_everything(&client),
                17 => {
                    // What it applies cannot be taken back any more.
                    open.clear();
                    compact(&server);
                }
                _ => server = server.killed_and_restarted(),
            }
            history.check(&server.client);
            if step == 30 {
                server = server.stopped().start();
                history.check(&server.client);
            }
        }
        persist_everything(&server.client);
        compact(&server);
        history.check(&server.client);
    }
}

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64) % bound
    }
}

/// Asks for a delete at whose planted point the process ends; returns the next process.
fn delete_and_abort(setup: &Setup, point: &str) -> (Server, History) {
    let server = setup.start();
    let history = filled(&server.client);
    let setup = server.stopped();
    let mut server = planted(&setup, &format!("{point}=abort")).start();
    let request = body(Some("h1"), None).to_string().into_bytes();
    let json = &[("content-type", "application/json")];
    let sent = server.client.try_send("POST", PATH, json, request);
    assert!(sent.is_err(), "{point}: the client saw a broken connection");
    assert_eq!(server.wait().signal(), Some(SIGABRT), "{point}: {}", server.log());
    (setup.start(), history)
}

#[test]
fn a_delete_that_was_not_accepted_takes_nothing() {
    for point in ["row-delete-before-cut", "row-delete-before-accept"] {
        let (server, mut history) = delete_and_abort(&by_hand(), point);
        let client = &server.client;
        history.check(client);
        assert_eq!(client.get(PATH).json(), json!([]), "{point}");
        persist_everything(client);
        compact(&server);
        history.check(client);
        let next = history.delete(client, Some("h2"), Some((0, 3)));
        assert!(next > 1, "its number is not given again");
        history.check(client);
        compact(&server);
        is_completed(client, next);
        history.check(client);
    }
}

#[test]
fn a_delete_that_was_accepted_holds_although_nobody_was_told() {
    let (server, mut history) = delete_and_abort(&by_hand(), "row-delete-after-accept");
    let deleted =
        Deleted { sequence: 1, host: Some("h1".to_owned()), minutes: None, is_aborted: false };
    history.0.push(Event::Delete(deleted));
    let client = &server.client;
    history.check(client);
    assert_eq!(disposition(client, 1), "pending");
    history.write(client, &[("h1", 4, "b", 5)]);
    persist_everything(client);
    compact(&server);
    is_completed(client, 1);
    history.check(client);
}

#[test]
fn the_process_ends_while_a_delete_is_applied() {
    for point in ["compact-after-first-file", "compact-before-publish", "compact-after-publish"] {
        let server = by_hand().start();
        let mut history = filled(&server.client);
        persist_everything(&server.client);
        let sequence = history.delete(&server.client, Some("h0"), Some((1, 7)));
        history.write(&server.client, &[("h0", 2, "b", 1)]);
        let setup = server.stopped();
        let mut server = planted(&setup, &format!("{point}=abort")).start();
        let begun = server.client.json("POST", "/api/v3/configure/compact", &json!({"db": DB}));
        assert_eq!(begun.status, 202, "{}", begun.text());
        assert_eq!(server.wait().signal(), Some(SIGABRT), "{point}: {}", server.log());
        let server = setup.start();
        let client = &server.client;
        history.check(client);
        persist_everything(client);
        compact(&server);
        is_completed(client, sequence);
        history.check(client);
        let server = server.killed_and_restarted();
        history.check(&server.client);
    }
}

#[test]
fn an_abort_while_files_are_written_anew_is_not_undone() {
    let setup = by_hand();
    let server = super::stage::paused(&setup, "compact-before-publish").start();
    let client = &server.client;
    let mut history = filled(client);
    persist_everything(client);
    let sequence = history.delete(client, Some("h1"), None);
    let begun = client.json("POST", "/api/v3/configure/compact", &json!({"db": DB}));
    assert_eq!(begun.status, 202, "{}", begun.text());
    eventually("a compaction waits to be known", || {
        (!super::stage::objects(&setup, "c").is_empty()).then_some(())
    });
    history.abort(client, sequence);
    history.check(client);
    super::stage::release(&setup);
    compact(&server);
    history.check(client);
    let server = server.killed_and_restarted();
    history.check(&server.client);
}

#[test]
fn the_command_line_asks_deletes_and_cancels() {
    let server = by_hand().start();
    let client = &server.client;
    let mut history = filled(client);
    let directory = server.setup.data_dir();
    let shell = Shell { client: Some(client), directory: &directory };
    let rows = |more: &[&'static str]| -> Vec<&str> {
        [&["delete", "rows", "-d", DB, "-t", "m"], more].concat()
    };
    shell.fails(&rows(&["--yes"]), 2, &["--min-time"]);
    shell.fails(&rows(&["--yes", "--min-time", "1"]), 2, &["--max-time"]);
    shell.fails(&rows(&["--yes", "--all-time", "--min-time", "1", "--max-time", "2"]), 2, &[]);
    shell.fails(&rows(&["--yes", "--min-time", "soon", "--max-time", "2"]), 2, &["neither"]);
    let refused = shell.run(&rows(&["--all-time"]), b"n\n");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("Cannot proceed without confirmation"), "{}", refused.stderr);
    history.check(client);
    shell.fails(&rows(&["--yes", "--all-time", "--predicate", "a = '1'"]), 1, &["not a tag"]);
    let or = rows(&["--yes", "--all-time", "--predicate", "host = 'h1' OR host = 'h2'"]);
    shell.fails(&or, 1, &["joined by AND"]);
    history.check(client);
    let times = ["--min-time", "1970-01-01T00:02:00Z", "--max-time", "300000000000"];
    let said = shell.run(&rows(&[times[0], times[1], times[2], times[3]]), b"yes\n");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.text(), "Rows of \"d\".\"m\" deleted successfully (row delete 1)\n");
    let minutes = Some((2, 5));
    history.0.push(Event::Delete(Deleted { sequence: 1, host: None, minutes, is_aborted: false }));
    history.check(client);
    let said = shell.must(&["cancel", "row-delete", "1", "--reason", "a mistake"]);
    assert_eq!(said, "Row delete 1 cancelled successfully\n");
    if let Some(Event::Delete(deleted)) = history.0.last_mut() {
        deleted.is_aborted = true;
    }
    history.check(client);
    shell.fails(&["cancel", "row-delete", "1"], 1, &["not pending any more"]);
    shell.fails(&["cancel", "row-delete", "9"], 1, &["not found"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = by_hand().start();
    let client = &server.client;
    let history = filled(client);
    let check = |body: Value, status: u16, text: &str| {
        let answer = client.json("POST", PATH, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(text), "{body}: {}", answer.text());
    };
    check(json!({"db": "nosuch", "table": "m", "all_time": true}), 404, "nosuch");
    check(json!({"db": DB, "table": "nosuch", "all_time": true}), 404, "nosuch");
    check(json!({"db": DB, "table": "m"}), 400, "all_time");
    check(json!({"db": DB, "table": "m", "min_time": 5, "max_time": 5}), 400, "empty");
    let with =
        |predicate: &str| json!({"db": DB, "table": "m", "all_time": true, "predicate": predicate});
    check(with("nosuch = 'x'"), 400, "no tag nosuch");
    check(with("a = '1'"), 400, "a is a field");
    check(with("NOT host = 'h1'"), 400, "not supported");
    check(with("host IN ('h1')"), 400, "unexpected '('");
    check(json!({"db": "_internal", "table": "m", "all_time": true}), 500, "");
    history.check(client);
}
