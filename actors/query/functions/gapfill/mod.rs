//! Gap filling: `date_bin_gapfill` and `date_bin_wallclock_gapfill`, with `locf` and `interpolate`.
//!
//! The functions are only marks in the query (`stubs`). A rule of the analyzer (`rule`) finds
//! them, reads the range of time from the filters below (`range`), lets the aggregate bin plainly
//! and puts a step on top (`node`) that adds the bins without rows. That step (`exec`) gets the
//! groups ordered by series and bin, and holds those of one series at a time (`stream`); what it
//! adds is made batch by batch (`series`, `bins`, `fill`), so that a result may be far larger
//! than memory.

mod bins;
mod exec;
mod fill;
mod layout;
mod node;
mod planner;
mod range;
mod rule;
mod series;
mod stream;
mod stubs;
#[cfg(test)]
mod tests;

pub(in super::super) use node::{is_gap_fill, layout_between};
pub(in super::super) use planner::GapFillPlanner;
pub(in super::super) use rule::HandleGapFill;

use bins::BinRange;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, ScalarUDF};
use layout::{ColumnRole, Layout};
use node::GapFill;
use std::sync::Arc;
use stubs::{BinStub, FillKind, FillStub};

/// What is to be filled, for a language that says so without these functions.
pub(in super::super) struct Filling {
    /// Length of a bin, above zero.
    pub(in super::super) stride_ns: i64,
    /// Where a bin starts: an instant, or a time on the clock of `zone`.
    pub(in super::super) origin_ns: i64,
    /// The time zone whose clock the bins follow, if they do.
    pub(in super::super) zone: Option<Arc<str>>,
    /// The first instant that has to be in a bin. Without it each series begins with its first row.
    pub(in super::super) first_ns: Option<i64>,
    /// The last instant that has to be in a bin.
    pub(in super::super) last_ns: i64,
    /// What each column is.
    pub(in super::super) columns: Vec<FillsOf>,
    /// What the first instant, if there is one, and the last are where these are not known yet.
    pub(in super::super) open: Vec<Expr>,
}

/// What a column is, and what it becomes where rows are added.
#[derive(Clone, Debug)]
pub(in super::super) enum FillsOf {
    /// The bin.
    Bin,
    /// Part of what tells one series from another.
    Series,
    /// A value.
    Value(ScalarValue),
    /// The last value before; nulls, too.
    Previous,
    /// The straight line between the values around; nulls, too.
    Linear,
}

/// Adds the missing bins to groups by series and bin.
///
/// # Errors
/// When not every column is told of.
pub(in super::super) fn fill(input: LogicalPlan, filling: Filling) -> Result<LogicalPlan> {
    let Filling { stride_ns, origin_ns, zone, first_ns, last_ns, columns, open } = filling;
    let roles = columns.into_iter().map(|column| match column {
        FillsOf::Bin => ColumnRole::Bin,
        FillsOf::Series => ColumnRole::Series,
        FillsOf::Value(value) => ColumnRole::Value(value),
        FillsOf::Previous => ColumnRole::Filled(FillKind::Previous),
        FillsOf::Linear => ColumnRole::Filled(FillKind::Linear),
    });
    let from_first_row = first_ns.is_none();
    let first_ns = first_ns.unwrap_or(last_ns);
    let bins = BinRange { stride_ns, origin_ns, zone, first_ns, last_ns };
    let layout = Layout { bins, roles: roles.collect(), from_first_row };
    let node = Arc::new(GapFill::try_new(input, layout)?.with_open(open));
    Ok(LogicalPlan::Extension(Extension { node }))
}

/// The functions that ask for gap filling.
pub(super) fn all() -> [Arc<ScalarUDF>; 4] {
    [
        Arc::new(ScalarUDF::new_from_impl(BinStub::absolute())),
        Arc::new(ScalarUDF::new_from_impl(BinStub::wallclock())),
        Arc::new(ScalarUDF::new_from_impl(FillStub::new(FillKind::Previous))),
        Arc::new(ScalarUDF::new_from_impl(FillStub::new(FillKind::Linear))),
    ]
}
