//! Sorting a whole chunk for files: as one batch, or as several when a column holds more text than
//! one column should.
//!
//! Arrow addresses the text of a column with 32-bit offsets, so that rows with more than 2 GiB of
//! it cannot be laid end to end, which is how rows are sorted otherwise. Such a chunk is sorted
//! row by row, and cut where the text of a column would pass the bound. The cuts depend on the
//! merged rows alone and not on how they arrived, so that the same rows are always cut alike.

use super::{merge_sorted, sort_dedup};
use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::HashSet;
use protocols::messages::store::{ChunkView, SortedRows};
use protocols::schema::{ColumnKind, ColumnSchema, TIME_COLUMN, TableSchema, time_field};
use std::sync::Arc;

/// All rows of a chunk in key order, each key once. No column of a part has more than
/// `text_bytes_max` of text (of a tag, each value counts once), unless a single row has. A chunk
/// without rows has no parts.
///
/// # Errors
/// When the chunk has a column that the table does not know, or with another type.
pub fn sort_parts(
    chunk: &ChunkView,
    table: &TableSchema,
    text_bytes_max: usize,
) -> Result<Vec<RecordBatch>, ArrowError> {
    let batches: Vec<&RecordBatch> =
        chunk.sorted.iter().map(|s| &s.rows).chain(&chunk.unsorted).collect();
    for field in batches.iter().flat_map(|b| b.schema_ref().fields().iter()) {
        if field.name() != TIME_COLUMN && table.column(field.name()).is_none() {
            let (name, table) = (field.name(), &table.name);
            return Err(ArrowError::SchemaError(format!("table {table} has no column {name}")));
        }
    }
    if batches.iter().all(|b| b.num_rows() == 0) {
        return Ok(Vec::new());
    }
    let most_text = table.columns.iter().map(|c| text_bytes(&batches, c)).max();
    if most_text.is_none_or(|bytes| bytes <= text_bytes_max) {
        return Ok(vec![sort_chunk(chunk, table)?.rows.clone()]);
    }
    Splitter::new(&batches, table)?.parts(text_bytes_max)
}

/// All rows of a chunk as one sorted form.
fn sort_chunk(chunk: &ChunkView, table: &TableSchema) -> Result<Arc<SortedRows>, ArrowError> {
    match &chunk.sorted {
        None => Ok(Arc::new(sort_dedup(&chunk.unsorted, table)?)),
        Some(older) if chunk.unsorted.is_empty() => Ok(Arc::clone(older)),
        Some(older) => {
            let newer = sort_dedup(&chunk.unsorted, table)?;
            Ok(Arc::new(merge_sorted(&[older, &newer], table)?))
        }
    }
}

/// How much text a column may have after sorting: never less than it will have.
fn text_bytes(batches: &[&RecordBatch], column: &ColumnSchema) -> usize {
    let columns = batches.iter().filter_map(|b| b.column_by_name(&column.name));
    columns.map(|c| texts(c).map_or(0, bytes_of)).sum()
}

/// The texts of a column, or of its dictionary.
fn texts(column: &ArrayRef) -> Option<&StringArray> {
    match column.data_type() {
        DataType::Dictionary(..) => {
            column.as_dictionary_opt::<Int32Type>()?.values().as_string_opt()
        }
        _ => column.as_string_opt(),
    }
}

/// Bytes of all values together.
fn bytes_of(texts: &StringArray) -> usize {
    let offsets = texts.value_offsets();
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or(0),
        _ => 0,
    }
}

/// Batch and row.
type Place = (usize, usize);

/// The rows of a chunk that is too large to be laid end to end.
struct Splitter<'a> {
    table: &'a TableSchema,
    /// The columns of the table, `time` last; of each the arrays of all batches.
    columns: Vec<Vec<ArrayRef>>,
    keys: Rows,
    /// Where each row of `keys` is, in order of arrival.
    places: Vec<Place>,
    /// Rows of `keys` in key order, and equal ones in order of arrival.
    order: Vec<u32>,
}

/// Rows that become one batch.
struct Part {
    /// For each column, where each row takes its value from.
    chosen: Vec<Vec<Place>>,
    /// For each column, how much text that is.
    bytes: Vec<usize>,
}

