//! Results on stdout or in a file.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use reqwest::Response;

/// How rows are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A box drawn with characters
    Pretty,
    /// One array of objects
    Json,
    /// One object a line
    #[value(alias = "json_lines")]
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
    /// A Parquet file
    Parquet,
}

impl Format {
    /// The format's name in requests.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Refuses what a terminal cannot show, before anything is asked of the server.
    pub(super) fn check_target(self, file: Option<&Path>) -> Result<()> {
        if self == Self::Parquet && file.is_none() && io::stdout().is_terminal() {
            bail!("cannot write parquet to a terminal, use `--output <file>` or pipe the output");
        }
        Ok(())
    }
}

/// Prints one line of a command's result.
pub(super) fn print_line(text: &str) -> Result<()> {
    finish_pipe(writeln!(io::stdout(), "{text}"))
}

/// Passes the answer's body on while it arrives, to `file` or to stdout. Text ends with a
/// newline, even where the server's does not.
pub(super) async fn copy(
    mut response: Response,
    format: Format,
    file: Option<&Path>,
) -> Result<()> {
    let mut target: Box<dyn Write + Send> = match file {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?,
        ),
        None => Box::new(io::stdout()),
    };
    let mut last_byte = None;
    while let Some(chunk) = response.chunk().await.context("the answer broke off")? {
        last_byte = chunk.last().copied().or(last_byte);
        if let Err(error) = target.write_all(&chunk) {
            return finish_pipe(Err(error));
        }
    }
    if format != Format::Parquet && last_byte.is_some_and(|byte| byte != b'\n') {
        return finish_pipe(target.write_all(b"\n").and_then(|()| target.flush()));
    }
    finish_pipe(target.flush())
}

/// A reader that has seen enough (`influxdb3 query … | head`) is no failure.
fn finish_pipe(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the result"),
    }
}
