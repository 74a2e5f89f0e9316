//! What it costs to let requests in, and what a good client notices of many that are refused.

mod many;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::http::{Connection, ServerOptions, Target, ask_once};
use crate::latency::Percentiles;
use crate::lone_writer;
use crate::process::ProcessMeter;
use crate::results::{Section, Table, median, number, ratio};
use crate::servers::Server;

/// Requests of others a second.
const OTHER_RATE: u64 = 1000;
const OTHER_CONNECTIONS: u64 = 4;
/// The rows of a good client, and what it asks for when only letting in costs anything.
const PATHS: [&str; 2] = ["/api/v3/write_lp", "/ping"];

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("access", "Access");
    tokens(bench, &mut section)?;
    many::run(bench, &mut section)?;
    refusals(bench, &mut section)?;
    Ok(Some(section))
}

/// What a client sees, and what it costs the server, in the medians of all rounds.
#[derive(Default)]
struct Seen {
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Seen {
    fn add(&mut self, latency: Percentiles, cpu_us: f64) {
        self.p50_ms.push(latency.p50_ms);
        self.p99_ms.push(latency.p99_ms);
        self.cpu_us.push(cpu_us);
    }
}

/// The median.
fn of(values: &[f64]) -> Option<f64> {
    median(values.iter().copied())
}

/// A server without tokens beside one that asks for them.
fn tokens(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let (rounds, requests) = (bench.sizes.access_rounds, bench.sizes.lone_requests);
    let pings = requests.saturating_mul(10);
    let mut all: [[Seen; 2]; 2] = Default::default();
    for round in 0..rounds {
        // Who is first changes, so that neither has the warmer machine.
        for with_token in [round % 2 == 0, round % 2 == 1] {
            let server = bench.start(&bench.launch().asking_for_tokens(with_token))?;
            let options = if with_token { operator(&server)? } else { server.options() };
            for (at, requests) in [requests, pings].into_iter().enumerate() {
                let meter = ProcessMeter::start(server.pid())?;
                let latency = match at {
                    0 => lone_writer::time_writes(&options, Target::Influxdb3V3, requests)?,
                    _ => time_pings(&options, requests)?,
                };
                let cpu_us = meter.read()?.cpu_seconds * 1e6 / f64::from(requests);
                let latency = Percentiles::of(latency).context("no request was sent")?;
                all[at][usize::from(with_token)].add(latency, cpu_us);
            }
        }
    }
    section.add(&format!(
        "**Tokens**: one connection, one request after the other, to a server without tokens and to \
         one that asks for them, in turn, medians of {rounds}: {requests} writes of one row, and \
         {pings} requests for `/ping`, which do nothing but come in."
    ));
    let mut table = Table::new(["", "p50, ms", "p99, ms", "CPU a request, µs"]);
    for (path, [without, with]) in PATHS.into_iter().zip(&all) {
        for (name, seen) in [("without", without), ("with a token", with)] {
            table.row([
                format!("`{path}`, {name}"),
                number(of(&seen.p50_ms)),
                number(of(&seen.p99_ms)),
                number(of(&seen.cpu_us)),
            ]);
        }
        table.row([
            format!("`{path}`, ratio"),
            ratio(of(&with.p50_ms), of(&without.p50_ms)),
            ratio(of(&with.p99_ms), of(&without.p99_ms)),
            ratio(of(&with.cpu_us), of(&without.cpu_us)),
        ]);
    }
    section.add(&table.markdown());
    Ok(())
}

/// A good client, alone and beside others who may not do what they ask for. And beside others who
/// only ask whether somebody is there: on a small machine any request takes time from others, those
/// that send them included.
fn refusals(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let (rounds, requests) = (bench.sizes.access_rounds, bench.sizes.lone_requests);
    let server = bench.start(&bench.launch().asking_for_tokens(true))?;
    let good = operator(&server)?;
    let reader = limited(&good)?;
    let refused = reader.post(&Target::Influxdb3V3.write_path(&reader.db), b"m f=1");
    let others = [
        None,
        Some(Others { request: refused, status: 403 }),
        Some(Others { request: good.get(PATHS[1]), status: 200 }),
    ];
    let mut seen: [Seen; 3] = Default::default();
    let mut rate = Vec::new();
    for _ in 0..rounds {
        for (seen, others) in seen.iter_mut().zip(&others) {
            let writes = || lone_writer::time_writes(&good, Target::Influxdb3V3, requests);
            let latency = match others {
                None => writes()?,
                Some(others) => {
                    let (latency, a_second) = others.beside(server.address, writes)?;
                    rate.push(a_second);
                    latency
                }
            };
            let latency = Percentiles::of(latency).context("no request was sent")?;
            seen.add(latency, 0.0);
        }
    }
    section.add(&format!(
        "**Refused requests**: a good client writes {requests} rows, one a request, alone, beside \
         {rate} requests a second without the right to write, and beside as many for `/ping`, in \
         turn, medians of {rounds}. Who sends them is on the same machine.",
        rate = number(of(&rate))
    ));
    let mut table = Table::new(["", "p50, ms", "p99, ms", "ratio of p50", "ratio of p99"]);
    let alone = &seen[0];
    for (name, one) in ["alone", "beside refused ones", "beside `/ping`"].into_iter().zip(&seen) {
        let (p50, p99) = (of(&one.p50_ms), of(&one.p99_ms));
        let ratios = [ratio(p50, of(&alone.p50_ms)), ratio(p99, of(&alone.p99_ms))];
        table.row([name.to_owned(), number(p50), number(p99)].into_iter().chain(ratios));
    }
    section.add(&table.markdown());
    Ok(())
}

/// What others ask for, and what they are answered.
struct Others {
    request: Vec<u8>,
    status: u16,
}

impl Others {
    /// What `work` takes while they ask, and how many requests a second they send.
    fn beside<T>(&self, address: SocketAddr, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        let (ended, answered) = (AtomicBool::new(false), AtomicU64::new(0));
        let began = Instant::now();
        thread::scope(|scope| {
            let senders: Vec<_> = (0..OTHER_CONNECTIONS)
                .map(|_| scope.spawn(|| self.ask(address, &ended, &answered)))
                .collect();
            let done = work();
            ended.store(true, Ordering::Relaxed);
            for sender in senders {
                sender.join().ok().context("a sender panicked")??;
            }
            let rate = answered.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
            Ok((done?, rate))
        })
    }

