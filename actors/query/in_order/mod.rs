//! The rows of a result in their order: by series and time, and rows of one time by their tags.
//!
//! Most questions for rows as they are have few of them. These are put in order by one step, which
//! looks at tags only where times are equal; for many rows the engine's own operators are planned,
//! which use several threads and the disk. Columns that rows are only ordered by end here.

mod exec;
mod node;
mod order;
mod series_key;

pub(in crate::query) use node::{InOrderPlanner, in_order, is_in_order};
pub(in crate::query) use order::Order;
pub(in crate::query) use series_key::series_key;
