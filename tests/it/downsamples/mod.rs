//! Downsamples: coarse tables that keep up with fine ones.

mod admin;
mod crash;
mod values;

use crate::support::client::{Client, with_query};
use crate::support::eventually;
use serde_json::{Value, json};

const PATH: &str = "/api/v3/configure/downsample";
/// The database of most tests.
const DB: &str = "d";
/// A multiple of ten minutes, in seconds since 1970.
const T0: i64 = 1_699_999_800;
/// Intervals of most tests, in seconds.
const WIDTH: i64 = 600;

/// The body for a downsample of `fine` to `coarse` in intervals of ten minutes, with `more`.
fn body(more: &Value) -> Value {
    let mut body = json!({
        "db": DB, "table": "fine", "to": "coarse", "interval": "10m", "aggregates": ["avg", "count"],
    });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

#[track_caller]
fn create(client: &Client, more: &Value) {
    let answer = client.json("POST", PATH, &body(more));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Deletes, enables or disables a downsample of [`DB`].
#[track_caller]
fn switch(client: &Client, method: &str, verb: &str, name: &str) {
    let path = with_query(&format!("{PATH}{verb}"), &[("db", DB), ("name", name)]);
    let answer = client.send(method, &path, &[], "");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A row of `fine` at so many seconds after [`T0`].
fn line(host: &str, seconds: i64, value: f64) -> String {
    format!("fine,host={host} v={value} {}", (T0 + seconds) * 1_000_000_000)
}

fn write(client: &Client, rows: &[(&str, i64, f64)]) {
    let lines: Vec<String> = rows.iter().map(|(host, at, value)| line(host, *at, *value)).collect();
    client.must_write(DB, &lines.join("\n"));
}

/// The status of the only downsample of [`DB`].
fn status(client: &Client) -> Value {
    client.rows(DB, "SELECT * FROM system.downsamples")[0].clone()
}

/// What a coarse table has to be, asked of the fine one.
fn direct(client: &Client, db: &str) -> Value {
    let sql = "SELECT date_bin(INTERVAL '10 minutes', time) AS time, host, avg(v) AS v_avg, \
               count(v) AS v_count FROM fine GROUP BY 1, 2 ORDER BY time, host";
    client.rows(db, sql)
}

/// Waits until `coarse` is what `fine` says.
#[track_caller]
fn must_keep_up(client: &Client) {
    let expected = direct(client, DB);
    assert!(expected.as_array().is_some_and(|rows| !rows.is_empty()), "there are rows");
    let mut shown = Value::Null;
    eventually("the coarse table keeps up", || {
        let answer = client.sql(DB, "SELECT * FROM coarse ORDER BY time, host");
        shown = if answer.status == 200 { answer.json() } else { answer.text().into() };
        (shown == expected).then_some(())
    });
}

/// Waits until nothing is due.
fn must_be_idle(client: &Client) {
    eventually("nothing is due", || {
        let status = status(client);
        let is_idle = status["state"] == "running" && status["pending_intervals"] == 0;
        is_idle.then_some(())
    });
}
