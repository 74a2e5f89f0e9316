//! Sorted rows as the bytes of a Parquet file.
//!
//! A file holds what its rows hold and nothing else: a column without a value is left out, and
//! every choice is made from the rows. So the same rows give the same bytes, whatever columns the
//! table got meanwhile, and a snapshot that is taken again overwrites its files with equal ones.
//!
//! Every encoding used is one that other readers know. What suits a column depends on its values
//! and on how many rows a series has in a row, so that for numbers the choice is made by encoding
//! a sample of them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Float64Type, Schema};
use bytes::Bytes;
use hashbrown::HashSet;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;
use protocols::file_blocks::{self, BlockChecksums, LISTED_BYTES_MIN};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of a row group.
pub(crate) const ROW_GROUP_ROWS: usize = 100_000;
/// A row group of rows with long texts ends sooner, at about so many encoded bytes: whoever reads
/// or writes one holds it in memory.
const ROW_GROUP_BYTES: usize = 128 * 1024 * 1024;
/// Rows of a page. Small enough that the page index leads close to the rows that a query wants.
const PAGE_ROWS: usize = 10_000;
/// Rows that are handed to the encoder at once.
const SLICE_ROWS: usize = 10_000;
/// Numbers that are encoded to choose an encoding by.
const SAMPLE_ROWS: usize = 4_096;
/// Of fewer rows no sample is taken: to make a compressor ready for each takes longer than all else
/// that is done with them, and another encoding would save less than a footer takes.
const SAMPLE_ROWS_MIN: usize = 128;
/// Part of its size that the less common encoding has to save to be used.
const WORTH_IT: f64 = 0.9;
/// How hard compression tries: as hard as it does by default.
const LEVEL: i32 = 3;
/// The same where bytes of numbers are kept apart. Half of what is gained by that comes from
/// trying harder; beyond this level half as much time again saves 0.3 %.
const LEVEL_APART: i32 = 5;
/// What compression leaves of the bits of dictionary indices, by measurement.
const INDEX_COMPRESSION: f64 = 0.95;

/// Encodes rows that are sorted by their tags, in the order of the columns, and `time`, which is
/// the last column.
///
/// # Errors
/// When the encoder fails, which it has no reason to.
pub(crate) fn encode(rows: &RecordBatch) -> Result<Bytes> {
    let rows = without_empty_columns(rows)?;
    let properties = properties(&rows)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    let mut from = 0;
    while from < rows.num_rows() {
        let slice_rows = SLICE_ROWS.min(rows.num_rows() - from);
        writer.write(&rows.slice(from, slice_rows))?;
        from += slice_rows;
    }
    finish(writer)
}

/// The file of a writer that has all its rows.
pub(super) fn finish(mut writer: ArrowWriter<Vec<u8>>) -> Result<Bytes> {
    // All rows are in the buffer then, and nothing else.
    writer.flush()?;
    writer.sync()?;
    if writer.inner().len() >= LISTED_BYTES_MIN {
        let blocks = BlockChecksums::of(writer.inner()).encode();
        writer.append_key_value_metadata(KeyValue::new(file_blocks::KEY.to_owned(), blocks));
    }
    Ok(writer.into_inner()?.into())
}

/// The rows without the columns that have no value in any of them.
fn without_empty_columns(rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = rows.schema_ref();
    let (fields, columns): (Vec<_>, Vec<_>) = schema
        .fields()
        .iter()
        .zip(rows.columns())
        .filter(|(_, column)| column.logical_null_count() < column.len())
        // Metadata of fields is a matter between server and client. In a file it only takes room.
        .map(|(field, column)| {
            (field.as_ref().clone().with_metadata(HashMap::new()), Arc::clone(column))
        })
        .unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
    Ok(rows?)
}

pub(super) fn is_tag(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(..))
}

/// How all files are written; the encodings are chosen column by column.
fn common() -> Result<WriterPropertiesBuilder> {
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page);
    Ok(builder)
}

/// Sets the encoding of a column, and the compression that suits it.
fn encoded(
    properties: WriterPropertiesBuilder,
    column: &str,
    encoding: Encoding,
) -> Result<WriterPropertiesBuilder> {
    let path = ColumnPath::from(column);
    let properties = properties.set_column_encoding(path.clone(), encoding);
    if encoding != Encoding::BYTE_STREAM_SPLIT {
        return Ok(properties);
    }
    let level = ZstdLevel::try_new(LEVEL_APART)?;
    Ok(properties.set_column_compression(path, Compression::ZSTD(level)))
}

