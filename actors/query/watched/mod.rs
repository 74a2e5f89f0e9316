//! Makes plans stop when their query has to.
//!
//! The last step of planning puts a watch on each operator, and one on the condition of each join.
//! Both look at the query's flag (see `scope`, which says what that is worth) and are otherwise
//! what they watch: nobody who looks at the plan sees them.
//!
//! Joins repeat values for as many rows as they hand on at once. Before a join gets a value it is
//! looked whether there is room for that.

mod condition;
mod operator;

use self::condition::with_watched_condition;
use self::operator::WatchedExec;
use super::values::is_variable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use std::sync::Arc;

/// Rows that a join hands on at once if their values may be of any size.
const JOINED_ROWS: usize = 1024;

/// Puts the watches on. Has to be the last rule: the others would take them off again.
#[derive(Debug)]
pub(super) struct WatchPlan;

impl PhysicalOptimizerRule for WatchPlan {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch_rows = config.execution.batch_size.get();
        let watched = plan.transform_up(|plan| Ok(Transformed::yes(watched(plan, batch_rows)?)))?;
        Ok(watched.data)
    }

    fn name(&self) -> &str {
        "watch_plan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn watched(plan: Arc<dyn ExecutionPlan>, batch_rows: usize) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.name().ends_with("JoinExec") && plan.children().into_iter().any(has_variable_values) {
        let rows = batch_rows.min(JOINED_ROWS);
        let join = with_watched_inputs(plan, |input| WatchedExec::repeated(input, rows))?;
        return Ok(Arc::new(WatchedExec::in_batches_of(with_watched_condition(join)?, rows)));
    }
    let plan = match plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>() {
        true => with_watched_inputs(plan, WatchedExec::below_window)?,
        false => with_watched_condition(plan)?,
    };
    Ok(Arc::new(WatchedExec::over(plan)))
}

fn has_variable_values(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.schema().fields().iter().any(|field| is_variable(field.data_type()))
}

fn with_watched_inputs(
    plan: Arc<dyn ExecutionPlan>,
    watched: impl Fn(Arc<dyn ExecutionPlan>) -> WatchedExec,
) -> Result<Arc<dyn ExecutionPlan>> {
    let watched = |input| Arc::new(watched(Arc::clone(input))) as _;
    let inputs = plan.children().into_iter().map(watched).collect();
    plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
}
