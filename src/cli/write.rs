//! `influxdb3 write`: line protocol from the command line, a file or stdin, split into requests.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::batches::{Batch, Batches};
use super::client::{Client, Refused};
use super::connection::{ConnectionArgs, DatabaseArg, parse_url};
use super::failure::Failure;
use super::input::{self, Input};
use super::paths::path;
use super::report::Report;
use super::tally::Tally;
use crate::sizes::parse_bytes;

const NO_INPUT: &str =
    "No input from stdin detected, no string was passed in, and no file path was given";

/// Options of `write`.
#[derive(Args, Debug)]
pub struct WriteArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// URL of the server that takes writes, instead of `--host`
    #[arg(
        long,
        value_name = "WRITE_HOST_URL",
        env = "INFLUXDB3_WRITE_HOST_URL",
        value_parser = parse_url,
        hide_short_help = true
    )]
    write_host: Option<Url>,

    /// File with the lines to write; `-` is stdin
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    file: Option<PathBuf>,

    /// Unit of the timestamps: auto, s, ms, us or ns. Without it the server decides line by line
    /// from the size of the number
    #[arg(short, long, value_parser = parse_precision)]
    precision: Option<&'static str>,

    /// Store the good lines of a request even if others are bad, or with `false` none of them.
    /// Without this the server's default holds, which is `true`
    #[arg(
        long,
        value_name = "BOOL",
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    accept_partial: Option<bool>,

    /// What to do after a request with refused lines: go on with the lines behind, or stop
    #[arg(long, value_name = "WHAT", value_enum, default_value = "continue")]
    on_error: OnError,

    /// Leave out the lines before this one, as an editor counts them
    #[arg(long, value_name = "LINE", value_parser = clap::value_parser!(u64).range(1..), default_value = "1", hide_default_value = true)]
    from_line: u64,

    /// Return as soon as the lines are validated, before they are durable
    #[arg(long)]
    no_sync: bool,

    /// Compress the requests
    #[arg(long)]
    gzip: bool,

    /// Split the input into requests of at most this size, before compression. Lines stay whole
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10485760",
        value_parser = parse_bytes,
        hide_short_help = true
    )]
    max_request_size: usize,

    /// How many requests may be under way at once
    #[arg(
        long,
        value_name = "N",
        default_value = "32",
        value_parser = parse_positive,
        hide_short_help = true
    )]
    max_concurrent_requests: usize,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// The lines to write, as one argument in quotes; `-` is stdin
    #[arg(value_name = "LINE_PROTOCOL")]
    line_protocol: Vec<String>,
}

/// What a request with refused lines means for those behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// They are sent
    Continue,
    /// They are not sent
    Stop,
}

/// Writes the input. Requests run concurrently and are not ordered among each other; after the last
/// one is begun, those under way are awaited, because their lines count.
pub(super) async fn run(args: WriteArgs) -> Result<()> {
    if args.line_protocol.len() > 1 {
        let text = "ensure that a single protocol line string is provided as the final argument, \
                    enclosed in quotes";
        return Err(Failure::usage(text).into());
    }
    let text = args.line_protocol.into_iter().next();
    let Some(input) = input::open(text, args.file.as_deref())? else {
        return Err(Failure::usage(NO_INPUT).into());
    };
    let is_large = |bytes: &u64| *bytes > args.max_request_size as u64;
    let report = Report::new(args.quiet, input.bytes.filter(is_large));
    let no_lines = no_lines(input.name.as_deref(), args.from_line);
    let target = Arc::new(Target {
        client: Client::new(args.connection, args.write_host)?,
        database: args.database.name,
        precision: args.precision,
        accept_partial: args.accept_partial,
        no_sync: args.no_sync,
        gzip: args.gzip,
    });
    let batches = read_in_background(input, args.max_request_size, args.from_line)?;
    let sending = Sending {
        target,
        report,
        on_error: args.on_error,
        next_row: None,
        has_more: true,
        tally: Tally::default(),
        failure: None,
    };
    sending.run(batches, args.max_concurrent_requests).await.unwrap_or_else(|| Err(no_lines))
}

/// What is told when there is nothing to send.
fn no_lines(input: Option<&str>, from_line: u64) -> anyhow::Error {
    match (input, from_line) {
        (None, 1) => Failure::usage(NO_INPUT).into(),
        (name, 1) => anyhow::anyhow!("no lines in {}", name.unwrap_or("stdin")),
        (name, row) => {
            anyhow::anyhow!("no lines in {} from line {row} on", name.unwrap_or("stdin"))
        }
    }
}

/// A write under way.
struct Sending {
    target: Arc<Target>,
    report: Report,
    on_error: OnError,
    /// The row behind all that was begun to be sent; none if nothing was.
    next_row: Option<u64>,
    /// Whether the input is to be read on.
    has_more: bool,
    tally: Tally,
    /// Why the rest is not sent.
    failure: Option<anyhow::Error>,
}

