//! The engine's planner, which also knows the steps that are ours.

use super::functions::gapfill::GapFillPlanner;
use super::in_order::InOrderPlanner;
use super::provider::SeriesPlanner;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use std::sync::Arc;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let steps = vec![
            Arc::new(GapFillPlanner) as _,
            Arc::new(SeriesPlanner) as _,
            Arc::new(InOrderPlanner) as _,
        ];
        DefaultPhysicalPlanner::with_extension_planners(steps)
            .create_physical_plan(plan, session)
            .await
    }
}
