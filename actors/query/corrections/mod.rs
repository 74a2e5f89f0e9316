//! What the engine answers wrongly, put right while a statement is analyzed.
//!
//! Each rule says what is wrong, in which version, and how to see that it has been mended; its test
//! asserts the right answer, so a rule can be taken out when its tests pass without it. Sums that
//! overflow are in `functions::sums`, times on a clock in `functions::at_time_zone`, clauses that
//! would be ignored in `guard::clauses`.

mod arithmetic;
mod casts;
mod subqueries;

use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// The rules, in their order. They come after types are settled.
pub(super) fn rules() -> [Arc<dyn AnalyzerRule + Send + Sync>; 3] {
    [
        Arc::new(subqueries::ThreeValued),
        Arc::new(casts::LosslessCasts),
        Arc::new(arithmetic::Checked),
    ]
}
