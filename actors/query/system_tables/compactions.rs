//! What compactions did of late, as a table.

use super::{Rows, Source, SystemTable};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use protocols::messages::compact::CompactionEvent;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;

/// The newest compactions.
pub(super) const COMPACTION_EVENTS: SystemTable =
    SystemTable { name: "compaction_events", internal: true, schema, rows: Rows::Made(rows) };

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        Field::new("event_time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        text("event_type"),
        text("event_status"),
        Field::new("event_duration", DataType::Int64, false),
        text("event_data"),
    ]))
}

fn rows(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let history = source.server.compactions.as_ref();
    let events = history.map_or_else(Arc::<VecDeque<_>>::default, |history| history.load());
    let status = |event: &CompactionEvent| if event.error.is_some() { "failed" } else { "success" };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from_iter_values(events.iter().map(|e| e.time_ns))),
        Arc::new(StringArray::from_iter_values(events.iter().map(|_| "compaction"))),
        Arc::new(StringArray::from_iter_values(events.iter().map(|e| status(e)))),
        Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.duration_ns))),
        Arc::new(StringArray::from_iter_values(events.iter().map(|e| data(source, e)))),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Everything else about an event.
fn data(source: &Source, event: &CompactionEvent) -> String {
    let catalog = source.context.catalog.load();
    let names = catalog.table_by_id(event.table);
    let (db, table) = names.map(|(db, table)| (&*db.name, &*table.name)).unzip();
    json!({
        "database": db,
        "table": table,
        "generation": event.generation,
        "window_start": event.window_start_ns,
        "files_in": event.files_in,
        "files_out": event.files_out,
        "rows_in": event.rows_in,
        "rows_out": event.rows_out,
        "bytes_in": event.bytes_in,
        "bytes_out": event.bytes_out,
        "error": event.error,
    })
    .to_string()
}
