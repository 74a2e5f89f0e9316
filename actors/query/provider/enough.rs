//! What is enough of each series, for somebody who needs only the rows at one end of time.

use super::groups::Groups;
use super::selection::times;
use super::times::TimeRange;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::error::Result;
use protocols::messages::store::SortedRows;
use std::ops::Range;
use std::sync::Arc;

/// What somebody above a scan tells it about that, before it runs and while it does.
#[derive(Clone, Debug)]
pub(super) struct Enough {
    /// Of these groups no row of a segment is needed that was not opened yet.
    pub(super) met: Arc<Groups>,
    /// What is needed of a series of another group.
    pub(super) of_series: OfSeries,
}

/// See [`Enough`].
#[derive(Clone, Debug)]
pub(super) enum OfSeries {
    /// All rows.
    All,
    /// The newest row.
    NewestRow,
    /// The rows from one end of time on to the last value that counts.
    Values(Values),
}

/// So many values of each of some columns count, or if there is no column, so many rows.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) columns: Vec<String>,
    pub(super) count: usize,
    /// True if it is the newest that count.
    pub(super) newest: bool,
}

impl Enough {
    /// The groups of which the newest row is enough.
    pub(super) fn newest(&self) -> Option<&Arc<Groups>> {
        matches!(self.of_series, OfSeries::NewestRow).then_some(&self.met)
    }

    /// What is needed of `series` of sorted rows if other inputs may have the same keys: rows of times
    /// in `wanted`, and maybe others.
    pub(super) fn beside_others(
        &self,
        sorted: &SortedRows,
        series: Vec<Range<usize>>,
        wanted: TimeRange,
    ) -> Result<Vec<Range<usize>>> {
        let series = self.met.not_met(sorted, series)?;
        match self.of_series {
            OfSeries::NewestRow => Ok(last_rows(times(&sorted.rows)?, series, wanted)),
            OfSeries::All | OfSeries::Values(_) => Ok(series),
        }
    }

    /// What is needed of `series` of rows whose keys no other input has, of times in `wanted`. `None`
    /// if that is all.
    pub(super) fn alone(
        &self,
        rows: &RecordBatch,
        series: &[Range<usize>],
        wanted: TimeRange,
    ) -> Result<Option<Vec<Range<usize>>>> {
        let OfSeries::Values(values) = &self.of_series else { return Ok(None) };
        let (times, nulls) = (times(rows)?, values.nulls(rows));
        let needed = series.iter().map(|span| values.of(within(times, span, wanted), &nulls));
        Ok(Some(needed.filter(|span| !span.is_empty()).collect()))
    }
}

impl Values {
    /// Where values are missing, for each column that has some.
    fn nulls(&self, rows: &RecordBatch) -> Vec<Option<NullBuffer>> {
        if self.columns.is_empty() {
            return vec![None];
        }
        let columns = self.columns.iter().filter_map(|name| rows.column_by_name(name));
        let nulls = columns.map(|column| column.logical_nulls());
        nulls.filter(|n| n.as_ref().is_none_or(|n| n.null_count() < n.len())).collect()
    }

    /// The rows of a series that are enough.
    fn of(&self, series: Range<usize>, nulls: &[Option<NullBuffer>]) -> Range<usize> {
        let last = nulls.iter().filter_map(|nulls| self.last(&series, nulls.as_ref()));
        match self.newest {
            true => last.min().map_or(0..0, |last| last..series.end),
            false => last.max().map_or(0..0, |last| series.start..last + 1),
        }
    }

    /// The row with the last value of a column that counts.
    fn last(&self, series: &Range<usize>, nulls: Option<&NullBuffer>) -> Option<usize> {
        let is_there = |row: &usize| nulls.is_none_or(|nulls| nulls.is_valid(*row));
        let rows = series.clone();
        match (self.newest, nulls) {
            (true, None) => rows.rev().take(self.count).next_back(),
            (false, None) => rows.take(self.count).next_back(),
            (true, Some(_)) => rows.rev().filter(is_there).take(self.count).last(),
            (false, Some(_)) => rows.filter(is_there).take(self.count).last(),
        }
    }
}

/// The rows of a series whose times are in `wanted`.
fn within(times: &[i64], series: &Range<usize>, wanted: TimeRange) -> Range<usize> {
    let run = &times[series.clone()];
    let begin = series.start + run.partition_point(|time| *time < wanted.min_ns);
    let end = series.start + run.partition_point(|time| *time <= wanted.max_ns);
    begin..end.max(begin)
}

/// The last row of each of `series` whose time is in `wanted`.
fn last_rows(times: &[i64], series: Vec<Range<usize>>, wanted: TimeRange) -> Vec<Range<usize>> {
    let last = |span: Range<usize>| {
        let rows = within(times, &span, wanted);
        (!rows.is_empty()).then(|| rows.end - 1..rows.end)
    };
    series.into_iter().filter_map(last).collect()
}
