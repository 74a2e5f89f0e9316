//! The same statements to this server and to an InfluxDB of version 1, over the same rows.
//!
//! The peer comes from Debian's package `influxdb`, which `deploy/test` installs, and runs in a
//! directory of its own. Where it is missing these tests say that they were skipped; under CI that
//! is a failure. What both are known to answer differently is in `differences`.
//!
//! `INFLUXDB3_PEER_STATEMENTS` asks for more statements than a run has by itself, and
//! `INFLUXDB3_PEER_SEED` for others; many need more than the ten minutes that a test has
//! (`INFLUXDB3_TEST_MINUTES`).

mod answers;
mod data;
mod differences;
pub(crate) mod peer;
mod statements;

use crate::support::client::{Client, with_query};
use crate::support::server::Server;
use answers::{Told, same};
use peer::Peer;
use serde_json::{Value, json};
use statements::Maker;
use std::collections::BTreeMap;

/// Statements of a run that nobody asks more of.
const STATEMENTS: u64 = 400;

/// Mismatches that are shown.
const SHOWN_MAX: usize = 25;

/// Numbers by chance, the same for the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
        Err(_) => default,
    }
}

/// Both servers with the same rows.
fn both() -> Option<(Server, Peer)> {
    let peer = Peer::start()?;
    let server = Server::memory();
    peer.client.post(&with_query("/query", &[("q", "CREATE DATABASE d")]), "");
    for lines in data::batches() {
        for client in [&server.client, &peer.client] {
            let written = client.post("/write?db=d", lines.clone());
            assert_eq!(written.status, 204, "{}", written.text());
        }
    }
    Some((server, peer))
}

fn ask(client: &Client, statement: &str) -> Told {
    let parameters = [("db", "d"), ("epoch", "ns"), ("q", statement)];
    let answer = client.get(&with_query("/query", &parameters));
    // Version 1 says so in plain text when a number has no form in JSON.
    let in_words = || json!({ "error": answer.text() });
    let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| in_words());
    Told::of(&answer)
}

#[test]
fn statements_are_answered_as_by_version_1() {
    let Some((server, peer)) = both() else { return };
    let statements = number("INFLUXDB3_PEER_STATEMENTS", STATEMENTS);
    let mut maker = Maker::new(number("INFLUXDB3_PEER_SEED", 17));
    let mut known: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut mismatches, mut with_rows) = (Vec::new(), 0);
    for _ in 0..statements {
        let statement = maker.next();
        let (ours, theirs) = (ask(&server.client, &statement), ask(&peer.client, &statement));
        with_rows += u64::from(theirs.has_rows());
        if same(&ours, &theirs) {
            continue;
        }
        match differences::find(&statement, &ours, &theirs) {
            Some(name) => *known.entry(name).or_default() += 1,
            None => mismatches.push(format!("{statement}\n  ours   {ours}\n  theirs {theirs}")),
        }
    }
    println!("{statements} statements, {with_rows} with rows, known differences: {known:?}");
    let shown = mismatches.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>();
    assert!(mismatches.is_empty(), "{} mismatches:\n{}", mismatches.len(), shown.join("\n"));
    assert!(with_rows * 2 > statements, "most statements have no answer to compare");
}
