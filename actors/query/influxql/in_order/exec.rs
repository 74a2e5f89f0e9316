//! The step in the physical plan, for few rows.

use super::order::Order;
use crate::query::plan_kit::{new_children, no_expressions};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// Limit: where there are more rows than this, against what was expected, the engine's operators
/// begin anew with them.
const ROWS_MAX: usize = 65_536;

/// Yields the rows of its input once it has seen all of them, in order.
#[derive(Clone, Debug)]
pub(super) struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    order: Arc<Order>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InOrderExec {
    /// Puts the rows of `input` in order.
    pub(super) fn try_new(input: Arc<dyn ExecutionPlan>, order: Arc<Order>) -> Result<Self> {
        let schema = input.schema().project(&(0..order.shown).collect::<Vec<_>>())?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { input, order, properties, metrics })
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InOrderExec: {}", self.order)
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
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
            return internal_err!("InOrderExec has exactly one input");
        };
        Ok(Arc::new(Self::try_new(input, Arc::clone(&self.order))?))
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let sorting = Sorting {
            step: self.clone(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            task,
        };
        let batches = stream::once(sorting.batches()).try_flatten();
        let batches = RecordBatchStreamAdapter::new(self.schema(), Box::pin(batches));
        Ok(Box::pin(cooperative(batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct Sorting {
    step: InOrderExec,
    baseline: BaselineMetrics,
    task: Arc<TaskContext>,
}

impl Sorting {
    async fn batches(self) -> Result<SendableRecordBatchStream> {
        let Self { step: InOrderExec { input, order, properties, .. }, baseline, task } = self;
        let schema = Arc::clone(properties.eq_properties.schema());
        let batch_rows = task.session_config().batch_size().max(1);
        let mut stream = input.execute(0, Arc::clone(&task))?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            let batch = order.with_values(batch)?;
            rows += batch.num_rows();
            if rows > ROWS_MAX {
                drop((stream, batches));
                let input = input.transform_up(|plan| Ok(Transformed::yes(plan.reset_state()?)))?;
                let options = task.session_config().options();
                return order.planned(input.data, options)?.execute(0, task);
            }
            batches.push(batch);
        }
        let timer = baseline.elapsed_compute().timer();
        let sorted = in_one(&input.schema(), batches).and_then(|rows| order.sorted(&rows))?;
        timer.done();
        baseline.record_output(rows);
        let starts = (0..rows).step_by(batch_rows);
        let parts = starts.map(|start| Ok(sorted.slice(start, batch_rows.min(rows - start))));
        let parts = stream::iter(parts.collect::<Vec<_>>());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, parts.boxed())))
    }
}

fn in_one(schema: &SchemaRef, mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    match batches.len() {
        1 => Ok(batches.remove(0)),
        _ => Ok(concat_batches(schema, &batches)?),
    }
}
