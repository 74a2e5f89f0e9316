//! Results on stdout or in a file.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use reqwest::Response;

use super::client::Refused;
use super::failure::Failure;
use super::input::STANDARD_STREAM;
use super::table::Rows;

/// How a command's rows are printed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct FormatArgs {
    /// Form of the result
    #[arg(long, value_enum, default_value = "pretty")]
    pub(super) format: Format,

    /// Print tables whole where they are wider than the terminal
    #[arg(long)]
    no_truncate: bool,
}

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
}

/// Prints the rows that `ask` gets in one format or another, to stdout or to `file`.
///
/// A person at a terminal gets a table as wide as that; everybody else what the server sent.
pub(super) async fn print(
    args: FormatArgs,
    file: Option<&Path>,
    ask: impl AsyncFn(Format) -> Result<Response>,
) -> Result<()> {
    let file = file.filter(|file| *file != Path::new(STANDARD_STREAM));
    if file.is_some() || !io::stdout().is_terminal() {
        return copy(ask(args.format).await?, args.format, file).await;
    }
    match args.format {
        Format::Parquet => {
            let text = "cannot write parquet to a terminal, use `--output <file>` or pipe the \
                        output";
            Err(Failure::usage(text).into())
        }
        Format::Pretty => {
            let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
            let width = width.filter(|_| !args.no_truncate);
            print_table(width, ask).await
        }
        other => copy(ask(other).await?, other, None).await,
    }
}

async fn print_table(
    width: Option<usize>,
    ask: impl AsyncFn(Format) -> Result<Response>,
) -> Result<()> {
    let begun = Instant::now();
    // The one format that keeps all that a value is.
    let file = match ask(Format::Parquet).await {
        Ok(response) => response.bytes().await.context("the answer broke off")?,
        Err(error) if is_about_parquet(&error) => {
            return copy(ask(Format::Pretty).await?, Format::Pretty, None).await;
        }
        Err(error) => return Err(error),
    };
    let rows = Rows::read(file)?;
    print_line(&rows.drawn(width))?;
    eprintln!("{}", summary(rows.len(), begun.elapsed()));
    Ok(())
}

/// Some types that a table can show have no place in a file of this format.
fn is_about_parquet(error: &anyhow::Error) -> bool {
    let text = error.downcast_ref::<Refused>().map(Refused::to_string);
    text.is_some_and(|text| text.to_ascii_lowercase().contains("parquet"))
}

/// `4 rows in 2.1 ms`
fn summary(rows: usize, elapsed: Duration) -> String {
    let noun = if rows == 1 { "row" } else { "rows" };
    let seconds = elapsed.as_secs_f64();
    if seconds < 1.0 {
        return format!("{rows} {noun} in {:.1} ms", seconds * 1000.0);
    }
    format!("{rows} {noun} in {seconds:.2} s")
}

/// Prints one line of a command's result.
pub(super) fn print_line(text: &str) -> Result<()> {
    finish_pipe(writeln!(io::stdout(), "{text}"))
}

/// Passes the answer's body on while it arrives, to `file` or to stdout. Text ends with a
/// newline, even where the server's does not.
async fn copy(mut response: Response, format: Format, file: Option<&Path>) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_time_are_told_in_few_digits() {
        assert_eq!(summary(4, Duration::from_micros(2_100)), "4 rows in 2.1 ms");
        assert_eq!(summary(1, Duration::from_micros(999_000)), "1 row in 999.0 ms");
        assert_eq!(summary(0, Duration::from_millis(1_234)), "0 rows in 1.23 s");
    }
}
