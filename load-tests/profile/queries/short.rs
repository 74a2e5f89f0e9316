//! Statements that cost hardly more than being asked, and how many queries a second are answered.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::{Bench, OURS};
use crate::generators::DataOptions;
use crate::generators::random::Random;
use crate::latency::Percentiles;
use crate::queries::Backend;
use crate::queries::http_backends::SqlOverHttp;
use crate::queries::kinds::Kind;
use crate::queries::measure::Plan;
use crate::queries::text::{Dialect, sql};
use crate::report::Record;
use crate::results::{Table, number};
use crate::servers::Server;

/// What is asked.
const KIND: Kind = Kind::SingleGroupBy { fields: 1, hosts: 1, hours: 1 };
const CONNECTIONS: [usize; 3] = [1, 4, 16];

/// What was measured in one state of the server.
pub(super) struct Short {
    state: String,
    /// `SELECT 1`.
    one: Percentiles,
    /// Statements whose like was never seen.
    new_shape: Percentiles,
    /// For each number of connections.
    queries_per_second: Vec<f64>,
}

pub(super) fn measure(
    bench: &Bench<'_>,
    server: &Server,
    state: &str,
    data: &DataOptions,
) -> Result<Short> {
    let plan = &bench.sizes.plan;
    let mut random = Random::new(data.seed);
    let one = time(server, plan, || "SELECT 1".to_owned())?;
    let mut number = 0;
    let new_shape = time(server, plan, || {
        number += 1;
        let text = sql(&KIND.draw(data, &mut random), Dialect::DataFusion);
        // Both states of one server are measured.
        let name = format!("AS \"{state}, {number}\"");
        text.replace("AS max_usage_user", &name)
    })?;
    let mut queries_per_second = Vec::new();
    for connections in CONNECTIONS {
        let rate = throughput(server, data, connections, plan.time_max)?;
        let name = format!("{}, {connections} connections, {state}", KIND.name());
        queries_per_second.push(bench.figure(&name, rate, "queries/s")?);
    }
    bench.record(&Record::QueryTimes(times("SELECT 1", state, one)))?;
    bench.record(&Record::QueryTimes(times("new shape", state, new_shape)))?;
    Ok(Short { state: state.to_owned(), one, new_shape, queries_per_second })
}

fn times(kind: &str, state: &str, latency: Percentiles) -> crate::queries::measure::QueryTimes {
    let (system, state, kind) = (OURS.to_owned(), state.to_owned(), kind.to_owned());
    crate::queries::measure::QueryTimes { system, state, kind, latency, rows: 0 }
}

fn time(server: &Server, plan: &Plan, mut text: impl FnMut() -> String) -> Result<Percentiles> {
    let mut backend = SqlOverHttp::new(OURS, &server.options())?;
    backend.ask_sql(&text(), false)?;
    let began = Instant::now();
    let mut samples = Vec::with_capacity(plan.runs_max);
    while samples.len() < plan.runs_max
        && (samples.len() < plan.runs_min || began.elapsed() < plan.time_max)
    {
        samples.push(backend.ask_sql(&text(), false)?.took);
    }
    Percentiles::of(samples).context("no query was timed")
}

/// Queries a second over so many connections at once, each with a query of its own under way.
fn throughput(
    server: &Server,
    data: &DataOptions,
    connections: usize,
    time: Duration,
) -> Result<f64> {
    let began = Instant::now();
    let ask = |number: usize| -> Result<usize> {
        let mut backend = SqlOverHttp::new(OURS, &server.options())?;
        let mut random = Random::new(data.seed + number as u64);
        let mut count = 0;
        while count == 0 || began.elapsed() < time {
            backend.ask(&KIND.draw(data, &mut random), false)?;
            count += 1;
        }
        Ok(count)
    };
    let counts: Vec<Result<usize>> = thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> =
            (0..connections).map(|number| scope.spawn(move || ask(number))).collect();
        let panicked = |_| Err(anyhow!("a thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let took = began.elapsed().as_secs_f64();
    Ok(counts.into_iter().sum::<Result<usize>>()? as f64 / took)
}

pub(super) fn table(measured: &[Short]) -> Table {
    let head = measured.iter().map(|short| format!("{OURS}, {}", short.state));
    let mut table = Table::new(["SQL over HTTP".to_owned()].into_iter().chain(head));
    let mut row = |name: String, cell: &dyn Fn(&Short) -> String| {
        table.row([name].into_iter().chain(measured.iter().map(cell)));
    };
    let spread = |seen: &Percentiles| {
        let [p50, p10, p90] = [seen.p50_ms, seen.p10_ms, seen.p90_ms].map(number);
        format!("{p50} ({p10} – {p90})")
    };
    row("`SELECT 1`, median, ms (p10 – p90)".to_owned(), &|short| spread(&short.one));
    let name = format!("{}, each of a new shape, the same", KIND.name());
    row(name, &|short| spread(&short.new_shape));
    for (index, connections) in CONNECTIONS.iter().enumerate() {
        let name = format!("{}, queries a second, {connections} connections", KIND.name());
        row(name, &|short| number(short.queries_per_second.get(index).copied()));
    }
    table
}
