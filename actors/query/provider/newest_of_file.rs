//! The newest row of each group in a file, remembered from query to query.
//!
//! The rows of a compacted file stand by series, so that the newest ones lie all over it: what a query
//! has found it hands on to those after it, for a file never changes.

use super::decoder::Sparing;
use super::enough::{Enough, OfSeries};
use super::groups::Groups;
use super::open::{Opener, SegmentRows};
use super::overlap::FileRows;
use super::remembered::{NewestOfFiles, Question};
use super::segment::file_times;
use super::selection::{project, times};
use super::times::TimeRange;
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt, stream};
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// Limit: rows that are remembered of a file, and that are held for that while it is read.
const ROWS_MAX: usize = 16 * 1024;

impl Opener {
    /// Of the selected rows of a file that are not deleted the newest of each group, and maybe some
    /// older ones.
    pub(super) async fn newest_of_file(
        &self,
        file: &FileRows,
        groups: &Arc<Groups>,
    ) -> Result<SegmentRows> {
        let (selection, schema) = (&self.scan.selection, &self.scan.schema);
        let bounds = file_times(&file.file);
        let columns: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        let question: Question =
            (file.file.id, format!("{} {columns:?}", groups.question()).into());
        let known = &self.context.files.remembered.newest;
        // Where only the oldest rows are not selected, the newest row of a group is what it is in the
        // whole file, or none of the group is selected.
        let is_of_whole = selection.times.max_ns >= bounds.max_ns && file.deletes.is_empty();
        if is_of_whole && let Some(rows) = known.0.get(&question) {
            let rows = project(&since(rows, selection.times)?, schema)?;
            return Ok(stream::iter([Ok(rows)]).boxed());
        }
        let of_series = OfSeries::NewestRow;
        let enough = Arc::new(Enough { met: Arc::clone(groups), of_series });
        let newest = Sparing { enough: Some(enough), ..Sparing::default() };
        let is_whole = selection.times.covers(bounds) && file.deletes.is_empty();
        let reading = Reading {
            rows: self.rows_of_file(file, schema, &newest).await?,
            groups: Arc::clone(groups),
            time: schema.index_of(TIME_COLUMN)?,
            kept: is_whole.then(Vec::new),
            kept_rows: 0,
            keep_as: (known.clone(), question),
        };
        Ok(stream::try_unfold(reading, Reading::next).boxed())
    }
}

/// The rows whose times lie in `wanted`.
fn since(rows: RecordBatch, wanted: TimeRange) -> Result<RecordBatch> {
    let all = times(&rows)?;
    if all.iter().all(|time| *time >= wanted.min_ns) {
        return Ok(rows);
    }
    let is_wanted = |row: &usize| all[*row] >= wanted.min_ns;
    let found = (0..all.len()).filter(is_wanted).map(|row| row as u32);
    Ok(take_record_batch(&rows, &UInt32Array::from_iter_values(found))?)
}

/// A file that is being read.
struct Reading {
    rows: SendableRecordBatchStream,
    groups: Arc<Groups>,
    /// The column with the time of the rows.
    time: usize,
    /// What is to be remembered of the rows so far, if anything.
    kept: Option<Vec<RecordBatch>>,
    kept_rows: usize,
    keep_as: (NewestOfFiles, Question),
}

impl Reading {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let Some(batch) = self.rows.try_next().await? else {
            self.remember()?;
            return Ok(None);
        };
        let newest = self.newest(&batch)?;
        if let Some(kept) = &mut self.kept {
            self.kept_rows += newest.num_rows();
            kept.push(newest.clone());
        }
        if self.kept_rows > ROWS_MAX {
            self.kept = None;
        }
        Ok(Some((newest, self)))
    }

    fn newest(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        Ok(take_record_batch(batch, &self.groups.newest(batch, Some(self.time))?)?)
    }

    fn remember(&mut self) -> Result<()> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        let rows = self.newest(&concat_batches(&self.rows.schema(), &kept)?)?;
        let (known, question) = &self.keep_as;
        known.0.insert(question.clone(), rows);
        Ok(())
    }
}
