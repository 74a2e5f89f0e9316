//! Makes a server merge its Parquet files at a moment of our choice.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::ask_once;
use crate::process::{ProcessMeter, rss_anonymous_mib};
use crate::servers::Server;

const PATH: &str = "/api/v3/configure/compact";
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(3600);

/// What merging took.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) seconds: f64,
    pub(super) rows_per_cpu_second: f64,
    /// Bytes of the files that were merged, and of those that came of it.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Memory that is not of files: at most while merging, less what there was before.
    pub(super) memory_mib: f64,
}

/// Merging that goes on.
pub(super) struct Merging<'a> {
    server: &'a Server,
    run: u64,
    began: Instant,
    meter: ProcessMeter,
    rows_before: f64,
    memory_before_mib: f64,
    memory_peak_mib: f64,
}

impl<'a> Merging<'a> {
    /// Has the server begin to merge all files of time that is over in the usual database.
    pub(super) fn begin(server: &'a Server) -> Result<Self> {
        let options = server.options();
        let meter = ProcessMeter::start(server.pid())?;
        let rows_before = server.metric("compaction_rows_out_total")?;
        let memory_before_mib = rss_anonymous_mib(server.pid())?;
        let began = Instant::now();
        let begin = options.post_json(PATH, &json!({ "db": options.db }));
        let state: Value = serde_json::from_slice(&ask_once(&options, &begin)?)?;
        let run =
            state["run"].as_u64().context("the server does not say which compaction it is")?;
        let memory_peak_mib = memory_before_mib;
        Ok(Self { server, run, began, meter, rows_before, memory_before_mib, memory_peak_mib })
    }

    /// What it took, once it is over.
    pub(super) fn done(&mut self) -> Result<Option<Merged>> {
        let options = self.server.options();
        let show = options.get(&format!("{PATH}?run={}", self.run));
        let state: Value = serde_json::from_slice(&ask_once(&options, &show)?)?;
        self.memory_peak_mib = self.memory_peak_mib.max(rss_anonymous_mib(self.server.pid())?);
        if state["status"] != "done" {
            ensure!(self.began.elapsed() < TIMEOUT, "files are not merged after {TIMEOUT:?}");
            return Ok(None);
        }
        ensure!(state["error"].is_null(), "files could not be merged: {}", state["error"]);
        let seconds = self.began.elapsed().as_secs_f64();
        let rows = self.server.metric("compaction_rows_out_total")? - self.rows_before;
        let bytes = |name: &str| state[name].as_u64().context("the server does not tell bytes");
        Ok(Some(Merged {
            seconds,
            rows_per_cpu_second: rows / self.meter.read()?.cpu_seconds.max(0.01),
            bytes_in: bytes("bytes_in")?,
            bytes_out: bytes("bytes_out")?,
            memory_mib: self.memory_peak_mib - self.memory_before_mib,
        }))
    }
}

/// Has the server merge all files of time that is over, and waits for it.
pub(super) fn merge(server: &Server) -> Result<Merged> {
    let mut merging = Merging::begin(server)?;
    loop {
        if let Some(merged) = merging.done()? {
            return Ok(merged);
        }
        thread::sleep(POLL_INTERVAL);
    }
}
