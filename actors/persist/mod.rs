//! The `Persist` actor: rows leave memory for Parquet files here.
//!
//! ## Owns
//! The snapshot under way, and which WAL files are no longer needed and still to be removed.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `SnapshotDue` | `Wal`, ticker (tell) | – |
//! | `CleanUp` | ticker (tell) | – |
//! | `FinishSnapshot` | shutdown | when no snapshot is under way |
//!
//! ## Emits
//! To `Wal`: `TakeSnapshot`, `SnapshotDone`. To the `Store` shards: `FrozenChunks`, `SwapChunk`. To
//! `Index`: `FindSnapshot`, `AppendSnapshot`. To `ParquetCache`: `Insert`. Each is repeated until it
//! is answered, but for `Insert`.
//!
//! ## Invariants
//! A file is stored before a shard uses it. All files of a snapshot are stored before the index
//! names them, the index names them before the shards and the WAL hear that the snapshot is over,
//! and only after that WAL files are removed, the oldest first. The same rows are always written as
//! the same bytes under the same names, so that a snapshot can be taken again from its beginning.
//! One thing is done at a time, and rows that cannot be written now are never given up.
//!
//! ## On failure
//! Rebuilt: a snapshot under way begins again, with the chunks that the shards still have, unless the
//! index says that it is durable; and what is still to be removed is found in the listing of the WAL.

mod actor;
mod ask;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod wal_files;
mod worker;

pub use actor::{Persist, PersistConfig};
