//! Loads the data set as fast as the server takes it: a closed loop with one request in flight on
//! each connection. Requests are rendered before the clock starts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::generators::cpu::{CpuOptions, CpuRows};
use crate::http::{Connection, ServerOptions, Target};
use crate::latency::Percentiles;
use crate::process::{ProcessMeter, ProcessUse};

/// After so many refusals of one request it counts as failed.
const ATTEMPTS_MAX: usize = 20;
const RETRY_WAIT_DEFAULT: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Args)]
pub(crate) struct LoadOptions {
    #[command(flatten)]
    cpu: CpuOptions,

    #[command(flatten)]
    server: ServerOptions,

    /// Write endpoint to speak
    #[arg(long, value_enum, default_value = "influxdb3-v3")]
    target: Target,

    /// Connections, each with one request in flight
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,

    /// Lines of one request
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    lines_per_request: u32,

    /// Process of the server, to measure what it uses
    #[arg(long)]
    pid: Option<u32>,

    /// Name of the server in the report
    #[arg(long, default_value = "influxdb3")]
    label: String,
}

/// The result of one load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) label: String,
    /// Acknowledged rows.
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
    pub(crate) megabytes_per_second: f64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Requests sent again after a 503.
    pub(crate) retries: u64,
    /// From the first sending of a request to its acknowledgement, refusals and waits included.
    pub(crate) latency: Option<Percentiles>,
    /// To see that the driver was not what limited the server.
    pub(crate) client_cpu_seconds: f64,
    pub(crate) server: Option<ProcessUse>,
    pub(crate) rows_per_cpu_second: Option<f64>,
}

struct Request {
    bytes: Vec<u8>,
    body_bytes: u64,
    rows: u64,
}

/// What one connection has seen.
#[derive(Default)]
struct Tally {
    latencies: Vec<Duration>,
    rows: u64,
    body_bytes: u64,
    errors: u64,
    first_error: Option<String>,
    retries: u64,
}

impl Tally {
    fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    fn merge(mut self, other: Self) -> Self {
        self.latencies.extend(other.latencies);
        self.rows += other.rows;
        self.body_bytes += other.body_bytes;
        self.errors += other.errors;
        self.first_error = self.first_error.or(other.first_error);
        self.retries += other.retries;
        self
    }
}

pub(crate) fn run(options: &LoadOptions) -> Result<Load> {
    let requests = render_requests(options);
    ensure!(!requests.is_empty(), "there are no rows to load");
    let connections = (0..options.connections)
        .map(|_| Connection::open(options.server.address))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| format!("cannot connect to {}", options.server.address))?;
    let server = options.pid.map(ProcessMeter::start).transpose()?;
    let client = ProcessMeter::start(std::process::id())?;

    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let tally = thread::scope(|scope| {
        let workers: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| send_all(connection, &requests, &next)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a sender does not panic"))
            .fold(Tally::default(), Tally::merge)
    });
    let seconds = began.elapsed().as_secs_f64();

    let server = server.map(|meter| meter.read()).transpose()?;
    let rows = tally.rows as f64;
    Ok(Load {
        label: options.label.clone(),
        rows: tally.rows,
        seconds,
        rows_per_second: rows / seconds,
        megabytes_per_second: tally.body_bytes as f64 / 1e6 / seconds,
        errors: tally.errors,
        first_error: tally.first_error,
        retries: tally.retries,
        latency: Percentiles::of(tally.latencies),
        client_cpu_seconds: client.read()?.cpu_seconds,
        rows_per_cpu_second: server
            .as_ref()
            .filter(|used| used.cpu_seconds > 0.0)
            .map(|used| rows / used.cpu_seconds),
        server,
    })
}

fn render_requests(options: &LoadOptions) -> Vec<Request> {
    let path = options.target.write_path(&options.server.db);
    let mut generator = CpuRows::new(&options.cpu);
    let mut requests = Vec::new();
    let mut body = Vec::new();
    loop {
        body.clear();
        let mut rows = 0;
        while rows < options.lines_per_request && generator.write_line(&mut body) {
            rows += 1;
        }
        if rows == 0 {
            return requests;
        }
        requests.push(Request {
            bytes: options.server.post(&path, &body),
            body_bytes: body.len() as u64,
            rows: u64::from(rows),
        });
    }
}

/// Takes the next unsent request until there is none.
fn send_all(mut connection: Connection, requests: &[Request], next: &AtomicUsize) -> Tally {
    let mut tally = Tally::default();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        match send_one(&mut connection, request, &mut tally.retries) {
            Ok(()) => {
                tally.latencies.push(began.elapsed());
                tally.rows += request.rows;
                tally.body_bytes += request.body_bytes;
            }
            Err(error) => tally.failed(error),
        }
    }
    tally
}

fn send_one(
    connection: &mut Connection,
    request: &Request,
    retries: &mut u64,
) -> Result<(), String> {
    let mut refusal = String::new();
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            *retries += 1;
        }
        let response = connection.exchange(&request.bytes).map_err(|error| error.to_string())?;
        if response.is_success() {
            return Ok(());
        }
        refusal = response.describe();
        if response.status != 503 {
            break;
        }
        thread::sleep(response.retry_after.unwrap_or(RETRY_WAIT_DEFAULT).min(RETRY_WAIT_MAX));
    }
    Err(refusal)
}
