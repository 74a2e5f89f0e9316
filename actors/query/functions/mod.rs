//! The functions of the engine, and those that are added or differ.

mod approx_distinct;
pub(super) mod at_time_zone;
mod bins;
mod bounded;
mod date_bin_wallclock;
mod delegate;
mod differences;
pub(super) mod gapfill;
pub(super) mod local_clock;
mod measured;
mod regex;
mod scalars;
pub(super) mod selectors;
mod sums;
pub(super) mod windows;

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use std::sync::Arc;

/// All scalar functions. Of two with one name the later counts.
pub(super) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let mut functions = bounded::all();
    functions.extend(regex::all());
    functions.extend(scalars::all());
    functions
        .push(Arc::new(ScalarUDF::new_from_impl(date_bin_wallclock::DateBinWallclock::default())));
    functions.push(at_time_zone::function());
    functions.extend(gapfill::all());
    functions
}

/// All aggregate functions. Of two with one name the later counts.
pub(super) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    let mut functions = SessionStateDefaults::default_aggregate_functions();
    functions
        .push(Arc::new(AggregateUDF::new_from_impl(approx_distinct::ApproxDistinct::default())));
    functions.extend(selectors::all());
    functions.extend(sums::all());
    functions
}

/// All window functions.
pub(super) fn window() -> Vec<Arc<WindowUDF>> {
    let mut functions = SessionStateDefaults::default_window_functions();
    functions.extend(differences::all());
    functions
}