    fn ask(&self, address: SocketAddr, ended: &AtomicBool, answered: &AtomicU64) -> Result<()> {
        let mut connection = Connection::open(address).context("cannot connect")?;
        let interval = Duration::from_micros(1_000_000 * OTHER_CONNECTIONS / OTHER_RATE);
        let mut due = Instant::now();
        while !ended.load(Ordering::Relaxed) {
            let answer = connection.exchange(&self.request).context("nobody has answered")?;
            ensure!(answer.status == self.status, "another answer: {}", answer.describe());
            answered.fetch_add(1, Ordering::Relaxed);
            due += interval;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

fn time_pings(server: &ServerOptions, requests: u32) -> Result<Vec<Duration>> {
    let request = server.get(PATHS[1]);
    let mut connection = Connection::open(server.address).context("cannot connect")?;
    (0..requests)
        .map(|_| {
            let began = Instant::now();
            let response = connection.exchange(&request).context("a ping was not answered")?;
            ensure!(response.is_success(), "a ping was refused with {}", response.describe());
            Ok(began.elapsed())
        })
        .collect()
}

/// The same server with the token of its operator, who has had none.
fn operator(server: &Server) -> Result<ServerOptions> {
    let options = server.options();
    let made = ask_once(&options, &options.post("/api/v3/configure/token/admin", b""))?;
    with_token(options, &made)
}

/// The same server with a token that may read one other database.
fn limited(operator: &ServerOptions) -> Result<ServerOptions> {
    ask_once(
        operator,
        &operator.post_json("/api/v3/configure/database", &serde_json::json!({"db": "other"})),
    )?;
    let permission = serde_json::json!({
        "token_name": "reader",
        "permissions": [{
            "resource_type": "db", "resource_names": ["other"], "actions": ["read"],
        }],
    });
    let made =
        ask_once(operator, &operator.post_json("/api/v3/enterprise/configure/token", &permission))?;
    with_token(operator.clone(), &made)
}

fn with_token(options: ServerOptions, made: &[u8]) -> Result<ServerOptions> {
    let made: serde_json::Value = serde_json::from_slice(made).context("a token is no JSON")?;
    let token = made["token"].as_str().context("an answer without a token")?;
    Ok(ServerOptions { token: Some(token.to_owned()), ..options })
}
