//! Last-value and distinct-value caches.

mod admin;
mod distinct;
#[cfg(feature = "failpoints")]
mod failures;
mod last;
mod life;
mod queries;
mod row_deletes;

use crate::support::client::{Answer, Client, with_query};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const LAST: &str = "/api/v3/configure/last_cache";
const DISTINCT: &str = "/api/v3/configure/distinct_cache";
/// 2065-01-07T17:00:00Z, in seconds.
const T0: i64 = 2_998_573_200;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_secs() as i64
}

/// Writes a line at so many seconds after [`T0`].
fn write_at(client: &Client, line: &str, seconds: i64) {
    client.must_write("x", &format!("{line} {}000000000", T0 + seconds));
}

fn create(client: &Client, path: &str, body: &Value) -> Answer {
    let mut all = json!({"db": "x"});
    for (name, value) in body.as_object().expect("an object") {
        all[name] = value.clone();
    }
    client.json("POST", path, &all)
}

#[track_caller]
fn must_create(client: &Client, path: &str, body: &Value) -> Value {
    let answer = create(client, path, body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The rows of a query as CSV without its header.
#[track_caller]
fn csv(client: &Client, sql: &str) -> Vec<String> {
    let path = with_query("/api/v3/query_sql", &[("db", "x"), ("q", sql), ("format", "csv")]);
    let answer = client.get(&path);
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
    answer.text().lines().skip(1).map(str::to_owned).collect()
}

/// Like [`csv`], in any order.
#[track_caller]
fn sorted(client: &Client, sql: &str) -> Vec<String> {
    let mut rows = csv(client, sql);
    rows.sort();
    rows
}

#[track_caller]
fn refused(client: &Client, sql: &str, text: &str) {
    let answer = client.sql("x", sql);
    assert_eq!(answer.status, 400, "{sql}: {}", answer.text());
    let full = format!("Error during planning: {text}");
    assert!(answer.text().contains(&full), "{sql}: {}", answer.text());
}
