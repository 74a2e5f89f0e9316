//! Ingest for minutes under a limit of memory for the whole server: it must push back, not die, and
//! have every acknowledged row.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::generators::{DataOptions, START_SECONDS};
use crate::load_options::LoadOptions;
use crate::loader;
use crate::process::ProcessMeter;
use crate::report::Record;
use crate::results::{Section, Table, number};

const HOSTS: u32 = 1000;
/// Rows of one load; the next begins where it ended.
const ROWS: u64 = 1_080_000;

/// A control group with a limit of memory. It goes when this is dropped.
struct Group {
    folder: PathBuf,
    is_v1: bool,
}

impl Group {
    /// None where this process may not make one.
    fn with_limit(bytes: u64) -> Option<Self> {
        let name = format!("load-tests-{}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let is_v1 = v1.exists();
        let parent = if is_v1 { v1 } else { Path::new("/sys/fs/cgroup") };
        let group = Self { folder: parent.join(name), is_v1 };
        fs::create_dir(&group.folder).ok()?;
        let limit = if is_v1 { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }

    fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    fn peak_mib(&self) -> Option<f64> {
        let name = if self.is_v1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
        let text = fs::read_to_string(self.folder.join(name)).ok()?;
        Some(text.trim().parse::<f64>().ok()? / f64::from(1 << 20))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whatever stays is empty and does no harm.
        drop(fs::remove_dir(&self.folder));
    }
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let sizes = &bench.sizes;
    let Some(group) = Group::with_limit(sizes.soak_memory_bytes) else { return Ok(None) };
    let mut launch = bench.launch();
    launch.control_group = Some(group.processes());
    let mut server = bench.start(&launch)?;
    let meter = ProcessMeter::start(server.pid())?;

    let began = Instant::now();
    let (mut rows, mut retries, mut loads) = (0, 0, 0);
    while began.elapsed() < Duration::from_secs(sizes.soak_seconds) {
        let mut data = DataOptions::cpu_rows(HOSTS, ROWS);
        data.start = START_SECONDS + loads * data.span_seconds();
        let load = loader::run(&LoadOptions::new("influxdb3, soak", server.options(), data))?;
        bench.record(&Record::Load(load.clone()))?;
        ensure!(server.is_running(), "the server died after {rows} rows");
        let error = load.first_error.as_deref().unwrap_or_default();
        ensure!(load.errors == 0, "{} requests failed; the first: {error}", load.errors);
        rows += load.rows;
        retries += load.retries;
        loads += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    let used = meter.read()?;
    let stored = server.cpu_rows()?;
    ensure!(stored == rows, "{stored} rows are stored of {rows} acknowledged ones");
    let snapshots = server.metric("persist_snapshots_total")?;
    let peak = group.peak_mib().context("the group's memory cannot be read")?;
    server.stop()?;

    let mut section = bench.section("soak", "Soak under a memory limit");
    section.add(&format!(
        "The server in a control group of {} MiB, cpu-only of {HOSTS} hosts as fast as it is \
         acknowledged, for {} s (making the data included). Refused requests were sent again. At the \
         end `SELECT count(*)` answered every acknowledged row.",
        sizes.soak_memory_bytes >> 20,
        number(seconds)
    ));
    let mut table = Table::new(["", "seen"]);
    let figures = [
        ("acknowledged rows, all there at the end", rows as f64),
        ("rows/s", rows as f64 / seconds),
        ("refusals with 503", retries as f64),
        ("snapshots", snapshots),
        ("peak RSS, MiB", used.rss_peak_mib),
        ("peak of the group, page cache included, MiB", peak),
        ("server CPU seconds", used.cpu_seconds),
    ];
    for (name, value) in figures {
        table.row([name.to_owned(), number(bench.figure(name, value, "in the soak")?)]);
    }
    section.add(&table.markdown());
    Ok(Some(section))
}
