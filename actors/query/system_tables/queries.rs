//! The log of queries as a table.

use super::super::log::{LogEntry, Progress};
use super::{Rows, Source, SystemTable};
use arrow::array::{
    ArrayRef, BooleanArray, DurationNanosecondArray, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use protocols::trace_id::TraceId;
use std::collections::HashSet;
use std::sync::Arc;

/// The newest queries of the whole server, oldest first.
pub(super) const QUERIES: SystemTable =
    SystemTable { name: "queries", internal: false, schema, rows: Rows::Made(rows) };

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let duration = |name: &str| Field::new(name, DataType::Duration(TimeUnit::Nanosecond), true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, false);
    Arc::new(Schema::new(vec![
        text("id"),
        text("phase"),
        Field::new("issue_time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        text("query_type"),
        text("query_text"),
        number("partitions"),
        number("parquet_files"),
        duration("plan_duration"),
        duration("permit_duration"),
        duration("execute_duration"),
        duration("end2end_duration"),
        duration("compute_duration"),
        number("max_memory"),
        flag("success"),
        flag("running"),
        flag("cancelled"),
        Field::new("trace_id", DataType::Utf8, true),
    ]))
}

fn rows(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    use super::super::log::Phase;
    // Whoever may not see everything sees what was asked of the databases that they may read.
    let may_see: Option<HashSet<_>> = match source.visible.whole() {
        Some(_) => None,
        None => Some(source.visible.databases().map(|db| db.id).collect()),
    };
    let is_shown = |entry: &&Arc<LogEntry>| {
        may_see.as_ref().is_none_or(|ids| entry.db.is_some_and(|db| ids.contains(&db)))
    };
    let entries: Vec<(&LogEntry, Progress)> = source
        .log
        .iter()
        .filter(is_shown)
        .map(|entry| (entry.as_ref(), entry.progress()))
        .collect();
    let number = |value: fn(&Progress) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.iter().map(|(_, p)| value(p)).collect::<Int64Array>())
    };
    let duration = |value: fn(&Progress) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.iter().map(|(_, p)| value(p)).collect::<DurationNanosecondArray>())
    };
    let flag = |value: fn(Phase) -> bool| -> ArrayRef {
        Arc::new(entries.iter().map(|(_, p)| Some(value(p.phase))).collect::<BooleanArray>())
    };
    let ids = entries.iter().map(|(e, _)| e.id.to_string());
    let traces = entries.iter().map(|(e, _)| e.trace_id.as_ref().map(TraceId::as_str));
    let times = entries.iter().map(|(e, _)| e.issue_time_ns);
    Ok(RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(ids)),
            Arc::new(StringArray::from_iter_values(entries.iter().map(|(_, p)| p.phase.name()))),
            Arc::new(TimestampNanosecondArray::from_iter_values(times)),
            Arc::new(StringArray::from_iter_values(entries.iter().map(|(e, _)| e.query_type))),
            Arc::new(StringArray::from_iter_values(entries.iter().map(|(e, _)| &e.text))),
            number(|p| p.partitions),
            number(|p| p.parquet_files),
            duration(|p| p.plan_ns),
            duration(|p| p.permit_ns),
            duration(|p| p.execute_ns),
            duration(|p| p.end2end_ns),
            duration(|p| p.compute_ns),
            number(|p| p.memory_max),
            flag(|phase| phase == Phase::Success),
            flag(Phase::runs),
            flag(|phase| phase == Phase::Cancel),
            Arc::new(traces.collect::<StringArray>()),
        ],
    )?)
}
