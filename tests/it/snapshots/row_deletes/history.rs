//! What a table is to have after writes and deletes of rows, and how both are asked for.

use super::super::model::DB;
use crate::support::client::{Client, with_query};
use crate::support::eventually;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const PATH: &str = "/api/v3/row_delete_requests";
pub(super) const MINUTE_NS: i64 = 60_000_000_000;

/// A table as it is to be: fields by host and minute.
pub(super) type Rows = BTreeMap<(String, i64), BTreeMap<String, i64>>;

/// What was written and deleted, in order.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Host, minute, field, value.
    Write(Vec<(String, i64, String, i64)>),
    Delete(Deleted),
}

#[derive(Clone, Debug)]
pub(super) struct Deleted {
    pub(super) sequence: u64,
    pub(super) host: Option<String>,
    pub(super) minutes: Option<(i64, i64)>,
    pub(super) is_aborted: bool,
}

#[derive(Default)]
pub(super) struct History(pub(super) Vec<Event>);

impl History {
    pub(super) fn write(&mut self, client: &Client, rows: &[(&str, i64, &str, i64)]) {
        let line = |(host, minute, field, value): &(&str, i64, &str, i64)| {
            format!("m,host={host} {field}={value}i {}", minute * MINUTE_NS)
        };
        client.must_write(DB, &rows.iter().map(line).collect::<Vec<_>>().join("\n"));
        let owned = rows.iter().map(|(host, minute, field, value)| {
            ((*host).to_owned(), *minute, (*field).to_owned(), *value)
        });
        self.0.push(Event::Write(owned.collect()));
    }

    pub(super) fn delete(
        &mut self,
        client: &Client,
        host: Option<&str>,
        minutes: Option<(i64, i64)>,
    ) -> u64 {
        let sequence = delete(client, host, minutes);
        let host = host.map(str::to_owned);
        self.0.push(Event::Delete(Deleted { sequence, host, minutes, is_aborted: false }));
        sequence
    }

    pub(super) fn abort(&mut self, client: &Client, sequence: u64) {
        let answer = client.json("POST", &format!("{PATH}/{sequence}/abort"), &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        for event in &mut self.0 {
            if let Event::Delete(deleted) = event
                && deleted.sequence == sequence
            {
                deleted.is_aborted = true;
            }
        }
    }

    pub(super) fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for event in &self.0 {
            match event {
                Event::Write(written) => {
                    for (host, minute, field, value) in written {
                        let row = rows.entry((host.clone(), *minute)).or_default();
                        row.insert(field.clone(), *value);
                    }
                }
                Event::Delete(deleted) if !deleted.is_aborted => {
                    rows.retain(|(host, minute), _| {
                        let is_host = deleted.host.as_ref().is_none_or(|deleted| deleted == host);
                        let is_then =
                            deleted.minutes.is_none_or(|(min, max)| (min..max).contains(minute));
                        !(is_host && is_then)
                    })
                }
                Event::Delete(_) => {}
            }
        }
        rows
    }

