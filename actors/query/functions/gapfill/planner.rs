//! From the logical step to the physical one.

use super::exec::GapFillExec;
use super::node::GapFill;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use std::sync::Arc;

/// Makes the physical step of the logical one.
pub(in super::super::super) struct GapFillPlanner;

#[async_trait]
impl ExtensionPlanner for GapFillPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<GapFill>(), inputs) else {
            return Ok(None);
        };
        let layout = node.known_layout()?;
        if input.schema().fields().len() != layout.roles.len() {
            return internal_err!("gap filling has to know all columns of its input");
        }
        let schema = Arc::clone(UserDefinedLogicalNodeCore::schema(node).inner());
        let exec = GapFillExec::try_new(Arc::clone(input), schema, layout)?;
        Ok(Some(Arc::new(exec)))
    }
}
