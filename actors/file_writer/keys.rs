//! The keys of rows that become a file.

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use protocols::key_bounds::key_bytes;
use protocols::schema::TableSchema;
use protocols::snapshot::Keys;

/// The tags of a row as bytes that compare as the tags do. Tags of the table that the rows do not
/// have are null.
///
/// # Errors
/// When a tag is something else than text.
pub(crate) fn key_at(
    rows: &RecordBatch,
    row: usize,
    table: &TableSchema,
) -> anyhow::Result<Vec<u8>> {
    let tags = table.tags().map(|tag| {
        let Some(column) = rows.column_by_name(&tag.name) else { return Ok(None) };
        let tag = column.as_dictionary_opt::<Int32Type>();
        let tag = tag.and_then(|tag| Some((tag.keys(), tag.values().as_string_opt::<i32>()?)));
        let (places, texts) = tag.context("a tag that is no text")?;
        Ok(places.is_valid(row).then(|| texts.value(places.value(row) as usize)))
    });
    Ok(key_bytes(tags.collect::<anyhow::Result<Vec<_>>>()?))
}

/// What is known of the keys of a file with these rows, which are sorted by key.
///
/// # Errors
/// When a tag is something else than text.
pub(crate) fn keys_of(
    rows: &RecordBatch,
    series: u64,
    table: &TableSchema,
) -> anyhow::Result<Keys> {
    let last = rows.num_rows().checked_sub(1).context("a file without rows")?;
    Ok(Keys::between(series, &key_at(rows, 0, table)?, &key_at(rows, last, table)?))
}
