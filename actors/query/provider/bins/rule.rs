//! Finds the queries that need only the newest bins of time.

use super::super::exec::ScanExec;
use super::exec::NewestBinsExec;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// Functions whose value is the start of a bin, and of the same bin again if it is put in.
const BINS: [&str; 3] = ["date_bin", "date_bin_wallclock", "date_trunc"];

/// Limit: of more rows than this the bins are not looked for.
const ROWS_MAX: usize = 10_000;

/// Puts [`NewestBinsExec`] over what yields the first rows, newest bin first, of rows grouped by
/// bins of time.
#[derive(Debug)]
pub(in crate::query) struct ReadNewestBins;

impl PhysicalOptimizerRule for ReadNewestBins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let read = plan.transform_down(|plan| {
            Ok(match newest_bins(&plan)? {
                Some(bins) => {
                    let found: Arc<dyn ExecutionPlan> = Arc::new(bins);
                    Transformed::new(found, true, TreeNodeRecursion::Jump)
                }
                None => Transformed::no(plan),
            })
        })?;
        Ok(read.data)
    }

    fn name(&self) -> &str {
        "read_newest_bins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn newest_bins(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<NewestBinsExec>> {
    let Some((rows, order)) = first_rows(plan) else { return Ok(None) };
    let Some(column) = order.expr.downcast_ref::<Column>() else { return Ok(None) };
    if rows == 0 || rows > ROWS_MAX || !order.options.descending {
        return Ok(None);
    }
    let Some((bin, scan)) = bins_below(plan, column.index()) else { return Ok(None) };
    NewestBinsExec::try_new(Arc::clone(plan), bin, rows, &scan)
}

/// How many rows a plan of one partition yields at most, and what they are ordered by first.
fn first_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<(usize, &PhysicalSortExpr)> {
    if let Some(merge) = plan.downcast_ref::<SortPreservingMergeExec>() {
        return Some((merge.fetch()?, merge.expr().first()));
    }
    let sort = plan.downcast_ref::<SortExec>()?;
    (!sort.preserve_partitioning()).then_some(())?;
    Some((sort.fetch()?, sort.expr().first()))
}

/// The function of `time` alone that makes a column of a plan, if rows are grouped by it and the
/// rows of each group come from one scan, which is returned too.
fn bins_below(
    plan: &Arc<dyn ExecutionPlan>,
    column: usize,
) -> Option<(Arc<dyn PhysicalExpr>, ScanExec)> {
    let (mut plan, mut column) = (plan, column);
    loop {
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            let groups = aggregate.group_expr();
            let (group, _) = groups.expr().get(column).filter(|_| groups.is_single())?;
            match aggregate.mode() {
                AggregateMode::Final | AggregateMode::FinalPartitioned => {
                    column = group.downcast_ref::<Column>()?.index();
                }
                AggregateMode::Partial
                | AggregateMode::Single
                | AggregateMode::SinglePartitioned => {
                    let is_bin = group.downcast_ref::<ScalarFunctionExpr>();
                    is_bin.filter(|function| BINS.contains(&function.name()))?;
                    return Some((Arc::clone(group), scan_below(plan, group)?));
                }
                AggregateMode::PartialReduce => return None,
            }
        } else {
            column = column_below(plan, column)?;
        }
        plan = only_child(plan)?;
    }
}

/// The scan below an aggregate, if the rows that it yields are what is aggregated, and its times
/// what the bins are made of.
fn scan_below(aggregate: &Arc<dyn ExecutionPlan>, bin: &Arc<dyn PhysicalExpr>) -> Option<ScanExec> {
    let columns = collect_columns(bin);
    let mut columns = columns.iter();
    let (Some(time), None) = (columns.next(), columns.next()) else { return None };
    let (mut plan, mut column) = (only_child(aggregate)?, time.index());
    loop {
        if let Some(scan) = plan.downcast_ref::<ScanExec>() {
            let is_time = scan.schema().fields().get(column)?.name() == TIME_COLUMN;
            return (is_time && scan.fetch().is_none()).then(|| scan.clone());
        }
        column = column_below(plan, column)?;
        plan = only_child(plan)?;
    }
}

/// Which column of its input a column of a plan is that takes rows as they are, all of them or the
/// first ones, newest bin first.
fn column_below(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Option<usize> {
    if plan.fetch().is_some() {
        let order = match plan.downcast_ref::<SortPreservingMergeExec>() {
            Some(merge) => merge.expr(),
            None => plan.downcast_ref::<SortExec>()?.expr(),
        };
        let first = order.first().expr.downcast_ref::<Column>()?;
        (first.index() == column && order.first().options.descending).then_some(())?;
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let projected = projection.expr().get(column)?;
        return Some(projected.expr.downcast_ref::<Column>()?.index());
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return match filter.projection() {
            Some(projection) => projection.get(column).copied(),
            None => Some(column),
        };
    }
    let keeps_columns = plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<CoalescePartitionsExec>();
    keeps_columns.then_some(column)
}

fn only_child(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    match plan.children().as_slice() {
        [child] => Some(*child),
        _ => None,
    }
}
