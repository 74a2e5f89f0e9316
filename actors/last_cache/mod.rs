//! The `LastCache` actor: the last rows of each combination of key values of one table.
//!
//! ## Owns
//! For each key up to `count` rows, the newest by time, with their value columns.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `CacheRows` | a `Store` shard (tell) | nothing: later questions wait behind it |
//! | `LookUpCache` | `Query` | the rows, newest first within a key |
//! | `FillRows`, `FillEnded`, `StartOver` | `CacheKeeper` | when it is done |
//! | `EvictDue` | `CacheKeeper` (tell) | nothing |
//!
//! ## Emits
//! `LookAfterCaches` to `CacheKeeper` when it waits to be filled. It asks nobody.
//!
//! ## Invariants
//! - A row enters when it has a value for every key column and is among the newest `count` of its
//!   key. One of the time and tags of a row that is there is that row: field by field, the last
//!   written value counts, as in the table. So a cache shows what its table has, before and after a
//!   restart, as far as the table's rows came in within `ttl`.
//! - The rows of a key are in order of time, the newest first, those of one time in order of the
//!   tags that are no key columns (by their names), a missing tag first.
//! - What it is filled with is older than what writers bring meanwhile, and replaces none of that.
//! - Where a key column is a field, a row whose value there is changed later is under both values
//!   until the cache is filled again.
//! - A row is shown for `ttl` after it came in. Keys are in order of their last entry, so that
//!   those whose time is over, or that have to go for lack of memory, are found without a search.
//! - An equality on key columns costs as many steps as there are keys with that value; one for
//!   each key column costs one step.
//! - A batch costs steps by its rows, however many keys there are. A late row of a key with many
//!   rows finds its place by an index.
//!
//! ## On failure
//! Rebuilt empty, and filled by `CacheKeeper` with what the store has, unless it is to start empty.
//! Questions wait for that.

mod content;
mod moves;
mod order;
mod tags;
#[cfg(test)]
mod tests;
mod values;

pub use content::LastValues;

use crate::cache_kit::Cache;

/// See the module's page.
pub type LastCache = Cache<LastValues>;
