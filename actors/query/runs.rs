//! Grouping rows that come in runs.
//!
//! The rows of a scan are in order of series and time, so those of one group, such as an hour of a
//! host, mostly stand behind each other. The engine looks each row's group up; this looks up one row
//! of each run. It takes the place of the first of the two steps in which groups are aggregated on
//! several threads, and yields what that does: the states of groups, each maybe more than once. They
//! are yielded in the order in which they were met, so what comes in order goes in order.

use super::plan_kit::new_children;
use super::provider;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{partition, take};
use datafusion::arrow::datatypes::{Int32Type, Int64Type, SchemaRef, TimestampNanosecondType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Statistics, exec_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PhysicalExpr,
    PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};
use futures::stream::{self, Fuse};
use futures::{StreamExt, TryStreamExt};
use std::fmt;
use std::sync::Arc;

/// Groups whose states are gathered before they are handed on.
const GROUPS_MAX: usize = 65_536;

/// Puts [`RunsExec`] where rows of a table are grouped in two steps.
#[derive(Debug)]
pub(super) struct GroupRuns;

impl PhysicalOptimizerRule for GroupRuns {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let grouped = plan.transform_up(|plan| {
            Ok(match plan.downcast_ref::<AggregateExec>().filter(|plan| may_come_in_runs(plan)) {
                Some(aggregate) => {
                    Transformed::yes(Arc::new(RunsExec::new(aggregate.clone())) as _)
                }
                None => Transformed::no(plan),
            })
        })?;
        Ok(grouped.data)
    }

    fn name(&self) -> &str {
        "group_runs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// True if groups are looked up row by row in what a scan yields, and nothing depends on more than
/// the rows of a group.
fn may_come_in_runs(aggregate: &AggregateExec) -> bool {
    let groups = aggregate.group_expr();
    let is_plain = *aggregate.mode() == AggregateMode::Partial
        && aggregate.limit_options().is_none()
        && groups.is_single()
        && !groups.expr().is_empty();
    let is_supported = |function: &Arc<_>| {
        let function: &Arc<datafusion::physical_expr::aggregate::AggregateFunctionExpr> = function;
        function.order_bys().is_empty() && function.groups_accumulator_supported()
    };
    is_plain
        && aggregate.aggr_expr().iter().all(is_supported)
        && provider::reads_rows_of_one_table(aggregate.input())
}

/// See the module's page.
#[derive(Clone, Debug)]
struct RunsExec {
    /// What this does, row by row.
    aggregate: AggregateExec,
    metrics: ExecutionPlanMetricsSet,
}

impl RunsExec {
    fn new(aggregate: AggregateExec) -> Self {
        Self { aggregate, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for RunsExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.aggregate.fmt_as(form, f)?;
        f.write_str(", by runs")
    }
}

impl ExecutionPlan for RunsExec {
    fn name(&self) -> &'static str {
        "RunsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.aggregate.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.aggregate.input_distribution_requirements()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.aggregate.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.aggregate.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let aggregate = Arc::new(self.aggregate.clone()).replace_children(children, options)?;
        match aggregate.downcast_ref::<AggregateExec>() {
            Some(aggregate) => Ok(Arc::new(Self::new(aggregate.clone()))),
            None => internal_err!("RunsExec groups rows"),
        }
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let runs = Runs {
            input: self.aggregate.input().execute(partition, Arc::clone(&task))?.fuse(),
            grouping: Grouping::new(&self.aggregate)?,
            time: baseline.elapsed_compute().clone(),
        };
        let batch_rows = task.session_config().batch_size().max(1);
        let states = stream::try_unfold(runs, Runs::next);
        let parts = states.map_ok(move |states| {
            let starts = (0..states.num_rows()).step_by(batch_rows);
            let part = move |at| states.slice(at, batch_rows.min(states.num_rows() - at));
            stream::iter(starts.map(part).map(Ok).collect::<Vec<_>>())
        });
        let mut parts = Box::pin(parts.try_flatten());
        let noted = stream::poll_fn(move |cx| baseline.record_poll(parts.poll_next_unpin(cx)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), noted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.aggregate.statistics_from_inputs(inputs, args)
    }
}

/// A partition that is being grouped.
struct Runs {
    input: Fuse<SendableRecordBatchStream>,
    grouping: Grouping,
    time: Time,
}

impl Runs {
    /// The states of the next groups, and what is left.
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.grouping.groups.len() < GROUPS_MAX {
            let Some(rows) = self.input.try_next().await? else { break };
            let _timer = self.time.timer();
            self.grouping.add(&rows)?;
        }
        Ok(self.grouping.take()?.map(|states| (states, self)))
    }
}

/// The groups met so far.
struct Grouping {
    schema: SchemaRef,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    groups: Box<dyn GroupValues>,
    aggregates: Vec<Aggregate>,
    /// The group of each run of a batch.
    of_runs: Vec<usize>,
    /// The group of each row of a batch.
    of_rows: Vec<usize>,
}

struct Aggregate {
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    states: Box<dyn GroupsAccumulator>,
}

impl Grouping {
    fn new(plan: &AggregateExec) -> Result<Self> {
        let groups = plan.group_expr();
        let schema = groups.group_schema(&plan.input_schema())?;
        let aggregates =
            plan.aggr_expr().iter().zip(plan.filter_expr()).map(|(function, filter)| {
                Ok(Aggregate {
                    arguments: function.expressions(),
                    filter: filter.clone(),
                    states: function.create_groups_accumulator()?,
                })
            });
        Ok(Self {
            schema: plan.schema(),
            keys: groups.expr().iter().map(|(key, _)| Arc::clone(key)).collect(),
            groups: new_group_values(schema, &GroupOrdering::None)?,
            aggregates: aggregates.collect::<Result<_>>()?,
            of_runs: Vec::new(),
            of_rows: Vec::new(),
        })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let count = rows.num_rows();
        if count == 0 {
            return Ok(());
        }
        let keys = evaluated(&self.keys, rows)?;
        let starts = starts(&keys, count)?;
        self.groups.intern(&heads(&keys, &starts)?, &mut self.of_runs)?;
        self.of_rows.clear();
        let ends = starts.iter().skip(1).map(|start| *start as usize);
        for (group, end) in self.of_runs.iter().zip(ends.chain([count])) {
            self.of_rows.resize(end, *group);
        }
        let total = self.groups.len();
        for aggregate in &mut self.aggregates {
            let filter = aggregate.filter.as_ref().map(|filter| holds(filter, rows)).transpose()?;
            let values = evaluated(&aggregate.arguments, rows)?;
            aggregate.states.update_batch(&values, &self.of_rows, filter.as_ref(), total)?;
        }
        Ok(())
    }

    /// The states of all groups, which are forgotten. `None` if there are none.
    fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.groups.is_empty() {
            return Ok(None);
        }
        let mut columns = self.groups.emit(EmitTo::All)?;
        for aggregate in &mut self.aggregates {
            columns.extend(aggregate.states.state(EmitTo::All)?);
        }
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

fn evaluated(exprs: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let value = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(rows)?.into_array(rows.num_rows());
    exprs.iter().map(value).collect()
}

fn holds(filter: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
    let value = filter.evaluate(rows)?.into_array(rows.num_rows())?;
    let value = value.as_boolean_opt().cloned();
    value.ok_or_else(|| exec_datafusion_err!("a filter is not a condition"))
}

/// The rows at which runs begin.
pub(super) fn heads(keys: &[ArrayRef], starts: &[u32]) -> Result<Vec<ArrayRef>> {
    let heads = UInt32Array::from(starts.to_vec());
    keys.iter().map(|key| Ok(take(key, &heads, None)?)).collect()
}

/// Where runs of rows with equal keys begin, of at least one row; maybe some in the middle of a run.
pub(super) fn starts(keys: &[ArrayRef], count: usize) -> Result<Vec<u32>> {
    let mut begins = vec![false; count];
    begins[0] = true;
    for key in keys {
        if let Some(tags) = key.as_dictionary_opt::<Int32Type>() {
            mark(tags.keys().values(), &mut begins);
        } else if let Some(times) = key.as_primitive_opt::<TimestampNanosecondType>() {
            mark(times.values(), &mut begins);
        } else if let Some(numbers) = key.as_primitive_opt::<Int64Type>() {
            mark(numbers.values(), &mut begins);
        } else {
            for range in partition(std::slice::from_ref(key))?.ranges() {
                begins[range.start] = true;
            }
            continue;
        }
        if let Some(nulls) = key.nulls() {
            let is_null: Vec<bool> = nulls.iter().map(|is_valid| !is_valid).collect();
            mark(&is_null, &mut begins);
        }
    }
    let numbered = (0_u32..).zip(begins);
    Ok(numbered.filter_map(|(row, begins)| begins.then_some(row)).collect())
}

fn mark<T: PartialEq>(values: &[T], begins: &mut [bool]) {
    for (pair, begins) in values.windows(2).zip(begins.iter_mut().skip(1)) {
        *begins |= pair[0] != pair[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        DictionaryArray, Float64Array, StringArray, TimestampNanosecondArray,
    };

    #[test]
    fn runs_begin_where_a_key_changes() {
        let tags: DictionaryArray<Int32Type> =
            [Some("a"), Some("a"), Some("b"), None, None, Some("b")].into_iter().collect();
        let times = TimestampNanosecondArray::from(vec![1, 1, 1, 1, 2, 2]);
        let keys: [ArrayRef; 2] = [Arc::new(tags), Arc::new(times)];
        assert_eq!(starts(&keys, 6).unwrap(), [0, 2, 3, 4, 5]);
        let numbers: ArrayRef =
            Arc::new(Float64Array::from(vec![None, None, Some(1.0), Some(1.0)]));
        assert_eq!(starts(&[numbers], 4).unwrap(), [0, 2]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"; 3]));
        assert_eq!(starts(&[texts], 3).unwrap(), [0]);
    }
}
