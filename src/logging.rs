//! Where logs go and what they look like.

use crate::cli::serve::{LogArgs, LogDestination, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging for the rest of the process, and has panics logged too.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(args: &LogArgs) -> anyhow::Result<()> {
    let filter = match args.verbose {
        0 => args.log_filter.as_str(),
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|e| anyhow::anyhow!("invalid log filter '{filter}': {e}"))?;
    let writer = match args.log_destination {
        LogDestination::Stdout => BoxMakeWriter::new(std::io::stdout),
        LogDestination::Stderr => BoxMakeWriter::new(std::io::stderr),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // Colours are for people: they would only be in the way in a file or a pipe.
    let lines = lines.with_ansi(match args.log_destination {
        LogDestination::Stdout => std::io::IsTerminal::is_terminal(&std::io::stdout()),
        LogDestination::Stderr => std::io::IsTerminal::is_terminal(&std::io::stderr()),
    });
    let started = match args.log_format {
        LogFormat::Full => lines.try_init(),
        LogFormat::Pretty => lines.pretty().try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    Ok(())
}