impl Sending {
    /// Sends all. Nothing if there was nothing to send.
    async fn run(
        mut self,
        mut batches: mpsc::Receiver<Result<Batch>>,
        requests_max: usize,
    ) -> Option<Result<()>> {
        let (notes_in, mut notes) = mpsc::unbounded_channel();
        let mut requests = JoinSet::new();
        while self.has_more || !requests.is_empty() {
            let has_room = self.has_more && requests.len() < requests_max;
            tokio::select! {
                batch = batches.recv(), if has_room => match batch {
                    Some(Ok(batch)) => {
                        self.next_row = Some(batch.next_row);
                        requests.spawn(Arc::clone(&self.target).send(batch, notes_in.clone()));
                    }
                    Some(Err(error)) => self.stop(Some(error)),
                    None => self.has_more = false,
                },
                Some(finished) = requests.join_next() => match finished {
                    Ok((batch, result)) => self.finished(&batch, result),
                    Err(error) => self.stop(Some(anyhow::Error::new(error).context("a request crashed"))),
                },
                Some(note) = notes.recv() => self.report.note(&note),
            }
        }
        self.report.finish();
        if self.next_row.is_none() && self.failure.is_none() {
            return None;
        }
        Some(self.tally.outcome(self.failure))
    }

    fn finished(&mut self, batch: &Batch, result: Result<()>) {
        let bytes = batch.body.len() as u64;
        let error = match result {
            Ok(()) => {
                self.tally.add_stored(batch.lines);
                return self.report.add(batch.lines, bytes);
            }
            Err(error) => error,
        };
        match error.downcast_ref::<Refused>() {
            Some(refused) if is_about_lines(refused.status) => {
                let stored = self.tally.add_refused(batch, refused);
                if stored > 0 {
                    self.report.add(stored, bytes);
                }
                if self.on_error == OnError::Stop {
                    self.stop(None);
                }
            }
            // It would say the same of any other line.
            Some(refused) if refused.status.is_client_error() => {
                self.tally.resume_at(batch.first_row);
                self.stop(Some(error));
            }
            _ => {
                self.tally.add_unknown(batch);
                self.stop(Some(error));
            }
        }
    }

    /// Sends nothing more. What was read ahead is read again when the user takes up the input.
    fn stop(&mut self, failure: Option<anyhow::Error>) {
        if self.has_more {
            self.has_more = false;
            if let Some(row) = self.next_row {
                self.tally.resume_at(row);
            }
        }
        if let Some(error) = failure {
            self.failure.get_or_insert(error);
        }
    }
}

/// Whether an answer with this status is about what was sent, so that other lines may fare better.
fn is_about_lines(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// Reads on a thread of its own, which a silent stdin may block for ever: the process can end
/// all the same. One batch is read ahead.
fn read_in_background(
    input: Input,
    request_bytes_max: usize,
    from_line: u64,
) -> Result<mpsc::Receiver<Result<Batch>>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new().name("write-input".to_owned()).spawn(move || {
        for batch in Batches::new(input.reader, request_bytes_max, from_line) {
            if sender.blocking_send(batch.context("cannot read the input")).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Where the batches go and how.
struct Target {
    client: Client,
    database: String,
    precision: Option<&'static str>,
    accept_partial: Option<bool>,
    no_sync: bool,
    gzip: bool,
}

impl Target {
    async fn send(
        self: Arc<Self>,
        batch: Batch,
        notes: mpsc::UnboundedSender<String>,
    ) -> (Batch, Result<()>) {
        let result = self.post(batch.body.clone(), notes).await;
        (batch, result)
    }

    async fn post(&self, body: Bytes, notes: mpsc::UnboundedSender<String>) -> Result<()> {
        let body = if self.gzip { compress(body).await? } else { body };
        let on_wait = |wait| {
            let wait = humantime::format_duration(wait);
            // The receiver lives as long as any request.
            notes.send(format!("  server is busy, trying again in {wait}")).ok();
        };
        let parameters = self.parameters();
        self.client.post_lines("/api/v3/write_lp", &parameters, body, self.gzip, on_wait).await
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let mut parameters = vec![("db", self.database.as_str())];
        if let Some(precision) = self.precision {
            parameters.push(("precision", precision));
        }
        if let Some(accept_partial) = self.accept_partial {
            parameters.push(("accept_partial", if accept_partial { "true" } else { "false" }));
        }
        if self.no_sync {
            parameters.push(("no_sync", "true"));
        }
        parameters
    }
}

async fn compress(body: Bytes) -> Result<Bytes> {
    let compressed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body)?;
        encoder.finish()
    });
    Ok(compressed.await?.context("cannot compress the request")?.into())
}

fn parse_precision(text: &str) -> Result<&'static str, String> {
    match text {
        "auto" => Ok("auto"),
        "s" | "second" => Ok("s"),
        "ms" | "millisecond" => Ok("ms"),
        "us" | "u" | "microsecond" => Ok("us"),
        "ns" | "n" | "nanosecond" => Ok("ns"),
        _ => Err(format!("unrecognized precision unit: {text}")),
    }
}

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("value must be at least 1".to_owned()),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_have_short_and_long_names() {
        for (text, unit) in [("s", "s"), ("second", "s"), ("u", "us"), ("nanosecond", "ns")] {
            assert_eq!(parse_precision(text), Ok(unit));
        }
        assert_eq!(parse_precision("S"), Err("unrecognized precision unit: S".to_owned()));
    }

    #[test]
    fn counts_are_positive_numbers() {
        assert_eq!(parse_positive("32"), Ok(32));
        assert!(parse_positive("-1").is_err());
        assert!(parse_positive("1MB").is_err());
        assert_eq!(parse_positive("0"), Err("value must be at least 1".to_owned()));
    }
}
