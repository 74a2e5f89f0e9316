//! Results: for people on standard output, for programs as lines of JSON.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::loader::Load;
use crate::lone_writer::LoneWriter;
use crate::process::Machine;
use crate::queries::measure::QueryTimes;
use crate::query::Query;

/// One line of a results file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Record {
    Machine(Machine),
    Load(Load),
    LoneWriter(LoneWriter),
    Query(Query),
    QueryTimes(QueryTimes),
    Figure(Figure),
}

/// A measured number that is nothing else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// Prints a result and, if asked to, appends it to a file.
pub(crate) fn emit(record: &Record, json: Option<&Path>) -> Result<()> {
    writeln!(stdout(), "{record}").context("cannot print the result")?;
    append(record, json)
}

/// Appends a result to a file, if there is one.
pub(crate) fn append(record: &Record, json: Option<&Path>) -> Result<()> {
    let Some(path) = json else { return Ok(()) };
    let mut line = serde_json::to_string(record).context("cannot encode the result")?;
    line.push('\n');
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("cannot append to {}", path.display()))
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(machine) => machine.fmt(out),
            Self::Load(load) => load.fmt(out),
            Self::LoneWriter(lone_writer) => lone_writer.fmt(out),
            Self::Query(query) => query.fmt(out),
            Self::QueryTimes(times) => times.fmt(out),
            Self::Figure(figure) => figure.fmt(out),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {:.3} {}", self.name, self.value, self.unit)
    }
}

impl fmt::Display for QueryTimes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, state, kind, latency, rows } = self;
        write!(out, "{kind:>24} {system} ({state}), {rows} rows: {latency}")
    }
}

impl fmt::Display for Load {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: {} rows in {:.2} s, {:.0} rows/s, {:.1} MB/s, {} errors, {} retries, \
             client {:.2} CPU s, checksum {}",
            self.label,
            self.rows,
            self.seconds,
            self.rows_per_second,
            self.megabytes_per_second,
            self.errors,
            self.retries,
            self.client_cpu_seconds,
            self.checksum,
        )?;
        if let Some(server) = &self.server {
            write!(
                out,
                "\n  server: {:.2} CPU s, {:.0} rows/CPU s, peak RSS {:.0} MiB",
                server.cpu_seconds,
                self.rows_per_cpu_second.unwrap_or_default(),
                server.rss_peak_mib
            )?;
        }
        match &self.latency {
            Some(latency) => write!(out, "\n  requests: {latency}"),
            None => write!(out, "\n  requests: none was acknowledged"),
        }
    }
}

impl fmt::Display for LoneWriter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:>12} {:>12} {:>12} {:>8}", "", "write ms", "fdatasync ms", "ratio")?;
        let pairs = self.acknowledged.columns().into_iter().zip(self.fdatasync.columns());
        for ((name, acknowledged), (_, bare)) in pairs {
            let ratio = acknowledged / bare;
            writeln!(out, "{name:>12} {acknowledged:>12.3} {bare:>12.3} {ratio:>8.2}")?;
        }
        write!(out, "{:>12} {:>12}", "samples", self.acknowledged.count)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n  answer: {}\n  {}", self.sql, self.first_answer, self.latency)
    }
}
