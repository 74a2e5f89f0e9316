//! Very many tables: what making them, a write beside them, a snapshot with a chunk of each, and a
//! start with all of them cost.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Bench, snapshot};
use crate::generators::DataOptions;
use crate::http::{Connection, Target};
use crate::latency::Percentiles;
use crate::lone_writer;
use crate::process::ProcessMeter;
use crate::results::{Section, Table, number, ratio};
use crate::servers::Server;

/// So many tables a request.
const TABLES_A_REQUEST: u32 = 1000;
/// Tables a second at which a server that measures something makes them.
const TABLES_PER_SECOND_MIN: u32 = 2000;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(300);

/// What single rows, one a request, to one table took.
struct Writes {
    latency: Percentiles,
    cpu_us: f64,
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let (tables, requests) = (bench.sizes.tables, bench.sizes.lone_requests);
    let rows = u64::from(tables) + 2 * u64::from(requests);
    let seconds = u64::from(tables / TABLES_PER_SECOND_MIN) + bench.sizes.load_seconds;
    let launch = snapshot::launch(bench.launch(), rows, seconds);
    let folder = bench.folder("tables")?;
    let server = launch.start(&folder)?;

    let few = writes(&server, requests)?;
    let making = make(&server, tables)?;
    let many = writes(&server, requests)?;
    ensure!(snapshot::is_in_memory(&server)?, "a snapshot was taken too early");
    let data = DataOptions::cpu_rows(10, u64::from(requests));
    let taken = snapshot::force_after(&server, snapshot::day_after(&data), rows)?;
    let rss_mib = ProcessMeter::start(server.pid())?.read()?.rss_peak_mib;
    server.kill()?;

    let start = start_seconds(launch.spawn(&folder)?, tables)?;

    let mut section = bench.section("tables", "Many tables");
    section.add(&format!(
        "{} tables of one row, {} a request over one connection; before and after them {} rows to \
         one table, one a request; then a snapshot with a chunk of each table, `kill -9`, and a \
         start until the last table answers.",
        number(f64::from(tables)),
        number(f64::from(TABLES_A_REQUEST.min(tables))),
        number(f64::from(requests)),
    ));
    let mut table = Table::new(["", "few tables", "many tables", "ratio"]);
    type Value = fn(&Writes) -> f64;
    let values: [(&str, Value); 3] = [
        ("a row's acknowledgement, p50, ms", |writes| writes.latency.p50_ms),
        ("p99, ms", |writes| writes.latency.p99_ms),
        ("server CPU a request, µs", |writes| writes.cpu_us),
    ];
    for (name, value) in values {
        let (few, many) = (value(&few), value(&many));
        table.row([name.to_owned(), number(few), number(many), ratio(Some(many), Some(few))]);
    }
    section.add(&table.markdown());
    let mut table = Table::new(["", "seconds"]);
    for (name, seconds) in [
        ("making all tables", making.iter().sum()),
        ("the first request of them", making[0]),
        ("the last request of them", making[making.len() - 1]),
        ("the snapshot", taken.seconds),
        ("its CPU time, the whole server's", taken.cpu_seconds),
        ("the start", start),
    ] {
        bench.figure(&format!("tables, {name}"), seconds, "s")?;
        table.row([name.to_owned(), number(seconds)]);
    }
    section.add(&table.markdown());
    section.add(&format!("Peak RSS until the kill: {} MiB.", number(rss_mib)));
    Ok(Some(section))
}

/// How long a server that was started just now takes until the last table answers.
fn start_seconds(mut server: Server, tables: u32) -> Result<f64> {
    let began = Instant::now();
    let last = format!("SELECT count(*) AS count FROM t{}", tables - 1);
    while !server.count(&last).is_ok_and(|rows| rows == 1) {
        ensure!(server.is_running(), "the server ended at its start");
        ensure!(began.elapsed() < TIMEOUT, "the last table is not back after {TIMEOUT:?}");
        thread::sleep(POLL_INTERVAL);
    }
    let seconds = began.elapsed().as_secs_f64();
    server.kill()?;
    Ok(seconds)
}

fn writes(server: &Server, requests: u32) -> Result<Writes> {
    let meter = ProcessMeter::start(server.pid())?;
    let latencies = lone_writer::time_writes(&server.options(), Target::Influxdb3V3, requests)?;
    let cpu_us = meter.read()?.cpu_seconds * 1e6 / f64::from(requests);
    Ok(Writes { latency: Percentiles::of(latencies).context("no request was sent")?, cpu_us })
}

/// Writes a row into each of so many new tables; how long each request took, in seconds.
fn make(server: &Server, tables: u32) -> Result<Vec<f64>> {
    let options = server.options();
    let path = Target::Influxdb3V3.write_path(&options.db);
    let time_ns = DataOptions::cpu_rows(10, 1).start * 1_000_000_000;
    let mut connection = Connection::open(server.address).context("cannot connect")?;
    let mut seconds = Vec::new();
    for first in (0..tables).step_by(TABLES_A_REQUEST as usize) {
        let mut lines = String::new();
        for number in first..tables.min(first + TABLES_A_REQUEST) {
            writeln!(lines, "t{number},host=h value=1 {time_ns}")?;
        }
        let began = Instant::now();
        let answer = connection.exchange(&options.post(&path, lines.as_bytes()))?;
        ensure!(answer.is_success(), "tables were refused with {}", answer.describe());
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(seconds)
}
