//! One run of a trigger's plugin, from the reading of its text to what it left to be written.

use super::config::TriggerConfig;
use super::queue::{Event, Waiting};
use super::streams::parts_of;
use crate::plugin_files::REPOSITORY_MARK;
use crate::python_host::calls;
use crate::runtime::mailbox::AskError;
use bytes::Bytes;
use protocols::error::ErrorKind;
use protocols::limits::PLUGIN_COUNTS_MAX;
use protocols::messages::plugins::{
    KeepPluginLog, KeepPluginRun, PluginError, PluginRun, PluginSource, ReadPlugin, RunPlugin,
};
use protocols::messages::rank;
use protocols::messages::wal::SyncMode;
use protocols::plugins::TriggerKind;
use protocols::plugins::host::{self, Level, Outcome, Response, Source};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the text of a plugin may take to be read; longer than the repository may.
const READ_TIME: Duration = Duration::from_secs(40);
/// A run has the time that its trigger gives it.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a request may take, unless something else is configured.
const REQUEST_TIME: Duration = Duration::from_secs(60);

impl From<AskError> for PluginError {
    fn from(error: AskError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// The plugin as it is now. One that cannot be read is as it was before, if it was.
async fn read(
    config: &TriggerConfig,
    known: Option<PluginSource>,
) -> Result<PluginSource, PluginError> {
    if let Some(code) = &config.code {
        return Ok(PluginSource { mark: 0, source: Source::Text(Arc::clone(code)) });
    }
    let is_fetched = config.path.starts_with(REPOSITORY_MARK);
    if let (true, Some(known)) = (is_fetched, &known) {
        return Ok(known.clone());
    }
    let ask = ReadPlugin {
        path: Arc::clone(&config.path),
        known: known.as_ref().map(|known| known.mark),
        or_copy: true,
    };
    let deadline = Instant::now() + READ_TIME;
    let read = config.files.ask::<{ rank::TRIGGER }, _>(ask, deadline).await;
    match (read.map_err(PluginError::from).flatten(), known) {
        (Ok(Some(source)), _) => Ok(source),
        (Ok(None), Some(known)) => Ok(known),
        (Ok(None), None) => Err(PluginError::internal("the plugin could not be read")),
        (Err(_), Some(known @ PluginSource { source: Source::Text(_), .. })) => Ok(known),
        (Err(error), _) => Err(error),
    }
}

/// What a run has come to: an answer, if somebody asked.
pub(super) type Ran = Result<Option<(Response, Bytes)>, PluginError>;

/// Reads the plugin and runs it for an event; tells how that went. Returns the plugin as it is now.
pub(super) async fn attempt(
    config: &TriggerConfig,
    known: Option<PluginSource>,
    number: u64,
    waiting: &Waiting,
) -> (Option<PluginSource>, Ran) {
    let (started_ns, began) = (config.clock.now_ns(), Instant::now());
    let plugin = read(config, known).await;
    let (ran, lines_out) = match &plugin {
        Ok(plugin) => run(config, plugin.clone(), number, &waiting.event).await,
        Err(error) => (Err(error.clone()), 0),
    };
    let duration = began.elapsed();
    config.standing.ran(duration, ran.is_err());
    let run = PluginRun {
        database: Arc::clone(&config.database),
        trigger: Arc::clone(&config.def.name),
        number,
        attempt: waiting.attempts,
        started_ns,
        duration,
        rows_in: waiting.event.rows(config.table()),
        lines_out,
        error: ran.as_ref().err().map(|error| error.message.clone()),
    };
    config.log.tell(KeepPluginRun { run });
    (plugin.ok(), ran)
}

/// Runs the plugin for an event; then writes what it has left. Returns how many lines it wrote, too.
async fn run(
    config: &TriggerConfig,
    plugin: PluginSource,
    number: u64,
    event: &Event,
) -> (Ran, u64) {
    let (outcome, body) = match outcome(config, plugin, number, event).await {
        Ok(ended) => ended,
        Err(error) => return (Err(error), 0),
    };
    let Outcome { error, writes, response, lines, counts, .. } = outcome;
    if !config.standing.count(counts) {
        log(config, Level::Warn, format!("more than {PLUGIN_COUNTS_MAX} series are not counted"));
    }
    if let Some(error) = error {
        return (Err(PluginError::new(ErrorKind::Internal, error)), lines);
    }
    write_back(config, writes).await;
    (Ok(response.map(|response| (response, body))), lines)
}

async fn outcome(
    config: &TriggerConfig,
    plugin: PluginSource,
    number: u64,
    event: &Event,
) -> Result<(Outcome, Bytes), PluginError> {
    let kind = config.spec.kind();
    let (event, body) = match event {
        Event::Writes(event) => {
            let parts = parts_of(event, config.table());
            let (parts, body) = parts.map_err(|error| PluginError::internal(error.to_string()))?;
            (host::Event::Writes(parts), body)
        }
        Event::Schedule(at_ns) => {
            (host::Event::Schedule { at_s: at_ns.div_euclid(1_000_000_000) }, Vec::new())
        }
        Event::Snapshot(description) => (host::Event::Snapshot(description.clone()), Vec::new()),
        Event::Request(request, _) => {
            let (query, headers) = (request.query.clone(), request.headers.clone());
            (host::Event::Request { query, headers }, vec![request.body.clone()])
        }
    };
    let of_requests = (kind == TriggerKind::Request).then_some(REQUEST_TIME);
    let run = RunPlugin {
        trigger: config.key,
        name: Arc::clone(&config.def.name),
        database: Arc::clone(&config.database),
        node: Arc::clone(&config.node),
        number,
        plugin,
        event,
        body,
        arguments: config.def.arguments.clone(),
        run_async: config.def.run_async,
        test: None,
        timeout: config.timeout.or(of_requests),
    };
    let deadline = Instant::now() + AS_LONG_AS_IT_TAKES;
    config.host.ask::<{ rank::TRIGGER }, _>(run, deadline).await?
}

/// One write for each database. A failure is logged, and changes nothing else.
async fn write_back(config: &TriggerConfig, writes: Vec<(String, String)>) {
    let kind = config.spec.kind().plugin_name();
    for (database, lines) in writes {
        let written = match protocols::names::check_database_name(&database) {
            Ok(()) => calls::write(&config.services, &database, lines, SyncMode::Durable).await,
            Err(error) => Err(error),
        };
        if let Err(cause) = written {
            let text =
                format!("error running {kind}: error writing back lines to {database}: {cause}");
            log(config, Level::Error, text);
        }
    }
}

/// Keeps what the engine says of a trigger.
pub(super) fn log(config: &TriggerConfig, level: Level, text: String) {
    config.log.tell(KeepPluginLog {
        database: Arc::clone(&config.database),
        trigger: Arc::clone(&config.def.name),
        level,
        text,
    });
}
