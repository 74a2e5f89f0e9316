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
mod node;
mod range;
mod rule;
mod series;
mod stream;
mod stubs;
#[cfg(test)]
mod tests;

pub(in super::super) use node::Planner;
pub(in super::super) use rule::HandleGapFill;

use datafusion::logical_expr::ScalarUDF;
use std::sync::Arc;
use stubs::{BinStub, FillKind, FillStub};

/// The functions that ask for gap filling.
pub(super) fn all() -> [Arc<ScalarUDF>; 4] {
    [
        Arc::new(ScalarUDF::new_from_impl(BinStub::absolute())),
        Arc::new(ScalarUDF::new_from_impl(BinStub::wallclock())),
        Arc::new(ScalarUDF::new_from_impl(FillStub::new(FillKind::Previous))),
        Arc::new(ScalarUDF::new_from_impl(FillStub::new(FillKind::Linear))),
    ]
}
