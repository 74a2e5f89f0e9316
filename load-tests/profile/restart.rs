//! How long a server that was killed takes until it answers with all its rows.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use crate::generators::DataOptions;
use crate::load_options::LoadOptions;
use crate::loader;
use crate::process::ProcessMeter;
use crate::results::{Section, Table, median, number};

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(300);
/// Short periods, so that there are about as many WAL files as an ordinary server has, and no
/// snapshot.
const OPTIONS: &str = "--wal-flush-interval 20ms --wal-snapshot-size 1000000";

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let rows = bench.sizes.restart_rows;
    let data = DataOptions::cpu_rows(bench.sizes.cpu_hosts, rows);
    let launch = bench.launch().with(OPTIONS);
    let folder = bench.folder("restart")?;
    let server = launch.start(&folder)?;
    let load = loader::run(&LoadOptions::new("influxdb3", server.options(), data))?;
    ensure!(load.errors == 0, "{} requests failed", load.errors);
    server.kill()?;
    let wal_files = std::fs::read_dir(folder.join("data/bench/wal")).map_or(0, Iterator::count);

    let mut seconds = Vec::new();
    let mut cpu_seconds = Vec::new();
    for _ in 0..bench.sizes.rounds {
        let began = Instant::now();
        let mut server = launch.spawn(&folder)?;
        while !server.cpu_rows().is_ok_and(|stored| stored == rows) {
            ensure!(server.is_running(), "the server ended while it replayed");
            ensure!(began.elapsed() < TIMEOUT, "{rows} rows are not back after {TIMEOUT:?}");
            thread::sleep(POLL_INTERVAL);
        }
        seconds.push(bench.figure("restart", began.elapsed().as_secs_f64(), "s")?);
        // All that the process has used so far: the watch begins with it.
        let used = ProcessMeter::from_birth(server.pid()).read()?;
        cpu_seconds.push(bench.figure("restart", used.cpu_seconds, "CPU s")?);
        server.kill()?;
    }

    let mut section = bench.section("restart", "Restart after a kill");
    section.add(&format!(
        "{} rows of cpu-only in {wal_files} WAL files and no snapshot, `kill -9`, start, until \
         `SELECT count(*)` answers all of them. Median of {}.",
        number(rows as f64),
        bench.sizes.rounds
    ));
    let (seconds, cpu) = (median(seconds), median(cpu_seconds));
    let per = |seconds: Option<f64>| number(seconds.map(|seconds| rows as f64 / seconds));
    let mut table = Table::new(["", "seconds", "rows a second"]);
    table.row(["time".to_owned(), number(seconds), per(seconds)]);
    table.row(["CPU time".to_owned(), number(cpu), per(cpu)]);
    section.add(&table.markdown());
    Ok(Some(section))
}
