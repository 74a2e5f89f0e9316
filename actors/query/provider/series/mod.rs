//! The first rows of each series: for queries that ask for so many values of each, the newest or
//! the oldest.
//!
//! A series is what has equal tags, and a row shows what is left of it when each of its fields is
//! cut on its own, or all of them together. The operator keeps of each series no rows but those
//! that may be shown, in whatever order they come. Where they come from a table, this is read from
//! that end of time on at which the wanted rows are, and told of which series no further row is
//! needed. For the newest values it reads the newest rows first, and others only of series whose newest
//! row lacks one.

mod cells;
mod collect;
mod cut;
mod exec;
mod node;
mod read;

pub(in super::super) use cut::Cut;
pub(in super::super) use node::{SeriesPlanner, cut_series, is_cut_series};
