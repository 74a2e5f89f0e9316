//! The newest rows of a table: for queries that ask for the last value of each tag.
//!
//! Such a query needs one row of each group of rows with equal tags. The newest chunk or file has
//! nearly all of them; of an older one only its tags are looked at, to see whether there is a
//! group in it that no newer one has. What tags a file has is remembered.

mod best;
mod exec;
mod names;
mod rule;
mod table;

pub(in super::super) use rule::ReadNewest;
pub(super) use table::NewestRows;
