//! The step in the logical plan.

use super::exec::InOrderExec;
use super::order::Order;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The rows of `input` in order, with the columns that are shown.
///
/// # Errors
/// When two columns have the same name.
pub(in crate::query::influxql) fn in_order(
    input: LogicalPlan,
    order: Order,
) -> Result<LogicalPlan> {
    let fields = input.schema().iter().take(order.shown);
    let fields = fields.map(|(table, field)| (table.cloned(), Arc::clone(field))).collect();
    let metadata = input.schema().metadata().clone();
    let schema = Arc::new(DFSchema::new_with_metadata(fields, metadata)?);
    let node = InOrder { input, schema, order: Arc::new(order) };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// See [`in_order`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct InOrder {
    input: LogicalPlan,
    schema: DFSchemaRef,
    order: Arc<Order>,
}

/// True for a step of this kind, in which there is nothing but places.
pub(in crate::query) fn is_in_order(node: &dyn UserDefinedLogicalNode) -> bool {
    node.as_any().is::<InOrder>()
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for InOrder {
    fn name(&self) -> &str {
        "InOrder"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InOrder: {}", self.order)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else {
            return internal_err!("rows are put in order of exactly one input");
        };
        let (schema, order) = (Arc::clone(&self.schema), Arc::clone(&self.order));
        Ok(Self { input, schema, order })
    }
}

/// Makes the physical step of the logical one.
pub(in crate::query) struct InOrderPlanner;

#[async_trait]
impl ExtensionPlanner for InOrderPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<InOrder>(), inputs) else {
            return Ok(None);
        };
        let known = StatisticsContext::new().compute(input.as_ref(), &StatisticsArgs::new())?;
        let few = session.config().batch_size();
        let input = Arc::clone(input);
        Ok(Some(match known.num_rows.get_value() {
            Some(rows) if *rows <= few => {
                Arc::new(InOrderExec::try_new(input, Arc::clone(&node.order))?)
            }
            _ => node.order.planned(input, session.config().options())?,
        }))
    }
}
