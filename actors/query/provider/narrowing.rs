//! Which rows of a merged file have to be looked at: by what it says of the values of its columns, and,
//! where its footer says how the times of its series run, by these.

use super::overlap::FileRows;
use super::reader::{Fetched, FileAccess};
use super::segment::file_times;
use super::selection::Selection;
use super::values::{ColumnValues, WantedValues};
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::parquet::file::metadata::ParquetMetaData;
use protocols::series_blocks::{self, SeriesBlocks};
use protocols::snapshot::ParquetFile;
use std::ops::Range;
use std::sync::Arc;

/// If more than this part of the rows have to be looked at by their times, all of them are.
const WORTH_IT: usize = 2;

/// Limit: a file up to this size is fetched at once if rows of all its series are looked at. They lie
/// in all parts of it, each of which would be a request of its own.
const WHOLE_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is known before a file is decoded.
#[derive(Debug, Default)]
pub(super) struct Narrowed {
    /// The rows that have to be looked at, if not all.
    pub(super) rows: Option<RowSelection>,
    /// The bytes of the file, if they had to be fetched to find that out.
    pub(super) fetched: Option<Fetched>,
}

impl Narrowed {
    /// True if no row has to be looked at.
    pub(super) fn is_nothing(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| !rows.selects_any())
    }
}

impl FileAccess {
    /// Finds out which rows of a file have to be looked at for `selection`, and for values that fields
    /// have to have. With `newest` it is enough if the newest row of each series is among them.
    pub(super) async fn narrowed(
        &self,
        rows: &FileRows,
        selection: &Selection,
        fields: &WantedValues,
        newest: bool,
    ) -> Result<Narrowed> {
        let file = &rows.file;
        let (places, fetched) = self.places(file, &selection.values().and(fields)).await;
        let by_values = Narrowed { rows: places.map(|rows| selected(rows, file)), fetched };
        if by_values.is_nothing() {
            return Ok(by_values);
        }
        let by_times = self.narrowed_by_times(rows, selection, newest).await?;
        let rows = match (by_values.rows, by_times.rows) {
            (Some(some), Some(others)) => Some(some.intersection(&others)),
            (some, others) => some.or(others),
        };
        Ok(Narrowed { rows, fetched: by_times.fetched.or(by_values.fetched) })
    }

    /// True if no row of a file has such values.
    pub(super) async fn has_none(&self, file: &Arc<ParquetFile>, wanted: &WantedValues) -> bool {
        self.places(file, wanted).await.0.is_some_and(|places| places.is_empty())
    }

    /// Where in a file rows with such values may be; `None` if that is anywhere.
    async fn places(
        &self,
        file: &Arc<ParquetFile>,
        wanted: &WantedValues,
    ) -> (Option<Vec<Range<usize>>>, Option<Fetched>) {
        if wanted.is_any() || file.compacted.is_none() || self.is_past_retention(file) {
            return (None, None);
        }
        match self.values_of(file, wanted).await {
            Ok((known, fetched)) => (wanted.places(&known), fetched),
            Err(error) => {
                // Whoever reads the rows finds out whether it is the file that cannot be read.
                tracing::debug!(file = file.id, %error, "cannot read which values a file has");
                (None, None)
            }
        }
    }

    /// What a file says of the columns of which some values are wanted.
    async fn values_of(
        &self,
        file: &Arc<ParquetFile>,
        wanted: &WantedValues,
    ) -> Result<(Vec<Arc<ColumnValues>>, Option<Fetched>)> {
        let remembered = &self.files.remembered.values.0;
        let key = |column: &Arc<str>| (file.id, Arc::clone(column));
        let known = wanted.columns().map(|column| remembered.get(&key(column)));
        if let Some(known) = known.collect() {
            return Ok((known, None));
        }
        let filters = |description: &ParquetMetaData| {
            wanted.columns().flat_map(|column| ColumnValues::filters(description, column)).collect()
        };
        let (description, filters, fetched) = self.parts(file, filters).await?;
        let mut filters = filters.into_iter();
        let found = wanted.columns().map(|column| {
            let found = Arc::new(ColumnValues::new(&description, column, &mut filters));
            remembered.insert(key(column), Arc::clone(&found));
            found
        });
        Ok((found.collect(), fetched))
    }

    async fn narrowed_by_times(
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
        Ok(Narrowed { rows: is_worth_it.then(|| selected(found, file)), fetched })
    }
}

/// These of the rows of a file.
fn selected(rows: Vec<Range<usize>>, file: &ParquetFile) -> RowSelection {
    let all = usize::try_from(file.row_count).unwrap_or(usize::MAX);
    RowSelection::from_consecutive_ranges(rows.into_iter(), all)
}

/// What the footer of a file of so many rows says of its series.
fn blocks(description: &ParquetMetaData, rows: u64) -> Option<SeriesBlocks> {
    let mut entries = description.file_metadata().key_value_metadata()?.iter();
    let entry = entries.find(|entry| entry.key == series_blocks::KEY)?;
    SeriesBlocks::decode(entry.value.as_ref()?, rows)
}
