//! The step that cuts series, in the logical plan.

use super::cut::{Cut, as_cut};
use super::exec::CutSeriesExec;
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
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The rows of `plan` that `cut` shows, ordered by series, time and keys. What projections make of rows
/// is made by this step itself.
///
/// # Errors
/// When two columns have the same name.
pub(in crate::query) fn cut_series(plan: LogicalPlan, cut: Cut) -> Result<LogicalPlan> {
    let fields = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(at, (table, field))| (table.cloned(), as_cut(field, at, &cut)));
    let metadata = plan.schema().metadata().clone();
    let schema = Arc::new(DFSchema::new_with_metadata(fields.collect(), metadata)?);
    let (input, columns) = made_below(plan)?;
    let node = CutSeries { input, columns, schema, cut: Arc::new(cut) };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// See [`cut_series`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct CutSeries {
    input: LogicalPlan,
    /// What is made of a row, in the order of the columns.
    columns: Vec<Expr>,
    schema: DFSchemaRef,
    cut: Arc<Cut>,
}

/// True for a step of this kind.
pub(in crate::query) fn is_cut_series(node: &dyn UserDefinedLogicalNode) -> bool {
    node.as_any().is::<CutSeries>()
}

impl PartialOrd for CutSeries {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for CutSeries {
    fn name(&self) -> &str {
        "CutSeries"
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
        let columns: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "CutSeries: {}, columns=[{}]", self.cut, columns.join(", "))
    }

    fn with_exprs_and_inputs(
        &self,
        columns: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else {
            return internal_err!("series are cut of exactly one input");
        };
        let (schema, cut) = (Arc::clone(&self.schema), Arc::clone(&self.cut));
        Ok(Self { input, columns, schema, cut })
    }
}

/// Makes the physical step of the logical one.
pub(in crate::query) struct SeriesPlanner;

#[async_trait]
impl ExtensionPlanner for SeriesPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<CutSeries>(), inputs) else {
            return Ok(None);
        };
        let schemas = (node.input.schema().as_ref(), node.schema.as_ref());
        let columns = planned(planner, &node.columns, schemas, session, context)?;
        let exec = CutSeriesExec::over(Arc::clone(input), columns, Arc::clone(&node.cut))?;
        Ok(Some(Arc::new(exec)))
    }
}
