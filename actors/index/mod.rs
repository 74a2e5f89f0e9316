//! The `Index` actor: which Parquet files there are is decided here, and files leave the store here.
//!
//! ## Owns
//! The durable index of Parquet files, and what of the object store is still to be removed: files
//! past retention, files of deleted tables, files whose rows are in compacted ones, and what
//! unfinished compactions have left.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `FindSnapshot` | `Persist` | what the index knows of a snapshot |
//! | `AppendSnapshot` | `Persist` | the files of the snapshot, once it is durable and every shard knows |
//! | `ListFiles` | `Compact` | all files |
//! | `AppendCompaction` | `Compact` | the new files, once they durably stand in the place of others |
//! | `AwaitStep` | `CacheKeeper` | nothing, once the step under way is over and the shards know |
//! | `SweepOrphans` | `Compact` | how many objects were deleted that nobody names |
//! | `SweepFiles` | ticker (tell) | – |
//!
//! ## Emits
//! To the `Store` shards: `EndSnapshot`, `RemoveFiles`, `SwapFiles`, `OldestEpoch`. To `ParquetCache`: `Evict`. Each is repeated
//! until it is answered.
//!
//! ## Invariants
//! The index names a file before the shards hear that its snapshot is over. The index forgets a file
//! before the shards do, and its object goes last. One step of the index is under way at a time, and
//! the shards are told of each before the next: no file comes back to a shard that was told to
//! forget it. Objects are deleted beside that, so that a snapshot does not wait for them; none goes
//! while a view is held that may have its file.
//!
//! A step of the compaction is taken only if its inputs are part of their table by then, no file with
//! rows of their times was written in between, no row can become a file later that was, and the deletes
//! of rows that were applied are still in force.
//!
//! ## On failure
//! Rebuilt from the store. Who waits for an answer asks again; a step whose outcome was unknown is
//! found there or not. Shards are told again of all that was removed. When another process has
//! written to the index, this one ends; when it has claimed the log, the index is left to it.

mod actor;
mod ask;
mod compaction;
mod due;
mod keeper;
pub mod log;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;

pub use actor::{Index, IndexConfig, OBJECT_GRACE_MIN};
