//! Comma-separated values with a header line.

use super::{Encode, encode_error};
use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use protocols::messages::query::QueryError;
use std::sync::Arc;

pub(super) struct Csv {
    header_is_due: bool,
    bytes_last: usize,
}

impl Csv {
    pub(super) fn new() -> Self {
        Self { header_is_due: true, bytes_last: 0 }
    }

    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let mut bytes = Vec::with_capacity(self.bytes_last);
        let mut writer = WriterBuilder::new().with_header(self.header_is_due).build(&mut bytes);
        writer.write(&flatten(rows)?)?;
        drop(writer);
        self.header_is_due = false;
        self.bytes_last = bytes.len();
        Ok(bytes)
    }
}

impl Encode for Csv {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        self.encode(rows).map_err(|error| encode_error(&error))
    }

    fn finish(&mut self) -> Result<Vec<u8>, QueryError> {
        Ok(Vec::new())
    }
}

/// Lists and structures as text, because the writer knows none.
fn flatten(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    if !schema.fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(rows.clone());
    }
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        if field.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(text(column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..column.len() {
        match column.is_null(row) {
            true => texts.append_null(),
            false => texts.append_value(formatter.value(row).try_to_string()?),
        }
    }
    Ok(Arc::new(texts.finish()))
}
