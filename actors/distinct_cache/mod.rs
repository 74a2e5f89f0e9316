//! The `DistinctCache` actor: the combinations of values that some columns of one table have.
//!
//! ## Owns
//! Each combination, and the time of the newest row that has it.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `CacheRows` | a `Store` shard (tell) | nothing: later questions wait behind it |
//! | `LookUpCache` | `Query` | the combinations, sorted column by column, each once |
//! | `FillRows`, `FillEnded`, `StartOver` | `CacheKeeper` | when it is done |
//! | `EvictDue` | `CacheKeeper` (tell) | nothing |
//!
//! ## Emits
//! `LookAfterCaches` to `CacheKeeper` when it waits to be filled. It asks nobody.
//!
//! ## Invariants
//! - A missing value is null, and null is a value.
//! - A combination is shown until its newest row is older than `max_age`.
//! - There are at most twice `max_cardinality` combinations, and at most `max_cardinality` after
//!   each regular eviction: those with the oldest times go first.
//! - Answers have each combination of the columns asked for once, whichever these are.
//! - Eviction looks only at combinations that were noted with an old time, not at all of them.
//!
//! ## On failure
//! Rebuilt empty, and filled by `CacheKeeper` with what the store has, unless it is to start empty.
//! Questions wait for that.

mod content;
#[cfg(test)]
mod tests;

pub use content::DistinctValues;

use crate::cache_kit::Cache;

/// See the module's page.
pub type DistinctCache = Cache<DistinctValues>;
