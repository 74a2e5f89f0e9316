//! The `Persist` actor: rows leave memory for Parquet files here, and files leave the store.
//!
//! ## Owns
//! The index of Parquet files, the snapshot under way, and what of the object store is still to
//! be removed: files past retention or of deleted tables, and WAL files that are no longer needed.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `SnapshotDue` | `Wal`, ticker (tell) | – |
//! | `CleanUp` | ticker (tell) | – |
//! | `FinishSnapshot` | shutdown | when no snapshot is under way |
//!
//! ## Emits
//! To `Wal`: `TakeSnapshot`, `SnapshotDone`. To the `Store` shards: `FrozenChunks`, `SwapChunk`,
//! `EndSnapshot`, `RemoveFiles`. To `ParquetCache`: `Insert`, `Evict`. Each is repeated until it is
//! answered, but for `Insert`.
//!
//! ## Invariants
//! A file is stored before a shard uses it. All files of a snapshot are stored before the index
//! names them, the index names them before the shards and the WAL hear that the snapshot is over,
//! and only after that WAL files are removed, the oldest first. The index forgets a file before
//! the shards do, and its object goes last. The same rows are always written as the same bytes
//! under the same names, so that a snapshot can be taken again from its beginning.
//! One thing is done at a time, and rows that cannot be written now are never given up.
//!
//! ## On failure
//! Rebuilt from the index: a snapshot under way begins again, with the chunks that the shards
//! still have, and what is still to be removed is found in the index and in the listing of the
//! WAL. When another process has written to the index, this one ends; when it has claimed the log,
//! the index is left to it.

mod actor;
mod ask;
mod encode;
pub mod index;
mod snapshot;
mod sweep;
#[cfg(test)]
mod tests;
mod upload;
mod wal_files;
mod worker;

#[cfg(test)]
pub(crate) use encode::encode as encode_rows;

pub use actor::{OBJECT_GRACE_MIN, Persist, PersistConfig};
