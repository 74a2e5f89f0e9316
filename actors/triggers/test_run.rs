//! Tests of plugins: a run that writes nothing.

use super::config::TriggersConfig;
use crate::trigger::{check_cron, parts_of, schedule::Instants};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use protocols::columns::TableRows;
use protocols::error::ErrorKind;
use protocols::line_protocol::{ParseOptions, ParsedWrite, Precision, parse as parse_lines};
use protocols::messages::plugins::{
    EventTable, ForgetTrigger, PluginError, PluginSource, ReadPlugin, RunPlugin, TestEvent,
    TestPlugin, TestReport, TestedPlugin, WriteEvent,
};
use protocols::messages::rank;
use protocols::names::check_database_name;
use protocols::plugins::host::{Event, Outcome, Source};
use protocols::schema::time_field;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// How long a test may take, unless something else is configured.
const TEST_TIME: Duration = Duration::from_secs(60);
/// Longer than the interrupt of a test that takes too long.
const RUN_TIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long the text may take to be read.
const READ_TIME: Duration = Duration::from_secs(40);
/// The schedule of a test that names none.
const EACH_SECOND: &str = "* * * * * *";

fn invalid(message: impl Into<String>) -> PluginError {
    PluginError::new(ErrorKind::InvalidInput, message)
}

/// Runs a plugin and tells what it would have done.
///
/// # Errors
/// When there is no such plugin, or what is to happen makes no sense.
pub(super) async fn test(
    config: &TriggersConfig,
    key: u64,
    test: TestPlugin,
) -> Result<TestReport, PluginError> {
    check_database_name(&test.database)
        .map_err(|_| invalid(format!("invalid database {}", test.database)))?;
    let plugin = plugin(config, &test.plugin).await?;
    let mut report = TestReport::default();
    let (event, body) = event(config, &test, &mut report)?;
    let run = RunPlugin {
        trigger: key,
        name: "test".into(),
        database: test.database.as_str().into(),
        node: config.node.as_str().into(),
        number: 1,
        plugin,
        event,
        body,
        arguments: test.arguments,
        run_async: true,
        test: Some(test.cache.unwrap_or_default()),
        timeout: config.timeout.or(Some(TEST_TIME)),
    };
    let deadline = Instant::now() + RUN_TIME;
    let ran = config.host.ask::<{ rank::TRIGGERS }, _>(run, deadline).await;
    config.host.tell(ForgetTrigger { trigger: key });
    let (outcome, body) = ran??;
    let Outcome { error, writes, log_lines, response, .. } = outcome;
    report.log_lines = log_lines;
    report.response = response.map(|response| (response, body));
    report.errors.extend(error.map(|error| format!("error executing plugin: {error}")));
    for (database, line) in writes {
        report.writes.entry(database).or_default().push(line);
    }
    let of_lines: Vec<_> =
        report.writes.iter().filter_map(|(db, lines)| check(config, db, lines)).collect();
    report.errors.extend(of_lines);
    Ok(report)
}

async fn plugin(
    config: &TriggersConfig,
    plugin: &TestedPlugin,
) -> Result<PluginSource, PluginError> {
    let path = match plugin {
        TestedPlugin::Path(path) => path.as_str().into(),
        TestedPlugin::Code(code) => {
            return Ok(PluginSource { mark: 0, source: Source::Text(Arc::clone(code)) });
        }
    };
    let read = ReadPlugin { path, known: None, or_copy: false };
    let deadline = Instant::now() + READ_TIME;
    let plugin = config.files.ask::<{ rank::TRIGGERS }, _>(read, deadline).await??;
    plugin.ok_or_else(|| PluginError::internal("the plugin could not be read"))
}

/// What happens, and its bytes.
fn event(
    config: &TriggersConfig,
    test: &TestPlugin,
    report: &mut TestReport,
) -> Result<(Event, Vec<Bytes>), PluginError> {
    match &test.event {
        TestEvent::Lines(lines) => {
            let parsed = parse(config, &test.database, lines).map_err(invalid)?;
            let tables = parsed.tables.into_iter().map(table).collect::<Result<Vec<_>, _>>();
            let event =
                WriteEvent { tables: tables.map_err(|e| PluginError::internal(e.to_string()))? };
            let parts = parts_of(&event, None);
            let (parts, body) = parts.map_err(|error| PluginError::internal(error.to_string()))?;
            Ok((Event::Writes(parts), body))
        }
        TestEvent::Schedule(expression) => {
            let expression = if expression.is_empty() { EACH_SECOND } else { expression };
            if config.snapshot.load().database(&test.database).is_none() {
                return Err(PluginError::new(ErrorKind::NotFound, "couldn't find db"));
            }
            check_cron(expression).map_err(|e| invalid(format!("invalid cron syntax: {e}")))?;
            let next = Instants::cron(expression).ok().and_then(|i| i.after(config.clock.now_ns()));
            let Some(at_ns) = next else {
                return Err(invalid(format!("cron schedule never triggers: {expression}")));
            };
            report.trigger_time_ns = Some(at_ns);
            Ok((Event::Schedule { at_s: at_ns.div_euclid(1_000_000_000) }, Vec::new()))
        }
        TestEvent::Request { query, headers, body } => {
            let (query, headers) = (query.clone(), headers.clone());
            Ok((Event::Request { query, headers }, vec![body.clone()]))
        }
    }
}

/// Reads lines against what the catalog has; nothing is created.
fn parse(config: &TriggersConfig, database: &str, lines: &str) -> Result<ParsedWrite, String> {
    let snapshot = config.snapshot.load();
    let options = ParseOptions {
        precision: Precision::Nanosecond,
        received_at_ns: config.clock.now_ns(),
        accept_partial: false,
        limits: config.limits,
        live_tables: snapshot.live_databases().iter().map(|db| db.live_tables().len()).sum(),
        immutable_tags: false,
        oldest_ns: None,
    };
    let known = snapshot.database(database).map(AsRef::as_ref);
    let parsed = parse_lines(lines.as_bytes(), known, &options).map_err(|e| e.to_string())?;
    match parsed.errors.first() {
        Some(error) => Err(error.message.clone()),
        None if parsed.accepted_lines == 0 => Err("incoming write was empty".to_owned()),
        None => Ok(parsed),
    }
}

/// What is wrong with the lines that a plugin would have written to a database.
fn check(config: &TriggersConfig, database: &str, lines: &[String]) -> Option<String> {
    if let Err(error) = check_database_name(database) {
        return Some(format!("database name {database} is invalid: {error}"));
    }
    let error = parse(config, database, &lines.join("\n")).err()?;
    Some(format!("line protocol parse error on write to db {database}: {error}"))
}

/// The rows of one table as a trigger would get them.
fn table(rows: TableRows) -> Result<EventTable, arrow::error::ArrowError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for column in rows.columns {
        fields.push(Field::new(column.name.as_ref(), column.data.kind().arrow_type(), true));
        arrays.push(column.data.into_arrow(column.validity)?);
    }
    fields.push(time_field());
    arrays.push(Arc::new(arrow::array::TimestampNanosecondArray::from(rows.times)));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    Ok(EventTable { name: rows.name, batches: vec![batch], streams: OnceLock::new() })
}
