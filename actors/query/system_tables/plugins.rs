//! Tables of the processing engine.

use super::{Rows, Source, SystemTable};
use crate::plugin_files::{PluginFiles, REPOSITORY_MARK};
use crate::plugin_log::PluginLog;
use crate::runtime::mailbox::Mailbox;
use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use protocols::messages::plugins::{
    ListPluginFiles, PluginFile, PluginLogEntry, PluginRun, ReadPluginLog, ReadPluginRuns,
};
use protocols::messages::rank;
use protocols::plugins::{PluginRef, PluginText};
use protocols::schema::INTERNAL_DB;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long an actor may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Who knows what plugins said, and where they are.
#[derive(Clone, Debug)]
pub struct PluginTables {
    /// What they said.
    pub log: Mailbox<PluginLog>,
    /// Where they are.
    pub files: Mailbox<PluginFiles>,
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, None), false)
}

fn signed(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn schema<const N: usize>(fields: [Field; N]) -> SchemaRef {
    Arc::new(Schema::new(Vec::from(fields)))
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn unanswered(error: &dyn std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}

/// What plugins and triggers said: those of the database, or all of them in the built-in one.
pub(super) const PROCESSING_ENGINE_LOGS: SystemTable = SystemTable {
    name: "processing_engine_logs",
    internal: false,
    schema: || {
        schema([
            time("event_time"),
            text("trigger_name"),
            text("log_level"),
            text("log_text"),
            time("time"),
            text("database"),
        ])
    },
    rows: Rows::Asked(logs),
};

fn logs(source: Arc<Source>, schema: SchemaRef) -> BoxFuture<'static, Result<RecordBatch>> {
    async move {
        let entries: Vec<Arc<PluginLogEntry>> = match &source.plugins {
            None => Vec::new(),
            Some(plugins) => {
                let deadline = Instant::now() + ANSWER_TIME;
                let ask = ReadPluginLog { database: of_database(&source) };
                let read = plugins.log.ask::<{ rank::QUERY }, _>(ask, deadline).await;
                read.map_err(|error| unanswered(&error))?
            }
        };
        let times = || -> ArrayRef {
            Arc::new(TimestampNanosecondArray::from_iter_values(entries.iter().map(|e| e.time_ns)))
        };
        let columns = vec![
            times(),
            texts(entries.iter().map(|entry| &entry.trigger)),
            texts(entries.iter().map(|entry| entry.level.name())),
            texts(entries.iter().map(|entry| &entry.text)),
            times(),
            texts(entries.iter().map(|entry| &entry.database)),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }
    .boxed()
}

/// How the last runs of each trigger went: those of the database, or all of them in the built-in one.
pub(super) const PROCESSING_ENGINE_RUNS: SystemTable = SystemTable {
    name: "processing_engine_runs",
    internal: false,
    schema: || {
        schema([
            text("database"),
            text("trigger_name"),
            signed("run_number"),
            signed("attempt"),
            time("start_time"),
            signed("duration_ns"),
            signed("rows_in"),
            signed("lines_out"),
            text("outcome"),
            Field::new("error", DataType::Utf8, true),
        ])
    },
    rows: Rows::Asked(runs),
};

fn runs(source: Arc<Source>, schema: SchemaRef) -> BoxFuture<'static, Result<RecordBatch>> {
    async move {
        let runs: Vec<Arc<PluginRun>> = match &source.plugins {
            None => Vec::new(),
            Some(plugins) => {
                let ask = ReadPluginRuns { database: of_database(&source) };
                let deadline = Instant::now() + ANSWER_TIME;
                let read = plugins.log.ask::<{ rank::QUERY }, _>(ask, deadline).await;
                read.map_err(|error| unanswered(&error))?
            }
        };
        let numbers = |number: fn(&PluginRun) -> u64| -> ArrayRef {
            let numbers = runs.iter().map(|run| i64::try_from(number(run)).unwrap_or(i64::MAX));
            Arc::new(Int64Array::from_iter_values(numbers))
        };
        let outcome = |run: &Arc<PluginRun>| if run.error.is_none() { "success" } else { "error" };
        let columns: Vec<ArrayRef> = vec![
            texts(runs.iter().map(|run| &run.database)),
            texts(runs.iter().map(|run| &run.trigger)),
            numbers(|run| run.number),
            numbers(|run| u64::from(run.attempt) + 1),
            Arc::new(TimestampNanosecondArray::from_iter_values(runs.iter().map(|r| r.started_ns))),
            numbers(|run| u64::try_from(run.duration.as_nanos()).unwrap_or(u64::MAX)),
            numbers(|run| run.rows_in),
            numbers(|run| run.lines_out),
            texts(runs.iter().map(outcome)),
            Arc::new(StringArray::from_iter(runs.iter().map(|run| run.error.as_deref()))),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }
    .boxed()
}

/// The database that is asked, unless it is the built-in one, which shows those of all.
fn of_database(source: &Source) -> Option<Arc<str>> {
    (source.db.name.as_ref() != INTERNAL_DB).then(|| Arc::clone(&source.db.name))
}

/// Plugins with names of their own.
pub(super) const PROCESSING_ENGINE_PLUGINS: SystemTable = SystemTable {
    name: "processing_engine_plugins",
    internal: false,
    schema: || schema([text("plugin_name"), text("file_name"), text("plugin_type")]),
    rows: Rows::Made(|source, schema| {
        let plugins = &source.db.plugins.plugins;
        let kinds = plugins.iter().map(|plugin| {
            let kind = serde_json::to_value(plugin.kind).unwrap_or_default();
            kind.as_str().unwrap_or_default().to_owned()
        });
        let columns = vec![
            texts(plugins.iter().map(|plugin| &plugin.name)),
            texts(plugins.iter().map(|plugin| plugin.file_name())),
            texts(kinds),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }),
};

/// Arguments of triggers.
pub(super) const PROCESSING_ENGINE_TRIGGER_ARGUMENTS: SystemTable = SystemTable {
    name: "processing_engine_trigger_arguments",
    internal: false,
    schema: || schema([text("trigger_name"), text("argument_key"), text("argument_value")]),
    rows: Rows::Made(|source, schema| {
        let triggers = source.db.plugins.triggers.iter();
        let all: Vec<_> = triggers
            .flat_map(|t| t.arguments.iter().map(move |(key, value)| (&t.name, key, value)))
            .collect();
        let columns = vec![
            texts(all.iter().map(|(name, ..)| name)),
            texts(all.iter().map(|(_, key, _)| key)),
            texts(all.iter().map(|(.., value)| value)),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }),
};

/// Triggers.
pub(super) const PROCESSING_ENGINE_TRIGGERS: SystemTable = SystemTable {
    name: "processing_engine_triggers",
    internal: false,
    schema: || {
        schema([
            text("trigger_name"),
            text("plugin_filename"),
            text("trigger_specification"),
            Field::new("disabled", DataType::Boolean, false),
            text("error_behavior"),
        ])
    },
    rows: Rows::Made(|source, schema| {
        let plugins = &source.db.plugins;
        let triggers = &plugins.triggers;
        let specifications = triggers.iter().map(|trigger| match trigger.spec() {
            Some(spec) => spec.to_json(),
            None => trigger.specification.to_string(),
        });
        let disabled = triggers.iter().map(|trigger| Some(trigger.disabled));
        let columns: Vec<ArrayRef> = vec![
            texts(triggers.iter().map(|trigger| &trigger.name)),
            texts(triggers.iter().map(|trigger| plugins.file_name(trigger))),
            texts(specifications),
            Arc::new(disabled.collect::<BooleanArray>()),
            texts(triggers.iter().map(|trigger| trigger.error_behavior.name())),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }),
};

/// Files of plugins, of all databases.
pub(super) const PLUGIN_FILES: SystemTable = SystemTable {
    name: "plugin_files",
    internal: true,
    schema: || {
        schema([
            text("plugin_name"),
            text("file_name"),
            text("file_path"),
            signed("size_bytes"),
            signed("last_modified"),
        ])
    },
    rows: Rows::Asked(files),
};

fn files(source: Arc<Source>, schema: SchemaRef) -> BoxFuture<'static, Result<RecordBatch>> {
    async move {
        let files: Vec<PluginFile> = match &source.plugins {
            None => Vec::new(),
            Some(tables) => {
                let ask = ListPluginFiles { plugins: paths(&source) };
                let deadline = Instant::now() + ANSWER_TIME;
                let listed = tables.files.ask::<{ rank::QUERY }, _>(ask, deadline).await;
                listed.map_err(|error| unanswered(&error))?
            }
        };
        let numbers = |number: fn(&PluginFile) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(files.iter().map(number)))
        };
        let columns = vec![
            texts(files.iter().map(|file| &file.trigger)),
            texts(files.iter().map(|file| &file.name)),
            texts(files.iter().map(|file| &file.path)),
            numbers(|file| file.size_bytes),
            numbers(|file| file.changed_ms),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }
    .boxed()
}

/// Triggers of all databases and the paths of their plugins, as far as they are files.
fn paths(source: &Source) -> Vec<(Arc<str>, String)> {
    let databases = source.visible.databases().filter(|db| db.deletion.is_none());
    let of_database = databases.flat_map(|db| {
        db.plugins.triggers.iter().filter_map(move |trigger| {
            let path = match &trigger.plugin {
                PluginRef::Path(path) => path,
                PluginRef::Named(name) => match &db.plugins.plugin(name)?.text {
                    PluginText::File(path) => path,
                    PluginText::Code(_) => return None,
                },
            };
            let is_local = !path.starts_with(REPOSITORY_MARK);
            is_local.then(|| (Arc::clone(&trigger.name), path.to_string()))
        })
    });
    of_database.collect()
}
