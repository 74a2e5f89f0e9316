//! Closed-loop ingest of the devops sets, this server and its peers in turn.

use anyhow::{Result, ensure};

use super::Bench;
use crate::generators::{DataOptions, DataSet};
use crate::latency::Percentiles;
use crate::load_options::LoadOptions;
use crate::loader::{self, Load};
use crate::report::Record;
use crate::results::{Bars, Section, Series, Table, median, number, ratio};
use crate::servers::{Launch, Product};

type Measure = (&'static str, fn(&Load) -> Option<f64>);

const PER_CPU_SECOND: &str = "rows per server CPU-second";
const MEASURES: [Measure; 10] = [
    ("rows/s", |load| Some(load.rows_per_second)),
    ("MB/s", |load| Some(load.megabytes_per_second)),
    (PER_CPU_SECOND, |load| load.rows_per_cpu_second),
    ("server CPU seconds", |load| Some(load.server.as_ref()?.cpu_seconds)),
    ("server peak RSS, MiB", |load| Some(load.server.as_ref()?.rss_peak_mib)),
    ("ack p50, ms", |load| latency(load, |seen| seen.p50_ms)),
    ("ack p90, ms", |load| latency(load, |seen| seen.p90_ms)),
    ("ack p99, ms", |load| latency(load, |seen| seen.p99_ms)),
    ("ack max, ms", |load| latency(load, |seen| seen.max_ms)),
    ("errors", |load| Some(load.errors as f64)),
];

fn latency(load: &Load, value: fn(&Percentiles) -> f64) -> Option<f64> {
    load.latency.as_ref().map(value)
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("ingest", "Ingest, closed loop");
    section.add(
        "Requests of 5000 lines over 4 connections, each into an empty directory on the same disk, \
         the servers in turn, medians. They promise different things: influxdb3 acknowledges rows \
         that are on stable storage and visible; InfluxDB 1 rows in its log, synced; \
         VictoriaMetrics rows in memory.",
    );
    let versions: Vec<String> =
        bench.options.peers.launches().iter().map(Launch::version).collect();
    if !versions.is_empty() {
        section.add(&format!("Peers, with their defaults: {}.", versions.join("; ")));
    }
    let sizes = &bench.sizes;
    let cpu = DataOptions::cpu_rows(sizes.cpu_hosts, sizes.cpu_rows);
    measure_set(bench, &mut section, "cpu-only", &cpu, sizes.rounds)?;
    let devops = DataOptions::new(DataSet::Devops, sizes.devops_hosts, sizes.devops_seconds);
    measure_set(bench, &mut section, "devops, nine tables", &devops, sizes.other_rounds)?;
    let iot = DataOptions::new(DataSet::Iot, sizes.devops_hosts, sizes.devops_seconds * 4);
    let name = "vehicles, with late rows and absent values";
    measure_set(bench, &mut section, name, &iot, sizes.other_rounds)?;
    Ok(Some(section))
}

fn measure_set(
    bench: &Bench<'_>,
    section: &mut Section,
    name: &str,
    data: &DataOptions,
    rounds: usize,
) -> Result<()> {
    let mut launches = vec![bench.launch()];
    launches.extend(bench.options.peers.launches());
    let mut loads: Vec<Load> = Vec::new();
    for round in 0..rounds {
        // Who goes first changes, so that nobody always meets the warmer or the emptier machine.
        for launch in rotated(&launches, round) {
            loads.push(recorded(bench, load(bench, launch, data)?)?);
        }
        for other in bench.other_servers() {
            let db = format!("bench_{:?}_{round}", data.set).to_lowercase();
            let mut options = LoadOptions::new(&other.name, other.options(&db), data.clone());
            options.pid = other.pid;
            loads.push(recorded(bench, loader::run(&options)?)?);
        }
    }
    let checksum = &loads[0].checksum;
    ensure!(loads.iter().all(|load| load.checksum == *checksum), "loads differ in their data");
    section.add(&format!(
        "**{name}**: {} rows, {} hosts, checksum `{checksum}`, median of {rounds}.",
        number(data.row_count() as f64),
        data.hosts,
    ));
    section.add(&table(&loads).markdown());
    section.plots.push((name.to_owned(), plot(name, &loads)));
    Ok(())
}

fn rotated(launches: &[Launch], round: usize) -> impl Iterator<Item = &Launch> {
    launches.iter().cycle().skip(round % launches.len()).take(launches.len())
}

fn recorded(bench: &Bench<'_>, load: Load) -> Result<Load> {
    bench.record(&Record::Load(load.clone()))?;
    Ok(load)
}

/// One load into an empty server.
fn load(bench: &Bench<'_>, launch: &Launch, data: &DataOptions) -> Result<Load> {
    let server = bench.start(launch)?;
    let product = launch.product;
    let mut options = LoadOptions::new(product.name(), server.options(), data.clone());
    options.target = product.target();
    options.pid = Some(server.pid());
    let load = loader::run(&options)?;
    if data.set == DataSet::CpuOnly && load.errors == 0 {
        let stored = server.cpu_rows()?;
        ensure!(stored == load.rows, "{} has {stored} rows of {}", product.name(), load.rows);
    }
    if product == Product::Influxdb3 {
        let error = load.first_error.as_deref().unwrap_or_default();
        ensure!(load.errors == 0, "{} requests failed; the first: {error}", load.errors);
    }
    Ok(load)
}

/// The names of the systems, this server first.
fn labels(loads: &[Load]) -> Vec<&str> {
    let mut labels: Vec<&str> = vec![Product::Influxdb3.name()];
    for load in loads {
        if !labels.contains(&load.label.as_str()) {
            labels.push(&load.label);
        }
    }
    labels
}

fn median_of(loads: &[Load], label: &str, value: fn(&Load) -> Option<f64>) -> Option<f64> {
    median(loads.iter().filter(|load| load.label == label).filter_map(value))
}

fn table(loads: &[Load]) -> Table {
    let labels = labels(loads);
    let ratios = labels[1..].iter().map(|label| format!("influxdb3 ÷ {label}"));
    let names = labels.iter().map(|label| (*label).to_owned());
    let mut table = Table::new(["".to_owned()].into_iter().chain(names).chain(ratios));
    for (heading, value) in MEASURES {
        let medians: Vec<Option<f64>> =
            labels.iter().map(|label| median_of(loads, label, value)).collect();
        let ratios = medians[1..].iter().map(|peer| ratio(medians[0], *peer));
        let cells = medians.iter().map(|median| number(*median)).chain(ratios);
        table.row([heading.to_owned()].into_iter().chain(cells));
    }
    table
}

fn plot(name: &str, loads: &[Load]) -> String {
    let labels = labels(loads);
    let series = |name: &str, value: fn(&Load) -> Option<f64>| Series {
        name: name.to_owned(),
        values: labels.iter().map(|label| median_of(loads, label, value)).collect(),
    };
    let bars = Bars {
        title: format!("Ingest: {name}"),
        unit: "rows".to_owned(),
        series: vec![
            series(PER_CPU_SECOND, |load| load.rows_per_cpu_second),
            series("rows/s", |load| Some(load.rows_per_second)),
        ],
        labels: labels.into_iter().map(str::to_owned).collect(),
        logarithmic: false,
    };
    bars.svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(label: &str, rows_per_second: f64) -> Load {
        Load {
            label: label.to_owned(),
            rows: 10,
            seconds: 1.0,
            rows_per_second,
            megabytes_per_second: 1.0,
            rate: None,
            errors: 0,
            first_error: None,
            retries: 0,
            latency: None,
            client_cpu_seconds: 0.1,
            server: None,
            rows_per_cpu_second: None,
            checksum: String::new(),
        }
    }

    #[test]
    fn this_server_is_divided_by_each_other() {
        let loads = [
            load("b", 10.0),
            load("influxdb3", 30.0),
            load("influxdb3", 36.0),
            load("b", 12.0),
            load("influxdb3", 33.0),
        ];
        let text = table(&loads).markdown();
        assert!(text.contains("|  | influxdb3 | b | influxdb3 ÷ b |"), "{text}");
        assert!(text.contains("| rows/s | 33 | 11 | 3 |"), "{text}");
        assert!(text.contains("| rows per server CPU-second | – | – | – |"), "{text}");
    }

    #[test]
    fn who_goes_first_changes() {
        let launches = [Product::Influxdb3, Product::Influxdb1]
            .map(|product| Launch::new(product, std::path::Path::new("x")));
        let firsts: Vec<Product> =
            (0..3).map(|round| rotated(&launches, round).next().unwrap().product).collect();
        assert_eq!(firsts, [Product::Influxdb3, Product::Influxdb1, Product::Influxdb3]);
        assert_eq!(rotated(&launches, 1).count(), 2);
    }
}
