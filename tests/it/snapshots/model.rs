//! What the server has to hold, according to its answers.

use crate::support::DEADLINE;
use crate::support::client::{Client, with_query};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

/// The database of all tests here.
pub(super) const DB: &str = "d";
/// Its tables, two of them so that a snapshot has more to write than one file a chunk.
const TABLES: [&str; 2] = ["a", "b"];
/// Rows of one step after the other lie so far apart: two steps fill a chunk of a minute.
const STEP_SECONDS: i64 = 30;

/// Table, tag and time in nanoseconds.
type Key = (&'static str, String, i64);
type Rows = BTreeMap<Key, BTreeMap<String, i64>>;

/// One row as it is sent.
#[derive(Clone, Debug)]
struct Line {
    key: Key,
    fields: Vec<(&'static str, i64)>,
}

/// Rows that were acknowledged, and requests whose fate the client does not know.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    rows: Rows,
    unsure: Vec<Vec<Line>>,
    steps: i64,
}

impl Model {
    /// Sends the next request, new rows and one that changes an older row, and waits for the end
    /// of the WAL period that it is in. False when it was not acknowledged or the server is gone.
    pub(super) fn step(&mut self, client: &Client) -> bool {
        let Some(before) = Progress::of(client) else { return false };
        let lines = self.next_lines();
        if !send(client, &lines) {
            self.unsure.push(lines);
            return false;
        }
        self.apply(&lines);
        before.period_is_over(client)
    }

    /// Steps that all have to succeed.
    pub(super) fn steps(&mut self, client: &Client, count: usize) {
        for _ in 0..count {
            assert!(self.step(client), "a write was not acknowledged");
        }
    }

    /// Steps until so many more snapshots were taken.
    pub(super) fn take_snapshots(&mut self, client: &Client, count: u32) {
        let taken = || Progress::of(client).expect("the server lives").snapshots;
        let enough = taken() + f64::from(count);
        let begun = Instant::now();
        while taken() < enough {
            assert!(begun.elapsed() < DEADLINE, "no snapshot");
            self.steps(client, 1);
        }
    }

    /// Sends the requests again whose fate is not known.
    pub(super) fn resend(&mut self, client: &Client) {
        for lines in std::mem::take(&mut self.unsure) {
            assert!(send(client, &lines), "a write was not acknowledged");
            self.apply(&lines);
        }
    }

    /// Compares every row and every value, each of which has to be there once. Of a request whose
    /// fate is not known all rows have to be there, or none.
    #[track_caller]
    pub(super) fn check(&self, client: &Client) {
        let found = rows(client);
        let mut possible = vec![self.rows.clone()];
        for lines in &self.unsure {
            let mut with = possible.clone();
            with.iter_mut().for_each(|rows| apply(rows, lines));
            possible.extend(with);
        }
        assert!(possible.contains(&found), "found {found:#?}\nexpected one of {possible:#?}");
        for table in TABLES {
            let of_table = || found.iter().filter(|((name, ..), _)| *name == table);
            assert_eq!(client.count(DB, table), of_table().count() as u64, "rows of {table}");
            let sum: i64 = of_table().filter_map(|(_, fields)| fields.get("f")).sum();
            if of_table().count() > 0 {
                assert_eq!(client.value(DB, &format!("SELECT sum(f) FROM {table}")), sum);
            }
        }
    }

    /// True if all rows are there. Others may be there as well, and other values in these.
    pub(super) fn found_at_least(&self, client: &Client) -> bool {
        let found = rows(client);
        self.rows.keys().all(|key| found.contains_key(key))
    }

    fn next_lines(&mut self) -> Vec<Line> {
        let n = self.steps;
        self.steps += 1;
        let key = |table, step: i64, series| {
            (table, format!("s{}", step % series), step * STEP_SECONDS * 1_000_000_000)
        };
        let mut lines = vec![
            Line { key: key("a", n, 3), fields: vec![("f", n), ("g", n)] },
            Line { key: key("b", n, 2), fields: vec![("f", n)] },
        ];
        if n >= 4 {
            // One value of a row that may be in a file already. The other one stays.
            lines.push(Line { key: key("a", n - 4, 3), fields: vec![("f", 1000 + n)] });
        }
        lines
    }

    fn apply(&mut self, lines: &[Line]) {
        apply(&mut self.rows, lines);
    }
}

fn apply(rows: &mut Rows, lines: &[Line]) {
    for line in lines {
        let row = rows.entry(line.key.clone()).or_default();
        row.extend(line.fields.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    }
}

/// True if the request was acknowledged.
fn send(client: &Client, lines: &[Line]) -> bool {
    let mut text = String::new();
    for Line { key: (table, tag, time_ns), fields } in lines {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={value}i")).collect();
        writeln!(text, "{table},k={tag} {} {time_ns}", fields.join(",")).expect("text");
    }
    let path = with_query("/api/v3/write_lp", &[("db", DB), ("precision", "ns")]);
    let sent = client.try_send("POST", &path, &[], text.into_bytes());
    sent.is_ok_and(|answer| answer.status == 204)
}

fn rows(client: &Client) -> Rows {
    let mut rows = Rows::new();
    for table in TABLES {
        let sql = format!("SELECT *, CAST(time AS BIGINT) AS ns FROM {table}");
        let answer = client.sql(DB, &sql);
        if answer.status != 200 && answer.text().contains("not found") {
            continue;
        }
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        for row in answer.json().as_array().expect("rows") {
            let tag = row["k"].as_str().expect("a tag").to_owned();
            let key = (table, tag, row["ns"].as_i64().expect("a time"));
            let values =
                ["f", "g"].into_iter().filter_map(|f| Some((f.to_owned(), row[f].as_i64()?)));
            let former = rows.insert(key.clone(), values.collect());
            assert!(former.is_none(), "{key:?} is there twice");
        }
    }
    rows
}

/// How far the WAL and the snapshots have come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Progress {
    /// WAL periods that no snapshot has taken.
    pub(super) periods: f64,
    /// Snapshots since the start.
    pub(super) snapshots: f64,
}

impl Progress {
    /// `None` when the server is gone.
    pub(super) fn of(client: &Client) -> Option<Self> {
        let text = client.try_send("GET", "/metrics", &[], Vec::new()).ok()?.text();
        let sample = |name: &str| {
            let mut values =
                text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            values.next().unwrap_or(0.0)
        };
        let periods = sample("wal_periods_tracked ");
        Some(Self { periods, snapshots: sample("persist_snapshots_total ") })
    }

    /// Waits until the period is over that was under way. False when the server is gone.
    pub(super) fn period_is_over(self, client: &Client) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            match Self::of(client) {
                None => return false,
                Some(now) if now != self => return true,
                Some(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        }
        panic!("the WAL period does not end");
    }
}
