//! Makes a server merge its Parquet files at a moment of our choice.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::ask_once;
use crate::process::ProcessMeter;
use crate::servers::Server;

const PATH: &str = "/api/v3/configure/compact";
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(3600);

/// What merging took.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) seconds: f64,
    pub(super) rows_per_cpu_second: f64,
    /// Bytes of the files that were merged, and of those that came of it.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// Has the server merge all files of time that is over, and waits for it.
pub(super) fn merge(server: &Server) -> Result<Merged> {
    let options = server.options();
    let meter = ProcessMeter::start(server.pid())?;
    let rows_before = server.metric("compaction_rows_out_total")?;
    let began = Instant::now();
    let begin = options.post_json(PATH, &json!({ "db": options.db }));
    let state: Value = serde_json::from_slice(&ask_once(&options, &begin)?)?;
    let run = state["run"].as_u64().context("the server does not say which compaction it is")?;
    let state = loop {
        let show = options.get(&format!("{PATH}?run={run}"));
        let state: Value = serde_json::from_slice(&ask_once(&options, &show)?)?;
        if state["status"] == "done" {
            break state;
        }
        ensure!(began.elapsed() < TIMEOUT, "files are not merged after {TIMEOUT:?}");
        thread::sleep(POLL_INTERVAL);
    };
    ensure!(state["error"].is_null(), "files could not be merged: {}", state["error"]);
    let seconds = began.elapsed().as_secs_f64();
    let rows = server.metric("compaction_rows_out_total")? - rows_before;
    let bytes = |name: &str| state[name].as_u64().context("the server does not tell bytes");
    Ok(Merged {
        seconds,
        rows_per_cpu_second: rows / meter.read()?.cpu_seconds.max(0.01),
        bytes_in: bytes("bytes_in")?,
        bytes_out: bytes("bytes_out")?,
    })
}
