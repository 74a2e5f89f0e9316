//! Reading a table part by part.
//!
//! A partition opens one part at a time, so that a table of any size takes little memory and a
//! query that has enough rows opens no further file. The parts come in order of time, newest
//! first: of those that cannot matter any more to a query for the newest rows none is opened.

use super::files::file_plan;
use super::filters::TimeRange;
use super::join::{is_cheap, join_short_stream};
use super::part::{Part, Source};
use super::plan::{Scan, key_order};
use super::select::rows_without_columns;
use crate::query::plan_kit::no_children;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, exec_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::pruning::FilePruner;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    SortOrderPushdownResult, apply_expression_roots,
};
use futures::{StreamExt, TryStreamExt, stream};
use protocols::schema::TIME_COLUMN;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Name of the metric that counts the files that were opened.
pub(in super::super) const FILES_OPENED: &str = "files_opened";

/// Reads the parts of a table.
#[derive(Clone, Debug)]
pub(super) struct PartsExec {
    /// In order of time.
    parts: Arc<[Part]>,
    scan: Arc<Scan>,
    oldest_first: bool,
    /// True if the first parts are likely to be enough.
    is_for_first: bool,
    /// Conditions that somebody above applies. Here they spare the reading of rows.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    /// Rows that a partition yields at most.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PartsExec {
    /// Reads `parts`, which are in order of time.
    pub(super) fn new(parts: Vec<Part>, scan: Arc<Scan>) -> Self {
        // With a limit each partition would open a file where one of them is enough.
        let wanted = if scan.limit.is_some() { 1 } else { scan.partitions };
        let partitions = parts.len().min(wanted).max(1);
        let in_order = parts.len() <= partitions && parts.iter().all(|part| part.in_order);
        let ordering = key_order(&scan.table, &scan.schema).filter(|_| in_order);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(Arc::clone(&scan.schema), ordering),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            parts: parts.into(),
            fetch: scan.limit,
            scan,
            oldest_first: false,
            is_for_first: false,
            filters: Vec::new(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// The parts of a partition, in the order of their reading. Neighbours go to different ones,
    /// so that all of them begin at the same end.
    fn queue(&self, partition: usize) -> VecDeque<usize> {
        let numbers = (0..self.parts.len()).skip(partition).step_by(self.partitions());
        match self.oldest_first {
            true => numbers.collect(),
            false => numbers.map(|i| self.parts.len() - 1 - i).collect(),
        }
    }

    fn statistics(&self, parts: impl Iterator<Item = usize>) -> Statistics {
        let mut statistics = Statistics::new_unknown(&self.scan.schema);
        let mut rows = Precision::Exact(0);
        let (mut times, mut is_whole) = (TimeRange::NONE, true);
        for part in parts.map(|i| &self.parts[i]) {
            rows = rows.add(&part.rows);
            times = times.to(part.times);
            is_whole &= part.is_whole;
        }
        if let Some(fetch) = self.fetch {
            rows = rows.min(&Precision::Exact(fetch.saturating_mul(self.partitions())));
        }
        if !self.filters.is_empty() || (self.fetch.is_some() && self.partitions() > 1) {
            rows = rows.to_inexact();
        }
        is_whole &= self.filters.is_empty() && self.fetch.is_none();
        statistics.num_rows = rows;
        if let Ok(index) = self.scan.schema.index_of(TIME_COLUMN)
            && !times.is_empty()
        {
            let times = time_statistics(times);
            statistics.column_statistics[index] = if is_whole { times } else { times.to_inexact() };
        }
        statistics
    }
}

/// What is known about the column `time` of rows between `times`.
fn time_statistics(times: TimeRange) -> ColumnStatistics {
    let at = |ns| Precision::Exact(ScalarValue::TimestampNanosecond(Some(ns), None));
    ColumnStatistics {
        null_count: Precision::Exact(0),
        min_value: at(times.min_ns),
        max_value: at(times.max_ns),
        ..ColumnStatistics::new_unknown()
    }
}

impl DisplayAs for PartsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.parts.iter().map(Part::files).sum();
        let merges = |part: &&Part| matches!(part.source, Source::Merge(_));
        let merged = self.parts.iter().filter(merges).count();
        let order = if self.oldest_first { "oldest" } else { "newest" };
        let deferred = self.parts.iter().filter(|part| part.is_unsorted()).count();
        let decoded: usize = self.parts.iter().map(Part::decoded).sum();
        write!(f, "PartsExec: parts={}, merged={merged}, files={files}", self.parts.len())?;
        if decoded > 0 {
            write!(f, ", decoded={decoded}")?;
        }
        if deferred > 0 {
            write!(f, ", unsorted={deferred}")?;
        }
        write!(f, ", partitions={}, first={order}", self.partitions())?;
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        for filter in &self.filters {
            write!(f, ", pruned_by={filter}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for PartsExec {
    fn name(&self) -> &'static str {
        "PartsExec"
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
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let opened = MetricBuilder::new(&self.metrics).counter(FILES_OPENED, partition);
        let reading = Reading {
            exec: self.clone(),
            context,
            queue: self.queue(partition),
            current: None,
            ahead: None,
            rest: self.fetch.unwrap_or(usize::MAX),
            opened,
        };
        // Who may need only the first rows gets them as they come.
        let joins = !self.is_for_first && self.fetch.is_none() && is_cheap(&self.scan.schema);
        let batches = Box::pin(stream::try_unfold(reading, Reading::next));
        let mut batches = match joins {
            true => join_short_stream(batches, self.schema(), self.scan.batch_rows).boxed(),
            false => batches.boxed(),
        };
        let timed = stream::poll_fn(move |cx| {
            let timer = baseline.elapsed_compute().clone();
            let _timer = timer.timer();
            baseline.record_poll(batches.poll_next_unpin(cx))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), timed)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(match args.partition() {
            Some(partition) => self.statistics(self.queue(partition).into_iter()),
            None => self.statistics(0..self.parts.len()),
        }))
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

    /// Parts are in order of time, though not the rows in them.
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

/// A partition that is being read.
struct Reading {
    exec: PartsExec,
    context: Arc<TaskContext>,
    /// The parts that were not opened yet.
    queue: VecDeque<usize>,
    current: Option<Open>,
    /// The part after that, on its way to its first rows: stores can be far away.
    ahead: Option<SpawnedTask<Open>>,
    /// Rows that may still be yielded.
    rest: usize,
    opened: Count,
}

/// A part that is being read.
struct Open {
    rows: SendableRecordBatchStream,
    pruner: Option<FilePruner>,
}

impl Open {
    /// Waits for the first rows.
    async fn begin(mut self) -> Self {
        let first = self.rows.next().await;
        let schema = self.rows.schema();
        let rows = stream::iter(first).chain(self.rows);
        self.rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        self
    }
}

impl Reading {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.rest > 0 {
            let Some(open) = &mut self.current else {
                if self.queue.is_empty() && self.ahead.is_none() {
                    break;
                }
                self.advance().await?;
                continue;
            };
            // The rows of a query for the newest ones may have made this part superfluous.
            let is_useless = open.pruner.as_mut().map_or(Ok(false), FilePruner::should_prune)?;
            let batch = if is_useless { None } else { open.rows.try_next().await? };
            match batch {
                None => self.current = None,
                Some(batch) if batch.num_rows() > 0 => {
                    let batch = batch.slice(0, batch.num_rows().min(self.rest));
                    self.rest -= batch.num_rows();
                    return Ok(Some((batch, self)));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// Goes to the next part and, in a query that reads all of them, begins with the one after it.
    async fn advance(&mut self) -> Result<()> {
        self.current = match self.ahead.take() {
            Some(ahead) => {
                let open = ahead.join().await;
                Some(open.map_err(|e| exec_datafusion_err!("reading a part failed: {e}"))?)
            }
            None => self.open_next()?,
        };
        if !self.exec.is_for_first
            && self.exec.fetch.is_none()
            && self.queue.front().is_some_and(|next| !self.exec.parts[*next].is_deferred())
        {
            let open = self.open_next()?;
            self.ahead = open.map(|open| SpawnedTask::spawn(open.begin()));
        }
        Ok(())
    }

    /// Opens the next part, unless the filters say that none of its rows matters.
    fn open_next(&mut self) -> Result<Option<Open>> {
        let Some(next) = self.queue.pop_front() else { return Ok(None) };
        let part = &self.exec.parts[next];
        let mut pruner = self.pruner(part.times);
        if pruner.as_mut().map_or(Ok(false), FilePruner::should_prune)? {
            self.skip()?;
            return Ok(None);
        }
        let rows = self.rows(part)?;
        Ok(Some(Open { rows, pruner: pruner.filter(FilePruner::is_watching) }))
    }

    /// Forgets the next parts that do not matter either. A query for the newest rows is through
    /// with all that are left, and a long history has many: so they are looked at in blocks, each
    /// twice as long as the one before.
    fn skip(&mut self) -> Result<()> {
        let mut length = 1;
        while !self.queue.is_empty() {
            let block = self.queue.iter().take(length).map(|next| self.exec.parts[*next].times);
            let mut pruner = self.pruner(block.fold(TimeRange::NONE, TimeRange::to));
            if !pruner.as_mut().map_or(Ok(false), FilePruner::should_prune)? {
                break;
            }
            self.queue.drain(..length.min(self.queue.len()));
            length *= 2;
        }
        Ok(())
    }

    fn rows(&self, part: &Part) -> Result<SendableRecordBatchStream> {
        let scan = &self.exec.scan;
        let config = self.context.session_config().options();
        if let (0, Precision::Exact(rows)) = (scan.schema.fields().len(), part.rows) {
            return self.memory(rows_without_columns(rows, &scan.schema, scan.batch_rows)?);
        }
        self.opened.add(part.files());
        let plan = match &part.source {
            Source::Rows(batches) => return self.memory(batches.clone()),
            Source::File(file) => {
                let filters = &self.exec.filters;
                let limit = self.exec.fetch.filter(|_| filters.is_empty());
                file_plan(file, scan, &scan.schema, filters, limit, config)?
            }
            Source::Merge(merge) => merge.plan(scan, config)?,
            Source::Deferred(deferred) => {
                let (scan, context) = (Arc::clone(scan), Arc::clone(&self.context));
                return Ok(Arc::clone(deferred).rows(scan, self.exec.filters.clone(), context));
            }
        };
        plan.execute(0, Arc::clone(&self.context))
    }

    fn memory(&self, batches: Vec<RecordBatch>) -> Result<SendableRecordBatchStream> {
        let batches = stream::iter(batches.into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.exec.schema(), batches)))
    }

    /// What tells whether rows of these times matter to the filters, if any of them is about time.
    fn pruner(&self, times: TimeRange) -> Option<FilePruner> {
        let schema = &self.exec.scan.schema;
        let on_time = |filter: &&Arc<dyn PhysicalExpr>| {
            collect_columns(filter).iter().any(|column| column.name() == TIME_COLUMN)
        };
        let filters = self.exec.filters.iter().filter(on_time).map(Arc::clone);
        let filter = conjunction_opt(filters)?;
        let mut statistics = Statistics::new_unknown(schema);
        let time = schema.index_of(TIME_COLUMN).ok()?;
        statistics.column_statistics[time] = time_statistics(times);
        // Only its statistics are looked at.
        let mut file = PartitionedFile::new(String::new(), 0);
        file.statistics = Some(Arc::new(statistics));
        FilePruner::try_new(filter, schema, &file, Count::new())
    }
}
