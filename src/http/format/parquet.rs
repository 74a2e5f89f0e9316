//! One Parquet file with the Arrow schema embedded, sent row group by row group.
//!
//! Parquet counts times in milliseconds or finer. Those in seconds, and dates in milliseconds, would
//! be bare integers to other programs; they are written as times in milliseconds.

use super::{Encode, encode_error, internal};
use crate::http::limits::{PARQUET_GROUP_BYTES_MAX, PARQUET_GROUP_ROWS_MAX};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;
use std::sync::Arc;

pub(super) struct Parquet {
    /// The columns as they are written.
    schema: SchemaRef,
    /// Nothing once the file is complete.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl Parquet {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, QueryError> {
        if let Some(field) = schema.fields().iter().find(|field| has_interval(field.data_type())) {
            return Err(no_interval(field.name()));
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(PARQUET_GROUP_ROWS_MAX))
            .set_max_row_group_bytes(Some(PARQUET_GROUP_BYTES_MAX))
            .build();
        let fields = schema.fields().iter().map(written_field).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&schema), Some(properties))
            .map_err(told)?;
        Ok(Self { schema, writer: Some(writer) })
    }
}

fn written_field(field: &FieldRef) -> FieldRef {
    match written_type(field.data_type()) {
        Some(kind) => Arc::new(Field::clone(field).with_data_type(kind)),
        None => FieldRef::clone(field),
    }
}

/// The type that stands for this one in a file, unless that is the type itself.
fn written_type(kind: &DataType) -> Option<DataType> {
    let field = |field: &FieldRef| written_type(field.data_type()).map(|_| written_field(field));
    Some(match kind {
        DataType::Timestamp(TimeUnit::Second, zone) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::List(item) => DataType::List(field(item)?),
        DataType::LargeList(item) => DataType::LargeList(field(item)?),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item)?, *size),
        DataType::Map(entries, sorted) => DataType::Map(field(entries)?, *sorted),
        DataType::Struct(fields) if fields.iter().any(|one| field(one).is_some()) => {
            DataType::Struct(fields.iter().map(written_field).collect())
        }
        DataType::Dictionary(keys, values) => {
            DataType::Dictionary(keys.clone(), Box::new(written_type(values)?))
        }
        _ => return None,
    })
}

/// The rows with the types of the file. A time that these cannot hold is an error.
fn written(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(ArrayRef::clone(column));
        }
        cast_with_options(column, field.data_type(), &options)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &rows)
}

/// True if the type is, or has within it, an interval of months, days and nanoseconds.
fn has_interval(data_type: &DataType) -> bool {
    match data_type {
        DataType::Interval(unit) => *unit == IntervalUnit::MonthDayNano,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_interval(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_interval(field.data_type())),
        DataType::Dictionary(_, values) => has_interval(values),
        _ => false,
    }
}

/// Told before the query is waited for: Parquet's own interval counts milliseconds, so a value
/// would not survive.
fn no_interval(column: &str) -> QueryError {
    let message = format!(
        "This feature is not implemented: Parquet has no type for column '{column}', an interval \
         of months, days and nanoseconds; cast it to text or ask for another format"
    );
    QueryError { kind: ErrorKind::NotImplemented, message }
}

fn told(error: ParquetError) -> QueryError {
    match error {
        ParquetError::NYI(what) => QueryError {
            kind: ErrorKind::NotImplemented,
            message: format!("This feature is not implemented: {what}"),
        },
        error => internal(format!("error while writing the result: {error}")),
    }
}

impl Encode for Parquet {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        let Some(writer) = &mut self.writer else { return Ok(Vec::new()) };
        let rows = written(rows, &self.schema).map_err(|error| encode_error(&error))?;
        writer.write(&rows).map_err(told)?;
        // Offsets in the footer count what was written, so finished bytes may be taken away.
        Ok(std::mem::take(writer.inner_mut()))
    }

    fn finish(&mut self) -> Result<Vec<u8>, QueryError> {
        match self.writer.take() {
            Some(writer) => writer.into_inner().map_err(told),
            None => Ok(Vec::new()),
        }
    }
}
