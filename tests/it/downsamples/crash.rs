//! Kills, stops and damage: what was to be computed still is.

use super::{DB, T0, WIDTH, create, must_be_idle, must_keep_up, status, write};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{NODE, Server, Setup};
use serde_json::json;
use std::fs;

/// Intervals of one second each, each with one row.
const INTERVALS: i64 = 30_000;

fn written(client: &Client) -> u64 {
    client.count(DB, "coarse")
}

#[test]
fn history_goes_on_after_a_kill() {
    let mut server = Server::disk();
    let lines: Vec<String> =
        (0..INTERVALS).map(|n| format!("fine v={n} {}", (T0 + n) * 1_000_000_000)).collect();
    server.client.must_write(DB, &lines.join("\n"));
    create(&server.client, &json!({"interval": "1s", "backfill": true, "aggregates": ["sum"]}));
    let mut kills = 0;
    for least in [1, 100, 5_000] {
        eventually("it goes on", || (written(&server.client) >= least).then_some(()));
        kills += u32::from(written(&server.client) < INTERVALS as u64);
        server = server.killed_and_restarted();
    }
    assert!(kills > 0, "one of the kills is in the middle");
    eventually("all is computed", || {
        (status(&server.client)["backfill_percent"] == 100.0).then_some(())
    });
    assert_eq!(written(&server.client), INTERVALS as u64);
    let sums = "SELECT sum(v_sum) AS s, min(v_sum) AS l, max(v_sum) AS h FROM coarse";
    let sum = (INTERVALS * (INTERVALS - 1) / 2) as f64;
    let expected = json!([{"s": sum, "l": 0.0, "h": (INTERVALS - 1) as f64}]);
    assert_eq!(server.client.rows(DB, sums), expected);
}

#[test]
fn rows_of_before_a_kill_or_a_stop_are_computed_after_the_start() {
    let server = Server::disk();
    write(&server.client, &[("a", 0, 1.0)]);
    create(&server.client, &json!({}));
    let mut server = server;
    for round in 1..4 {
        write(&server.client, &[("a", round * WIDTH, 1.0), ("a", 0, round as f64)]);
        server = match round % 2 {
            0 => server.stopped().start(),
            _ => server.killed_and_restarted(),
        };
    }
    must_keep_up(&server.client);
}

#[test]
fn a_paused_one_knows_what_it_has_missed() {
    let server = Server::disk();
    write(&server.client, &[("a", 0, 1.0)]);
    create(&server.client, &json!({"backfill": true, "disabled": true}));
    eventually("it knows what is due", || {
        let status = status(&server.client);
        (status["state"] == "disabled").then_some(())
    });
    write(&server.client, &[("a", WIDTH, 1.0)]);
    let server = server.killed_and_restarted();
    write(&server.client, &[("b", 5 * WIDTH, 1.0)]);
    eventually("it has seen the rows", || {
        (status(&server.client)["pending_intervals"].as_u64() >= Some(2)).then_some(())
    });
    assert_eq!(written(&server.client), 0);
    super::switch(&server.client, "POST", "/enable", "fine_to_coarse");
    must_keep_up(&server.client);
    super::switch(&server.client, "POST", "/disable", "fine_to_coarse");
    let before = written(&server.client);
    write(&server.client, &[("b", 6 * WIDTH, 1.0)]);
    eventually("it has seen the row", || {
        (status(&server.client)["pending_intervals"].as_u64() >= Some(1)).then_some(())
    });
    assert_eq!(written(&server.client), before);
}

#[test]
fn what_cannot_be_read_is_found_out_anew() {
    let setup = Setup::disk();
    let server = setup.start();
    write(&server.client, &[("a", 0, 1.0), ("b", 3 * WIDTH, 2.0)]);
    create(&server.client, &json!({}));
    must_be_idle(&server.client);
    let setup = server.stopped();
    let path = setup.data_dir().join(NODE).join("downsamples");
    fs::write(&path, "{}x").expect("the object is there");
    let server = setup.start();
    must_keep_up(&server.client);
    super::switch(&server.client, "DELETE", "", "fine_to_coarse");
    assert!(!path.exists(), "nothing is kept of what is deleted");
}

#[test]
fn it_begins_anew_when_the_log_no_longer_has_the_rows() {
    let keep_none = ["--snapshotted-wal-files-to-keep", "0", "--wal-delete-delay", "0s"];
    let often = ["--wal-snapshot-size", "1", "--wal-flush-interval", "1ms"];
    let setup = Setup::disk().with(&keep_none).with(&often);
    let server = setup.start();
    write(&server.client, &[("a", 0, 1.0)]);
    create(&server.client, &json!({}));
    let setup = server.stopped();
    let path = setup.data_dir().join(NODE).join("downsamples");
    let stored = fs::read_to_string(&path).expect("the object is there");
    // Rows of later times let the snapshot hold those before.
    let server = setup.start();
    for n in 1..40 {
        write(&server.client, &[("a", n * WIDTH, 1.0)]);
    }
    let removed = || server.client.metric("wal_files_removed_total", &[]);
    eventually("files of the WAL are removed", || removed().filter(|files| *files > 5.0));
    let setup = server.stopped();
    fs::write(&path, stored).expect("the object is there");
    let server = setup.start();
    must_keep_up(&server.client);
    assert!(server.log().contains("files of the WAL are gone"), "{}", server.log());
}
