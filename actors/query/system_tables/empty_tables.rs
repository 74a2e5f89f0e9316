//! Tables of things that do not exist on this server: they have columns and no rows.

use super::{Rows, Source, SystemTable};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use std::sync::Arc;

/// No rows.
fn none(_: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(schema))
}

const fn table(name: &'static str, schema: fn() -> SchemaRef) -> SystemTable {
    SystemTable { name, internal: false, schema, rows: Rows::Made(none) }
}

const fn internal_table(name: &'static str, schema: fn() -> SchemaRef) -> SystemTable {
    SystemTable { name, internal: true, schema, rows: Rows::Made(none) }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn signed(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn time(name: &str, unit: TimeUnit, nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(unit, None), nullable)
}

fn schema<const N: usize>(fields: [Field; N]) -> SchemaRef {
    Arc::new(Schema::new(Vec::from(fields)))
}

/// What plugins have logged.
pub(super) const PROCESSING_ENGINE_LOGS: SystemTable = table("processing_engine_logs", || {
    schema([
        time("event_time", TimeUnit::Nanosecond, false),
        text("trigger_name"),
        text("log_level"),
        text("log_text"),
    ])
});

/// Arguments of triggers.
pub(super) const PROCESSING_ENGINE_TRIGGER_ARGUMENTS: SystemTable =
    table("processing_engine_trigger_arguments", || {
        schema([text("trigger_name"), text("argument_key"), text("argument_value")])
    });

/// Triggers.
pub(super) const PROCESSING_ENGINE_TRIGGERS: SystemTable =
    table("processing_engine_triggers", || {
        schema([
            text("trigger_name"),
            text("plugin_filename"),
            text("trigger_specification"),
            Field::new("disabled", DataType::Boolean, false),
            text("error_behavior"),
        ])
    });

/// Files of plugins.
pub(super) const PLUGIN_FILES: SystemTable = internal_table("plugin_files", || {
    schema([
        text("plugin_name"),
        text("file_name"),
        text("file_path"),
        signed("size_bytes"),
        signed("last_modified"),
    ])
});
