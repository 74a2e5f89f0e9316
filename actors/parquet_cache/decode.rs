//! Decoding the rows of a Parquet file.

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result};
use protocols::messages::parquet_cache::WantedFile;
use protocols::messages::store::SortedRows;
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// The rows of `file`, whose bytes are `bytes`: the tags, `time`, `columns` as far as the file has
/// them, and whatever `held` has of the same file already.
///
/// # Errors
/// When these are not the bytes of the file, or nothing that can be decoded.
pub(super) fn decode(
    bytes: Bytes,
    file: &WantedFile,
    columns: &[Arc<str>],
    held: Option<&SortedRows>,
) -> Result<SortedRows> {
    if bytes.len() as u64 != file.file.size_bytes || crc32fast::hash(&bytes) != file.file.crc32 {
        return Err(ParquetError::General("the checksum does not match".to_owned()));
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let schema = Arc::clone(builder.schema());
    let held_column = |field: &Field| held?.rows.column_by_name(field.name()).map(Arc::clone);
    let is_wanted = |field: &Field| {
        is_tag(field)
            || field.name() == TIME_COLUMN
            || columns.iter().any(|column| **column == **field.name())
    };
    let is_missing = |field: &Field| is_wanted(field) && held_column(field).is_none();
    let fields = schema.fields();
    let missing = (0..fields.len()).filter(|i| is_missing(&fields[*i]));
    let read = read(builder, missing.collect())?;
    let column = |field: &Field| read.column_by_name(field.name()).map(Arc::clone);
    let found = fields.iter().filter_map(|field| {
        let column = held_column(field).or_else(|| column(field))?;
        Some((Arc::clone(field), column))
    });
    let (fields, columns): (Vec<_>, Vec<_>) = found.unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(read.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
    match held {
        Some(SortedRows { series_starts, key, .. }) => {
            Ok(SortedRows { rows, series_starts: series_starts.clone(), key: key.clone() })
        }
        None => sorted(rows),
    }
}

fn is_tag(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Dictionary(..))
}

/// The columns with these numbers, in one batch.
fn read(
    builder: ParquetRecordBatchReaderBuilder<Bytes>,
    columns: Vec<usize>,
) -> Result<RecordBatch> {
    let row_count = usize::try_from(builder.metadata().file_metadata().num_rows())
        .map_err(|error| ParquetError::General(error.to_string()))?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let reader = builder.with_projection(mask).with_batch_size(row_count.max(1)).build()?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
    match batches.as_slice() {
        [one] => Ok(one.clone()),
        several => Ok(concat_batches(&schema, several)?),
    }
}

/// Finds the series of rows that are in key order.
fn sorted(rows: RecordBatch) -> Result<SortedRows> {
    let schema = rows.schema();
    let tags = schema.fields().iter().zip(rows.columns()).filter(|(field, _)| is_tag(field));
    let key = tags.clone().map(|(field, _)| Arc::from(field.name().as_str())).collect();
    let tags = tags.map(|(_, column)| Tag::of(column)).collect::<Result<Vec<_>>>()?;
    let begins = |row: &usize| *row == 0 || tags.iter().any(|tag| tag.differs(row - 1, *row));
    let series_starts = (0..rows.num_rows()).filter(begins).map(|row| row as u32).collect();
    Ok(SortedRows { rows, series_starts, key })
}

/// A tag, with its values at hand.
struct Tag<'a> {
    column: &'a DictionaryArray<Int32Type>,
    values: &'a StringArray,
}

impl<'a> Tag<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let column = column.as_dictionary_opt::<Int32Type>();
        let values = column.and_then(|column| column.values().as_string_opt::<i32>());
        match column.zip(values) {
            Some((column, values)) => Ok(Self { column, values }),
            None => Err(ParquetError::General("a tag that is no text".to_owned())),
        }
    }

    fn differs(&self, a: usize, b: usize) -> bool {
        let keys = self.column.keys();
        match (keys.is_null(a), keys.is_null(b)) {
            (true, true) => false,
            // A dictionary may have a value twice.
            (false, false) => {
                let (a, b) = (keys.value(a), keys.value(b));
                a != b && self.values.value(a as usize) != self.values.value(b as usize)
            }
            _ => true,
        }
    }
}
