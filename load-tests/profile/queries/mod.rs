//! The standard queries: this server with its rows in memory and then in Parquet files, InfluxDB 1
//! with the same rows, DuckDB and DataFusion over the same files. Besides, statements that cost
//! hardly more than being asked, queries a second, and the first queries after a start.

mod cold;
mod short;
mod tables;

use anyhow::{Result, bail, ensure};

use super::{Bench, snapshot};
use crate::generators::random::Random;
use crate::generators::{DataOptions, DataSet};
use crate::load_options::LoadOptions;
use crate::loader;
use crate::queries::Backend;
use crate::queries::http_backends::{InfluxqlOverHttp, SqlOverHttp};
use crate::queries::kinds::{KINDS, Kind, Query};
use crate::queries::measure::{QueryTimes, compare, time_kind};
use crate::queries::python::{Engine, PythonEngine};
use crate::report::Record;
use crate::results::Section;
use crate::servers::{Server, parquet_files};
use short::Short;

const MEMORY: &str = "memory";
const FILES: &str = "Parquet, decoded rows in memory";
const COLD: &str = "Parquet, first after a start";
const OURS: &str = "influxdb3";
/// On a slow machine a load may not be over before the snapshot; then the snapshot waits longer.
const LOADS_MAX: usize = 4;
/// So often a file is asked for until its rows are kept, and once more.
const TIMES_ASKED: usize = 3;

/// All that was measured, and what differed.
#[derive(Default)]
struct Seen {
    times: Vec<QueryTimes>,
    differences: Vec<String>,
    compared: usize,
    short: Vec<Short>,
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
    seen.short.push(short::measure(bench, &ours, MEMORY, &data)?);
    ensure!(snapshot::is_in_memory(&ours)?, "a snapshot ran while rows in memory were measured");

    snapshot::force(&ours, &data)?;
    backends.truncate(own_count);
    let files = ours.parquet_folder();
    if let Some(python) = &bench.options.peers.python {
        for engine in [Engine::Duckdb(files.clone()), Engine::Datafusion(files.clone())] {
            backends.push(Box::new(PythonEngine::start(engine, python)?));
        }
    }
    have_files_decoded(&ours, &data)?;
    measure(bench, &mut seen, &mut backends, FILES, &data)?;
    seen.short.push(short::measure(bench, &ours, FILES, &data)?);
    let file_count = parquet_files(&files)?.len();
    ensure!(seen.differences.is_empty(), "answers differ:\n{}", seen.differences.join("\n"));
    // The engines read the files, which stay as they are.
    drop(backends);
    cold::measure(bench, &mut seen, ours, &data)?;
    Ok(Some(tables::section(bench, &seen, &data, file_count)?))
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

/// Asks for every column of every file again, which then stays in memory in decoded form.
fn have_files_decoded(server: &Server, data: &DataOptions) -> Result<()> {
    let mut backend = SqlOverHttp::new(OURS, &server.options())?;
    let everything = Kind::HighCpu { all_hosts: true };
    let mut random = Random::new(data.seed);
    for _ in 0..TIMES_ASKED {
        backend.ask(&everything.draw(data, &mut random), false)?;
    }
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
