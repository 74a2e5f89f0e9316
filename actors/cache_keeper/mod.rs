//! The `CacheKeeper` actor: births, fillings and ends of caches.
//!
//! ## Owns
//! The directory of running caches, which the store brings rows by and queries look caches up in.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `SyncCaches` | HTTP handlers, a ticker | when the caches that run are those of the catalog |
//! | `LookAfterCaches` | caches, a ticker (tell) | nothing |
//! | `RefillCaches` | HTTP handlers | when the caches of a table have begun anew |
//! | `EvictCaches` | tickers (tell) | nothing |
//!
//! ## Emits
//! `AwaitStep` to `Index`; `ScanTable` to `Query`; `FillRows`, `FillEnded`, `StartOver` and
//! `EvictDue` to the caches.
//!
//! ## Invariants
//! - A cache is in the directory before the rows that it is filled with are read. So each row
//!   comes to it at least once: brought by the store, or read.
//! - A cache of a deleted table or database leaves the directory, and then its actor ends.
//! - A filling that fails is tried again, and so is a birth. A cache that died so often that it was
//!   given up (`failed`) gets another life after a minute.
//! - A cache does not know when its rows were written. So all caches of a table begin anew when rows of
//!   it are deleted, before whoever asked for that is answered. Where nobody knew what came of such a
//!   request, the keeper finds out when it looks after the caches. Where one was taken back, the step
//!   of the index that is under way ends first: it may take out for good what was to be there again.
//! - A cache that is to start empty is never filled: whenever it begins, at its creation, with the
//!   server, after a failure or a delete of rows, it has only what is written from then on.
//!
//! ## On failure
//! Rebuilt with the same directory; caches that are not filled yet are filled from the beginning.

mod actor;
mod fill;
#[cfg(test)]
#[cfg(feature = "simulation")]
mod tests;
mod wanted;

pub use actor::{CacheKeeper, KeeperConfig};
