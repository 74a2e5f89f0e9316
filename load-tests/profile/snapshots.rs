//! What snapshots cost: ingest with and without them, queries at rest and meanwhile, rows per
//! CPU-second.

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::snapshot::{self, Taken};
use crate::generators::DataOptions;
use crate::generators::random::Random;
use crate::latency::Percentiles;
use crate::load_options::LoadOptions;
use crate::loader::{self, Load};
use crate::queries::Backend;
use crate::queries::http_backends::SqlOverHttp;
use crate::queries::kinds::Kind;
use crate::report::Record;
use crate::results::{Section, Table, median, number, ratio};
use crate::servers::Server;

/// Short periods of the WAL, so that some seconds of a load have many of them.
const BASE: &str = "--wal-flush-interval 100ms";
/// A snapshot about every second: nearly all rows become files while others are written.
const OFTEN: &str = "--wal-snapshot-size 6";
/// No snapshot in any load.
const NEVER: &str = "--wal-snapshot-size 1000000";
const KIND: Kind = Kind::SingleGroupBy { fields: 1, hosts: 1, hours: 1 };

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("snapshots", "Snapshots");
    let data = |rows: u64| DataOptions::cpu_rows(bench.sizes.snapshot_hosts, rows);
    ingest(bench, &mut section, &data(bench.sizes.snapshot_ingest_rows))?;
    throughput(bench, &mut section, &data(bench.sizes.snapshot_rows))?;
    queries(bench, &mut section, &data(bench.sizes.snapshot_rows))?;
    Ok(Some(section))
}

fn ingest(bench: &Bench<'_>, section: &mut Section, data: &DataOptions) -> Result<()> {
    let mut loads: [Vec<(Load, f64)>; 2] = [Vec::new(), Vec::new()];
    for round in 0..bench.sizes.rounds {
        // Which goes first changes.
        for which in [round % 2, (round + 1) % 2] {
            let (label, options) = [("without snapshots", NEVER), ("with snapshots", OFTEN)][which];
            let server = bench.start(&bench.launch().with(BASE).with(options))?;
            let mut options = LoadOptions::new(label, server.options(), data.clone());
            options.pid = Some(server.pid());
            let load = loader::run(&options)?;
            bench.record(&Record::Load(load.clone()))?;
            ensure!(load.errors == 0, "{} requests failed", load.errors);
            let stored = server.cpu_rows()?;
            ensure!(stored == load.rows, "{stored} rows are stored of {}", load.rows);
            let part = server.metric("persist_rows_total")? / load.rows as f64;
            loads[which].push((load, part));
        }
    }
    section.add(&format!(
        "**Ingest**: {} rows of cpu-only, {} hosts, closed loop; with a snapshot about every second \
         (`{OFTEN}`), and without, both with `{BASE}`. Median of {}.",
        number(data.row_count() as f64),
        data.hosts,
        bench.sizes.rounds
    ));
    let mut table = Table::new(["", "without", "with", "ratio"]);
    type Value = fn(&(Load, f64)) -> Option<f64>;
    let rows: [(&str, Value); 4] = [
        ("rows/s", |(load, _)| Some(load.rows_per_second)),
        ("rows per CPU-second", |(load, _)| load.rows_per_cpu_second),
        ("ack p99, ms", |(load, _)| Some(load.latency.as_ref()?.p99_ms)),
        ("part of the rows in files at the end, %", |(_, part)| Some(*part * 100.0)),
    ];
    for (name, value) in rows {
        let [without, with] = [&loads[0], &loads[1]].map(|l| median(l.iter().filter_map(value)));
        table.row([name.to_owned(), number(without), number(with), ratio(with, without)]);
    }
    section.add(&table.markdown());
    Ok(())
}

/// When a query began, and when it was answered.
type Run = (Instant, Instant);

fn ask(backend: &mut SqlOverHttp, data: &DataOptions, random: &mut Random) -> Result<Run> {
    let query = KIND.draw(data, random);
    let began = Instant::now();
    backend.ask(&query, false)?;
    Ok((began, Instant::now()))
}

fn percentiles(runs: impl Iterator<Item = Run>) -> Option<Percentiles> {
    Percentiles::of(runs.map(|(began, ended)| ended - began).collect())
}

