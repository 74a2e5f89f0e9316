//! The load driver: makes a workload, sends it to a running server and reports what the client
//! saw and what the server used. `compare.sh` runs it against this server and a peer in turn.

mod generators;
mod http;
mod latency;
mod loader;
mod lone_writer;
mod process;
mod query;
mod report;
mod summary;

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use generators::cpu::{CpuOptions, CpuRows};
use loader::LoadOptions;
use lone_writer::LoneWriterOptions;
use query::QueryOptions;
use report::Record;

/// Generates load for time-series servers and measures how they bear it.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Also append the result to this file, as one line of JSON
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the cpu-only data set as line protocol
    Generate(GenerateOptions),
    /// Send the cpu-only data set over several connections, each with one request in flight
    Load(LoadOptions),
    /// Send one row a request over one connection, beside bare appends with fdatasync
    LoneWriter(LoneWriterOptions),
    /// Run one SQL statement many times over one connection
    Query(QueryOptions),
    /// Print the table of medians of a file made with --json
    Summary {
        /// The file of JSON lines
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct GenerateOptions {
    #[command(flatten)]
    cpu: CpuOptions,

    /// Where to write; standard output when absent
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let json = arguments.json.as_deref();
    match arguments.command {
        Command::Generate(options) => generate(&options),
        Command::Load(options) => {
            let load = loader::run(&options)?;
            let errors = load.errors;
            let first_error = load.first_error.clone().unwrap_or_default();
            report::emit(&Record::Load(load), json)?;
            anyhow::ensure!(errors == 0, "{errors} requests failed; the first: {first_error}");
            Ok(())
        }
        Command::LoneWriter(options) => {
            report::emit(&Record::LoneWriter(lone_writer::run(&options)?), json)
        }
        Command::Query(options) => report::emit(&Record::Query(query::run(&options)?), json),
        Command::Summary { file } => {
            let records = report::read(&file)?;
            write!(stdout(), "{}", summary::render(&records)).context("cannot print the table")
        }
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
    let mut rows = CpuRows::new(&options.cpu);
    let mut line = Vec::new();
    while rows.write_line(&mut line) {
        sink.write_all(&line).context("cannot write the data set")?;
        line.clear();
    }
    sink.flush().context("cannot write the data set")
}
