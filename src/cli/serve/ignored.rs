//! Options of other releases that change nothing here, so that their scripts, unit files and compose
//! files start this server as they are. Each start warns of those that were given.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

/// An option, and its variable if it has one.
type Ignored = (&'static str, Option<&'static str>);

/// Options of `serve`.
const OPTIONS: [Ignored; 33] = [
    // The list of Parquet files is held in memory whole, and rewritten before it grows long.
    ("gen1-lookback-duration", Some("INFLUXDB3_GEN1_LOOKBACK_DURATION")),
    ("checkpoint-interval", Some("INFLUXDB3_CHECKPOINT_INTERVAL")),
    ("table-index-cache-max-entries", Some("INFLUXDB3_TABLE_INDEX_CACHE_MAX_ENTRIES")),
    ("table-index-cache-concurrency-limit", Some("INFLUXDB3_TABLE_INDEX_CACHE_CONCURRENCY_LIMIT")),
    // Nothing is sent to anybody.
    ("disable-telemetry-upload", Some("INFLUXDB3_TELEMETRY_DISABLE_UPLOAD")),
    ("telemetry-endpoint", Some("INFLUXDB3_TELEMETRY_ENDPOINT")),
    ("traces-exporter", Some("INFLUXDB3_TRACES_EXPORTER")),
    ("traces-exporter-jaeger-agent-host", Some("INFLUXDB3_TRACES_EXPORTER_JAEGER_AGENT_HOST")),
    ("traces-exporter-jaeger-agent-port", Some("INFLUXDB3_TRACES_EXPORTER_JAEGER_AGENT_PORT")),
    ("traces-exporter-jaeger-service-name", Some("INFLUXDB3_TRACES_EXPORTER_JAEGER_SERVICE_NAME")),
    (
        "traces-exporter-jaeger-trace-context-header-name",
        Some("INFLUXDB3_TRACES_EXPORTER_JAEGER_TRACE_CONTEXT_HEADER_NAME"),
    ),
    ("traces-jaeger-debug-name", Some("INFLUXDB3_TRACES_JAEGER_DEBUG_NAME")),
    ("traces-jaeger-tags", Some("INFLUXDB3_TRACES_JAEGER_TAGS")),
    ("traces-jaeger-max-msgs-per-second", Some("INFLUXDB3_TRACES_JAEGER_MAX_MSGS_PER_SECOND")),
    ("tokio-console-enabled", Some("TOKIO_CONSOLE_ENABLED")),
    ("tokio-console-client-buffer-capacity", Some("TOKIO_CONSOLE_CLIENT_BUFFER_CAPACITY")),
    ("tokio-console-event-buffer-capacity", Some("TOKIO_CONSOLE_EVENT_BUFFER_CAPACITY")),
    // Threads are for --num-datafusion-threads to say, the rest is the engine's.
    ("datafusion-runtime-type", Some("INFLUXDB3_DATAFUSION_RUNTIME_TYPE")),
    (
        "datafusion-runtime-disable-lifo-slot",
        Some("INFLUXDB3_DATAFUSION_RUNTIME_DISABLE_LIFO_SLOT"),
    ),
    ("datafusion-runtime-event-interval", Some("INFLUXDB3_DATAFUSION_RUNTIME_EVENT_INTERVAL")),
    (
        "datafusion-runtime-global-queue-interval",
        Some("INFLUXDB3_DATAFUSION_RUNTIME_GLOBAL_QUEUE_INTERVAL"),
    ),
    (
        "datafusion-runtime-max-blocking-threads",
        Some("INFLUXDB3_DATAFUSION_RUNTIME_MAX_BLOCKING_THREADS"),
    ),
    (
        "datafusion-runtime-max-io-events-per-tick",
        Some("INFLUXDB3_DATAFUSION_RUNTIME_MAX_IO_EVENTS_PER_TICK"),
    ),
    (
        "datafusion-runtime-thread-keep-alive",
        Some("INFLUXDB3_DATAFUSION_RUNTIME_THREAD_KEEP_ALIVE"),
    ),
    ("datafusion-runtime-thread-priority", Some("INFLUXDB3_DATAFUSION_RUNTIME_THREAD_PRIORITY")),
    ("datafusion-max-parquet-fanout", Some("INFLUXDB3_DATAFUSION_MAX_PARQUET_FANOUT")),
    (
        "datafusion-use-cached-parquet-loader",
        Some("INFLUXDB3_DATAFUSION_USE_CACHED_PARQUET_LOADER"),
    ),
    ("serve-invocation-method", Some("INFLUXDB3_SERVE_INVOCATION_METHOD")),
    ("test-mode", None),
    // There is no file index.
    ("compacted-data-skip-file-index", Some("INFLUXDB3_ENTERPRISE_COMPACTED_DATA_SKIP_FILE_INDEX")),
    // Nothing has to be licensed.
    ("license-email", Some("INFLUXDB3_LICENSE_EMAIL")),
    ("license-file", Some("INFLUXDB3_LICENSE_FILE")),
    ("license-type", Some("INFLUXDB3_LICENSE_TYPE")),
];

