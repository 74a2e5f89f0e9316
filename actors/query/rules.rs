//! The engine's rules for physical plans, each where there is something for it to do.
//!
//! A plan of a few steps is made in less time than all rules take to find out that it has no joins,
//! no windows and no limits. What a plan has is looked at here, once for each of these rules.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_optimizer::{PhysicalOptimizerContext, PhysicalOptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use std::sync::Arc;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The engine's rules.
pub(super) fn rules() -> Vec<Rule> {
    let rules = PhysicalOptimizer::new().rules.into_iter();
    rules
        .map(|rule| match needed_for(rule.name()) {
            Some(is_needed) => Arc::new(Where { rule, is_needed }) as Rule,
            None => rule,
        })
        .collect()
}

/// What steps a plan has.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    aggregates: bool,
    branches: bool,
    filters: bool,
    limits: bool,
    projections: bool,
    sorts: bool,
    windows: bool,
}

impl Steps {
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        let mut steps = Self::default();
        plan.apply(|step| {
            steps.aggregates |= step.is::<AggregateExec>();
            steps.branches |= step.children().len() > 1;
            steps.filters |= step.is::<FilterExec>();
            steps.limits |= step.fetch().is_some()
                || step.is::<GlobalLimitExec>()
                || step.is::<LocalLimitExec>();
            steps.projections |= step.is::<ProjectionExec>();
            steps.sorts |= step.is::<SortExec>();
            steps.windows |= step.is::<WindowAggExec>() || step.is::<BoundedWindowAggExec>();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(steps)
    }
}

/// Which plans a rule is for, where that is known for certain. Names are those that the engine gives.
fn needed_for(rule: &str) -> Option<fn(Steps) -> bool> {
    Some(match rule {
        "aggregate_statistics" | "CombinePartialFinalAggregate" | "OptimizeAggregateOrder" => {
            |steps| steps.aggregates
        }
        "LimitedDistinctAggregation" | "TopKAggregation" | "LimitAggregation" => {
            |steps| steps.aggregates && steps.limits
        }
        "join_selection" | "HashJoinBuffering" => |steps| steps.branches,
        "WindowTopN" | "LimitPushPastWindows" => |steps| steps.windows,
        "LimitPushdown" => |steps| steps.limits,
        "TopKRepartition" => |steps| steps.limits && steps.sorts,
        "PushdownSort" => |steps| steps.sorts,
        "ProjectionPushdown" => |steps| steps.projections || steps.branches,
        // Joins, the first rows of a sort and the ends of an aggregate make conditions, too.
        "FilterPushdown" => |steps| steps.filters || steps.branches,
        "FilterPushdown(Post)" => {
            |steps| steps.filters || steps.branches || steps.limits || steps.aggregates
        }
        _ => return None,
    })
}

/// A rule and the plans that it is for.
#[derive(Debug)]
struct Where {
    rule: Rule,
    is_needed: fn(Steps) -> bool,
}

impl PhysicalOptimizerRule for Where {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (self.is_needed)(Steps::of(&plan)?) {
            true => self.rule.optimize(plan, config),
            false => Ok(plan),
        }
    }

    fn optimize_with_context(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: &dyn PhysicalOptimizerContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (self.is_needed)(Steps::of(&plan)?) {
            true => self.rule.optimize_with_context(plan, context),
            false => Ok(plan),
        }
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}
