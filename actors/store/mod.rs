//! The `Store` actor: the rows that queries see.
//!
//! ## Owns
//! Of the tables of one shard: the buffered rows, in chunks by row time, and how far the WAL has
//! been applied.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `ApplyRows` | `Wal` | when the rows are visible |
//! | `ViewTable` | `Query` | one consistent view of a table |
//! | `KeepSorted` | `Query` (tell) | – |
//! | `DropTables` | the deletion sweep | when the rows are gone |
//!
//! ## Emits
//! Nothing: it asks nobody.
//!
//! ## Invariants
//! Rows come in only through `ApplyRows`, so they are durable before they are visible. WAL groups
//! are applied in rising order, each once. Chunks of a table do not overlap in time. A row is in
//! exactly one place of a view.
//!
//! ## On failure
//! Rebuilt from the WAL. `Wal` holds the answers of writers meanwhile and repeats what was not
//! applied.

mod actor;
mod chunk;
#[cfg(test)]
mod tests;

pub use actor::{Store, StoreShards, shard_index};
