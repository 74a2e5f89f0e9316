//! Loads a data set: as fast as the server takes it (a closed loop, one request in flight on each
//! connection), or at a given rate whatever the server does (an open loop).

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::http::Connection;
use crate::latency::Percentiles;
use crate::load_options::LoadOptions;
use crate::process::{ProcessMeter, ProcessUse};
use crate::requests::{Request, Requests};

/// After so many refusals of one request it counts as failed.
const ATTEMPTS_MAX: usize = 20;
const RETRY_WAIT_DEFAULT: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// The result of one load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) label: String,
    /// Acknowledged rows.
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
    /// Line protocol before any compression.
    pub(crate) megabytes_per_second: f64,
    /// Of an open loop: rows due each second.
    pub(crate) rate: Option<u64>,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Requests sent again after a 503.
    pub(crate) retries: u64,
    /// To a request's acknowledgement, refusals and waits included: from its first sending, in an
    /// open loop from the instant at which it was due.
    pub(crate) latency: Option<Percentiles>,
    /// To see that the driver was not what limited the server.
    pub(crate) client_cpu_seconds: f64,
    pub(crate) server: Option<ProcessUse>,
    pub(crate) rows_per_cpu_second: Option<f64>,
    /// Of the data that was sent.
    pub(crate) checksum: String,
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
    Prepared::new(options)?.send()
}

/// A load that is ready to be sent.
pub(crate) struct Prepared {
    options: LoadOptions,
    requests: Requests,
    connections: Vec<Connection>,
}

impl Prepared {
    pub(crate) fn new(options: &LoadOptions) -> Result<Self> {
        ensure!(options.data.row_count() > 0, "there are no rows to load");
        let connections = (0..options.connections)
            .map(|_| Connection::open(options.server.address))
            .collect::<std::io::Result<Vec<_>>>()
            .with_context(|| format!("cannot connect to {}", options.server.address))?;
        Ok(Self { options: options.clone(), requests: Requests::prepare(options)?, connections })
    }

    pub(crate) fn send(self) -> Result<Load> {
        let Self { options, requests, connections } = self;
        let server = options.pid.map(ProcessMeter::start).transpose()?;
        let client = ProcessMeter::start(std::process::id())?;

        let began = Instant::now();
        let (rate, requests) = (options.rate, &requests);
        let tally = thread::scope(|scope| {
            let workers: Vec<_> = connections
                .into_iter()
                .map(|connection| scope.spawn(move || send_all(connection, requests, rate, began)))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().expect("a sender does not panic"))
                .fold(Tally::default(), Tally::merge)
        });
        let seconds = began.elapsed().as_secs_f64();

        let server = server.map(|meter| meter.read()).transpose()?;
        let client_cpu_seconds = client.read()?.cpu_seconds;
        let rows = tally.rows as f64;
        Ok(Load {
            label: options.label,
            rows: tally.rows,
            seconds,
            rows_per_second: rows / seconds,
            megabytes_per_second: tally.body_bytes as f64 / 1e6 / seconds,
            rate,
            errors: tally.errors,
            first_error: tally.first_error,
            retries: tally.retries,
            latency: Percentiles::of(tally.latencies),
            client_cpu_seconds,
            rows_per_cpu_second: server
                .as_ref()
                .filter(|used| used.cpu_seconds > 0.0)
                .map(|used| rows / used.cpu_seconds),
            server,
            checksum: requests.checksum()?,
        })
    }
}

/// Takes the next unsent request until there is none.
fn send_all(
    mut connection: Connection,
    requests: &Requests,
    rate: Option<u64>,
    began: Instant,
) -> Tally {
    let mut tally = Tally::default();
    while let Some(request) = requests.next() {
        let due = match rate {
            Some(rate) => began + due_after(request.rows_before, rate),
            None => Instant::now(),
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match send_one(&mut connection, &request, &mut tally.retries) {
            Ok(()) => {
                tally.latencies.push(due.elapsed());
                tally.rows += request.rows;
                tally.body_bytes += request.body_bytes;
            }
            Err(error) => tally.failed(error),
        }
    }
    tally
}

/// When a request is due in an open loop, counted from its beginning.
fn due_after(rows_before: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(rows_before as f64 / rate as f64)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;
    use crate::generators::DataOptions;
    use crate::http::ServerOptions;

    #[test]
    fn every_row_is_acknowledged_in_both_loops() {
        let server = fake_server::start(|_| (204, String::new()));
        let data = DataOptions::cpu_rows(10, 950);
        for rate in [None, Some(10_000)] {
            for gzip in [false, true] {
                let options = LoadOptions {
                    lines_per_request: 100,
                    rate,
                    gzip,
                    ..LoadOptions::new("fake", ServerOptions::at(server.address), data.clone())
                };
                let load = run(&options).unwrap();
                assert_eq!((load.rows, load.errors), (950, 0));
                assert_eq!(load.latency.unwrap().count, 10);
                assert_eq!(load.rate, rate);
            }
        }
        assert_eq!(server.requests(), 40);
    }

    #[test]
    fn refused_requests_are_errors_with_their_text() {
        let server = fake_server::start(|_| (400, "no".to_owned()));
        let data = DataOptions::cpu_rows(10, 30);
        let options = LoadOptions::new("fake", ServerOptions::at(server.address), data);
        let load = run(&options).unwrap();
        assert_eq!((load.rows, load.errors), (0, 1));
        assert_eq!(load.first_error.as_deref(), Some("status 400: no"));
    }

    #[test]
    fn requests_of_an_open_loop_are_due_at_their_rate() {
        assert_eq!(due_after(0, 100), Duration::ZERO);
        assert_eq!(due_after(250, 100), Duration::from_millis(2500));
    }
}
