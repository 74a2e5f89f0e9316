//! What a plan says about the reading of a table.

use super::segment::Segment;
use super::selection::Selection;
use super::times::TimeRange;
use datafusion::arrow::datatypes::SchemaRef;
use protocols::schema::TableSchema;
use std::sync::Arc;

/// What is read of a table. Plain data: nothing in it is alive, and the rows are found under the
/// number of the scan in the session of the query.
#[derive(Debug)]
pub(super) struct Scan {
    /// Which of the query's scans it is.
    pub(super) number: usize,
    /// The table with all its columns. The query may know fewer.
    pub(super) table: Arc<TableSchema>,
    /// Rows older than this many nanoseconds are invisible.
    pub(super) retention_ns: Option<i64>,
    /// Which rows.
    pub(super) selection: Selection,
    /// Which columns, in the order of the result.
    pub(super) schema: SchemaRef,
    /// Where the rows are, in order of time.
    pub(super) segments: Vec<Segment>,
}

/// What a scan is told that is to yield only rows from this instant on, nanoseconds since 1970.
#[derive(Debug)]
pub(super) struct Since(pub(super) i64);

impl Scan {
    /// The same without rows before an instant.
    pub(super) fn since(&self, since_ns: i64) -> Self {
        let wanted = TimeRange { min_ns: since_ns, max_ns: i64::MAX };
        let later = self.segments.iter().filter(|segment| segment.times.overlaps(wanted));
        self.within(wanted, later.map(|segment| segment.within(wanted)).collect())
    }

    /// The same without any rows.
    pub(super) fn without_rows(&self) -> Self {
        self.within(TimeRange::NONE, Vec::new())
    }

    /// The same of a span of time, of which these are the segments.
    fn within(&self, times: TimeRange, segments: Vec<Segment>) -> Self {
        Self {
            number: self.number,
            table: Arc::clone(&self.table),
            retention_ns: self.retention_ns,
            selection: self.selection.within(times),
            schema: Arc::clone(&self.schema),
            segments,
        }
    }
}
