//! What merging costs those who write meanwhile, and how long the rows of a deleted host last.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::merge::{Merged, Merging, merge};
use super::{Bench, snapshot};
use crate::generators::{DataOptions, DataSet};
use crate::http::ask_once;
use crate::latency::Percentiles;
use crate::load_options::LoadOptions;
use crate::loader::{self, Load};
use crate::report::Record;
use crate::results::{Section, Table, median, number, ratio};
use crate::servers::Server;

/// Nothing is merged before its turn.
const OFF: &str = "--compaction off --force-snapshot-mem-threshold 2GB";
/// Rows of one load as fast as they are acknowledged, and how many loads before merging begins those
/// beside it are compared with. Some take twice as long as others, as a snapshot is taken meanwhile.
const CLOSED_ROWS: u64 = 600_000;
const CLOSED_LOADS_BEFORE: usize = 40;
/// An open loop leaves a core to merging: rows a second, a load's length, and how many before.
const OPEN_RATE: u64 = 50_000;
const OPEN_ROWS: u64 = 200_000;
const OPEN_LINES: u32 = 200;
const OPEN_LOADS_BEFORE: usize = 10;
const DELETES: &str = "/api/v3/row_delete_requests";
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(1200);

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("compaction", "Compaction");
    ingest(bench, &mut section)?;
    delete(bench, &mut section)?;
    Ok(Some(section))
}

/// Loads before merging, and those that ended while it went on.
struct Beside {
    before: Vec<Load>,
    meanwhile: Vec<Load>,
    merged: Merged,
}

fn ingest(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let hosts = bench.sizes.sweep_hosts;
    let data = DataOptions::new(DataSet::CpuOnly, hosts, bench.sizes.merge_days * 86_400);
    section.add(&format!(
        "**Ingest beside merging**: {} rows of cpu-only, {hosts} hosts, are merged into files of \
         days while rows of {} other hosts are written to another database: as fast as they are \
         acknowledged, so that all cores are busy, and {} a second in requests of {OPEN_LINES} \
         lines, which leaves a core. Loads of {} and {} rows, {CLOSED_LOADS_BEFORE} and \
         {OPEN_LOADS_BEFORE} before, and those that ended while files were merged: rows/s over all of \
         them, times in the median of the loads.",
        number(data.row_count() as f64),
        bench.sizes.cpu_hosts,
        number(OPEN_RATE as f64),
        number(CLOSED_ROWS as f64),
        number(OPEN_ROWS as f64),
    ));
    let mut table = Table::new(["", "before", "while merging", "ratio"]);
    let mut merged = Vec::new();
    for (name, rate) in [("all cores busy", None), ("a core to spare", Some(OPEN_RATE))] {
        let beside = beside(bench, &data, rate)?;
        type Value = fn(&[Load]) -> Option<f64>;
        let values: [(&str, Value); 3] = [
            ("rows/s", rows_per_second),
            ("ack p50, ms", |loads| median(latencies(loads).map(|latency| latency.p50_ms))),
            ("ack p99, ms", |loads| median(latencies(loads).map(|latency| latency.p99_ms))),
        ];
        for (what, value) in values {
            let (before, meanwhile) = (value(&beside.before), value(&beside.meanwhile));
            bench.figure(&format!("{name}, {what}, before"), before.unwrap_or(f64::NAN), "")?;
            let value = meanwhile.unwrap_or(f64::NAN);
            bench.figure(&format!("{name}, {what}, merging"), value, "")?;
            table.row([
                format!("{name}: {what}"),
                number(before),
                number(meanwhile),
                ratio(meanwhile, before),
            ]);
        }
        let count = |loads: &[Load]| number(loads.len() as f64);
        let [before, meanwhile] = [&beside.before, &beside.meanwhile].map(|loads| count(loads));
        table.row([format!("{name}: loads"), before, meanwhile, String::new()]);
        merged.push((name, beside.merged));
    }
    section.add(&table.markdown());
    let mut table = Table::new(["merging", "s", "memory it took, MiB"]);
    let alone = merge(&loaded(bench, &data, OFF)?)?;
    for (name, merged) in merged.iter().map(|(n, m)| (*n, m)).chain([("alone", &alone)]) {
        let memory = bench.figure(&format!("{name}, memory"), merged.memory_mib, "MiB")?;
        // What is written beside it is in memory as well.
        let memory = (name == "alone").then_some(memory);
        table.row([name.to_owned(), number(merged.seconds), number(memory)]);
    }
    section.add(&table.markdown());
    Ok(())
}

/// The rate of all loads together.
fn rows_per_second(loads: &[Load]) -> Option<f64> {
    let rows: u64 = loads.iter().map(|load| load.rows).sum();
    let seconds: f64 = loads.iter().map(|load| load.seconds).sum();
    (seconds > 0.0).then(|| rows as f64 / seconds)
}

