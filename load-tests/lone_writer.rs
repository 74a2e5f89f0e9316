//! One client that writes one row a request and waits for each acknowledgement, beside what the
//! disk alone takes: as many bare appends, each followed by `fdatasync`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::generators::DataOptions;
use crate::http::{Connection, ServerOptions, Target};
use crate::latency::Percentiles;

/// About what one row takes in a write-ahead log.
const APPEND_BYTES: usize = 200;

#[derive(Debug, Clone, Args)]
pub(crate) struct LoneWriterOptions {
    #[command(flatten)]
    pub(crate) server: ServerOptions,

    /// Write endpoint to speak
    #[arg(long, value_enum, default_value = "influxdb3-v3")]
    pub(crate) target: Target,

    /// Rows to write, and appends to compare with
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) requests: u32,

    /// Directory for the bare appends; it should lie on the disk of the server's data
    #[arg(long)]
    pub(crate) sync_dir: PathBuf,
}

/// The result of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoneWriter {
    pub(crate) acknowledged: Percentiles,
    pub(crate) fdatasync: Percentiles,
}

pub(crate) fn run(options: &LoneWriterOptions) -> Result<LoneWriter> {
    let fdatasync = time_appends(&options.sync_dir, options.requests)?;
    let acknowledged = time_writes(&options.server, options.target, options.requests)?;
    Ok(LoneWriter {
        acknowledged: Percentiles::of(acknowledged).context("no request was sent")?,
        fdatasync: Percentiles::of(fdatasync).context("nothing was appended")?,
    })
}

/// How long each of so many rows took, one a request.
pub(crate) fn time_writes(
    server: &ServerOptions,
    target: Target,
    requests: u32,
) -> Result<Vec<Duration>> {
    let path = target.write_path(&server.db);
    let mut rows = DataOptions::cpu_rows(10, u64::from(requests)).rows();
    let mut connection = Connection::open(server.address)
        .with_context(|| format!("cannot connect to {}", server.address))?;
    let mut latencies = Vec::with_capacity(requests as usize);
    let mut line = Vec::new();
    while rows.write_line(&mut line) {
        let request = server.post(&path, &line);
        line.clear();
        let began = Instant::now();
        let response = connection.exchange(&request).context("a write was not answered")?;
        latencies.push(began.elapsed());
        ensure!(response.is_success(), "a write was refused with {}", response.describe());
    }
    Ok(latencies)
}

fn time_appends(directory: &Path, count: u32) -> Result<Vec<Duration>> {
    let path = directory.join(format!("fdatasync-{}.tmp", std::process::id()));
    let appended = append_to(&path, count);
    let removed = fs::remove_file(&path);
    let latencies = appended.with_context(|| format!("cannot append to {}", path.display()))?;
    removed.with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(latencies)
}

fn append_to(path: &Path, count: u32) -> std::io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
    (0..count)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[b'x'; APPEND_BYTES])?;
            file.sync_data()?;
            Ok(began.elapsed())
        })
        .collect()
}
