//! `influxdb3 write`: line protocol from the command line, a file or stdin, split into requests.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::batches::{Batch, Batches};
use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg, parse_url};
use super::input::{self, Input};
use super::report::Report;

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

    /// File with the lines to write
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Unit of the timestamps: auto, s, ms, us or ns. Without it the server decides line by line
    /// from the size of the number
    #[arg(short, long, value_parser = parse_precision)]
    precision: Option<&'static str>,

    /// Store the good lines of a request even if others are bad. Without this the server's
    /// default holds, which is the same
    #[arg(long)]
    accept_partial: bool,

    /// Return as soon as the lines are validated, before they are durable
    #[arg(long)]
    no_sync: bool,

    /// Compress the requests
    #[arg(long)]
    gzip: bool,

    /// Split the input into requests of at most this size, before compression. Lines stay whole
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "10485760",
        value_parser = parse_positive,
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

    /// The lines to write, as one argument in quotes
    #[arg(value_name = "LINE_PROTOCOL")]
    line_protocol: Vec<String>,
}

/// Writes the input. Requests run concurrently and are not ordered among each other; after a
/// failure no new one is begun, but those under way are awaited, because their lines count.
pub(super) async fn run(args: WriteArgs) -> Result<()> {
    if args.line_protocol.len() > 1 {
        bail!(
            "ensure that a single protocol line string is provided as the final argument, \
             enclosed in quotes"
        );
    }
    let text = args.line_protocol.into_iter().next();
    let Some(input) = input::open(text, args.file.as_deref())? else { bail!(NO_INPUT) };
    let is_large = |bytes: &u64| *bytes > args.max_request_size as u64;
    let report = Report::new(args.quiet, input.bytes.filter(is_large));
    let target = Arc::new(Target {
        client: Client::new(args.connection, args.write_host)?,
        database: args.database.name,
        precision: args.precision,
        accept_partial: args.accept_partial,
        no_sync: args.no_sync,
        gzip: args.gzip,
    });
    send_all(target, input, args.max_request_size, args.max_concurrent_requests, report).await
}

async fn send_all(
    target: Arc<Target>,
    input: Input,
    request_bytes_max: usize,
    requests_max: usize,
    mut report: Report,
) -> Result<()> {
    let mut batches = read_in_background(input, request_bytes_max)?;
    let (notes_in, mut notes) = mpsc::unbounded_channel();
    let mut requests = JoinSet::new();
    let mut has_more = true;
    let mut found_lines = false;
    let mut failure = None;
    while has_more || !requests.is_empty() {
        tokio::select! {
            batch = batches.recv(), if has_more && requests.len() < requests_max => match batch {
                Some(Ok(batch)) => {
                    found_lines = true;
                    requests.spawn(Arc::clone(&target).send(batch, notes_in.clone()));
                }
                Some(Err(error)) => {
                    has_more = false;
                    failure.get_or_insert(error);
                }
                None => has_more = false,
            },
            Some(finished) = requests.join_next() => match finished.context("a request crashed")? {
                Ok(sent) => report.add(sent.lines, sent.bytes),
                Err(error) => {
                    has_more = false;
                    failure.get_or_insert(error);
                }
            },
            Some(note) = notes.recv() => report.note(&note),
        }
    }
    report.finish();
    match failure {
        Some(error) => Err(error),
        None if !found_lines => bail!(NO_INPUT),
        None => Ok(()),
    }
}

/// Reads on a thread of its own, which a silent stdin may block for ever: the process can end
/// all the same. One batch is read ahead.
fn read_in_background(
    input: Input,
    request_bytes_max: usize,
) -> Result<mpsc::Receiver<Result<Batch>>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new().name("write-input".to_owned()).spawn(move || {
        for batch in Batches::new(input.reader, request_bytes_max) {
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
    accept_partial: bool,
    no_sync: bool,
    gzip: bool,
}

/// What an accepted request carried.
struct Sent {
    lines: u64,
    bytes: u64,
}

impl Target {
    async fn send(
        self: Arc<Self>,
        batch: Batch,
        notes: mpsc::UnboundedSender<String>,
    ) -> Result<Sent> {
        let sent = Sent { lines: batch.lines, bytes: batch.body.len() as u64 };
        let body = if self.gzip { compress(batch.body).await? } else { batch.body };
        let on_wait = |wait| {
            let wait = humantime::format_duration(wait);
            // The receiver lives as long as any request.
            notes.send(format!("  server is busy, trying again in {wait}")).ok();
        };
        let result = self
            .client
            .post_lines("/api/v3/write_lp", &self.parameters(), body, self.gzip, on_wait)
            .await;
        if batch.first_line > 1 {
            // The server counts the lines of its request only.
            let first = batch.first_line;
            return result.map(|()| sent).map_err(|error| {
                anyhow::anyhow!("{error:#} (line 1 there is line {first} of the input)")
            });
        }
        result.map(|()| sent)
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let mut parameters = vec![("db", self.database.as_str())];
        if let Some(precision) = self.precision {
            parameters.push(("precision", precision));
        }
        if self.accept_partial {
            parameters.push(("accept_partial", "true"));
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
    fn sizes_are_positive_numbers() {
        assert_eq!(parse_positive("10485760"), Ok(10_485_760));
        assert!(parse_positive("-1").is_err());
        assert!(parse_positive("1MB").is_err());
        assert_eq!(parse_positive("0"), Err("value must be at least 1".to_owned()));
    }
}
