//! Deletes of rows, as a table.

use super::{Rows, Source, SystemTable};
use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use protocols::http::row_deletes::RowDeleteShown;
use protocols::row_deletes::{RowDelete, RowDeleteState};
use protocols::schema::INTERNAL_DB;
use std::sync::Arc;

/// Those of a database; in the built-in one those of all databases that may be read.
pub(super) const ROW_DELETES: SystemTable =
    SystemTable { name: "row_deletes", internal: false, schema, rows: Rows::Made(rows) };

fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let time = |name: &str, nullable| {
        Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, None), nullable)
    };
    Arc::new(Schema::new(vec![
        Field::new("sequence", DataType::UInt64, false),
        Field::new("db_id", DataType::UInt32, false),
        Field::new("table_id", DataType::UInt32, false),
        text("db_name", false),
        text("table_name", false),
        Field::new("db_name_stale", DataType::Boolean, false),
        Field::new("table_name_stale", DataType::Boolean, false),
        time("min_time", true),
        time("max_time", true),
        text("delete_predicate", false),
        time("created_at", false),
        text("disposition", false),
        time("completed_at", true),
        time("aborted_at", true),
        text("abort_reason", true),
    ]))
}

fn rows(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let catalog = source.context.catalog.load();
    let is_shown = |delete: &&Arc<RowDelete>| {
        let db = catalog.table_by_id(delete.table).map(|(db, _)| db);
        let is_seen = match db {
            Some(db) => source.visible.principal().sees(db),
            None => source.visible.principal().is_admin(),
        };
        let is_here = source.db.name.as_ref() == INTERNAL_DB || delete.db == source.db.id;
        delete.bound.is_some() && is_seen && is_here
    };
    let deletes: Vec<&Arc<RowDelete>> = catalog.row_deletes.all().filter(is_shown).collect();
    let shown: Vec<RowDeleteShown> =
        deletes.iter().map(|delete| RowDeleteShown::new(delete, &catalog)).collect();
    let completed = |delete: &&Arc<RowDelete>| match delete.state {
        RowDeleteState::Completed { at_ns } => Some(at_ns),
        _ => None,
    };
    let aborted = |delete: &&Arc<RowDelete>| match delete.state {
        RowDeleteState::Aborted { at_ns, .. } => Some(at_ns),
        _ => None,
    };
    let text = |of: fn(&RowDeleteShown) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(shown.iter().map(of)))
    };
    let time = |of: &dyn Fn(&&Arc<RowDelete>) -> Option<i64>| -> ArrayRef {
        Arc::new(deletes.iter().map(of).collect::<TimestampNanosecondArray>())
    };
    let truth = |of: fn(&RowDeleteShown) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from_iter(shown.iter().map(|delete| Some(of(delete)))))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(shown.iter().map(|d| d.sequence))),
        Arc::new(UInt32Array::from_iter_values(shown.iter().map(|d| d.db_id))),
        Arc::new(UInt32Array::from_iter_values(shown.iter().map(|d| d.table_id))),
        text(|delete| &delete.db_name),
        text(|delete| &delete.table_name),
        truth(|delete| delete.db_name_stale),
        truth(|delete| delete.table_name_stale),
        time(&|delete| delete.min_time_ns),
        time(&|delete| delete.max_time_ns),
        text(|delete| &delete.delete_predicate),
        time(&|delete| Some(delete.created_at_ns)),
        text(|delete| delete.disposition.name()),
        time(&completed),
        time(&aborted),
        Arc::new(shown.iter().map(|d| d.abort_reason.as_deref()).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}
