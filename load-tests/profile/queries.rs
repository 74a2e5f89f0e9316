//! The standard queries: this server with its rows in memory and then in Parquet files, InfluxDB 1
//! with the same rows, DuckDB and DataFusion over the same files.

use anyhow::{Context, Result, bail, ensure};

use super::{Bench, snapshot};
use crate::generators::{DataOptions, DataSet};
use crate::loader::{self, LoadOptions};
use crate::queries::Backend;
use crate::queries::http_backends::{InfluxqlOverHttp, SqlOverHttp};
use crate::queries::kinds::{KINDS, Kind, Query};
use crate::queries::measure::{QueryTimes, compare, time_kind};
use crate::queries::python::{Engine, PythonEngine};
use crate::report::Record;
use crate::results::{Bars, Section, Series, Table, number, ratio};
use crate::servers::{Launch, Server, parquet_files};

const MEMORY: &str = "memory";
const FILES: &str = "Parquet";
const OURS: &str = "influxdb3";
/// On a slow machine a load may not be over before the snapshot; then the snapshot waits longer.
const LOADS_MAX: usize = 4;

/// All that was measured, and what differed.
#[derive(Default)]
struct Seen {
    times: Vec<QueryTimes>,
    differences: Vec<String>,
    compared: usize,
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let sizes = &bench.sizes;
    let data = DataOptions::new(DataSet::CpuOnly, sizes.query_hosts, sizes.query_hours * 3600);
    let ours = loaded_in_memory(bench, &data)?;

    let mut seen = Seen::default();
    let mut backends = ways_in(bench, &ours)?;
    let own_count = backends.len();
    // The peer's server must live as long as its connection.
    let influxdb1 = bench.options.peers.influxdb1().map(|l| bench.start(&l)).transpose()?;
    if let Some(server) = &influxdb1 {
        load(server, &data)?;
        backends.push(Box::new(InfluxqlOverHttp::new("InfluxDB 1", &server.options())?));
    }
    for other in bench.other_servers() {
        let options = other.options("bench_queries");
        let mut load = LoadOptions::new(&other.name, options.clone(), data.clone());
        load.pid = other.pid;
        loader::run(&load)?;
        backends.push(Box::new(SqlOverHttp::new(&other.name, &options)?));
    }
    measure(bench, &mut seen, &mut backends, MEMORY, &data)?;
    ensure!(snapshot::is_in_memory(&ours)?, "a snapshot ran while rows in memory were measured");

    snapshot::force(&ours, &data)?;
    backends.truncate(own_count);
    let files = ours.parquet_folder();
    if let Some(python) = &bench.options.peers.python {
        for engine in [Engine::Duckdb(files.clone()), Engine::Datafusion(files.clone())] {
            backends.push(Box::new(PythonEngine::start(engine, python)?));
        }
    }
    measure(bench, &mut seen, &mut backends, FILES, &data)?;
    let file_count = parquet_files(&files)?.len();
    ensure!(seen.differences.is_empty(), "answers differ:\n{}", seen.differences.join("\n"));
    Ok(Some(section(bench, &seen, &data, file_count)?))
}

/// All protocols over which this server answers queries; SQL over HTTP is the first.
fn ways_in(bench: &Bench<'_>, server: &Server) -> Result<Vec<Box<dyn Backend>>> {
    let options = server.options();
    let mut found: Vec<Box<dyn Backend>> = vec![Box::new(SqlOverHttp::new(OURS, &options)?)];
    let mut others: Vec<Box<dyn Backend>> =
        vec![Box::new(InfluxqlOverHttp::new("influxdb3 InfluxQL", &options)?)];
    if let Some(python) = &bench.options.peers.python {
        others.push(Box::new(PythonEngine::start(Engine::Flight(options), python)?));
    }
    let probe = Query { kind: Kind::LastPoint, hosts: Vec::new(), from: 0, until: 0 };
    for mut backend in others {
        match backend.ask(&probe, false) {
            Ok(_) => found.push(backend),
            Err(error) => {
                let error: String = format!("{error:#}").chars().take(300).collect();
                bench.say(&format!("{} is left out: {error}", backend.name()))?;
            }
        }
    }
    Ok(found)
}

/// A server with all rows in memory, whose next snapshot is not far.
fn loaded_in_memory(bench: &Bench<'_>, data: &DataOptions) -> Result<Server> {
    let mut seconds = bench.sizes.load_seconds;
    for _ in 0..LOADS_MAX {
        let launch = snapshot::launch(bench.launch(), data.row_count(), seconds);
        let server = bench.start(&launch)?;
        load(&server, data)?;
        if snapshot::is_in_memory(&server)? {
            return Ok(server);
        }
        seconds *= 4;
    }
    bail!("loading takes so long that a snapshot runs meanwhile")
}

/// Loads everything and checks that it is there.
fn load(server: &Server, data: &DataOptions) -> Result<()> {
    let product = server.product;
    let mut options = LoadOptions::new(product.name(), server.options(), data.clone());
    options.target = product.target();
    loader::run(&options)?;
    let stored = server.cpu_rows()?;
    ensure!(stored == data.row_count(), "{} has {stored} rows", product.name());
    Ok(())
}

