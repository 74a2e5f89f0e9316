//! A step less: expressions over what is below a projection.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::sync::Arc;

/// Expressions over a projection as expressions over what is below it, each under its name: a step
/// less. `None` if the plan is none.
pub(in crate::query) fn below(
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
