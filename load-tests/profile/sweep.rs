//! The same measurements over more and more history: what must not grow with it, and bytes on disk.

use anyhow::{Context, Result, ensure};

use super::{Bench, snapshot};
use crate::generators::{DataOptions, DataSet};
use crate::load_options::LoadOptions;
use crate::loader;
use crate::queries::http_backends::SqlOverHttp;
use crate::queries::kinds::Kind;
use crate::queries::measure::time_kind;
use crate::report::Record;
use crate::results::{Lines, Section, Series, Table, number};
use crate::servers::parquet_files;

const KINDS: [Kind; 6] = [
    Kind::SingleGroupBy { fields: 1, hosts: 1, hours: 1 },
    Kind::SingleGroupBy { fields: 5, hosts: 8, hours: 1 },
    Kind::DoubleGroupBy { fields: 1 },
    Kind::HighCpu { all_hosts: false },
    Kind::LastPoint,
    Kind::GroupByOrderByLimit,
];

/// What was seen at one length of history.
struct Point {
    hours: u64,
    rows: u64,
    files: usize,
    rows_per_cpu_second: Option<f64>,
    snapshot_rows_per_cpu_second: f64,
    bytes_per_row: f64,
    rss_peak_mib: f64,
    /// In the order of the kinds.
    medians_ms: Vec<f64>,
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut points = Vec::new();
    for hours in bench.sizes.sweep_hours {
        points.push(measure(bench, *hours)?);
    }
    let mut section = bench.section("sweep", "From one hour of data to days");
    section.add(&format!(
        "cpu-only, {} hosts, 10 s apart; everything in Parquet files of ten minutes; medians of \
         queries in ms. Those with a window look at the same number of rows however long the \
         history is, `lastpoint` and `groupby-orderby-limit` at all of it. Bytes are those of the \
         Parquet files.",
        bench.sizes.sweep_hosts
    ));
    let head = points.iter().map(|point| format!("{} h", point.hours));
    let mut table = Table::new(["".to_owned()].into_iter().chain(head));
    let mut row = |name: &str, value: &dyn Fn(&Point) -> Option<f64>| {
        let cells = points.iter().map(|point| number(value(point)));
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    row("rows", &|point| Some(point.rows as f64));
    row("Parquet files", &|point| Some(point.files as f64));
    row("bytes a row", &|point| Some(point.bytes_per_row));
    row("ingest, rows per CPU-second", &|point| point.rows_per_cpu_second);
    row("snapshot, rows per CPU-second", &|point| Some(point.snapshot_rows_per_cpu_second));
    row("peak RSS, MiB", &|point| Some(point.rss_peak_mib));
    for (index, kind) in KINDS.iter().enumerate() {
        row(&kind.name(), &|point| point.medians_ms.get(index).copied());
    }
    section.add(&table.markdown());
    section.plots.push(("Query times over the length of history".to_owned(), plot(&points)));
    Ok(Some(section))
}

fn measure(bench: &Bench<'_>, hours: u64) -> Result<Point> {
    let data = DataOptions::new(DataSet::CpuOnly, bench.sizes.sweep_hosts, hours * 3600);
    let server = bench.start(&snapshot::launch(
        bench.launch(),
        data.row_count(),
        bench.sizes.load_seconds,
    ))?;
    let label = format!("influxdb3, {hours} h");
    let mut options = LoadOptions::new(&label, server.options(), data.clone());
    options.pid = Some(server.pid());
    let load = loader::run(&options)?;
    bench.record(&Record::Load(load.clone()))?;
    ensure!(load.errors == 0, "{} requests failed", load.errors);
    let taken = snapshot::force(&server, &data)?;
    let stored = server.cpu_rows()?;
    ensure!(stored == data.row_count(), "{stored} rows are stored of {}", data.row_count());

    let mut backend = SqlOverHttp::new("influxdb3", &server.options())?;
    let mut medians_ms = Vec::new();
    for kind in KINDS {
        let state = format!("{hours} h");
        let times = time_kind(&mut backend, &state, kind, &data, &bench.sizes.plan)?;
        bench.record(&Record::QueryTimes(times.clone()))?;
        medians_ms.push(times.latency.p50_ms);
    }
    let files = parquet_files(&server.parquet_folder())?;
    let mut bytes = 0;
    for file in &files {
        bytes += std::fs::metadata(file).context("a file is gone")?.len();
    }
    let rows = data.row_count();
    let bytes_per_row = bytes as f64 / rows as f64;
    bench.figure(&format!("{hours} h of data"), bytes_per_row, "bytes a row")?;
    Ok(Point {
        hours,
        rows,
        files: files.len(),
        rows_per_cpu_second: load.rows_per_cpu_second,
        snapshot_rows_per_cpu_second: taken.rows as f64 / taken.cpu_seconds,
        bytes_per_row,
        rss_peak_mib: load.server.context("the server was not measured")?.rss_peak_mib,
        medians_ms,
    })
}

fn plot(points: &[Point]) -> String {
    let series = KINDS.iter().enumerate().map(|(index, kind)| Series {
        name: kind.name(),
        values: points.iter().map(|point| point.medians_ms.get(index).copied()).collect(),
    });
    let lines = Lines {
        title: "Queries over the length of history, median".to_owned(),
        x_unit: "hours of data".to_owned(),
        y_unit: "ms".to_owned(),
        xs: points.iter().map(|point| point.hours as f64).collect(),
        series: series.collect(),
    };
    lines.svg()
}
