//! `/metrics`, and the names and shapes of the series that the HTTP edge writes.

use super::metric_labels::escaped;
use crate::edge::state::ServerState;
use crate::version::{COMPAT_VERSION, REVISION};
use actix_web::{HttpResponse, web};
use actors::cache_directory::{CacheEntry, Directory};
use actors::cache_kit::{CacheState, CacheStatus};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::fmt::Write;
use std::time::Duration;
use uuid::Uuid;

const NANOSECONDS_A_SECOND: f64 = 1e9;

/// Upper bounds of duration buckets, in seconds: half a millisecond to a minute.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Upper bounds of size buckets, in bytes: 100 B to 1 GB.
const BYTES: &[f64] = &[1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Collected samples are folded into their buckets this often, so that a server whose metrics
/// nobody reads does not keep them for ever.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Makes the process's recorder. Call it once, before the first actor is born, on the system's own
/// thread.
///
/// # Errors
/// When the process has a recorder already.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = recorder()?.install_recorder()?;
    let upkeep = handle.clone();
    actix_rt::spawn(async move {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            upkeep.run_upkeep();
        }
    });
    describe();
    Ok(handle)
}

/// Histograms are told as buckets, which can be added up over servers.
pub(super) fn recorder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES)
}

fn describe() {
    metrics::describe_counter!("http_requests_total", "Requests by outcome");
    metrics::describe_histogram!(
        "http_request_duration_seconds",
        "Time from a request's head to the last byte of its answer"
    );
    metrics::describe_histogram!("http_response_body_size_bytes", "Size of answers as sent");
    metrics::describe_gauge!("process_start_time_seconds", "When the process started");
}

/// Records when the process started and what it is.
pub fn record_start(process_id: Uuid, started_at_ns: i64) {
    metrics::gauge!(
        "process_start_time_seconds",
        "product_name" => super::ping::PRODUCT_NAME,
        "version" => COMPAT_VERSION,
        "git_hash" => REVISION,
        "uuid" => process_id.to_string()
    )
    .set(started_at_ns as f64 / NANOSECONDS_A_SECOND);
}

/// All series in the text form of Prometheus.
pub(super) async fn metrics(state: web::Data<ServerState>) -> HttpResponse {
    let mut text = state.metrics.render();
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
    write_counts(&mut text, &state);
    write_caches(&mut text, &state.running_caches.load());
    super::trigger_metrics::write(&mut text, &state);
    text.push_str("# EOF\n");
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// A series of each cache: its name, what it is, a further label, and its value.
type CacheSeries = (&'static str, &'static str, &'static str, fn(&CacheEntry, &CacheStatus) -> u64);

const CACHE_SERIES: [CacheSeries; 7] = [
    ("cache_keys", "gauge", "", |_, status| status.keys as u64),
    ("cache_rows", "gauge", "", |_, status| status.rows as u64),
    ("cache_bytes", "gauge", "", |_, status| status.bytes as u64),
    ("cache_filling", "gauge", "", |_, status| (status.state == CacheState::Filling).into()),
    ("cache_overruns_total", "counter", "", |entry, _| entry.overruns()),
    ("cache_evicted_keys_total", "counter", ",reason=\"age_or_count\"", |_, s| s.evicted),
    ("cache_evicted_keys_total", "counter", ",reason=\"memory\"", |_, s| s.squeezed),
];

/// What was written to the databases that there are. These series and those of caches are not the
/// recorder's: it forgets none, and databases and caches come and go.
fn write_counts(text: &mut String, state: &ServerState) {
    let counts = state.writes.of_live(&state.snapshot.load());
    let series = [
        ("influxdb3_write_lines_total", "Accepted lines"),
        ("influxdb3_write_bytes_total", "Bytes of accepted lines"),
        ("influxdb3_write_lines_rejected_total", "Refused lines"),
    ];
    for (at, (name, what)) in series.into_iter().enumerate().filter(|_| !counts.is_empty()) {
        writeln!(text, "# HELP {name} {what}\n# TYPE {name} counter").ok();
        for (db, counts) in &counts {
            writeln!(text, "{name}{{db=\"{}\"}} {}", escaped(db), counts[at]).ok();
        }
    }
}

/// The series of the caches that there are.
fn write_caches(text: &mut String, caches: &Directory) {
    let mut caches: Vec<_> = caches.all().map(|entry| (entry, entry.status())).collect();
    caches.sort_by(|(a, _), (b, _)| (a.kind(), &a.names).cmp(&(b.kind(), &b.names)));
    let mut last = "";
    for (name, kind, label, value) in CACHE_SERIES {
        if !caches.is_empty() && name != last {
            writeln!(text, "# TYPE {name} {kind}").ok();
        }
        last = name;
        for (entry, status) in &caches {
            let [db, table, cache] = entry.names.each_ref().map(|name| escaped(name));
            let labels = format!("db=\"{db}\",table=\"{table}\",cache=\"{cache}\"{label}");
            let value = value(entry, status);
            writeln!(text, "{name}{{kind=\"{}\",{labels}}} {value}", entry.kind()).ok();
        }
    }
}
