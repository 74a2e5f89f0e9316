//! Which groups chunks and files have, as far as that is known or found out for less than reading all
//! of their rows.

use super::decoder::Sparing;
use super::groups::Groups;
use super::key_sets::KeySet;
use super::open::Opener;
use super::overlap::FileRows;
use super::segment::{Segment, Source, chunk_times, file_times};
use super::values::WantedValues;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute::take;
use datafusion::error::Result;
use protocols::messages::store::SortedRows;
use protocols::snapshot::ParquetFile;
use std::ops::Range;
use std::sync::Arc;

impl Groups {
    /// True if no row of an older segment is of a group that was not met.
    pub(super) async fn cover(&self, older: &Segment, from: &Opener) -> Result<bool> {
        let has_met_any = self.has_met_any();
        if !has_met_any || self.schema().fields().is_empty() {
            return Ok(has_met_any);
        }
        for source in &older.sources {
            match self.of_source(source, from).await? {
                Some(keys) if self.have_met(&keys) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The groups of a source at all times. `None` if its rows would have to be sorted for that.
    async fn of_source(&self, source: &Source, from: &Opener) -> Result<Option<Arc<KeySet>>> {
        match source {
            Source::Chunk(number) => {
                let chunk = from.rows.view.chunk(*number)?;
                match &chunk.sorted {
                    Some(sorted) if chunk.unsorted.is_empty() => {
                        self.of_sorted(sorted, from).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            Source::File(file) => match from.rows.decoded.get(&file.id) {
                Some(rows) => self.of_sorted(rows, from).map(Some),
                None => self.of_file(file, from).await.map(Some),
            },
        }
    }

    /// The groups of the selected rows of a segment, by source. `None` if its rows have to be read.
    /// A set that is equal to one of `known` becomes that one, here and for later queries.
    pub(super) async fn of_segment(
        &self,
        segment: &Segment,
        from: &Opener,
        known: &[Arc<KeySet>],
    ) -> Result<Option<Vec<Arc<KeySet>>>> {
        let mut sets = Vec::with_capacity(segment.sources.len());
        for source in &segment.sources {
            let view = &from.rows.view;
            let (times, deletes) = match source {
                Source::Chunk(number) => {
                    let chunk = view.chunk(*number)?;
                    (chunk_times(&chunk), view.deletes_of_chunk(&chunk))
                }
                Source::File(file) => (file_times(file), view.deletes_of_file(file)),
            };
            // What was deleted may have been all rows of a group.
            if !from.scan.selection.times.covers(times) || !deletes.is_empty() {
                return Ok(None);
            }
            let Some(keys) = self.of_source(source, from).await? else { return Ok(None) };
            let equal = known.iter().find(|known| **known == keys);
            match equal {
                Some(equal) if !Arc::ptr_eq(equal, &keys) => self.keep(source, from, equal)?,
                _ => {}
            }
            sets.push(equal.map_or(keys, Arc::clone));
        }
        Ok(Some(sets))
    }

    fn keep(&self, source: &Source, from: &Opener, keys: &Arc<KeySet>) -> Result<()> {
        let known = &from.context.files.remembered.key_sets;
        let rows = match source {
            Source::Chunk(number) => from.rows.view.chunk(*number)?.sorted.clone(),
            Source::File(file) => from.rows.decoded.get(&file.id).cloned(),
        };
        match (rows, source) {
            (Some(rows), _) => known.keep_of_rows(&rows, self.question(), keys),
            (None, Source::File(file)) => known.keep_of_file(file.id, self.question(), keys),
            (None, Source::Chunk(_)) => {}
        }
        Ok(())
    }

    /// The groups of the selected series, at all times.
    fn of_sorted(&self, sorted: &Arc<SortedRows>, from: &Opener) -> Result<Arc<KeySet>> {
        let known = &from.context.files.remembered.key_sets;
        if let Some(keys) = known.of_rows(sorted, self.question()) {
            return Ok(keys);
        }
        let series = from.scan.selection.series(sorted)?;
        let keys = self.keys_of(&self.tags_of(sorted, &series)?)?;
        known.keep_of_rows(sorted, self.question(), &keys);
        Ok(keys)
    }

    /// The tags of each of `series`.
    fn tags_of(&self, sorted: &SortedRows, series: &[Range<usize>]) -> Result<RecordBatch> {
        let heads = UInt32Array::from_iter_values(series.iter().map(|run| run.start as u32));
        let tags = self.schema().fields().iter().map(|field| {
            // A form that was sorted before the table had the tag lacks it.
            Ok(match sorted.rows.column_by_name(field.name()) {
                Some(column) => take(column, &heads, None)?,
                None => new_null_array(field.data_type(), heads.len()),
            })
        });
        let tags = tags.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(heads.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(self.schema()), tags, &options)?)
    }

    /// Those of `series` whose groups were not met.
    pub(super) fn not_met(
        &self,
        sorted: &SortedRows,
        series: Vec<Range<usize>>,
    ) -> Result<Vec<Range<usize>>> {
        if !self.has_met_any() || series.is_empty() {
            return Ok(series);
        }
        let names = self.of(&self.tags_of(sorted, &series)?)?;
        let is_left = self.left(&names);
        Ok(series.into_iter().zip(is_left).filter_map(|(run, is)| is.then_some(run)).collect())
    }

    /// The groups of the selected rows of a file. What they are is read once and remembered, unless
    /// time cuts the file: then the next query wants others.
    async fn of_file(&self, file: &Arc<ParquetFile>, from: &Opener) -> Result<Arc<KeySet>> {
        let selection = &from.scan.selection;
        let known = &from.context.files.remembered.key_sets;
        let is_uncut = selection.times.covers(file_times(file));
        if is_uncut && let Some(keys) = known.of_file(file.id, self.question()) {
            return Ok(keys);
        }
        let every_row = Sparing::default();
        // Also of rows that were deleted: what is remembered has to hold whatever becomes of these.
        let file = FileRows { file: Arc::clone(file), deletes: Vec::new() };
        // One row of each series will do.
        let any = WantedValues::default();
        let narrowed = from.decoder.access.narrowed(&file, selection, &any, true).await?;
        let rows = from.decoder.rows(&file, selection, self.schema(), &every_row, narrowed)?;
        let keys = self.of_rows(rows).await?;
        if is_uncut {
            known.keep_of_file(file.file.id, self.question(), &keys);
        }
        Ok(keys)
    }
}
