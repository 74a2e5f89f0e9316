//! What becomes of measurements: sections of `RESULTS.md` with tables, and plots beside it.

mod plot;
mod section;
mod table;

pub(crate) use plot::{Bars, Lines, Series};
pub(crate) use section::Section;
pub(crate) use table::{Table, median, number, ratio};
