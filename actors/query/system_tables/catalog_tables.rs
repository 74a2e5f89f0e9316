//! Tables of what the catalog knows: databases, tables and columns.

use super::{Rows, Source, SystemTable};
use arrow::array::{
    ArrayRef, BooleanArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampSecondArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use protocols::schema::{
    ColumnKind, DatabaseSchema, Deletion, FieldType, TIME_COLUMN, TableSchema,
};
use std::sync::Arc;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The columns of every table of the database.
pub(super) const INFLUXDB_SCHEMA: SystemTable = SystemTable {
    name: "influxdb_schema",
    internal: false,
    schema: || Arc::new(Schema::new(vec![text("measurement"), text("key"), text("data_type")])),
    rows: Rows::Made(influxdb_schema),
};

/// Every database.
pub(super) const DATABASES: SystemTable = SystemTable {
    name: "databases",
    internal: true,
    schema: || {
        Arc::new(Schema::new(vec![
            text("database_name"),
            Field::new("retention_period_ns", DataType::UInt64, true),
            Field::new("deleted", DataType::Boolean, false),
            hard_deletion_time(),
        ]))
    },
    rows: Rows::Made(databases),
};

/// Every table of every database.
pub(super) const TABLES: SystemTable = SystemTable {
    name: "tables",
    internal: true,
    schema: || {
        Arc::new(Schema::new(vec![
            text("database_name"),
            text("table_name"),
            Field::new("column_count", DataType::UInt64, false),
            text("series_key_columns"),
            Field::new("last_cache_count", DataType::UInt64, false),
            Field::new("distinct_cache_count", DataType::UInt64, false),
            Field::new("deleted", DataType::Boolean, false),
            hard_deletion_time(),
        ]))
    },
    rows: Rows::Made(tables),
};

/// The tables with a retention period of their own.
pub(super) const TABLE_RETENTION: SystemTable = SystemTable {
    name: "table_retention",
    internal: true,
    schema: || {
        Arc::new(Schema::new(vec![
            text("database_name"),
            text("table_name"),
            Field::new("retention_period_ns", DataType::UInt64, false),
        ]))
    },
    rows: Rows::Made(table_retention),
};

/// The databases and tables for which columns were chosen that their files are indexed by.
pub(super) const FILE_INDEXES: SystemTable = SystemTable {
    name: "file_indexes",
    internal: true,
    schema: || {
        Arc::new(Schema::new(vec![
            text("database_name"),
            Field::new("table_name", DataType::Utf8, true),
            Field::new("columns", DataType::new_list(DataType::Utf8, true), false),
        ]))
    },
    rows: Rows::Made(file_indexes),
};

/// How wide chunks are.
pub(super) const GENERATION_DURATIONS: SystemTable = SystemTable {
    name: "generation_durations",
    internal: true,
    schema: || {
        Arc::new(Schema::new(vec![
            Field::new("level", DataType::UInt8, false),
            Field::new("duration_seconds", DataType::UInt64, false),
        ]))
    },
    rows: Rows::Made(generation_durations),
};

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn hard_deletion_time() -> Field {
    let kind = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
    Field::new("hard_deletion_time", kind, true)
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn influxdb_schema(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let mut rows: Vec<(&str, &str, &str)> = Vec::new();
    for table in source.db.live_tables() {
        for field in table.arrow_schema().fields() {
            rows.push((&table.name, field.name(), data_type(table, field.name())));
        }
    }
    batch(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.2))),
        ],
    )
}

/// The word for the type of a column.
fn data_type(table: &TableSchema, column: &str) -> &'static str {
    match table.column(column).map(|c| c.kind) {
        None => TIME_COLUMN, // the only column that is not among the tags and fields
        Some(ColumnKind::Tag) => "tag",
        Some(ColumnKind::Field(FieldType::Float)) => "float",
        Some(ColumnKind::Field(FieldType::Integer)) => "integer",
        Some(ColumnKind::Field(FieldType::UInteger)) => "uinteger",
        Some(ColumnKind::Field(FieldType::String)) => "string",
        Some(ColumnKind::Field(FieldType::Boolean)) => "boolean",
    }
}

