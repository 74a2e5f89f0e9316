//! The same measurements over more and more history: what must not grow with it, and bytes on disk.

use anyhow::{Result, ensure};

use super::merge::{Merged, merge};
use super::{Bench, snapshot};
use crate::generators::{DataOptions, DataSet};
use crate::load_options::LoadOptions;
use crate::loader;
use crate::process::ProcessMeter;
use crate::queries::http_backends::SqlOverHttp;
use crate::queries::kinds::Kind;
use crate::queries::measure::time_kind;
use crate::report::Record;
use crate::results::{Lines, Section, Series, Table, number};
use crate::servers::Server;

const KINDS: [Kind; 6] = [
    Kind::SingleGroupBy { fields: 1, hosts: 1, hours: 1 },
    Kind::SingleGroupBy { fields: 5, hosts: 8, hours: 1 },
    Kind::DoubleGroupBy { fields: 1 },
    Kind::HighCpu { all_hosts: false },
    Kind::LastPoint,
    Kind::GroupByOrderByLimit,
];

/// Nothing is merged before its turn, and what was merged goes at once. Long histories do not wait
/// in memory for their snapshot.
const OPTIONS: &str = "--compaction off --compaction-cleanup-wait 0s \
                       --force-snapshot-mem-threshold 2GB --wal-delete-delay 1s \
                       --snapshotted-wal-files-to-keep 2";

/// How queries find the files.
struct State {
    files: u64,
    bytes_per_row: f64,
    /// In the order of the kinds.
    medians_ms: Vec<f64>,
}

/// What was seen at one length of history.
struct Point {
    hours: u64,
    rows: u64,
    rows_per_cpu_second: Option<f64>,
    snapshot_rows_per_cpu_second: Option<f64>,
    rss_peak_mib: f64,
    /// In files of ten minutes, and once these are merged.
    young: State,
    merged: State,
    merge: Merged,
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut points = Vec::new();
    for hours in bench.sizes.sweep_hours {
        points.push(measure(bench, *hours)?);
    }
    let mut section = bench.section("sweep", "From one hour of data to days");
    section.add(&format!(
        "cpu-only, {} hosts, 10 s apart; everything in Parquet files of ten minutes, and then in \
         what `influxdb3 compact` makes of these; medians of queries in ms. Those with a window look \
         at the same number of rows however long the history is, `lastpoint` and \
         `groupby-orderby-limit` at all of it. Bytes are those of the Parquet files.",
        bench.sizes.sweep_hosts
    ));
    let head: Vec<String> = points.iter().map(|point| format!("{} h", point.hours)).collect();
    let mut table = Table::new(["".to_owned()].into_iter().chain(head));
    let mut row = |name: &str, value: &dyn Fn(&Point) -> Option<f64>| {
        let cells = points.iter().map(|point| number(value(point)));
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    row("rows", &|point| Some(point.rows as f64));
    row("ingest, rows per CPU-second", &|point| point.rows_per_cpu_second);
    row("snapshot, rows per CPU-second", &|point| point.snapshot_rows_per_cpu_second);
    row("merging, rows per CPU-second", &|point| Some(point.merge.rows_per_cpu_second));
    row("merging, s", &|point| Some(point.merge.seconds));
    row("bytes written by merging ÷ bytes merged", &|point| {
        Some(point.merge.bytes_out as f64 / point.merge.bytes_in as f64)
    });
    row("memory of merging, MiB", &|point| Some(point.merge.memory_mib));
    row("peak RSS, MiB", &|point| Some(point.rss_peak_mib));
    for (name, state) in STATES {
        row(&format!("Parquet files, {name}"), &|point| Some(state(point).files as f64));
        row(&format!("bytes a row, {name}"), &|point| Some(state(point).bytes_per_row));
        for (index, kind) in KINDS.iter().enumerate() {
            let name = format!("{}, {name}", kind.name());
            row(&name, &|point| state(point).medians_ms.get(index).copied());
        }
    }
    section.add(&table.markdown());
    section.plots.push(("Query times over the length of history".to_owned(), plot(&points)));
    Ok(Some(section))
}

type OfPoint = fn(&Point) -> &State;
const STATES: [(&str, OfPoint); 2] =
    [("ten minutes", |point| &point.young), ("merged", |point| &point.merged)];

fn measure(bench: &Bench<'_>, hours: u64) -> Result<Point> {
    let data = DataOptions::new(DataSet::CpuOnly, bench.sizes.sweep_hosts, hours * 3600);
    let launch = snapshot::launch(bench.launch(), data.row_count(), bench.sizes.load_seconds);
    let server = bench.start(&launch.with(OPTIONS))?;
    let label = format!("influxdb3, {hours} h");
    let mut options = LoadOptions::new(&label, server.options(), data.clone());
    options.pid = Some(server.pid());
    let load = loader::run(&options)?;
    bench.record(&Record::Load(load.clone()))?;
    ensure!(load.errors == 0, "{} requests failed", load.errors);
    let is_alone = snapshot::is_in_memory(&server)?;
    let taken = snapshot::force(&server, &data)?;
    let young = state(bench, &server, &data, &format!("{hours} h"))?;
    let merge = merge(&server)?;
    let merged = state(bench, &server, &data, &format!("{hours} h, merged"))?;
    Ok(Point {
        hours,
        rows: data.row_count(),
        rows_per_cpu_second: load.rows_per_cpu_second,
        snapshot_rows_per_cpu_second: is_alone.then(|| taken.rows as f64 / taken.cpu_seconds),
        rss_peak_mib: ProcessMeter::start(server.pid())?.read()?.rss_peak_mib,
        young,
        merged,
        merge,
    })
}

/// Looks at the files, and has the queries answered.
fn state(bench: &Bench<'_>, server: &Server, data: &DataOptions, name: &str) -> Result<State> {
    let (rows, stored) = (data.row_count(), server.cpu_rows()?);
    ensure!(stored == rows, "{stored} rows are stored of {rows}");
    let mut backend = SqlOverHttp::new("influxdb3", &server.options())?;
    let mut medians_ms = Vec::new();
    for kind in KINDS {
        let times = time_kind(&mut backend, name, kind, data, &bench.sizes.plan)?;
        bench.record(&Record::QueryTimes(times.clone()))?;
        medians_ms.push(times.latency.p50_ms);
    }
    let of_files = |what: &str| {
        server.count(&format!(
            "SELECT {what} AS n FROM system.parquet_files WHERE table_name = 'cpu'"
        ))
    };
    let (files, bytes) = (of_files("count(*)")?, of_files("sum(size_bytes)")?);
    let bytes_per_row = bytes as f64 / rows as f64;
    bench.figure(&format!("{name} of data"), bytes_per_row, "bytes a row")?;
    Ok(State { files, bytes_per_row, medians_ms })
}

fn plot(points: &[Point]) -> String {
    let series = KINDS.iter().enumerate().flat_map(|(index, kind)| {
        STATES.map(|(name, state)| Series {
            name: format!("{}, {name}", kind.name()),
            values: points.iter().map(|p| state(p).medians_ms.get(index).copied()).collect(),
        })
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
