//! Running a query over the newest rows first.

use super::super::exec::ScanExec;
use super::super::scan::Since;
use super::super::times::TimeRange;
use crate::query::plan_kit::{new_children, no_expressions};
use datafusion::arrow::array::{Array, AsArray, RecordBatch, TimestampNanosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampNanosecondType};
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions, collect,
};
use futures::{StreamExt, TryStreamExt, stream};
use protocols::schema::TIME_COLUMN;
use std::fmt;
use std::sync::Arc;

/// So much longer is each span of time than the one before.
const GROWTH: i64 = 8;

/// Yields what its input yields, which is few rows, and has it read only the newest rows of a table
/// if these are enough.
#[derive(Clone, Debug)]
pub(super) struct NewestBinsExec {
    /// Yields up to `rows` rows, those of the newest bins first.
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
    /// Between what the times of all rows lie.
    all: TimeRange,
    /// The instant from which on the rows are likely to be enough: the start of a bin.
    since_ns: i64,
    bin: Bin,
    metrics: ExecutionPlanMetricsSet,
}

/// What makes a bin of a time.
#[derive(Clone, Debug)]
struct Bin {
    start: Arc<dyn PhysicalExpr>,
    schema: Arc<Schema>,
}

impl Bin {
    /// `start` is made of the column `time` alone.
    fn new(start: Arc<dyn PhysicalExpr>) -> Result<Self> {
        let kind = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let schema = Arc::new(Schema::new(vec![Field::new(TIME_COLUMN, kind, false)]));
        let start = start.transform_up(|part| {
            Ok(match part.is::<Column>() {
                true => Transformed::yes(Arc::new(Column::new(TIME_COLUMN, 0)) as _),
                false => Transformed::no(part),
            })
        })?;
        Ok(Self { start: start.data, schema })
    }

    /// The start of the bin of an instant. `None` if that is not known.
    fn start_of(&self, time_ns: i64) -> Option<i64> {
        let value = |time_ns: i64| {
            let times = Arc::new(TimestampNanosecondArray::from(vec![time_ns]));
            let row = RecordBatch::try_new(Arc::clone(&self.schema), vec![times]).ok()?;
            let value = self.start.evaluate(&row).ok()?.into_array(1).ok()?;
            let value = value.as_primitive_opt::<TimestampNanosecondType>()?;
            value.is_valid(0).then(|| value.value(0))
        };
        let start = value(time_ns).filter(|start| *start <= time_ns)?;
        // Rows from there on are all that are in this bin and later ones.
        let is_first = value(start)? == start && value(start.checked_sub(1)?)? < start;
        is_first.then_some(start)
    }

    /// The start of the bin so many bins before that of an instant, if all are of one length.
    fn start_before(&self, time_ns: i64, bins: usize) -> Option<i64> {
        let last = self.start_of(time_ns)?;
        let length = last - self.start_of(last.checked_sub(1)?)?;
        let bins = i64::try_from(bins).ok()?;
        self.start_of(last.checked_sub(length.checked_mul(bins)?)?)
    }
}

impl NewestBinsExec {
    /// Over `input`, which groups the rows of `scan` by `bin` and yields up to `rows` of the groups,
    /// newest bin first. `None` if there is nothing to spare.
    pub(super) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        bin: Arc<dyn PhysicalExpr>,
        rows: usize,
        scan: &ScanExec,
    ) -> Result<Option<Self>> {
        let (bin, all) = (Bin::new(bin)?, scan.times());
        let since_ns = match all.is_empty() {
            true => None,
            false => bin.start_before(all.max_ns, rows - 1),
        };
        let since_ns = since_ns.filter(|since_ns| *since_ns > all.min_ns);
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(since_ns.map(|since_ns| Self { input, rows, all, since_ns, bin, metrics }))
    }

    /// A longer span of time than from `since_ns` on. `None` if it has all rows.
    fn longer(&self, since_ns: i64) -> Option<i64> {
        let span = self.all.max_ns.checked_sub(since_ns)?.checked_mul(GROWTH)?;
        let since_ns = self.bin.start_of(self.all.max_ns.checked_sub(span)?)?;
        (since_ns > self.all.min_ns).then_some(since_ns)
    }
}

/// The same plan over rows from an instant on, as if nobody had run it.
fn since(plan: &Arc<dyn ExecutionPlan>, since_ns: i64) -> Result<Arc<dyn ExecutionPlan>> {
    let since: Arc<Since> = Arc::new(Since(since_ns));
    let narrowed = Arc::clone(plan).transform_up(|plan| {
        Ok(Transformed::yes(match plan.with_new_state(Arc::clone(&since) as _) {
            Some(narrower) => narrower,
            None => plan.reset_state()?,
        }))
    })?;
    Ok(narrowed.data)
}

impl DisplayAs for NewestBinsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewestBinsExec: rows={}, first time>={}", self.rows, self.since_ns)
    }
}

impl ExecutionPlan for NewestBinsExec {
    fn name(&self) -> &'static str {
        "NewestBinsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    no_expressions!();

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop().filter(|_| children.is_empty()) else {
            return internal_err!("NewestBinsExec has exactly one input");
        };
        Ok(Arc::new(Self { input, ..Self::clone(&self) }))
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let spans = MetricBuilder::new(&self.metrics).counter("spans_read", partition);
        let rows = Self::clone(self).rows(task, spans);
        let batches = stream::once(rows).map_ok(|batches| stream::iter(batches).map(Ok));
        let mut batches = Box::pin(batches.try_flatten());
        let timed = stream::poll_fn(move |cx| baseline.record_poll(batches.poll_next_unpin(cx)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), timed)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl NewestBinsExec {
    async fn rows(self, task: Arc<TaskContext>, spans: Count) -> Result<Vec<RecordBatch>> {
        let mut from = Some(self.since_ns);
        while let Some(since_ns) = from {
            spans.add(1);
            let batches = collect(since(&self.input, since_ns)?, Arc::clone(&task)).await?;
            if batches.iter().map(RecordBatch::num_rows).sum::<usize>() >= self.rows {
                return Ok(batches);
            }
            from = self.longer(since_ns);
        }
        spans.add(1);
        collect(self.input, task).await
    }
}