/// Databases, deleted ones included, sorted by name.
fn all_databases(source: &Source) -> Vec<&Arc<DatabaseSchema>> {
    let mut all: Vec<_> = source.visible.databases().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Times at which the rows of deleted things go.
fn deletion_times<'a>(deletions: impl Iterator<Item = &'a Option<Deletion>>) -> ArrayRef {
    let seconds = |deletion: &Option<Deletion>| {
        deletion.as_ref()?.hard_delete_at_ns.map(|ns| ns.div_euclid(NANOS_PER_SECOND))
    };
    let times: TimestampSecondArray = deletions.map(seconds).collect();
    Arc::new(times.with_timezone("UTC"))
}

fn databases(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let all = all_databases(source);
    let retention = |db: &&Arc<DatabaseSchema>| db.retention_ns.and_then(|ns| ns.try_into().ok());
    batch(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(all.iter().map(|db| &db.name))),
            Arc::new(all.iter().map(retention).collect::<UInt64Array>()),
            Arc::new(all.iter().map(|db| Some(db.deletion.is_some())).collect::<BooleanArray>()),
            deletion_times(all.iter().map(|db| &db.deletion)),
        ],
    )
}

fn tables(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let mut all: Vec<(&Arc<DatabaseSchema>, &Arc<TableSchema>)> = Vec::new();
    for db in all_databases(source) {
        let mut tables: Vec<_> = db.tables.values().collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        all.extend(tables.into_iter().map(|table| (db, table)));
    }
    let key = |table: &TableSchema| {
        table.tags().map(|tag| tag.name.as_ref()).collect::<Vec<_>>().join(", ")
    };
    let column_count = |table: &TableSchema| table.columns.len() as u64 + 1; // and `time`
    let last_caches = all.iter().map(|(_, t)| t.caches.last.len() as u64);
    let distinct_caches = all.iter().map(|(_, t)| t.caches.distinct.len() as u64);
    let deleted = |(db, table): &(&Arc<DatabaseSchema>, &Arc<TableSchema>)| {
        Some(db.deletion.is_some() || table.deletion.is_some())
    };
    batch(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(all.iter().map(|(db, _)| &db.name))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|(_, t)| &t.name))),
            Arc::new(UInt64Array::from_iter_values(all.iter().map(|(_, t)| column_count(t)))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|(_, t)| key(t)))),
            Arc::new(UInt64Array::from_iter_values(last_caches)),
            Arc::new(UInt64Array::from_iter_values(distinct_caches)),
            Arc::new(all.iter().map(deleted).collect::<BooleanArray>()),
            deletion_times(all.iter().map(|(db, table)| match table.deletion {
                Some(_) => &table.deletion,
                None => &db.deletion,
            })),
        ],
    )
}

fn table_retention(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let mut all: Vec<(&str, &str, u64)> = Vec::new();
    for db in all_databases(source).into_iter().filter(|db| db.deletion.is_none()) {
        let own = db.live_tables().into_iter().filter_map(|table| {
            Some((db.name.as_ref(), table.name.as_ref(), table.retention_ns?.unsigned_abs()))
        });
        all.extend(own);
    }
    batch(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(all.iter().map(|(db, ..)| db))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|(_, table, _)| table))),
            Arc::new(UInt64Array::from_iter_values(all.iter().map(|(.., period)| *period))),
        ],
    )
}

fn file_indexes(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let (mut databases, mut tables) = (StringBuilder::new(), StringBuilder::new());
    let mut lists = ListBuilder::new(StringBuilder::new());
    for db in all_databases(source).into_iter().filter(|db| db.deletion.is_none()) {
        let of_tables = db.live_tables().into_iter();
        let of_tables = of_tables.map(|table| (Some(&table.name), table.indexed.as_ref()));
        for (table, columns) in std::iter::once((None, db.indexed.as_ref())).chain(of_tables) {
            let Some(columns) = columns else { continue };
            databases.append_value(&db.name);
            tables.append_option(table);
            lists.append_value(columns.iter().map(Some));
        }
    }
    let columns: [ArrayRef; 3] =
        [Arc::new(databases.finish()), Arc::new(tables.finish()), Arc::new(lists.finish())];
    batch(schema, columns.into())
}

fn generation_durations(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let first = [source.visible.gen1_duration_ns()];
    let widths = match source.server.generations_ns.as_slice() {
        [] => first.as_slice(),
        all => all,
    };
    let levels = (1..).zip(widths).map(|(level, _)| level);
    let seconds = widths.iter().map(|width| (width / NANOS_PER_SECOND).unsigned_abs());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from_iter_values(levels)),
        Arc::new(UInt64Array::from_iter_values(seconds)),
    ];
    batch(schema, columns)
}
