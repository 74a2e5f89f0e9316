//! The parts in which a table is read.

use super::deferred::Deferred;
use super::filters::TimeRange;
use super::group::{Group, file_times};
use super::merge::Merge;
use super::plan::Scan;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::stats::Precision;
use protocols::snapshot::ParquetFile;
use std::sync::Arc;

/// Rows whose keys occur in no other part.
#[derive(Debug)]
pub(super) struct Part {
    /// What the times of the rows lie between.
    pub(super) times: TimeRange,
    /// True if both ends are times of rows of the parts that were made together with this one.
    pub(super) is_whole: bool,
    /// Number of rows, if known for certain, or else a guess.
    pub(super) rows: Precision<usize>,
    /// True if the rows come in key order.
    pub(super) in_order: bool,
    pub(super) source: Source,
}

/// Where the rows of a part are.
#[derive(Debug)]
pub(super) enum Source {
    /// Rows in memory, with the columns of the result.
    Rows(Vec<RecordBatch>),
    File(Arc<ParquetFile>),
    Merge(Merge),
    /// Rows that are sorted, or searched, when a query comes to them.
    Deferred(Arc<Deferred>),
}

impl Part {
    pub(super) fn rows(
        rows: Vec<RecordBatch>,
        times: TimeRange,
        is_whole: bool,
        in_order: bool,
    ) -> Self {
        let count = rows.iter().map(RecordBatch::num_rows).sum();
        Self {
            times,
            is_whole,
            rows: Precision::Exact(count),
            in_order,
            source: Source::Rows(rows),
        }
    }

    pub(super) fn file(file: Arc<ParquetFile>, scan: &Scan) -> Self {
        let (times, rows) = (file_times(&file), file.row_count as usize);
        let is_whole = scan.selection.is_every_series() && scan.selection.times.covers(times);
        let rows = if is_whole { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        let times = times.and(scan.selection.times);
        Self { times, is_whole, rows, in_order: true, source: Source::File(file) }
    }

    pub(super) fn merge(merge: Merge, times: TimeRange, is_whole: bool) -> Self {
        let rows = Precision::Inexact(merge.rows_max());
        Self { times, is_whole, rows, in_order: true, source: Source::Merge(merge) }
    }

    pub(super) fn deferred(group: Group, scan: &Scan) -> Self {
        let (times, is_whole) = group.extent(scan);
        let exact = group.rows_exact(scan).map(Precision::Exact);
        let rows = exact.unwrap_or(Precision::Inexact(group.rows_max()));
        let in_order = group.is_in_order(scan);
        let source = Source::Deferred(Arc::new(Deferred::new(group)));
        Self { times, is_whole, rows, in_order, source }
    }

    /// True if the rows are read when somebody asks for them.
    pub(super) fn is_deferred(&self) -> bool {
        matches!(self.source, Source::Deferred(_))
    }

    /// True if the rows have to be sorted first.
    pub(super) fn is_unsorted(&self) -> bool {
        matches!(&self.source, Source::Deferred(rows) if rows.group().unsorted_bytes() > 0)
    }

    /// How many files have their rows in memory.
    pub(super) fn decoded(&self) -> usize {
        match &self.source {
            Source::Deferred(deferred) => deferred.group().decoded,
            _ => 0,
        }
    }

    /// How many files are opened for the rows.
    pub(super) fn files(&self) -> usize {
        match &self.source {
            Source::Rows(_) => 0,
            Source::File(_) => 1,
            Source::Merge(merge) => merge.files.len(),
            Source::Deferred(deferred) => deferred.files(),
        }
    }
}
