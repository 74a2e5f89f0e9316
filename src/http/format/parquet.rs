//! One Parquet file with the Arrow schema embedded, sent row group by row group.

use super::{Encode, internal};
use crate::http::limits::{PARQUET_GROUP_BYTES_MAX, PARQUET_GROUP_ROWS_MAX};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, IntervalUnit, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;

pub(super) struct Parquet {
    /// Nothing once the file is complete.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl Parquet {
    pub(super) fn new(schema: SchemaRef) -> Result<Self, QueryError> {
        if let Some(field) = schema.fields().iter().find(|field| has_interval(field.data_type())) {
            return Err(no_interval(field.name()));
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(PARQUET_GROUP_ROWS_MAX))
            .set_max_row_group_bytes(Some(PARQUET_GROUP_BYTES_MAX))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(told)?;
        Ok(Self { writer: Some(writer) })
    }
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
        writer.write(rows).map_err(told)?;
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
