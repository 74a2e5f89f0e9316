//! Where logs go and what they look like.

mod fields;
mod logfmt;

use crate::cli::serve::{LogArgs, LogDestination, LogFormat};
use fields::Fields;
use logfmt::Logfmt;
use std::borrow::Cow;
use tracing::level_filters::LevelFilter;
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
    let filter = match args.disable_log_filter_noise_reduction {
        true => Cow::Borrowed(filter),
        false => Cow::Owned(without_noise(filter)),
    };
    let filter = EnvFilter::builder()
        .parse(&filter)
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
        LogFormat::Full => lines.fmt_fields(Fields::Plain).try_init(),
        LogFormat::Pretty => lines.pretty().try_init(),
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Logfmt => lines.fmt_fields(Fields::Logfmt).event_format(Logfmt).try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    Ok(())
}

/// The crates whose words `debug` and `trace` are about. What the libraries say then is a few hundred
/// lines a query, which only somebody who names them is after.
const OWN_CRATES: [&str; 3] = ["influxdb3", "actors", "protocols"];

/// The filter with a level that stands alone kept to [`OWN_CRATES`] where it is finer than `info`.
fn without_noise(filter: &str) -> String {
    let parts = filter.split(',').map(str::trim).map(|part| match part.parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::INFO => {
            let own = OWN_CRATES.map(|name| format!(",{name}={level}"));
            format!("info{}", own.concat())
        }
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_heard_when_they_are_named() {
        for (filter, kept) in [
            ("info", "info"),
            ("warn,datafusion=debug", "warn,datafusion=debug"),
            ("debug", "info,influxdb3=debug,actors=debug,protocols=debug"),
            (
                "actors=info, TRACE,h2=trace",
                "actors=info,info,influxdb3=trace,actors=trace,protocols=trace,h2=trace",
            ),
            ("", ""),
        ] {
            assert_eq!(without_noise(filter), kept);
            assert!(EnvFilter::builder().parse(kept).is_ok(), "{kept}");
        }
    }
}
