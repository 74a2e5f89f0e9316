//! The step that fills gaps, in the physical plan.

use super::layout::{ColumnRole, Layout};
use super::stream::GapFillStream;
use crate::query::plan_kit::{new_children, no_expressions};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning,
    PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Adds the missing bins of each series. The input is one partition, ordered by series and bin,
/// and so is the result.
#[derive(Clone, Debug)]
pub(super) struct GapFillExec {
    input: Arc<dyn ExecutionPlan>,
    layout: Arc<Layout>,
    ordering: LexOrdering,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GapFillExec {
    /// Fills `input` and yields the columns of `schema`, which differ in what may be null only.
    pub(super) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        layout: Arc<Layout>,
    ) -> Result<Self> {
        let columns = |wanted: ColumnRole| {
            layout.roles.iter().enumerate().filter(move |(_, role)| **role == wanted)
        };
        // The order that ORDER BY without more words has, so that it often is there already.
        let options = SortOptions { descending: false, nulls_first: false };
        let key = columns(ColumnRole::Series).chain(columns(ColumnRole::Bin)).map(|(at, _)| {
            let column = Column::new(schema.field(at).name(), at);
            PhysicalSortExpr::new(Arc::new(column), options)
        });
        let Some(ordering) = LexOrdering::new(key) else {
            return internal_err!("gap filling needs a bin");
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(Arc::clone(&schema), [ordering.clone()]),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { input, layout, ordering, schema, properties, metrics })
    }
}

impl DisplayAs for GapFillExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GapFillExec: {}", self.layout)
    }
}

impl ExecutionPlan for GapFillExec {
    fn name(&self) -> &'static str {
        "GapFillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.ordering.clone()))]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    no_expressions!();

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop().filter(|_| children.is_empty()) else {
            return internal_err!("gap filling has exactly one input");
        };
        if options.children_properties == ChildrenPropertiesMode::Keep {
            let metrics = ExecutionPlanMetricsSet::new();
            return Ok(Arc::new(Self { input, metrics, ..Self::clone(&self) }));
        }
        let (schema, layout) = (Arc::clone(&self.schema), Arc::clone(&self.layout));
        Ok(Arc::new(Self::try_new(input, schema, layout)?))
    }

    /// The same with other bins.
    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn ExecutionPlan>> {
        let layout = state.downcast::<Layout>().ok()?;
        Some(Arc::new(Self { layout, ..self.clone() }))
    }

    new_children!();

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (schema, layout) = (Arc::clone(&self.schema), Arc::clone(&self.layout));
        let filled = GapFillStream::try_new(input, schema, layout, metrics, &context)?;
        let batches = stream::try_unfold(filled, GapFillStream::next);
        let batches = RecordBatchStreamAdapter::new(Arc::clone(&self.schema), Box::pin(batches));
        // A parent that only counts would otherwise never pause.
        Ok(Box::pin(cooperative(batches)))
    }
}
