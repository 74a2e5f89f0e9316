//! The load driver: makes workloads, sends them to running servers and reports what the client saw
//! and what the servers used. `load-tests/run` runs whole profiles of measurements with it.

mod calendar;
#[cfg(test)]
mod fake_server;
mod generators;
mod http;
mod latency;
mod load_options;
mod loader;
mod lone_writer;
mod process;
mod profile;
mod queries;
mod query;
mod report;
mod requests;
mod results;
mod servers;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use generators::{Checksum, DataOptions};
use load_options::LoadOptions;
use lone_writer::LoneWriterOptions;
use profile::ProfileOptions;
use query::QueryOptions;
use report::Record;

/// Generates load for time-series servers and measures how they bear it.
#[derive(Debug, Parser)]
#[command(name = "load-tests", args_override_self = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Also append the result to this file, as one line of JSON
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a data set as line protocol
    Generate(GenerateOptions),
    /// Send a data set to a server
    Load(LoadOptions),
    /// Send one row a request over one connection, beside bare appends with fdatasync
    LoneWriter(LoneWriterOptions),
    /// Run one SQL statement many times over one connection
    Query(QueryOptions),
    /// Start servers, measure them and write tables and plots
    Profile(ProfileOptions),
}

#[derive(Debug, Args)]
struct GenerateOptions {
    #[command(flatten)]
    data: DataOptions,

    /// Where to write; standard output when absent
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Runs the command line.
///
/// # Errors
/// When a measurement fails, or when a server refused what it should have taken.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<()> {
    let arguments = Arguments::parse_from(arguments);
    let json = arguments.json.as_deref();
    match arguments.command {
        Command::Generate(options) => generate(&options),
        Command::Load(options) => {
            let load = loader::run(&options)?;
            let errors = load.errors;
            let first_error = load.first_error.clone().unwrap_or_default();
            report::emit(&Record::Load(load), json)?;
            ensure!(errors == 0, "{errors} requests failed; the first: {first_error}");
            Ok(())
        }
        Command::LoneWriter(options) => {
            report::emit(&Record::LoneWriter(lone_writer::run(&options)?), json)
        }
        Command::Query(options) => report::emit(&Record::Query(query::run(&options)?), json),
        Command::Profile(options) => profile::run(&options, json),
    }
}

fn generate(options: &GenerateOptions) -> Result<()> {
    let sink: Box<dyn Write> = match &options.output {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?,
        ),
        None => Box::new(stdout().lock()),
    };
    let mut sink = BufWriter::with_capacity(1 << 20, sink);
    let mut rows = options.data.rows();
    let mut checksum = Checksum::new();
    let mut bytes = 0;
    let mut line = Vec::new();
    while rows.write_line(&mut line) {
        sink.write_all(&line).context("cannot write the data set")?;
        checksum.add(&line);
        bytes += line.len() as u64;
        line.clear();
    }
    sink.flush().context("cannot write the data set")?;
    let (rows, checksum) = (options.data.row_count(), checksum.text());
    writeln!(stderr(), "{rows} rows, {bytes} bytes, checksum {checksum}")
        .context("cannot print the checksum")
}