    /// Every way of asking says the same.
    #[track_caller]
    pub(super) fn check(&self, client: &Client) {
        let expected = self.rows();
        let all = client.rows(DB, "SELECT * FROM m ORDER BY host, time");
        let found = all.as_array().expect("rows").iter().map(|row| {
            let minute = minute_of(&row["time"]);
            let fields = row.as_object().expect("a row").iter();
            let fields = fields.filter_map(|(name, value)| Some((name.clone(), value.as_i64()?)));
            ((row["host"].as_str().expect("a host").to_owned(), minute), fields.collect())
        });
        let found: Rows = found.collect();
        assert_eq!(found, expected);
        assert_eq!(client.count(DB, "m"), expected.len() as u64, "count");
        let ends = client.rows(DB, "SELECT min(time) AS first, max(time) AS last FROM m");
        let minutes = || expected.keys().map(|(_, minute)| *minute);
        let (first, last) = (minutes().min(), minutes().max());
        assert_eq!(ends[0]["first"].as_str().map(|_| minute_of(&ends[0]["first"])), first);
        assert_eq!(ends[0]["last"].as_str().map(|_| minute_of(&ends[0]["last"])), last);
        let newest = "SELECT DISTINCT ON (host) host, time FROM m ORDER BY host, time DESC";
        let newest = client.rows(DB, newest);
        let newest = newest.as_array().expect("rows").iter();
        let newest: BTreeMap<String, i64> = newest
            .map(|row| (row["host"].as_str().expect("a host").to_owned(), minute_of(&row["time"])))
            .collect();
        let expected_newest: BTreeMap<String, i64> =
            expected.keys().map(|(host, minute)| (host.clone(), *minute)).collect();
        assert_eq!(newest, expected_newest, "the newest of each host");
        let hosts: Vec<&String> = expected_newest.keys().collect();
        for names in ["SELECT DISTINCT host FROM m", "SELECT host FROM m GROUP BY host"] {
            let rows = client.rows(DB, &format!("{names} ORDER BY host"));
            let rows = rows.as_array().expect("rows").iter();
            let named: Vec<_> = rows.map(|row| row["host"].as_str().expect("a host")).collect();
            assert_eq!(named, hosts, "{names}");
        }
        let show = "SHOW TAG VALUES FROM m WITH KEY = host WHERE time >= 0";
        let shown = &client.get(&with_query("/query", &[("db", DB), ("q", show)])).json()["results"]
            [0]["series"][0];
        let shown = shown["values"].as_array().into_iter().flatten();
        let shown: Vec<_> = shown.map(|pair| pair[1].as_str().expect("a host")).collect();
        assert_eq!(shown, hosts, "SHOW TAG VALUES");
        let of_host = client.value(DB, "SELECT count(*) FROM m WHERE host = 'h1'");
        let count = expected.keys().filter(|(host, _)| host == "h1").count();
        assert_eq!(of_host, count as i64, "count of a host");
        let path = with_query("/query", &[("db", DB), ("q", "SELECT count(a) FROM m")]);
        let series = &client.get(&path).json()["results"][0]["series"][0]["values"][0][1];
        let values = expected.values().filter(|row| row.contains_key("a")).count();
        assert_eq!(series.as_u64().unwrap_or(0), values as u64, "InfluxQL");
    }
}

#[track_caller]
pub(super) fn minute_of(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S");
    time.expect("of this form").and_utc().timestamp() / 60
}

pub(super) fn body(host: Option<&str>, minutes: Option<(i64, i64)>) -> Value {
    let mut body = json!({ "db": DB, "table": "m" });
    match minutes {
        Some((min, max)) => {
            body["min_time"] = json!(min * MINUTE_NS);
            body["max_time"] = json!(max * MINUTE_NS);
        }
        None => body["all_time"] = json!(true),
    }
    if let Some(host) = host {
        body["predicate"] = json!(format!("host = \"{host}\""));
    }
    body
}

#[track_caller]
pub(super) fn delete(client: &Client, host: Option<&str>, minutes: Option<(i64, i64)>) -> u64 {
    let answer = client.json("POST", PATH, &body(host, minutes));
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["sequence"].as_u64().expect("a number")
}

/// How the delete of a number stands, which the list and the system table say alike.
#[track_caller]
pub(super) fn disposition(client: &Client, sequence: u64) -> String {
    let sql = format!("SELECT disposition FROM system.row_deletes WHERE sequence = {sequence}");
    eventually("both say the same", || {
        let listed = client.get(&format!("{PATH}?min_sequence={sequence}&max_sequence={sequence}"));
        assert_eq!(listed.status, 200, "{}", listed.text());
        let listed = listed.json();
        assert!(listed.as_array().is_some_and(|listed| listed.len() <= 1), "{listed}");
        let word = |rows: &Value| rows[0]["disposition"].as_str().unwrap_or("none").to_owned();
        let said = word(&listed);
        (word(&client.rows(DB, &sql)) == said).then_some(said)
    })
}

pub(super) fn is_completed(client: &Client, sequence: u64) {
    eventually("what was deleted is gone", || {
        (disposition(client, sequence) == "completed").then_some(())
    });
}
