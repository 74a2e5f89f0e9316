//! What was measured, in tables and a plot.

use anyhow::{Context, Result};

use super::short;
use super::{Bench, FILES, MEMORY, OURS, Seen};
use crate::generators::DataOptions;
use crate::latency::Percentiles;
use crate::queries::kinds::KINDS;
use crate::queries::measure::QueryTimes;
use crate::results::{Bars, Section, Series, Table, number, ratio};
use crate::servers::Launch;

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

pub(super) fn section(
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
         then. Its last column is each type's first query after a start without memory for files, \
         median of {}; the system still has the files' bytes. {} answers were compared with those of influxdb3 (times and texts exactly, numbers \
         to 1e-9): all are equal.",
        number(data.row_count() as f64),
        data.hosts,
        data.span_seconds() / 3600,
        bench.sizes.rounds,
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
    let mut tails = Table::new(["p10 – p90; p99, ms (queries)".to_owned()].into_iter().chain(head));
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
            let Percentiles { count, p10_ms, p90_ms, p99_ms, .. } = times.latency;
            let [p10, p90, p99] = [p10_ms, p90_ms, p99_ms].map(number);
            format!("{p10} – {p90}; {p99} ({count})")
        };
        let cells = times.iter().map(|times| times.map_or("–".to_owned(), tail));
        tails.row([kind].into_iter().chain(cells));
    }
    section.add(&medians.markdown());
    section.add(&tails.markdown());
    section.add(&short::table(&seen.short).markdown());
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
