//! The newest bins of time: for queries such as the maximum of each minute, the newest five.
//!
//! What is grouped by bins of time and wanted newest bin first does not depend on rows that are
//! older than the bins of the result. How many bins have rows at all is not known beforehand. So the
//! query runs over the newest rows first, as many bins as rows are wanted, and over more and more
//! if these do not yield enough: a long history costs no more than what is shown of it.

mod exec;
mod rule;

pub(in super::super) use rule::ReadNewestBins;