/// How rows like these are written.
pub(super) fn properties(rows: &RecordBatch) -> Result<WriterProperties> {
    let fields = rows.schema_ref().fields();
    let tags = (0..fields.len()).filter(|i| is_tag(fields[*i].data_type()));
    let time = fields.len().checked_sub(1);
    let sorting = tags.chain(time).map(|i| SortingColumn {
        column_idx: i as i32,
        descending: false,
        nulls_first: true,
    });
    let mut properties = common()?.set_sorting_columns(Some(sorting.collect()));
    for (field, column) in fields.iter().zip(rows.columns()) {
        let (encoding, dictionary) = choose(column)?;
        let path = ColumnPath::from(field.name().as_str());
        properties = properties.set_column_dictionary_enabled(path, dictionary);
        if let Some(encoding) = encoding {
            properties = encoded(properties, field.name(), encoding)?;
        }
    }
    Ok(properties.build())
}

/// The encoding of a column, and whether a dictionary is tried first.
fn choose(column: &ArrayRef) -> Result<(Option<Encoding>, bool)> {
    Ok(match column.data_type() {
        // Behind a dictionary that became too large, sorted values share their beginnings.
        DataType::Dictionary(..) => (Some(Encoding::DELTA_BYTE_ARRAY), true),
        DataType::Utf8 => (Some(Encoding::DELTA_LENGTH_BYTE_ARRAY), true),
        DataType::Timestamp(..) => (Some(Encoding::DELTA_BINARY_PACKED), false),
        DataType::Int64 | DataType::UInt64 => (Some(of_integers(column)?), false),
        DataType::Float64 => of_floats(column)?,
        _ => (None, false),
    })
}

/// Differences are small within a series. Where series are short, though, the step to the next
/// one is in nearly every block of differences and makes all of the block wide; the bytes apart
/// then compress better.
fn of_integers(column: &ArrayRef) -> Result<Encoding> {
    if column.len() < SAMPLE_ROWS_MIN {
        return Ok(Encoding::DELTA_BINARY_PACKED);
    }
    let differences = sample_bytes(column, Encoding::DELTA_BINARY_PACKED)?;
    let apart = sample_bytes(column, Encoding::BYTE_STREAM_SPLIT)?;
    let saves = apart < differences * WORTH_IT;
    Ok(if saves { Encoding::BYTE_STREAM_SPLIT } else { Encoding::DELTA_BINARY_PACKED })
}

/// Floats of full precision are best with their bytes apart, those with few decimals in one piece,
/// and those with few values as numbers of a dictionary.
fn of_floats(column: &ArrayRef) -> Result<(Option<Encoding>, bool)> {
    if column.len() < SAMPLE_ROWS_MIN {
        return Ok((Some(Encoding::PLAIN), false));
    }
    let plain = sample_bytes(column, Encoding::PLAIN)?;
    let apart = sample_bytes(column, Encoding::BYTE_STREAM_SPLIT)?;
    let (encoding, bytes) =
        if apart < plain { (Encoding::BYTE_STREAM_SPLIT, apart) } else { (Encoding::PLAIN, plain) };
    // A dictionary serves one row group.
    let group = column.slice(0, column.len().min(ROW_GROUP_ROWS));
    let values: HashSet<u64> =
        group.as_primitive::<Float64Type>().iter().flatten().map(f64::to_bits).collect();
    let count = group.len() - group.null_count();
    let index_bits = f64::from(values.len().max(1).next_power_of_two().trailing_zeros());
    let indices = index_bits / 8.0 * INDEX_COMPRESSION;
    let dictionary = indices + plain * values.len() as f64 / count.max(1) as f64;
    Ok((Some(encoding), dictionary < bytes))
}

/// Bytes that a value takes, tried with a sample.
fn sample_bytes(column: &ArrayRef, encoding: Encoding) -> Result<f64> {
    let sample = column.slice(0, column.len().min(SAMPLE_ROWS));
    let values = sample.len() - sample.null_count();
    let rows = RecordBatch::try_from_iter([("sample", sample)])?;
    let properties = common()?.set_dictionary_enabled(false);
    let properties = encoded(properties, "sample", encoding)?.build();
    let mut writer = ArrowWriter::try_new(std::io::sink(), rows.schema(), Some(properties))?;
    writer.write(&rows)?;
    let written = writer.close()?;
    let column = written.row_groups().first().and_then(|group| group.columns().first());
    let bytes = column.ok_or_else(|| ParquetError::General("nothing written".to_owned()))?;
    Ok(bytes.compressed_size() as f64 / values.max(1) as f64)
}
