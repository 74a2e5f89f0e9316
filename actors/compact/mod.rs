//! The `Compact` actor: many small Parquet files become few large ones here.
//!
//! ## Owns
//! The compaction under way, what is to be done after it, and what was done of late.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `CompactionDue` | ticker (tell) | – |
//! | `CompactNow` | HTTP | the run that begins |
//! | `ReadCompactionRun` | HTTP | how a run is |
//!
//! ## Emits
//! To `Index`: `ListFiles`, `AppendCompaction`, `SweepOrphans`, each repeated until it is answered. To
//! `ParquetCache`: `Insert` (tell).
//!
//! ## Invariants
//! Nobody sees anything of a compaction before `Index` has put its files in the place of others, in
//! one step; until then those others are as they were. Files are only merged when nobody has rows of
//! the same times that were written in between, and rows are merged as queries merge them, so that
//! no answer changes. One compaction is under way at a time; its memory has a bound, whatever the
//! size of the files, and its thread takes what processor time others leave. Rows that went in are
//! counted against those that came out.
//! Rows that were deleted are left out before any of them is merged. The deletes are read after the
//! list of files, and not while one of the table has no bound: so a new file has no row of a delete up
//! to the one that it names (`deletes_through`), and every later delete is about all of its rows.
//!
//! ## On failure
//! Rebuilt with nothing under way: what is due is found out anew, and files that nobody knows are
//! deleted before the next compaction. A window that fails is left alone for a while. When another
//! process has taken over, nothing is begun any more.

mod actor;
mod history;
mod job;
mod merge;
mod options;
mod output;
mod plan;
mod read;
mod runs;
#[cfg(test)]
mod tests;
mod worker;

pub use actor::{Compact, CompactConfig};
pub use history::History;
pub use options::CompactionOptions;
