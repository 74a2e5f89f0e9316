//! The operator that reads a table.
//!
//! It reads the segments of a description in order of time, the newest first unless somebody above
//! wants the oldest: of those that cannot matter any more to a query none is opened.

use super::coalesce::join_short;
use super::context::ScanContext;
use super::counts::Counts;
use super::decoder::Sparing;
use super::enough::{Enough, OfSeries};
use super::merge::key_order;
use super::open::Opener;
use super::reading::Reading;
use super::relevance::Relevance;
use super::scan::{Scan, Since};
use super::segment::{Part, Segment, parts};
use super::short::Quick;
use super::times::TimeRange;
use super::values::WantedValues;
use crate::query::plan_kit::no_children;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    SortOrderPushdownResult, apply_expression_roots,
};
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, stream};
use protocols::schema::TIME_COLUMN;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct ScanExec {
    scan: Arc<Scan>,
    /// What the partitions read, in order of time.
    parts: Arc<[Part]>,
    oldest_first: bool,
    /// True if the first segments are likely to be enough.
    is_for_first: bool,
    /// Conditions that somebody above applies. Here they spare the reading of rows.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    /// Rows that a partition yields at most.
    fetch: Option<usize>,
    /// What is enough of each series. Segments whose groups were all met are left out.
    enough: Option<Arc<Enough>>,
    all: Known,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What is known of the rows of some segments.
#[derive(Clone, Copy, Debug)]
struct Known {
    rows: Precision<usize>,
    /// What their times lie between.
    times: TimeRange,
    /// True if both ends are times of rows.
    is_whole: bool,
}

impl Known {
    const NOTHING: Self =
        Self { rows: Precision::Exact(0), times: TimeRange::NONE, is_whole: true };

    /// What is known of these rows and one of so many parts of `segment`.
    fn and(self, segment: &Segment, of: usize) -> Self {
        let rows = match of {
            1 => segment.rows,
            _ => segment.rows.with_estimated_selectivity(1.0 / of as f64),
        };
        Self {
            rows: self.rows.add(&rows),
            times: self.times.to(segment.times),
            is_whole: self.is_whole && segment.is_whole && of == 1,
        }
    }
}

impl ScanExec {
    /// Reads with up to `partitions_max` partitions. `limit` rows are enough.
    pub(super) fn new(
        scan: Arc<Scan>,
        partitions_max: usize,
        batch_rows: usize,
        limit: Option<usize>,
    ) -> Self {
        let all = scan.segments.iter().fold(Known::NOTHING, |all, segment| all.and(segment, 1));
        // With a limit each partition would open a file where one of them is enough.
        let partitions_max = if limit.is_some() { 1 } else { partitions_max };
        let partitions = partitions(&scan, all, batch_rows.max(1)).min(partitions_max);
        let parts = parts(&scan.segments, partitions, batch_rows);
        let properties = properties(&scan, &parts, partitions.min(parts.len()).max(1));
        Self {
            all,
            properties: Arc::new(properties),
            parts,
            scan,
            oldest_first: false,
            is_for_first: false,
            filters: Vec::new(),
            fetch: limit,
            enough: None,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same in one partition, for somebody who needs the rows at one end of time, the newest or
    /// the oldest, and tells meanwhile what is [`Enough`].
    pub(super) fn for_end(self, newest: bool) -> Self {
        // Whole segments: who has seen one knows these rows of each of its groups.
        let parts = parts(&self.scan.segments, 1, 1);
        let properties = Arc::new(properties(&self.scan, &parts, 1));
        Self { properties, parts, is_for_first: true, oldest_first: !newest, ..self }
    }

    /// Between what the times of all rows lie.
    pub(super) fn times(&self) -> TimeRange {
        self.all.times
    }

    /// The same, in as many partitions, without rows before an instant.
    fn since(&self, since_ns: i64) -> Self {
        let scan = Arc::new(self.scan.since(since_ns));
        let all = scan.segments.iter().fold(Known::NOTHING, |all, segment| all.and(segment, 1));
        let parts = parts(&scan.segments, self.partitions(), 1);
        Self { all, parts, scan, ..self.clone() }
    }

    /// The same, once it counts for the files that a query may read.
    ///
    /// # Errors
    /// When these are too many, or `session` was not made for queries of tables.
    pub(super) fn admitted(self, session: &SessionConfig) -> Result<Self> {
        ScanContext::of(session)?.admit(files_wanted(&self.scan.segments, self.fetch))?;
        Ok(self)
    }

    /// The same with the rows of another scan of the table, which has done nothing yet.
    fn with_rows_of(&self, other: &Self) -> Self {
        Self {
            scan: Arc::clone(&other.scan),
            parts: Arc::clone(&other.parts),
            all: other.all,
            metrics: ExecutionPlanMetricsSet::new(),
            ..self.clone()
        }
    }

    /// True if a plan that was made for these rows does for the same ones of another time or series:
    /// nobody above has told the scan more than a condition that does not change. Above what has no row
    /// for certain the engine leaves limits out.
    pub(super) fn may_have_other_rows(&self) -> bool {
        let has_rows = self.all.rows != Precision::Exact(0);
        has_rows && self.partitions() == 1 && !self.is_for_first && self.enough.is_none()
    }

    /// True if what a plan assumes of the other scan, for which it was made, holds for this one.
    pub(super) fn comes_as(&self, other: &Self) -> bool {
        // A tag that came since the query saw the catalog is part of the order, too.
        self.partitions() == other.partitions()
            && self.properties.output_ordering() == other.properties.output_ordering()
    }

    /// The same without any rows.
    pub(super) fn without_rows(&self) -> Self {
        let scan = Arc::new(self.scan.without_rows());
        Self { scan, parts: Arc::from([]), all: Known::NOTHING, ..self.clone() }
    }

    /// What is read.
    pub(super) fn scan(&self) -> &Arc<Scan> {
        &self.scan
    }

    /// What is enough of each series. Of rows that somebody may leave out no one is.
    fn enough(&self) -> Option<Arc<Enough>> {
        let enough = self.enough.as_ref()?;
        Some(match self.filters.is_empty() {
            true => Arc::clone(enough),
            false => Arc::new(Enough { of_series: OfSeries::All, ..Enough::clone(enough) }),
        })
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// What a partition reads, in the order of its reading. Neighbours go to different ones, so that
    /// all of them begin at the same end.
    fn queue(&self, partition: usize) -> VecDeque<Part> {
        let parts = self.parts.iter().copied();
        match self.oldest_first {
            true => parts.skip(partition).step_by(self.partitions()).collect(),
            false => parts.rev().skip(partition).step_by(self.partitions()).collect(),
        }
    }

    fn statistics(&self, known: Known) -> Statistics {
        let mut statistics = Statistics::new_unknown(&self.scan.schema);
        let Known { mut rows, times, is_whole } = known;
        if let Some(fetch) = self.fetch {
            rows = rows.min(&Precision::Exact(fetch.saturating_mul(self.partitions())));
        }
        if !self.filters.is_empty() || (self.fetch.is_some() && self.partitions() > 1) {
            rows = rows.to_inexact();
        }
        statistics.num_rows = rows;
        if let Ok(index) = self.scan.schema.index_of(TIME_COLUMN)
            && !times.is_empty()
        {
            let at = |ns| Precision::Exact(ScalarValue::TimestampNanosecond(Some(ns), None));
            let times = ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: at(times.min_ns),
                max_value: at(times.max_ns),
                ..ColumnStatistics::new_unknown()
            };
            let is_exact = is_whole && self.filters.is_empty() && self.fetch.is_none();
            statistics.column_statistics[index] = if is_exact { times } else { times.to_inexact() };
        }
        statistics
    }
}

/// How many files are read for so many rows, the newest first.
fn files_wanted(segments: &[Segment], limit: Option<usize>) -> usize {
    let (mut files, mut rows) = (0, 0);
    for segment in segments.iter().rev() {
        if limit.is_some_and(|limit| rows >= limit) {
            break;
        }
        files += segment.files().count();
        if let Precision::Exact(exact) = segment.rows {
            rows += exact;
        }
    }
    files
}

/// How many partitions are worth their while: one for each batch of rows, since of more than one the
/// engine would make several by itself, for each file and for each batch of rows to sort.
fn partitions(scan: &Scan, all: Known, batch_rows: usize) -> usize {
    let files: usize = scan.segments.iter().map(Segment::files_to_open).sum();
    let unsorted: usize = scan.segments.iter().map(|segment| segment.unsorted).sum();
    let rows = all.rows.get_value().copied().unwrap_or(0);
    rows.div_ceil(batch_rows) + files + unsorted / batch_rows
}

fn properties(scan: &Scan, parts: &[Part], partitions: usize) -> PlanProperties {
    let in_order = parts.len() <= partitions && scan.segments.iter().all(|s| s.in_order);
    let ordering = key_order(&scan.table, &scan.schema).filter(|_| in_order);
    PlanProperties::new(
        EquivalenceProperties::new_with_orderings(Arc::clone(&scan.schema), ordering),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
    .with_scheduling_type(SchedulingType::Cooperative)
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = &self.scan.segments;
        let number = |is: fn(&Segment) -> bool| segments.iter().filter(|s| is(s)).count();
        let decoded: usize = segments.iter().map(|segment| segment.decoded).sum();
        let files: usize = segments.iter().map(Segment::files_to_open).sum();
        let order = if self.oldest_first { "oldest" } else { "newest" };
        write!(f, "ScanExec: table={}, segments={}", self.scan.table.name, segments.len())?;
        for (what, number) in [
            ("overlapping", number(|segment| segment.sources.len() > 1)),
            ("unsorted", number(|segment| segment.unsorted > 0)),
            ("files", files),
            ("decoded", decoded),
        ] {
            if number > 0 {
                write!(f, ", {what}={number}")?;
            }
        }
        write!(f, ", partitions={}, first={order}", self.partitions())?;
        write!(f, "{}", self.scan.selection)?;
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        self.filters.iter().try_for_each(|filter| write!(f, ", pruned_by={filter}"))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    no_children!();

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.filters.iter(), f)
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let counts = Counts::new(&self.metrics, partition);
        let batch_rows = task.session_config().batch_size();
        // Who may need only the first rows gets them as they come.
        let wants_all = !self.is_for_first && self.fetch.is_none();
        let reading = Reading {
            opener: Arc::new(Opener::new(&self.scan, task, counts)?),
            sparing: Sparing {
                limit: self.fetch.filter(|_| self.filters.is_empty()),
                quick: Quick::of(&self.filters, &self.scan.schema),
                filters: self.filters.clone(),
                values: WantedValues::of(&self.filters, &self.scan.table),
                enough: self.enough(),
            },
            relevance: Relevance::new(&self.filters, &self.scan.schema),
            queue: self.queue(partition),
            reads_ahead: wants_all,
            rest: self.fetch.unwrap_or(usize::MAX),
            open: None,
            ahead: None,
        };
        let mut batches = stream::try_unfold(reading, Reading::next).boxed();
        if wants_all && !self.scan.schema.fields().is_empty() {
            batches = join_short(batches, self.schema(), batch_rows).boxed();
        }
        let timed = stream::poll_fn(move |cx| {
            let timer = baseline.elapsed_compute().clone();
            let _timer = timer.timer();
            baseline.record_poll(batches.poll_next_unpin(cx))
        });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), timed))))
    }

    /// The same for somebody who tells meanwhile what is enough of each series, or who needs no row at
    /// all before an instant; or with the rows of another scan.
    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn ExecutionPlan>> {
        if let Some(Since(since_ns)) = state.downcast_ref::<Since>() {
            return Some(Arc::new(self.since(*since_ns)));
        }
        if let Some(other) = state.downcast_ref::<Self>() {
            return Some(Arc::new(self.with_rows_of(other)));
        }
        let enough = Some(state.downcast::<Enough>().ok()?);
        Some(Arc::new(Self { enough, ..self.clone() }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let known = match args.partition() {
            Some(partition) => {
                let parts = self.queue(partition).into_iter();
                parts.fold(Known::NOTHING, |known, Part { segment, of, .. }| {
                    known.and(&self.scan.segments[segment], of)
                })
            }
            None => self.all,
        };
        Ok(Arc::new(self.statistics(known)))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch: limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    /// Takes any condition for what it spares, and leaves its application to others.
    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let offered: Vec<_> = result.parent_filters.into_iter().map(|f| f.filter).collect();
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(vec![
            PushedDown::No;
            offered.len()
        ]);
        let on_this = |filter| reassign_expr_columns(filter, &self.scan.schema).ok();
        let taken = offered.into_iter().filter(|f| !is_volatile(f)).filter_map(on_this);
        let taken: Vec<_> = taken.collect();
        if taken.is_empty() {
            return Ok(answer);
        }
        let mut with_filters = self.clone();
        with_filters.filters.extend(taken);
        Ok(answer.with_updated_node(Arc::new(with_filters)))
    }

    /// Segments are in order of time, though not the rows in them.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let Some(first) = order.first() else {
            return Ok(SortOrderPushdownResult::Unsupported);
        };
        let by_time = first.expr.downcast_ref::<Column>().is_some_and(|c| c.name() == TIME_COLUMN);
        if !by_time {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let oldest_first = !first.options.descending;
        let inner = Arc::new(Self { oldest_first, is_for_first: true, ..self.clone() });
        Ok(SortOrderPushdownResult::Inexact { inner })
    }
}