fn latencies(loads: &[Load]) -> impl Iterator<Item = &Percentiles> {
    loads.iter().filter_map(|load| load.latency.as_ref())
}

/// A server whose rows are in files that are not merged.
fn loaded(bench: &Bench<'_>, data: &DataOptions, options: &str) -> Result<Server> {
    let launch = bench.launch().with("--wal-flush-interval 100ms --wal-snapshot-size 6");
    let server = bench.start(&launch.with(options))?;
    let load = loader::run(&LoadOptions::new("to be merged", server.options(), data.clone()))?;
    bench.record(&Record::Load(load.clone()))?;
    ensure!(load.errors == 0, "{} requests failed", load.errors);
    snapshot::force(&server, data)?;
    Ok(server)
}

fn beside(bench: &Bench<'_>, data: &DataOptions, rate: Option<u64>) -> Result<Beside> {
    let server = loaded(bench, data, OFF)?;
    let mut loads_so_far = 0;
    let mut load = |label: &str| {
        let rows = if rate.is_some() { OPEN_ROWS } else { CLOSED_ROWS };
        let mut data = DataOptions::cpu_rows(bench.sizes.cpu_hosts, rows);
        data.start += loads_so_far * data.span_seconds();
        loads_so_far += 1;
        let mut options = LoadOptions::new(label, server.options(), data);
        options.server.db = "beside".to_owned();
        options.rate = rate;
        if rate.is_some() {
            options.lines_per_request = OPEN_LINES;
        }
        let load = loader::run(&options)?;
        bench.record(&Record::Load(load.clone()))?;
        ensure!(load.errors == 0, "{} requests failed", load.errors);
        anyhow::Ok(load)
    };
    // The first one makes the tables.
    load("first")?;
    let loads_before = if rate.is_some() { OPEN_LOADS_BEFORE } else { CLOSED_LOADS_BEFORE };
    let before = (0..loads_before).map(|_| load("before")).collect::<Result<Vec<_>>>()?;
    let mut merging = Merging::begin(&server)?;
    let mut meanwhile = Vec::new();
    loop {
        let load = load("while merging")?;
        if let Some(merged) = merging.done()? {
            return Ok(Beside { before, meanwhile, merged });
        }
        meanwhile.push(load);
    }
}

fn delete(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let sizes = &bench.sizes;
    let span = sizes.delete_days * 86_400;
    let mut data = DataOptions::new(DataSet::CpuOnly, sizes.delete_hosts, span);
    data.interval = sizes.delete_interval;
    // A merged file that another has taken the place of goes at once.
    let server =
        loaded(bench, &data, "--compaction-cleanup-wait 0s --force-snapshot-mem-threshold 2GB")?;
    merge(&server)?;
    let of_host = "SELECT count(*) AS n FROM cpu WHERE hostname = 'host_7'";
    let rows = server.count(of_host)?;
    ensure!(rows == data.row_count() / u64::from(data.hosts), "host_7 has {rows} rows");

    let options = server.options();
    let body = json!({
        "db": options.db, "table": "cpu", "predicate": "hostname = 'host_7'", "all_time": true,
    });
    let began = Instant::now();
    let answer: Value =
        serde_json::from_slice(&ask_once(&options, &options.post_json(DELETES, &body))?)?;
    let sequence = answer["sequence"].as_u64().context("the delete has no number")?;
    await_true("rows are not hidden", || Ok(server.count(of_host)? == 0))?;
    let hidden = began.elapsed().as_secs_f64();
    let disposition = format!(
        "SELECT count(*) AS n FROM system.row_deletes \
         WHERE sequence = {sequence} AND disposition = 'completed'"
    );
    await_true("rows are not gone", || Ok(server.count(&disposition)? == 1))?;
    let gone = began.elapsed().as_secs_f64();
    let stored = server.cpu_rows()?;
    ensure!(stored == data.row_count() - rows, "{stored} rows are left");

    section.add(&format!(
        "**Delete of one host** of {} with rows of {} days, {} s apart, {} rows in all, in files of \
         days: no query shows its rows after {} s, and no file has them after {} s.",
        number(f64::from(data.hosts)),
        sizes.delete_days,
        data.interval,
        number(data.row_count() as f64),
        number(bench.figure("delete, hidden after", hidden, "s")?),
        number(bench.figure("delete, gone after", gone, "s")?),
    ));
    Ok(())
}

fn await_true(otherwise: &str, mut is_true: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while !is_true()? {
        ensure!(Instant::now() < deadline, "{otherwise} after {TIMEOUT:?}");
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
