//! The step in the physical plan, for few rows.

use super::order::Order;
use crate::query::below::{made_fields, made_of};
use crate::query::plan_kit::new_children;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan,
    InputDistributionRequirements, PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
    apply_expression_roots,
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
    /// What is made of its rows.
    columns: Arc<[ProjectionExpr]>,
    /// All of them, before those go that rows are only ordered by.
    schema: SchemaRef,
    order: Arc<Order>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InOrderExec {
    /// Puts in order what `columns` make of the rows of `input`.
    pub(super) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        columns: Arc<[ProjectionExpr]>,
        order: Arc<Order>,
    ) -> Result<Self> {
        let schema = Arc::new(Schema::new(made_fields(&columns, &input.schema())?));
        let shown = schema.project(&(0..order.shown).collect::<Vec<_>>())?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(shown)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { input, columns, schema, order, properties, metrics })
    }

    /// What becomes of rows, as far as they have values.
    fn made_of(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        self.order.with_values(made_of(&self.columns, rows, &self.schema)?)
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "InOrderExec: {}, expr=[{}]", self.order, columns.join(", "))
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

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.columns.iter().map(|column| &column.expr), f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop().filter(|_| children.is_empty()) else {
            return internal_err!("InOrderExec has exactly one input");
        };
        if options.children_properties == ChildrenPropertiesMode::Keep {
            let metrics = ExecutionPlanMetricsSet::new();
            return Ok(Arc::new(Self { input, metrics, ..Self::clone(&self) }));
        }
        let (columns, order) = (Arc::clone(&self.columns), Arc::clone(&self.order));
        Ok(Arc::new(Self::try_new(input, columns, order)?))
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
        let Self { step, baseline, task } = self;
        let batch_rows = task.session_config().batch_size().max(1);
        let mut stream = step.input.execute(0, Arc::clone(&task))?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            let batch = step.made_of(&batch)?;
            rows += batch.num_rows();
            if rows > ROWS_MAX {
                drop((stream, batches));
                let anew = |plan: Arc<dyn ExecutionPlan>| Ok(Transformed::yes(plan.reset_state()?));
                let input = Arc::clone(&step.input).transform_up(anew)?.data;
                let options = task.session_config().options();
                return step.order.planned(input, &step.columns, options)?.execute(0, task);
            }
            batches.push(batch);
        }
        let timer = baseline.elapsed_compute().timer();
        let sorted = in_one(&step.schema, batches).and_then(|rows| step.order.sorted(&rows))?;
        timer.done();
        baseline.record_output(rows);
        let starts = (0..rows).step_by(batch_rows);
        let parts = starts.map(|start| Ok(sorted.slice(start, batch_rows.min(rows - start))));
        let parts = stream::iter(parts.collect::<Vec<_>>());
        Ok(Box::pin(RecordBatchStreamAdapter::new(step.schema(), parts.boxed())))
    }
}

fn in_one(schema: &SchemaRef, mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    match batches.len() {
        1 => Ok(batches.remove(0)),
        _ => Ok(concat_batches(schema, &batches)?),
    }
}
