//! Which segments still matter to what stands above a scan, as far as their times tell.

use super::segment::Part;
use super::times::TimeRange;
use datafusion::arrow::array::{ArrayRef, BooleanArray, TimestampNanosecondArray, UInt64Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::physical_expr::DynamicFilterTracking;
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt};
use datafusion::physical_optimizer::pruning::{
    PruningPredicate, PruningStatistics, build_pruning_predicate,
};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::metrics::Count;
use protocols::schema::TIME_COLUMN;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The conditions on time that somebody above a scan applies, as they are by now: a query for the
/// newest rows makes them narrower while it runs.
pub(super) struct Relevance {
    filter: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    tracking: DynamicFilterTracking,
    /// What the filter says of times, if anything.
    predicate: Option<Arc<PruningPredicate>>,
}

impl Relevance {
    /// `None` if none of `filters`, which are on columns of `schema`, is about time.
    pub(super) fn new(filters: &[Arc<dyn PhysicalExpr>], schema: &SchemaRef) -> Option<Self> {
        let on_time = |filter: &&Arc<dyn PhysicalExpr>| {
            collect_columns(filter).iter().any(|column| column.name() == TIME_COLUMN)
        };
        let filter = conjunction_opt(filters.iter().filter(on_time).map(Arc::clone))?;
        let tracking = DynamicFilterTracking::classify(&filter);
        let mut new = Self { filter, schema: Arc::clone(schema), tracking, predicate: None };
        new.look();
        Some(new)
    }

    fn look(&mut self) {
        let filter = Arc::clone(&self.filter);
        self.predicate = build_pruning_predicate(filter, &self.schema, &Count::new());
    }

    /// True if the conditions are others than before.
    pub(super) fn has_changed(&mut self) -> bool {
        let changed = self.tracking.watcher().is_some_and(|watcher| watcher.changed());
        if changed {
            self.look();
        }
        changed
    }

    /// For each span whether rows of such times may matter.
    pub(super) fn matter(&self, times: &[TimeRange]) -> Result<Vec<bool>> {
        match &self.predicate {
            Some(predicate) => predicate.prune(&Spans(times)),
            None => Ok(vec![true; times.len()]),
        }
    }

    /// Takes from the front of `queue` what does not matter. A query for the newest rows is through
    /// with all that are left, and a long history has many: so they are looked at in blocks, each
    /// twice as long as the one before.
    pub(super) fn skip(
        &self,
        queue: &mut VecDeque<Part>,
        times: impl Fn(Part) -> TimeRange,
    ) -> Result<usize> {
        let before = queue.len();
        let mut length = 1;
        while !queue.is_empty() {
            let block: Vec<TimeRange> = queue.iter().take(length).map(|i| times(*i)).collect();
            let matter = self.matter(&block)?;
            let useless = matter.iter().take_while(|matters| !**matters).count();
            queue.drain(..useless);
            if useless < block.len() {
                break;
            }
            length *= 2;
        }
        Ok(before - queue.len())
    }
}

/// Spans of time as statistics of a table's parts.
struct Spans<'a>(&'a [TimeRange]);

impl Spans<'_> {
    fn ends(&self, column: &Column, end: fn(&TimeRange) -> i64) -> Option<ArrayRef> {
        let ends = || TimestampNanosecondArray::from_iter_values(self.0.iter().map(end));
        (column.name == TIME_COLUMN).then(|| Arc::new(ends()) as ArrayRef)
    }
}

impl PruningStatistics for Spans<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |times| times.min_ns)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |times| times.max_ns)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let no_nulls = || UInt64Array::from(vec![0; self.0.len()]);
        (column.name == TIME_COLUMN).then(|| Arc::new(no_nulls()) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
