//! The series of triggers, and those that their plugins count.

use super::metric_labels::escaped;
use crate::edge::state::ServerState;
use actors::python_host::HostStanding;
use actors::trigger::TriggerStanding;
use actors::triggers::RunningTrigger;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A series of each trigger: its name, what it is, and its value.
type TriggerSeries = (&'static str, &'static str, fn(&TriggerStanding, i64) -> f64);

const TRIGGER_SERIES: [TriggerSeries; 6] = [
    ("trigger_runs_total", "counter", |standing, _| standing.runs() as f64),
    ("trigger_failures_total", "counter", |standing, _| standing.failures() as f64),
    ("trigger_run_seconds_total", "counter", |standing, _| standing.run_time().as_secs_f64()),
    ("trigger_events_lost_total", "counter", |standing, _| standing.events_lost() as f64),
    ("trigger_events_waiting", "gauge", |standing, _| standing.waiting() as f64),
    ("trigger_lag_seconds", "gauge", |standing, now_ns| standing.lag(now_ns).as_secs_f64()),
];

/// A series of each process that runs plugins.
type HostSeries = (&'static str, &'static str, fn(&HostStanding) -> f64);

const HOST_SERIES: [HostSeries; 3] = [
    ("plugin_host_ends_total", "counter", |standing| standing.ends() as f64),
    ("plugin_host_cpu_seconds_total", "counter", |standing| standing.cpu_time().as_secs_f64()),
    ("plugin_host_memory_bytes", "gauge", |standing| standing.memory_bytes() as f64),
];

/// The series of the triggers that run. The recorder forgets no series, and triggers come and go:
/// these are not its own.
pub(super) fn write(text: &mut String, state: &ServerState) {
    let directory = state.plugins.directory.load();
    let (running, now_ns) = (directory.running(), state.clock.now_ns());
    for (name, kind, value) in TRIGGER_SERIES.into_iter().filter(|_| !running.is_empty()) {
        writeln!(text, "# TYPE {name} {kind}").ok();
        for trigger in running {
            let value = value(&trigger.standing, now_ns);
            writeln!(text, "{name}{{{}}} {value}", labels(trigger)).ok();
        }
    }
    for (name, kind, value) in HOST_SERIES.into_iter().filter(|_| !directory.hosts().is_empty()) {
        writeln!(text, "# TYPE {name} {kind}").ok();
        for (of, standing) in directory.hosts() {
            writeln!(text, "{name}{{of=\"{}\"}} {}", escaped(of), value(standing)).ok();
        }
    }
    write_counts(text, running);
}

fn labels(trigger: &RunningTrigger) -> String {
    format!("db=\"{}\",trigger=\"{}\"", escaped(&trigger.database), escaped(&trigger.trigger))
}

/// What plugins count, `influxdb3_plugin_NAME_total`: all triggers' series of a name together.
fn write_counts(text: &mut String, running: &[RunningTrigger]) {
    let mut series: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for trigger in running {
        for ((name, own), value) in trigger.standing.counts() {
            let name = name.strip_suffix("_total").unwrap_or(&name);
            let mut labels = labels(trigger);
            for (label, value) in own {
                write!(labels, ",{label}=\"{}\"", escaped(&value)).ok();
            }
            let of_name = series.entry(format!("influxdb3_plugin_{name}_total")).or_default();
            of_name.push((labels, value));
        }
    }
    for (name, of_name) in series {
        writeln!(text, "# TYPE {name} counter").ok();
        for (labels, value) in of_name {
            writeln!(text, "{name}{{{labels}}} {value}").ok();
        }
    }
}