/// Starts a server and loads the rows; no snapshot is due before one is forced.
fn loaded(bench: &Bench<'_>, data: &DataOptions) -> Result<Server> {
    let launch = snapshot::launch(bench.launch(), data.row_count(), bench.sizes.load_seconds);
    let server = bench.start(&launch)?;
    let load = loader::run(&LoadOptions::new("influxdb3", server.options(), data.clone()))?;
    ensure!(load.errors == 0, "{} requests failed", load.errors);
    Ok(server)
}

/// What a snapshot costs when nothing else goes on. The speed of a shared machine varies from one
/// to the next, so there are several, each on a server of its own.
fn throughput(bench: &Bench<'_>, section: &mut Section, data: &DataOptions) -> Result<()> {
    let mut snapshots = Vec::new();
    for _ in 0..bench.sizes.snapshot_rounds {
        let taken = snapshot::force(&loaded(bench, data)?, data)?;
        let rows = taken.rows as f64;
        bench.figure("snapshot", rows / taken.cpu_seconds, "rows/CPU s")?;
        bench.figure("snapshot threads", rows / taken.own_cpu_seconds, "rows/CPU s")?;
        snapshots.push(taken);
    }
    let rows = data.row_count() as f64;
    section.add(&format!(
        "**Throughput**: snapshots of {} rows, nothing else going on, each on a new server. The \
         whole server was asked for its metrics all the while.",
        number(rows)
    ));
    let mut table = Table::new(["", "slowest", "median", "fastest"]);
    type Value = fn(&Taken) -> f64;
    let values: [(&str, Value); 3] = [
        ("rows/s", |taken| taken.rows as f64 / taken.seconds),
        ("rows per CPU-second of the threads that sort and encode", |taken| {
            taken.rows as f64 / taken.own_cpu_seconds
        }),
        ("rows per CPU-second of the whole server", |taken| taken.rows as f64 / taken.cpu_seconds),
    ];
    for (name, value) in values {
        let all = || snapshots.iter().map(value);
        let [slowest, fastest] = [all().reduce(f64::min), all().reduce(f64::max)].map(number);
        table.row([name.to_owned(), slowest, number(median(all())), fastest]);
    }
    section.add(&table.markdown());
    Ok(())
}

fn queries(bench: &Bench<'_>, section: &mut Section, data: &DataOptions) -> Result<()> {
    let server = loaded(bench, data)?;
    let mut backend = SqlOverHttp::new("influxdb3", &server.options())?;
    let mut random = Random::new(1);
    // The first query pays for what later ones find ready.
    ask(&mut backend, data, &mut random)?;
    let at_rest = (0..bench.sizes.rest_queries)
        .map(|_| ask(&mut backend, data, &mut random))
        .collect::<Result<Vec<Run>>>()?;
    let (meanwhile, taken) = thread::scope(|scope| {
        let snapshot = scope.spawn(|| snapshot::force(&server, data));
        let mut runs = Vec::new();
        while !snapshot.is_finished() {
            runs.push(ask(&mut backend, data, &mut random)?);
        }
        let taken = snapshot.join().ok().context("the snapshot's thread panicked")??;
        anyhow::Ok((runs, taken))
    })?;
    let overlaps = |run: &Run| run.1 >= taken.began && run.0 <= taken.ended;
    let at_rest = percentiles(at_rest.into_iter()).context("no query ran")?;
    let during = percentiles(meanwhile.into_iter().filter(overlaps));

    section.add(&format!(
        "**Queries** (`{}`) one after the other on one connection, at rest and while a snapshot of \
         {} rows runs.",
        KIND.name(),
        number(taken.rows as f64)
    ));
    let mut table = Table::new(["ms", "at rest", "during the snapshot", "ratio"]);
    for (index, (name, rest)) in at_rest.columns().into_iter().enumerate() {
        let during = during.as_ref().map(|during| during.columns()[index].1);
        bench.figure(&format!("query {name} at rest"), rest, "ms")?;
        bench.figure(&format!("query {name} in a snapshot"), during.unwrap_or(f64::NAN), "ms")?;
        table.row([name.to_owned(), number(rest), number(during), ratio(during, Some(rest))]);
    }
    let during = during.map(|during| during.count as f64);
    table.row(["queries".to_owned(), number(at_rest.count as f64), number(during), String::new()]);
    section.add(&table.markdown());
    Ok(())
}
