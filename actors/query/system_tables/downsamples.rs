//! Downsamples, and how they are doing.

use super::{Rows, Source, SystemTable};
use crate::downsample::DownsampleStatus;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use protocols::downsamples::{Aggregate, DownsampleDef};
use protocols::durations::format_exact;
use std::sync::Arc;

/// Those of the database.
pub(super) const DOWNSAMPLES: SystemTable =
    SystemTable { name: "downsamples", internal: false, schema, rows: Rows::Made(rows) };

fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let number = |name: &str| Field::new(name, DataType::UInt64, false);
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, None), true);
    Arc::new(Schema::new(vec![
        text("name", false),
        text("source_table", false),
        text("target_database", false),
        text("target_table", false),
        text("interval", false),
        text("offset", false),
        text("aggregates", false),
        Field::new("disabled", DataType::Boolean, false),
        text("state", false),
        time("complete_through"),
        number("pending_intervals"),
        Field::new("backfill_percent", DataType::Float64, true),
        number("rows_written"),
        time("last_run_at"),
        text("last_error", true),
    ]))
}

fn rows(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let mut all: Vec<&Arc<DownsampleDef>> = source.db.downsamples.all.iter().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let board = source.downsamples.as_ref().map(|board| board.load());
    let statuses: Vec<Option<&DownsampleStatus>> = all
        .iter()
        .map(|def| board.as_ref().and_then(|board| board.get(&(source.db.id, def.id))))
        .collect();
    let text = |of: &dyn Fn(&DownsampleDef) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(all.iter().map(|def| of(def))))
    };
    let time = |of: &dyn Fn(&DownsampleStatus) -> Option<i64>| -> ArrayRef {
        let times = statuses.iter().map(|status| status.and_then(of));
        Arc::new(times.collect::<TimestampNanosecondArray>())
    };
    let number = |of: &dyn Fn(&DownsampleStatus) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(statuses.iter().map(|s| s.map_or(0, of))))
    };
    let states = all.iter().zip(&statuses).map(|(def, status)| match status {
        // What is shown may be a moment old, but not what was asked for.
        _ if def.disabled => "disabled",
        Some(status) if status.state != "disabled" => status.state,
        _ => "starting",
    });
    let percents = statuses.iter().map(|status| status.and_then(|s| s.backfill_percent));
    let errors = statuses.iter().map(|status| status.and_then(|s| s.last_error.as_deref()));
    let duration = |ns: i64| format_exact(u64::try_from(ns).ok());
    let listed = |def: &DownsampleDef| {
        def.aggregates.iter().copied().map(Aggregate::name).collect::<Vec<_>>()
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|def| def.name.to_string()),
        text(&|def| def.source.to_string()),
        text(&|def| def.target_db.to_string()),
        text(&|def| def.target.to_string()),
        text(&|def| duration(def.interval_ns)),
        text(&|def| duration(def.offset_ns)),
        text(&|def| listed(def).join(",")),
        Arc::new(all.iter().map(|def| Some(def.disabled)).collect::<BooleanArray>()),
        Arc::new(StringArray::from_iter_values(states)),
        time(&|status| Some(status.complete_through_ns)),
        number(&|status| status.pending_intervals),
        Arc::new(percents.collect::<Float64Array>()),
        number(&|status| status.rows_written),
        time(&|status| status.last_run_ns),
        Arc::new(errors.collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}
