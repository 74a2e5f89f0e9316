//! A watch on an operator.

use super::super::functions::windows;
use super::super::scope;
use super::super::values::check_repeated;
use crate::query::plan_kit::new_children;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, InvariantLevel, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements,
    PlanProperties, StatisticsArgs,
};
use futures::{Stream, ready};
use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What becomes of rows above.
#[derive(Clone, Copy)]
enum Fate {
    /// They are what they are.
    Kept,
    /// Each may be repeated so many times.
    Repeated(usize),
    /// They are those of a window.
    Windowed,
}

/// An operator whose rows end with an error when the query has to stop.
pub(super) struct WatchedExec {
    plan: Arc<dyn ExecutionPlan>,
    fate: Fate,
    /// Rows that it is to hand on at once.
    batch_rows: Option<usize>,
}

impl WatchedExec {
    /// A watch on `plan`.
    pub(super) fn over(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self { plan, fate: Fate::Kept, batch_rows: None }
    }

    /// A watch on `plan`, each row of which may be repeated so many times above.
    pub(super) fn repeated(plan: Arc<dyn ExecutionPlan>, times: usize) -> Self {
        Self { fate: Fate::Repeated(times), ..Self::over(plan) }
    }

    /// A watch on `plan`, over whose rows functions are computed.
    pub(super) fn below_window(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self { fate: Fate::Windowed, ..Self::over(plan) }
    }

    /// A watch on `plan`, which is to hand on so many rows at once.
    pub(super) fn in_batches_of(plan: Arc<dyn ExecutionPlan>, rows: usize) -> Self {
        Self { batch_rows: Some(rows), ..Self::over(plan) }
    }

    fn with(&self, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { plan, ..*self })
    }
}

impl fmt::Debug for WatchedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.plan, f)
    }
}

impl DisplayAs for WatchedExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt_as(form, f)
    }
}

/// Everything as the operator itself has it, also what others have a default for.
impl ExecutionPlan for WatchedExec {
    fn name(&self) -> &str {
        self.plan.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.plan.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn check_invariants(&self, level: InvariantLevel) -> Result<()> {
        self.plan.check_invariants(level)
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.plan.dynamic_expressions_produced()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.plan.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.plan.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.plan.maintains_input_order()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.plan.benefits_from_input_partitioning()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.plan.children()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.plan.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = Arc::clone(&self.plan).replace_children(children, options)?;
        Ok(self.with(plan))
    }

    new_children!();

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.with(Arc::clone(&self.plan).reset_state()?))
    }

    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(self.with(self.plan.with_new_state(state)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        scope::check()?;
        let context = match self.batch_rows {
            Some(rows) => Arc::new(in_batches_of(rows, &context)),
            None => context,
        };
        let rows = self.plan.execute(partition, context)?;
        Ok(Box::pin(Watched { rows, fate: self.fate, count: 0 }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.plan.metrics()
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.plan.statistics_from_inputs(inputs, args)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.plan.child_stats_requests(partition)
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.plan.supports_limit_pushdown()
    }

    fn fetch(&self) -> Option<usize> {
        self.plan.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.plan.cardinality_effect()
    }
}

/// The same context, but for how many rows make a batch.
fn in_batches_of(rows: usize, context: &TaskContext) -> TaskContext {
    TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    )
}

struct Watched {
    rows: SendableRecordBatchStream,
    fate: Fate,
    /// How many there were.
    count: usize,
}

impl Watched {
    fn look_at(&mut self, batch: Option<&RecordBatch>) -> Result<()> {
        match (self.fate, batch) {
            (Fate::Repeated(times), Some(batch)) => check_repeated(batch, times)?,
            (Fate::Windowed, batch) => {
                self.count += batch.map_or(0, RecordBatch::num_rows);
                windows::note_rows(self.count);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Stream for Watched {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = scope::check() {
            return Poll::Ready(Some(Err(error)));
        }
        let next = ready!(self.rows.as_mut().poll_next(cx)).transpose()?;
        Poll::Ready(match self.look_at(next.as_ref()) {
            Ok(()) => next.map(Ok),
            Err(error) => Some(Err(error)),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl RecordBatchStream for Watched {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
