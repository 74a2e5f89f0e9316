//! How soon writes are acknowledged: a lone writer, and an open loop.

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::generators::DataOptions;
use crate::http::Target;
use crate::load_options::LoadOptions;
use crate::loader;
use crate::lone_writer::{self, LoneWriterOptions};
use crate::report::Record;
use crate::results::{Section, Table, number, ratio};

/// Lines of a request of the open loop: many requests, so that percentiles mean something.
const OPEN_LINES: u32 = 1000;
const OPEN_CONNECTIONS: u16 = 8;

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("latency", "Acknowledgement");
    lone_writer(bench, &mut section)?;
    open_loop(bench, &mut section)?;
    Ok(Some(section))
}

fn lone_writer(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let server = bench.start(&bench.launch())?;
    let options = LoneWriterOptions {
        server: server.options(),
        target: Target::Influxdb3V3,
        requests: bench.sizes.lone_requests,
        sync_dir: bench.folder("appends")?,
    };
    let seen = lone_writer::run(&options)?;
    bench.record(&Record::LoneWriter(seen.clone()))?;
    section.add(&format!(
        "**A lone writer**: one connection, one row a request, {} requests to an empty server, \
         beside as many appends of 200 bytes with `fdatasync` on the same disk.",
        options.requests
    ));
    let mut table = Table::new(["ms", "write", "fdatasync", "ratio"]);
    let columns = seen.acknowledged.columns().into_iter().zip(seen.fdatasync.columns());
    for ((name, write), (_, bare)) in columns {
        table.row([name.to_owned(), number(write), number(bare), ratio(Some(write), Some(bare))]);
    }
    section.add(&table.markdown());
    Ok(())
}

fn open_loop(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let (rate, seconds) = (bench.sizes.open_rate, bench.sizes.open_seconds);
    let server = bench.start(&bench.launch())?;
    let data = DataOptions::cpu_rows(bench.sizes.cpu_hosts, rate * seconds);
    let mut options = LoadOptions::new("influxdb3, open loop", server.options(), data);
    options.rate = Some(rate);
    options.lines_per_request = OPEN_LINES;
    options.connections = OPEN_CONNECTIONS;
    options.pid = Some(server.pid());
    let load = loader::run(&options)?;
    bench.record(&Record::Load(load.clone()))?;
    ensure!(load.errors == 0, "{} requests failed", load.errors);
    let stored = server.cpu_rows()?;
    ensure!(stored == load.rows, "{stored} rows are stored of {}", load.rows);

    section.add(&format!(
        "**An open loop**: {} rows/s for {seconds} s whatever the server does, {OPEN_LINES} lines a \
         request, {OPEN_CONNECTIONS} connections. Latency counts from the instant at which a \
         request was due.",
        number(rate as f64)
    ));
    let latency = load.latency.context("nothing was acknowledged")?;
    let used = load.server.context("the server was not measured")?;
    let names = latency.columns().map(|(name, _)| format!("{name}, ms"));
    let head = names.into_iter().chain(["rows/s", "CPU seconds", "peak RSS, MiB"].map(Into::into));
    let mut table = Table::new(["".to_owned()].into_iter().chain(head));
    let values = latency.columns().map(|(_, value)| value).into_iter();
    let values = values.chain([load.rows_per_second, used.cpu_seconds, used.rss_peak_mib]);
    table.row(["influxdb3".to_owned()].into_iter().chain(values.map(number)));
    section.add(&table.markdown());
    Ok(())
}
