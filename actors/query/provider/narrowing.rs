//! Which rows of a file have to be looked at, where its footer says how the times of its series run.

use super::overlap::FileRows;
use super::reader::{Fetched, FileAccess};
use super::segment::file_times;
use super::selection::Selection;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::parquet::file::metadata::ParquetMetaData;
use protocols::series_blocks::{self, SeriesBlocks};
use std::ops::Range;
use std::sync::Arc;

/// If more than this part of the rows have to be looked at, all of them are.
const WORTH_IT: usize = 2;

/// Limit: a file up to this size is fetched at once if rows of all its series are looked at. They lie
/// in all parts of it, each of which would be a request of its own.
const WHOLE_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is known before a file is decoded.
#[derive(Debug, Default)]
pub(super) struct Narrowed {
    /// The rows that have to be looked at, if not all.
    pub(super) rows: Option<ParquetRowSelection>,
    /// The bytes of the file, if they had to be fetched to find that out.
    pub(super) fetched: Option<Fetched>,
}

impl FileAccess {
    /// Finds out which rows of a file have to be looked at for `selection`. With `newest` it is enough
    /// if the newest row of each series is among them.
    pub(super) async fn narrowed(
        &self,
        rows: &FileRows,
        selection: &Selection,
        newest: bool,
    ) -> Result<Narrowed> {
        let FileRows { file, deletes } = rows;
        let (wanted, bounds) = (selection.times, file_times(file));
        // A newest row that was deleted, or is too new, gives way to one before it.
        let only_last = newest && deletes.is_empty() && wanted.max_ns >= bounds.max_ns;
        let is_narrow = only_last || !wanted.covers(bounds);
        if !is_narrow || file.compacted.is_none() || self.is_past_retention(file) {
            return Ok(Narrowed::default());
        }
        let known = &self.files.remembered.blocks.0;
        let (blocks, fetched) = match known.get(&file.id) {
            Some(blocks) => (blocks, None),
            None => {
                let (description, fetched) = self.description(file).await?;
                let blocks = blocks(&description, file.row_count).map(Arc::new);
                known.insert(file.id, blocks.clone());
                (blocks, fetched)
            }
        };
        let Some(blocks) = blocks else { return Ok(Narrowed { rows: None, fetched }) };
        let found = match only_last {
            true => blocks.last_rows(),
            false => blocks.rows_within(wanted.min_ns, wanted.max_ns),
        };
        let is_worth_it = found.iter().map(Range::len).sum::<usize>() <= blocks.rows() / WORTH_IT;
        let is_spread = selection.is_every_series() && file.size_bytes <= WHOLE_FILE_BYTES_MAX;
        let fetched = match fetched {
            None if is_worth_it && is_spread => Some(self.bytes(file).await?),
            fetched => fetched,
        };
        let rows = is_worth_it.then(|| {
            let rows = RowSelection::from_consecutive_ranges(found.into_iter(), blocks.rows());
            ParquetRowSelection::new(rows)
        });
        Ok(Narrowed { rows, fetched })
    }
}

/// What the footer of a file of so many rows says of its series.
fn blocks(description: &ParquetMetaData, rows: u64) -> Option<SeriesBlocks> {
    let mut entries = description.file_metadata().key_value_metadata()?.iter();
    let entry = entries.find(|entry| entry.key == series_blocks::KEY)?;
    SeriesBlocks::decode(entry.value.as_ref()?, rows)
}
