//! Physical plans that are used again.
//!
//! To make the physical plan of a short query takes longer than to run it. Where the values of a
//! statement say no more than which rows a scan reads, and between which instants gaps are filled,
//! everything above the scan is the same for all statements of its shape. So the plan is kept, without
//! the rows that it was made for, and gets a scan that is planned with the values of the next
//! statement. It has to be one whose rows come as those did for which the plan was made: in one
//! partition, and in order if they were.

use crate::query::functions::gapfill;
use crate::query::provider::{self, ScanAnew, State};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The steps that do with other rows what they did with those that a plan was made for.
const STEPS: [&str; 10] = [
    "AggregateExec",
    "CoalescePartitionsExec",
    "FilterExec",
    "GapFillExec",
    "GlobalLimitExec",
    "InOrderExec",
    "LocalLimitExec",
    "ProjectionExec",
    "RunsExec",
    "SortExec",
];

/// What a plan takes from the values of its statement, and the plan.
#[derive(Debug)]
pub(super) struct Kept {
    scan: TableScan,
    gaps: Option<Arc<dyn UserDefinedLogicalNode>>,
    plan: Mutex<Option<Arc<dyn ExecutionPlan>>>,
}

impl Kept {
    /// Room for the plan of an optimized one. `None` if it depends on values in other ways, too.
    ///
    /// # Errors
    /// When the plan cannot be walked.
    pub(super) fn of(plan: &LogicalPlan) -> Result<Option<Self>> {
        let (mut scans, mut gaps, mut is_kept) = (Vec::new(), Vec::new(), true);
        plan.apply(|node| {
            match node {
                LogicalPlan::TableScan(scan) => scans.push(scan.clone()),
                LogicalPlan::Extension(step) if gapfill::is_gap_fill(step.node.as_ref()) => {
                    gaps.push(Arc::clone(&step.node));
                }
                node => node
                    .apply_expressions(|expr| {
                        is_kept &= !expr.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))?;
                        Ok(TreeNodeRecursion::Continue)
                    })
                    .map(|_| ())?,
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let (Some(scan), gap) = (scans.pop(), gaps.pop()) else { return Ok(None) };
        is_kept &= scans.is_empty() && gaps.is_empty();
        Ok(is_kept.then(|| Self { scan, gaps: gap, plan: Mutex::default() }))
    }

    /// Keeps a plan that was made for the values of a statement, if it would do for others, in the place
    /// of the one that did not do for these.
    pub(super) fn keep(&self, plan: &Arc<dyn ExecutionPlan>) {
        if !is_for_any_rows(plan) {
            return;
        }
        let hollow = provider::without_rows(plan);
        if let Some(hollow) = hollow.and_then(|scan| with_state(plan, &scan, None).ok()) {
            *self.lock() = Some(hollow);
        }
    }

    /// The kept plan for other values, which `bind` puts into expressions. `None` if there is no plan,
    /// it is not for such rows as there are, or a value makes no sense.
    ///
    /// # Errors
    /// When the rows cannot be seen.
    pub(super) async fn plan(
        &self,
        state: &SessionState,
        bind: impl Fn(Expr, &Arc<DFSchema>) -> Result<Expr>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(plan) = self.lock().clone() else { return Ok(None) };
        let TableScan { source, projection, filters, fetch, projected_schema, .. } = &self.scan;
        let filters = filters.iter().map(|filter| bind(filter.clone(), projected_schema));
        let (Ok(filters), Ok(bins)) = (filters.collect::<Result<Vec<_>>>(), self.bins(&bind))
        else {
            return Ok(None);
        };
        // A table knows its columns without its name.
        let filters = unnormalize_cols(filters);
        let scan = ScanAnew::plan(source, state, projection.as_ref(), &filters, *fetch).await?;
        let Some(scan) = scan.filter(|scan| scan.fits(&plan)) else { return Ok(None) };
        Ok(Some(with_state(&plan, &scan.admitted(state)?, bins.as_ref())?))
    }

    /// What the step is told that fills gaps, if there is one.
    fn bins(&self, bind: impl Fn(Expr, &Arc<DFSchema>) -> Result<Expr>) -> Result<Option<State>> {
        let Some(node) = &self.gaps else { return Ok(None) };
        let input = node.inputs().pop();
        let schema = input.ok_or_else(|| internal_datafusion_err!("there are no rows"))?.schema();
        let ends = node.expressions().into_iter().map(|end| bind(end, schema));
        gapfill::layout_between(node.as_ref(), &ends.collect::<Result<Vec<_>>>()?).map(Some)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<dyn ExecutionPlan>>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True if nothing in the plan but its scan knows the rows that it was made for.
fn is_for_any_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => provider::may_have_other_rows(plan),
        [input] => {
            STEPS.contains(&plan.name())
                && plan.dynamic_expressions_produced().is_empty()
                && is_for_any_rows(input)
        }
        _ => false,
    }
}

/// A copy of the plan that has done nothing yet, with another scan and maybe other bins.
fn with_state(
    plan: &Arc<dyn ExecutionPlan>,
    scan: &State,
    bins: Option<&State>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = plan.children().into_iter().map(|input| with_state(input, scan, bins));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    if inputs.is_empty() {
        let scan = plan.with_new_state(Arc::clone(scan));
        return scan.ok_or_else(|| internal_datafusion_err!("{} is no scan", plan.name()));
    }
    let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    let copy = Arc::clone(plan).replace_children(inputs, keep)?.reset_state()?;
    Ok(bins.and_then(|bins| copy.with_new_state(Arc::clone(bins))).unwrap_or(copy))
}
