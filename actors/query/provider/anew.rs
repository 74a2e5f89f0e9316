//! Another scan in the place of one that a plan was made with.

use super::exec::ScanExec;
use super::table::StoredTable;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, TableSource};
use datafusion::physical_plan::ExecutionPlan;
use std::any::Any;
use std::sync::Arc;

/// What a scan of a plan is told to become another one.
pub(in crate::query) type State = Arc<dyn Any + Send + Sync>;

/// A scan that is to take the place of another one of its table, with the same columns.
pub(in crate::query) struct ScanAnew(ScanExec);

impl ScanAnew {
    /// Plans the reading of the rows of `source` that `filters` let through. `None` if there are none,
    /// or it is no table of rows.
    ///
    /// # Errors
    /// When the rows cannot be seen.
    pub(in crate::query) async fn plan(
        source: &Arc<dyn TableSource>,
        session: &SessionState,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Option<Self>> {
        let provider = source_as_provider(source)?;
        let Some(table) = provider.downcast_ref::<StoredTable>() else { return Ok(None) };
        Ok(table.plan_unadmitted(session, projection, filters, limit).await?.map(Self))
    }

    /// True if it may take the place of the scan of `plan`.
    pub(in crate::query) fn fits(&self, plan: &Arc<dyn ExecutionPlan>) -> bool {
        scan_of(plan).is_some_and(|scan| self.0.comes_as(scan))
    }

    /// What the scan of a plan is told, once this one counts for the files that a query may read.
    ///
    /// # Errors
    /// When these are too many.
    pub(in crate::query) fn admitted(self, session: &SessionState) -> Result<State> {
        Ok(Arc::new(self.0.admitted(session.config())?))
    }
}

/// True for a scan of which nobody above has wanted anything that has to do with its rows.
pub(in crate::query) fn may_have_other_rows(scan: &Arc<dyn ExecutionPlan>) -> bool {
    scan.downcast_ref::<ScanExec>().is_some_and(ScanExec::may_have_other_rows)
}

/// What the scan of `plan` is told to forget its rows.
pub(in crate::query) fn without_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<State> {
    Some(Arc::new(scan_of(plan)?.without_rows()))
}

/// The scan of a plan that has one.
fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&ScanExec> {
    match plan.children().as_slice() {
        [] => plan.downcast_ref::<ScanExec>(),
        [input] => scan_of(input),
        _ => None,
    }
}
