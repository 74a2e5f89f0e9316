//! The step in the logical plan.

use super::exec::InOrderExec;
use super::order::Order;
use crate::query::below::{made_below, planned};
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

/// The rows of `plan` in order, with the columns that are shown. What projections make of rows is
/// made by this step itself.
///
/// # Errors
/// When two columns have the same name.
pub(in crate::query) fn in_order(plan: LogicalPlan, order: Order) -> Result<LogicalPlan> {
    let fields = plan.schema().iter().take(order.shown);
    let fields = fields.map(|(table, field)| (table.cloned(), Arc::clone(field))).collect();
    let metadata = plan.schema().metadata().clone();
    let schema = Arc::new(DFSchema::new_with_metadata(fields, metadata)?);
    let (input, columns) = made_below(plan)?;
    let node = InOrder { input, columns, schema, order: Arc::new(order) };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// See [`in_order`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct InOrder {
    input: LogicalPlan,
    /// What is made of a row, in the order of the columns; those that it is only ordered by last.
    columns: Vec<Expr>,
    schema: DFSchemaRef,
    order: Arc<Order>,
}

/// True for a step of this kind.
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
        self.columns.clone()
    }

    /// None but those that columns are made of.
    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![vec![]])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InOrder: {}, columns=[", self.order)?;
        let columns: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "{}]", columns.join(", "))
    }

    fn with_exprs_and_inputs(
        &self,
        columns: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else {
            return internal_err!("rows are put in order of exactly one input");
        };
        let (schema, order) = (Arc::clone(&self.schema), Arc::clone(&self.order));
        Ok(Self { input, columns, schema, order })
    }
}

/// Makes the physical step of the logical one.
pub(in crate::query) struct InOrderPlanner;

#[async_trait]
impl ExtensionPlanner for InOrderPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<InOrder>(), inputs) else {
            return Ok(None);
        };
        let schemas = (node.input.schema().as_ref(), node.schema.as_ref());
        let columns = planned(planner, &node.columns, schemas, session, context)?;
        let known = StatisticsContext::new().compute(input.as_ref(), &StatisticsArgs::new())?;
        let few = session.config().batch_size();
        let (input, order) = (Arc::clone(input), Arc::clone(&node.order));
        Ok(Some(match known.num_rows.get_value() {
            Some(rows) if *rows <= few => Arc::new(InOrderExec::try_new(input, columns, order)?),
            _ => order.planned(input, &columns, session.config().options())?,
        }))
    }
}