/// Options that may stand before `serve`.
const RUNTIME_OPTIONS: [Ignored; 8] = [
    ("io-runtime-type", Some("INFLUXDB3_IO_RUNTIME_TYPE")),
    ("io-runtime-disable-lifo-slot", Some("INFLUXDB3_IO_RUNTIME_DISABLE_LIFO_SLOT")),
    ("io-runtime-event-interval", Some("INFLUXDB3_IO_RUNTIME_EVENT_INTERVAL")),
    ("io-runtime-global-queue-interval", Some("INFLUXDB3_IO_RUNTIME_GLOBAL_QUEUE_INTERVAL")),
    ("io-runtime-max-blocking-threads", Some("INFLUXDB3_IO_RUNTIME_MAX_BLOCKING_THREADS")),
    ("io-runtime-max-io-events-per-tick", Some("INFLUXDB3_IO_RUNTIME_MAX_IO_EVENTS_PER_TICK")),
    ("io-runtime-thread-keep-alive", Some("INFLUXDB3_IO_RUNTIME_THREAD_KEEP_ALIVE")),
    ("io-runtime-thread-priority", Some("INFLUXDB3_IO_RUNTIME_THREAD_PRIORITY")),
];

/// Those of `serve` that were given, by their names.
#[derive(Clone, Debug, Default)]
pub struct IgnoredArgs {
    /// They mean nothing here.
    pub meaningless: Vec<String>,
}

/// Those that may stand before `serve`, too.
#[derive(Clone, Debug, Default)]
pub struct IgnoredRuntimeArgs(pub Vec<String>);

fn arg((name, variable): &Ignored) -> Arg {
    let arg = Arg::new(*name).long(*name).hide(true).allow_hyphen_values(false);
    let arg = arg.allow_negative_numbers(true);
    match variable {
        Some(variable) => arg.env(*variable),
        None => arg,
    }
}

fn given(options: &[Ignored], matches: &ArgMatches) -> Vec<String> {
    let given = options.iter().filter_map(|(name, variable)| {
        match (matches.value_source(name)?, variable) {
            (ValueSource::EnvVariable, Some(variable)) => Some((*variable).to_owned()),
            (ValueSource::DefaultValue, _) => None,
            _ => Some(format!("--{name}")),
        }
    });
    given.collect()
}

impl Args for IgnoredArgs {
    fn augment_args(command: Command) -> Command {
        // Some are flags in one release and take a value in another.
        let args = OPTIONS.iter().map(arg);
        command.args(args.map(|arg| arg.num_args(0..=1).default_missing_value("true")))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for IgnoredArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { meaningless: given(&OPTIONS, matches) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for IgnoredRuntimeArgs {
    fn augment_args(command: Command) -> Command {
        command.args(RUNTIME_OPTIONS.iter().map(|option| arg(option).global(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for IgnoredRuntimeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(given(&RUNTIME_OPTIONS, matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_named() {
        let command = IgnoredRuntimeArgs::augment_args(IgnoredArgs::augment_args(
            Command::new("x").arg(Arg::new("node-id").long("node-id")),
        ));
        let named = |line: &str| {
            let matches = command.clone().try_get_matches_from(line.split(' ')).expect(line);
            assert_eq!(matches.get_one::<String>("node-id").map(String::as_str), Some("n"));
            let serve = IgnoredArgs::from_arg_matches(&matches).expect("always").meaningless;
            (serve, IgnoredRuntimeArgs::from_arg_matches(&matches).expect("always").0)
        };
        let (serve, runtime) =
            named("x --test-mode --traces-exporter=jaeger --license-email a@b --node-id n");
        assert_eq!(serve, ["--traces-exporter", "--test-mode", "--license-email"]);
        assert!(runtime.is_empty());
        let (serve, runtime) = named("x --node-id n --io-runtime-thread-priority -5 --test-mode");
        assert_eq!(
            (serve, runtime),
            (vec!["--test-mode".to_owned()], vec!["--io-runtime-thread-priority".to_owned()])
        );
    }
}
