//! Reading a table from that end of time on at which the wanted rows are.

use super::super::enough::{OfSeries, Values};
use super::super::exec::ScanExec;
use super::super::groups::Groups;
use super::super::scan::Scan;
use super::cut::Cut;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use protocols::schema::{ColumnKind, TIME_COLUMN};
use std::sync::Arc;

/// A table that is read from one end of time on.
#[derive(Clone, Debug)]
pub(super) struct Read {
    scan: Arc<Scan>,
    /// The columns of the scan that tell series apart.
    series: Vec<usize>,
    /// True if the newest row of a series may be all that is shown of it, and is left out by nobody.
    pub(super) takes_newest: bool,
    /// What is needed of a series.
    pub(super) of_series: OfSeries,
}

impl Read {
    /// The same plan over a table that is read from one end of time on, and how, where `columns` are made
    /// of its rows and then cut. `None` if what tells series apart are no tags of one table.
    pub(super) fn of(
        plan: &Arc<dyn ExecutionPlan>,
        columns: &[ProjectionExpr],
        cut: &Cut,
    ) -> Result<Option<(Arc<dyn ExecutionPlan>, Self)>> {
        let whole = Columns {
            series: cut.series.clone(),
            time: Some(cut.time),
            fields: Some(cut.fields.clone()),
            takes_all: true,
        };
        let Some(columns) = whole.below(|at| column_of(columns, at)) else { return Ok(None) };
        let Some(found) = from_end(plan, columns, cut.descending)? else { return Ok(None) };
        let FromEnd { plan, scan, columns } = found;
        let schema = &scan.schema;
        let name = |at: &usize| schema.field(*at).name().clone();
        let takes_all = columns.takes_all
            && columns.time.is_some_and(|time| schema.field(time).name() == TIME_COLUMN);
        let of_series = match columns.fields.filter(|_| takes_all) {
            Some(fields) => OfSeries::Values(Values {
                columns: fields.iter().map(name).collect(),
                count: cut.wanted(),
                newest: cut.descending,
            }),
            None => OfSeries::All,
        };
        let takes_newest = takes_all && cut.descending && cut.wanted() == 1;
        let read = Self { scan, series: columns.series, takes_newest, of_series };
        Ok(Some((plan, read)))
    }

    /// The series of the table, of which none was met.
    pub(super) fn groups(&self) -> Result<Arc<Groups>> {
        let key = Arc::new(self.scan.schema.project(&self.series)?);
        Ok(Arc::new(Groups::new(key, &self.scan.selection)?))
    }
}

/// What a cut asks for, as columns of a step below it.
struct Columns {
    series: Vec<usize>,
    /// The time, as far as it is that of the rows.
    time: Option<usize>,
    /// What is cut, as far as these are columns of the rows.
    fields: Option<Vec<usize>>,
    /// True if no row is left out.
    takes_all: bool,
}

impl Columns {
    /// The same as columns of an input of which `below` says which a column is. `None` if what tells
    /// series apart is not among these.
    fn below(&self, below: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        let all = |columns: &[usize]| columns.iter().map(|at| below(*at)).collect();
        Some(Self {
            series: all(&self.series)?,
            time: self.time.and_then(&below),
            fields: self.fields.as_deref().and_then(all),
            takes_all: self.takes_all,
        })
    }
}

/// A plan over a scan that reads from one end of time on.
struct FromEnd {
    plan: Arc<dyn ExecutionPlan>,
    scan: Arc<Scan>,
    /// What is cut, as columns of the scan.
    columns: Columns,
}

/// The same plan over a scan that reads from one end of time on.
fn from_end(
    plan: &Arc<dyn ExecutionPlan>,
    columns: Columns,
    newest: bool,
) -> Result<Option<FromEnd>> {
    if let Some(exec) = plan.downcast_ref::<ScanExec>() {
        let scan = Arc::clone(exec.scan());
        let is_tag = |at: &usize| {
            let column = scan.table.column(scan.schema.field(*at).name());
            column.is_some_and(|column| column.kind == ColumnKind::Tag)
        };
        if exec.fetch().is_some() || !columns.series.iter().all(is_tag) {
            return Ok(None);
        }
        let plan = Arc::new(exec.clone().for_end(newest));
        return Ok(Some(FromEnd { plan, scan, columns }));
    }
    let children = plan.children();
    let [child] = children.as_slice() else { return Ok(None) };
    let Some(mut below) = columns.below(|at| column_below(plan, at)) else { return Ok(None) };
    below.takes_all &= plan.is::<ProjectionExec>();
    let Some(found) = from_end(child, below, newest)? else { return Ok(None) };
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let plan = Arc::clone(plan).replace_children(vec![found.plan], options)?;
    Ok(Some(FromEnd { plan, ..found }))
}

/// Which column of its input a column of a plan is that takes rows as they are.
fn column_below(plan: &Arc<dyn ExecutionPlan>, at: usize) -> Option<usize> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return column_of(projection.expr(), at);
    }
    let filter = plan.downcast_ref::<FilterExec>().filter(|filter| filter.fetch().is_none())?;
    match filter.projection() {
        Some(projection) => projection.get(at).copied(),
        None => Some(at),
    }
}

/// Which column a column is that is made of rows.
fn column_of(columns: &[ProjectionExpr], at: usize) -> Option<usize> {
    Some(columns.get(at)?.expr.downcast_ref::<Column>()?.index())
}
