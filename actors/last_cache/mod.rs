//! The `LastCache` actor: the last rows of each combination of key values of one table.
//!
//! ## Owns
//! For each key up to `count` rows, the newest by time, with their value columns.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `CacheRows` | a `Store` shard | when its turn has come: later questions wait behind it |
//! | `LookUpCache` | `Query` | the rows, newest first within a key |
//! | `FillRows`, `FillEnded`, `StartOver` | `CacheKeeper` | when it is done |
//! | `EvictDue` | `CacheKeeper` (tell) | nothing |
//!
//! ## Emits
//! `LookAfterCaches` to `CacheKeeper` when it waits to be filled. It asks nobody.
//!
//! ## Invariants
//! - A row enters when it has a value for every key column, when its time is not that of a row
//!   that is there, and when it is among the newest `count` of its key. It enters as it was
//!   written: fields it lacks are null.
//! - The rows of a key are in order of time.
//! - A row is shown for `ttl` after it came in. Keys are in order of their last entry, so that
//!   those whose time is over, or that have to go for lack of memory, are found without a search.
//! - An equality on key columns costs as many steps as there are keys with that value; one for
//!   each key column costs one step.
//! - A batch costs steps by its rows, however many keys there are.
//!
//! ## On failure
//! Rebuilt empty, and filled by `CacheKeeper` with what the store has, unless it is to start empty.
//! Questions wait for that.

mod content;
mod moves;
mod order;
#[cfg(test)]
mod tests;
mod values;

pub use content::LastValues;

use crate::cache_kit::Cache;

/// See the module's page.
pub type LastCache = Cache<LastValues>;
