//! A step less: what a step makes of rows by itself, in the place of a projection below it.

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::projection::ProjectionExpr;
use datafusion::physical_planner::PhysicalPlanner;
use std::sync::Arc;

/// Expressions over a projection as expressions over what is below it, each under its name: a step
/// less. `None` if the plan is none.
pub(super) fn below(
    plan: &LogicalPlan,
    exprs: &[Expr],
) -> Result<Option<(Arc<LogicalPlan>, Vec<Expr>)>> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
    let made = |expr: &Expr| {
        let made = expr.clone().transform_up(|expr| {
            let place = match &expr {
                Expr::Column(column) => projection.schema.maybe_index_of_column(column),
                _ => None,
            };
            Ok(match place {
                Some(at) => Transformed::yes(projection.expr[at].clone().unalias()),
                None => Transformed::no(expr),
            })
        });
        let (made, name) = (made?.data, expr.schema_name().to_string());
        Ok(if made.schema_name().to_string() == name { made } else { made.alias(name) })
    };
    let exprs = exprs.iter().map(made).collect::<Result<_>>()?;
    Ok(Some((Arc::clone(&projection.input), exprs)))
}

/// What is below all projections on top of a plan, and its columns as expressions over that.
pub(super) fn made_below(plan: LogicalPlan) -> Result<(LogicalPlan, Vec<Expr>)> {
    let columns = plan.schema().columns().into_iter().map(Expr::Column);
    let (mut columns, mut input): (Vec<_>, _) = (columns.collect(), Arc::new(plan));
    while let Some((lower, made)) = below(&input, &columns)? {
        (columns, input) = (made, lower);
    }
    Ok((Arc::unwrap_or_clone(input), columns))
}

/// Such columns in the physical plan, made of the rows of a step. The first of them are those of
/// `result`.
pub(super) fn planned(
    planner: &dyn PhysicalPlanner,
    columns: &[Expr],
    (rows, result): (&DFSchema, &DFSchema),
    session: &dyn Session,
    context: &PhysicalPlanningContext,
) -> Result<Arc<[ProjectionExpr]>> {
    let column = |(at, column): (usize, &Expr)| {
        let alias = match result.fields().get(at) {
            Some(field) => field.name().clone(),
            None => column.schema_name().to_string(),
        };
        let value = column.clone().unalias();
        let expr = planner.create_physical_expr(&value, rows, session, context)?;
        Ok(ProjectionExpr { expr, alias })
    };
    columns.iter().enumerate().map(column).collect()
}

/// The columns that are made of rows of `rows`.
pub(super) fn made_fields(columns: &[ProjectionExpr], rows: &Schema) -> Result<Vec<FieldRef>> {
    let field = |column: &ProjectionExpr| {
        let field = column.expr.return_field(rows)?;
        Ok(match *field.name() == column.alias {
            true => field,
            false => Arc::new(Field::clone(&field).with_name(&column.alias)),
        })
    };
    columns.iter().map(field).collect()
}

/// What is made of a batch, as rows of `schema`.
pub(super) fn made_of(
    columns: &[ProjectionExpr],
    rows: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let many = rows.num_rows();
    let values = columns.iter().map(|column| column.expr.evaluate(rows)?.into_array(many));
    Ok(RecordBatch::try_new(Arc::clone(schema), values.collect::<Result<_>>()?)?)
}
