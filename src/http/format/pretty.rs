//! A table for people. It is gathered whole, because the widths of its columns depend on all rows.

use super::cells::Values;
use super::{Encode, encode_error};
use crate::http::limits::PRETTY_BYTES_MAX;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;

pub(super) struct Pretty {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Pretty {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: Vec::new(), bytes: 0 }
    }
}

impl Encode for Pretty {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        // A slice counts with its share of the rows it was cut from, where that can be told.
        let bytes = |column: &ArrayRef| {
            let share = column.to_data().get_slice_memory_size();
            share.unwrap_or_else(|_| column.get_array_memory_size())
        };
        self.bytes += rows.columns().iter().map(bytes).sum::<usize>();
        if self.bytes > PRETTY_BYTES_MAX {
            return Err(QueryError {
                kind: ErrorKind::InvalidInput,
                message: format!(
                    "the result exceeds the {PRETTY_BYTES_MAX} bytes that the format pretty can \
                     show, ask for another format or fewer rows"
                ),
            });
        }
        rows.columns().iter().try_for_each(check_times).map_err(|error| encode_error(&error))?;
        self.batches.push(rows.clone());
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<u8>, QueryError> {
        let mut batches = std::mem::take(&mut self.batches);
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(SchemaRef::clone(&self.schema)));
        }
        let table = pretty_format_batches(&batches).map_err(|error| encode_error(&error))?;
        Ok(table.to_string().into_bytes())
    }
}

/// Refuses times that no calendar has: in a table they would be texts that say so.
fn check_times(column: &ArrayRef) -> Result<(), ArrowError> {
    let kind = column.data_type();
    // All others, and all times that are counted in nanoseconds, can be shown.
    if !kind.is_temporal() || Values::of(column).is_some() {
        return Ok(());
    }
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::new())?;
    let mut text = String::new();
    (0..column.len()).filter(|row| column.is_valid(*row)).try_for_each(|row| {
        text.clear();
        formatter.value(row).write(&mut text)
    })
}
