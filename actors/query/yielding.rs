//! Makes joins give way to other queries.
//!
//! Operators work until they have a batch to hand on or their input is not ready, and only the
//! scans at the leaves count what they handed out and pause. A join makes any number of batches
//! of one batch of a scan: what stands above it and only counts would hold its thread to the end,
//! and a query that holds its thread sees neither its deadline nor that its client is gone.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use std::sync::Arc;

/// Lets operators that multiply rows pause like scans do.
#[derive(Debug)]
pub(super) struct YieldAboveJoins;

impl PhysicalOptimizerRule for YieldAboveJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|plan| {
            Ok(match multiplies_rows(plan.name()) {
                true => Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _),
                false => Transformed::no(plan),
            })
        })?;
        Ok(wrapped.data)
    }

    fn name(&self) -> &str {
        "yield_above_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies_rows(operator: &str) -> bool {
    operator.ends_with("JoinExec") || operator == "UnnestExec"
}
