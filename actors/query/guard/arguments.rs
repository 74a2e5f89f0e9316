//! Arguments that the engine takes without a look, to fail at them while it runs.

use crate::query::errors::beyond_limit;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Limit: centroids of an approximate percentile, each of which takes memory at once.
const CENTROIDS_MAX: i128 = 100_000;

/// Refuses a plan with such an argument.
///
/// # Errors
/// When an argument is beyond a limit.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::AggregateFunction(call) = expr {
                    check_aggregate(call)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn check_aggregate(call: &AggregateFunction) -> Result<()> {
    let integer = |arg: usize| call.params.args.get(arg).and_then(integer);
    let centroids = match call.func.name() {
        "nth_value" if integer(1) == Some(0) => {
            return plan_err!("nth_value counts from 1, there is no value 0");
        }
        "approx_percentile_cont" => integer(2),
        "approx_percentile_cont_with_weight" => integer(3),
        _ => None,
    };
    match centroids.filter(|n| *n > CENTROIDS_MAX) {
        Some(n) => {
            let name = call.func.name();
            let text = format!("{name} takes at most {CENTROIDS_MAX} centroids, got {n}");
            Err(beyond_limit(text))
        }
        None => Ok(()),
    }
}

fn integer(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(n)), _) => Some(i128::from(*n)),
        Expr::Literal(ScalarValue::UInt64(Some(n)), _) => Some(i128::from(*n)),
        _ => None,
    }
}
