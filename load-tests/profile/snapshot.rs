//! Makes a server move its rows into Parquet files at a moment of our choice.
//!
//! A snapshot is due when enough periods of the WAL have gathered, and it takes what lies before the
//! chunk of the newest row. So the server is started with short periods, and with a number of them
//! that the load does not reach; afterwards single rows of a later time fill the rest.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::generators::DataOptions;
use crate::http::{Connection, Target};
use crate::process::{ProcessMeter, thread_cpu_seconds};
use crate::servers::{Launch, Server};

const PERIOD: Duration = Duration::from_millis(100);
/// A load runs at this rate or faster, on a machine that measures something.
const ROWS_PER_SECOND_MIN: u64 = 100_000;
const TIMEOUT: Duration = Duration::from_secs(600);
/// Seldom enough that answering costs the server nothing to speak of.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How the names of the threads begin that sort and encode.
const THREADS: &str = "persist";
const SECONDS_METRIC: &str = "persist_snapshot_seconds_sum";

/// How to start a server whose snapshot waits until so many rows are loaded, and so many seconds
/// longer.
pub(super) fn launch(launch: Launch, rows: u64, seconds: u64) -> Launch {
    let seconds = seconds + rows / ROWS_PER_SECOND_MIN;
    let periods = seconds * 1000 / PERIOD.as_millis() as u64;
    // The rule waits for half as many again.
    let size = (periods * 2).div_ceil(3);
    launch.with(&format!("--wal-flush-interval 100ms --wal-snapshot-size {size}"))
}

/// A snapshot that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// As the server measured it.
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    /// Of these, what the threads that sort and encode used.
    pub(super) own_cpu_seconds: f64,
    pub(super) rows: u64,
}

/// True as long as all rows are in memory.
pub(super) fn is_in_memory(server: &Server) -> Result<bool> {
    Ok(server.metric("persist_snapshots_total")? == 0.0)
}

/// Has the server take a snapshot of all rows of a data set, and waits for it.
pub(super) fn force(server: &Server, data: &DataOptions) -> Result<Taken> {
    force_after(server, day_after(data), data.row_count())
}

/// A time, in nanoseconds, long after the last row of a data set.
pub(super) fn day_after(data: &DataOptions) -> u64 {
    (data.start + data.span_seconds() + 86_400) * 1_000_000_000
}

/// Has the server take a snapshot of its first so many rows, with rows of `later_ns`, and waits.
pub(super) fn force_after(server: &Server, later_ns: u64, rows_wanted: u64) -> Result<Taken> {
    let mut options = server.options();
    options.db = "later".to_owned();
    let path = Target::Influxdb3V3.write_path(&options.db);
    let mut connection = Connection::open(server.address).context("cannot connect")?;
    let meter = ProcessMeter::start(server.pid())?;
    let rows_before = server.metric("persist_rows_total")?;
    let seconds_before = server.metric(SECONDS_METRIC)?;
    let own_before = thread_cpu_seconds(server.pid(), THREADS)?;

    // A period with rows of the load and later ones would not lie before the later chunk.
    thread::sleep(PERIOD * 3);
    let deadline = Instant::now() + TIMEOUT;
    let (mut began, mut cpu_before) = (None, 0.0);
    let mut next_row = Instant::now();
    let mut number = 0;
    loop {
        ensure!(Instant::now() < deadline, "no snapshot was taken in {TIMEOUT:?}");
        if Instant::now() >= next_row {
            next_row = Instant::now() + PERIOD;
            number += 1;
            let line = format!("later value={number}i {}\n", later_ns + number);
            let answer = connection.exchange(&options.post(&path, line.as_bytes()))?;
            ensure!(answer.is_success(), "a row was refused with {}", answer.describe());
        }
        let now = server.metrics()?;
        let is_running = now.sum("persist_running") > 0.0;
        let done = now.sum("persist_rows_total");
        if began.is_none() && (is_running || done > rows_before) {
            began = Some(Instant::now());
        }
        let cpu = meter.read()?.cpu_seconds;
        if began.is_none() {
            cpu_before = cpu;
        }
        if done >= rows_wanted as f64 && !is_running {
            let ended = Instant::now();
            let began = began.unwrap_or(ended);
            let rows = (done - rows_before) as u64;
            let seconds = now.sum(SECONDS_METRIC) - seconds_before;
            let cpu_seconds = cpu - cpu_before;
            let own_cpu_seconds = thread_cpu_seconds(server.pid(), THREADS)? - own_before;
            return Ok(Taken { began, ended, seconds, cpu_seconds, own_cpu_seconds, rows });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Product;
    use std::path::Path;

    #[test]
    fn the_rule_waits_longer_than_the_load() {
        let launch = launch(Launch::new(Product::Influxdb3, Path::new("x")), 1_000_000, 3);
        let size: u64 = launch.arguments.last().unwrap().parse().unwrap();
        // Due at one and a half times the size, a tenth of a second each.
        assert!(size * 3 / 2 / 10 >= 13, "{size}");
    }
}
