//! What plugins ask for.

use super::config::HostConfig;
use crate::runtime::mailbox::AskError;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use futures::StreamExt;
use protocols::limits::{PLUGIN_QUERY_BYTES_MAX, WRITE_DEADLINE_MS};
use protocols::line_protocol::Precision;
use protocols::messages::ingest::WriteLines;
use protocols::messages::query::{
    Delivery, ParamValue, QueryError, QueryResult, RunStatement, Statement,
};
use protocols::messages::rank;
use protocols::messages::wal::SyncMode;
use protocols::names::check_database_name;
use protocols::plugins::host::Call;
use protocols::principal::{Origin, Principal};
use std::time::Duration;
use tokio::time::Instant;

/// A statement has the limits of the server, and those of its run.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(365 * 24 * 3600);

/// The body of the reply, or what the plugin is told.
pub(super) async fn answer(config: &HostConfig, call: Call) -> Result<Bytes, String> {
    match call {
        Call::Query { database, text, parameters } => {
            if check_database_name(&database).is_err() && !is_internal(&database) {
                return Err(format!("invalid database name provided: {database}"));
            }
            let params = parameters.into_iter();
            let statement = Statement {
                text: text.clone(),
                params: params.map(|(name, value)| (name, ParamValue::String(value))).collect(),
                db: database.clone(),
                principal: Principal::Server,
                ..Statement::default()
            };
            let rows = query(config, statement).await;
            rows.map_err(|cause| format!("error: {cause} executing query on {database}: {text}"))
        }
        Call::Write { database, lines, no_sync } => {
            if check_database_name(&database).is_err() {
                return Err(format!("invalid database name: {database}"));
            }
            let sync = if no_sync { SyncMode::Buffered } else { SyncMode::Durable };
            write(config, &database, lines, sync)
                .await
                .map(|()| Bytes::new())
                .map_err(|cause| format!("error writing line protocol to {database}: {cause}"))
        }
    }
}

fn is_internal(database: &str) -> bool {
    database == protocols::schema::INTERNAL_DB
}

async fn query(config: &HostConfig, statement: Statement) -> Result<Bytes, String> {
    let ask = RunStatement { statement, delivery: Delivery::WithRows };
    let deadline = Instant::now() + AS_LONG_AS_IT_TAKES;
    let result = match config.query.ask::<{ rank::PYTHON_HOST }, _>(ask, deadline).await {
        Ok(Ok(result)) => result,
        Ok(Err(QueryError { message, .. })) => return Err(message),
        Err(error) => return Err(error.to_string()),
    };
    stream(result).await
}

/// The rows as an Arrow IPC stream.
async fn stream(mut result: QueryResult) -> Result<Bytes, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut writer =
        StreamWriter::try_new(Vec::new(), &result.schema).map_err(|error| text(&error))?;
    while let Some(rows) = result.batches.next().await {
        let rows = rows.map_err(|error| error.message)?;
        writer.write(&rows).map_err(|error| text(&error))?;
        if writer.get_ref().len() > PLUGIN_QUERY_BYTES_MAX {
            return Err(format!("the result is larger than {PLUGIN_QUERY_BYTES_MAX} bytes"));
        }
    }
    writer.into_inner().map(Bytes::from).map_err(|error| text(&error))
}

/// Writes lines with nanosecond times, all or none.
pub(crate) async fn write(
    config: &HostConfig,
    database: &str,
    lines: String,
    sync: SyncMode,
) -> Result<(), String> {
    let write = WriteLines {
        db: database.to_owned(),
        // Only admins make triggers.
        principal: Principal::Server,
        origin: Origin::default(),
        body: lines.into(),
        precision: Precision::Nanosecond,
        accept_partial: false,
        makes_empty_database: false,
        sync,
        received_at_ns: config.clock.now_ns(),
    };
    let deadline = Instant::now() + Duration::from_millis(WRITE_DEADLINE_MS);
    match config.ingest.ask_from_edge(write, deadline).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(AskError::Deadline(_)) => Err("the outcome is unknown".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