fn measure(
    bench: &Bench<'_>,
    seen: &mut Seen,
    backends: &mut [Box<dyn Backend>],
    state: &str,
    data: &DataOptions,
) -> Result<()> {
    let plan = &bench.sizes.plan;
    for kind in KINDS {
        if backends.len() > 1 {
            seen.differences.extend(compare(backends, kind, data, plan.compared)?);
            seen.compared += plan.compared * (backends.len() - 1);
        }
        for backend in backends.iter_mut() {
            let times = time_kind(backend.as_mut(), state, kind, data, plan)?;
            bench.record(&Record::QueryTimes(times.clone()))?;
            seen.times.push(times);
        }
    }
    Ok(())
}

/// A column: its heading, and the system and state that it shows.
fn columns(seen: &Seen) -> Vec<(String, String, String)> {
    let mut columns: Vec<(String, String, String)> = Vec::new();
    for times in &seen.times {
        let heading = match times.state.as_str() {
            state if times.system.starts_with(OURS) => format!("{}, {state}", times.system),
            _ => times.system.clone(),
        };
        if !columns.iter().any(|(known, ..)| *known == heading) {
            columns.push((heading, times.system.clone(), times.state.clone()));
        }
    }
    // This server's two states beside each other.
    columns.sort_by_key(|(_, system, _)| (system != OURS, !system.starts_with(OURS)));
    columns
}

fn find<'a>(seen: &'a Seen, kind: &str, system: &str, state: &str) -> Option<&'a QueryTimes> {
    seen.times.iter().find(|t| t.kind == kind && t.system == system && t.state == state)
}

fn section(
    bench: &Bench<'_>,
    seen: &Seen,
    data: &DataOptions,
    file_count: usize,
) -> Result<Section> {
    let mut section = bench.section("queries", "Standard queries");
    section.add(&format!(
        "{} rows of `cpu`: {} hosts, {} h, 10 s apart; {file_count} Parquet files. One connection, \
         answers in JSON over HTTP, time until the last byte; DuckDB and DataFusion run inside of a \
         Python process over the files that influxdb3 wrote, time until the Arrow table is there. \
         Every system gets the same random hosts and windows; the first query of a type is not \
         timed, and influxdb3 has the decoded rows of files that are asked for again in memory by \
         then. {} answers were compared with those of influxdb3 (times and texts exactly, numbers \
         to 1e-9): all are equal.",
        number(data.row_count() as f64),
        data.hosts,
        data.span_seconds() / 3600,
        seen.compared,
    ));
    if let Some(version) = bench.options.peers.influxdb1().as_ref().map(Launch::version) {
        section.add(&format!("Peer: {version}."));
    }
    let columns = columns(seen);
    let duckdb = columns.iter().find(|(_, system, _)| system.starts_with("DuckDB"));
    let mut head = vec!["median, ms".to_owned(), "rows".to_owned()];
    head.extend(columns.iter().map(|(heading, ..)| heading.clone()));
    head.extend(duckdb.map(|(heading, ..)| format!("{heading} ÷ the slower influxdb3")));
    let mut medians = Table::new(head);
    let head = columns.iter().map(|(heading, ..)| heading.clone());
    let mut tails = Table::new(["p99, ms (queries)".to_owned()].into_iter().chain(head));
    for kind in KINDS.map(|kind| kind.name()) {
        let times: Vec<Option<&QueryTimes>> =
            columns.iter().map(|(_, system, state)| find(seen, &kind, system, state)).collect();
        let p50 = |times: &QueryTimes| times.latency.p50_ms;
        let first = times.iter().flatten().next().context("a query was not measured")?;
        let mut cells = vec![kind.clone(), number(first.rows as f64)];
        cells.extend(times.iter().map(|times| number(times.map(p50))));
        if let Some((_, system, state)) = duckdb {
            let ours = [MEMORY, FILES].map(|state| find(seen, &kind, OURS, state).map(p50));
            let slower = ours.into_iter().flatten().reduce(f64::max);
            cells.push(ratio(find(seen, &kind, system, state).map(p50), slower));
        }
        medians.row(cells);
        let tail = |times: &QueryTimes| {
            format!("{} ({})", number(times.latency.p99_ms), times.latency.count)
        };
        let cells = times.iter().map(|times| times.map_or("–".to_owned(), tail));
        tails.row([kind].into_iter().chain(cells));
    }
    section.add(&medians.markdown());
    section.add(&tails.markdown());
    section.plots.push(("Medians of the standard queries".to_owned(), plot(seen, &columns)));
    Ok(section)
}

fn plot(seen: &Seen, columns: &[(String, String, String)]) -> String {
    let kinds = KINDS.map(|kind| kind.name());
    let series = columns.iter().map(|(heading, system, state)| Series {
        name: heading.clone(),
        values: kinds
            .iter()
            .map(|kind| find(seen, kind, system, state).map(|times| times.latency.p50_ms))
            .collect(),
    });
    let bars = Bars {
        title: "Standard queries, median".to_owned(),
        unit: "ms, logarithmic".to_owned(),
        series: series.collect(),
        labels: kinds.to_vec(),
        logarithmic: true,
    };
    bars.svg()
}