impl<'a> Splitter<'a> {
    fn new(batches: &[&RecordBatch], table: &'a TableSchema) -> Result<Self, ArrowError> {
        let time = time_field();
        let named = table.columns.iter().map(|c| (c.name.as_ref(), c.kind.arrow_type()));
        let named = named.chain([(TIME_COLUMN, time.data_type().clone())]);
        let columns: Vec<Vec<ArrayRef>> = named
            .map(|(name, data_type)| batches.iter().map(|b| array(b, name, &data_type)).collect())
            .collect::<Result<_, ArrowError>>()?;
        let is_key = |i: &usize| table.columns.get(*i).is_none_or(|c| c.kind == ColumnKind::Tag);
        let key: Vec<usize> = (0..columns.len()).filter(is_key).collect();
        let types = key.iter().filter_map(|i| columns[*i].first());
        let converter =
            RowConverter::new(types.map(|a| SortField::new(a.data_type().clone())).collect())?;
        let mut keys = converter.empty_rows(0, 0);
        let mut places = Vec::new();
        for (batch, rows) in batches.iter().enumerate() {
            let arrays: Vec<ArrayRef> =
                key.iter().map(|i| Arc::clone(&columns[*i][batch])).collect();
            converter.append(&mut keys, &arrays)?;
            places.extend((0..rows.num_rows()).map(|row| (batch, row)));
        }
        let count = u32::try_from(places.len())
            .map_err(|_| ArrowError::ComputeError("too many rows to sort".to_owned()))?;
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
        Ok(Self { table, columns, keys, places, order })
    }

    fn parts(&self, text_bytes_max: usize) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut parts = Vec::new();
        let mut part = Part::new(self.columns.len());
        // Tag values of the part, each of which its dictionary has once.
        let mut seen: Vec<HashSet<&str>> = vec![HashSet::new(); self.columns.len()];
        let same_key = |a: &u32, b: &u32| self.keys.row(*a as usize) == self.keys.row(*b as usize);
        for rows in self.order.chunk_by(same_key) {
            let row: Vec<Place> = self.columns.iter().map(|c| self.last_value(c, rows)).collect();
            let text: Vec<Option<&str>> = self
                .columns
                .iter()
                .zip(&row)
                .map(|(column, place)| value(column, *place))
                .collect();
            let mut more = added_bytes(&text, &seen, self.table);
            let full = part.bytes.iter().zip(&more).any(|(have, add)| have + add > text_bytes_max);
            if full && part.rows() > 0 {
                parts.push(self.gather(&part)?);
                part = Part::new(self.columns.len());
                seen.iter_mut().for_each(HashSet::clear);
                more = added_bytes(&text, &seen, self.table);
            }
            for (i, column) in self.table.columns.iter().enumerate() {
                if let (ColumnKind::Tag, Some(text)) = (column.kind, text[i]) {
                    seen[i].insert(text);
                }
            }
            for (i, place) in row.into_iter().enumerate() {
                part.chosen[i].push(place);
                part.bytes[i] += more[i];
            }
        }
        parts.push(self.gather(&part)?);
        Ok(parts)
    }

    /// Of rows with one key, the last whose value is not null; the last when all are.
    fn last_value(&self, column: &[ArrayRef], rows: &[u32]) -> Place {
        let places = || rows.iter().rev().map(|row| self.places[*row as usize]);
        let valid = places().find(|(batch, row)| column[*batch].is_valid(*row));
        valid.or_else(|| places().next()).expect("there is a row for every key")
    }

    fn gather(&self, part: &Part) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter().zip(&part.chosen).map(|(arrays, chosen)| {
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            interleave(&arrays, chosen)
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut fields: Vec<_> = self.table.columns.iter().map(ColumnSchema::arrow_field).collect();
        fields.push(time_field());
        let options = RecordBatchOptions::new().with_row_count(Some(part.rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
    }
}

impl Part {
    fn new(columns: usize) -> Self {
        Self { chosen: vec![Vec::new(); columns], bytes: vec![0; columns] }
    }

    fn rows(&self) -> usize {
        self.chosen.first().map_or(0, Vec::len)
    }
}

/// The column of a batch; nulls when the batch does not have it.
fn array(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match batch.column_by_name(name) {
        None => Ok(new_null_array(data_type, batch.num_rows())),
        Some(column) if column.data_type() == data_type => Ok(Arc::clone(column)),
        Some(column) => {
            let found = column.data_type();
            Err(ArrowError::SchemaError(format!("column {name} is {found}, not {data_type}")))
        }
    }
}

/// The text at a place, if there is one.
fn value(column: &[ArrayRef], (batch, row): Place) -> Option<&str> {
    let array = &column[batch];
    let texts = texts(array)?;
    if array.is_null(row) {
        return None;
    }
    let row = match array.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => dictionary.key(row)?,
        None => row,
    };
    Some(texts.value(row))
}

/// How much text a row adds to each column of a part.
fn added_bytes(row: &[Option<&str>], seen: &[HashSet<&str>], table: &TableSchema) -> Vec<usize> {
    let is_tag = |i: usize| table.columns.get(i).is_some_and(|c| c.kind == ColumnKind::Tag);
    let added = row.iter().enumerate().map(|(i, text)| match text {
        Some(text) if is_tag(i) && seen[i].contains(text) => 0,
        Some(text) => text.len(),
        None => 0,
    });
    added.collect()
}
