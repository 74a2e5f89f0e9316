//! What HTTP and Flight have in common: who may come in, what requests are answered with, and how
//! statements are asked.

pub mod access;
mod admission;
pub mod audit;
pub mod body_budget;
pub mod influxql;
pub mod origins;
pub mod query;
pub mod quota;
pub mod refusals;
pub mod row_deletes;
pub mod sessions;
pub mod slowdown;
pub mod state;
pub mod write_counts;
