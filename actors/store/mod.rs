//! The `Store` actor: the rows that queries see.
//!
//! ## Owns
//! Of the tables of one shard: the buffered rows, in chunks by row time; the list of Parquet files;
//! the chunks that the running snapshot froze; how far the WAL has been applied; the epochs of
//! views.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `ApplyRows` | `Wal` | bytes held, when the rows are visible, the cuts are made and the mark is obeyed |
//! | `ViewTable` | `Query`, if it cannot look for itself | one consistent view of a table |
//! | `KeepSorted` | `Query` (tell) | – |
//! | `FrozenChunks` | `Persist` | what the snapshot still has to write, and what it swapped in |
//! | `SwapChunk` | `Persist` | bytes held, when files stand in the place of the chunk |
//! | `EndSnapshot` | `Index` | bytes held, when all files of the snapshot are listed |
//! | `RemoveFiles` | `Index` | the last epoch of views that may list them |
//! | `SwapFiles` | `Index` | the same, when other files are listed in their place |
//! | `OldestEpoch` | `Index` | the epoch of the oldest view that is still held |
//! | `DropTables` | the deletion sweep | when rows and files are gone |
//!
//! What it owns lies open (see `runtime::shared`): a query takes its view of a table without a message
//! while the actor does nothing.
//!
//! ## Emits
//! `CacheRows` to the caches of a table (tell), when rows of it come in, each group once. `Wal` is
//! answered when they are in the mailboxes of these, or are known to be missed.
//!
//! ## Invariants
//! Rows come in only through `ApplyRows`, so they are durable before they are visible. WAL groups
//! are applied in rising order, each once, first the rows, then the cuts and then the mark:
//! - The mark of a snapshot that is durable: its rows are in files, so the chunks that begin before
//!   its end are dropped. Only this very mark at this very group counts, never one like it.
//! - The mark of the snapshot after the last durable one: these chunks are frozen. A frozen chunk
//!   takes no more rows; later ones of its time go to a new chunk. When the mark comes again, the
//!   writing of the former one had failed: what that froze is thawed first.
//! - Any other mark belongs to an attempt that came to nothing and is passed over.
//!
//! A cut closes the chunks whose times it touches: later rows go to new ones, so that no chunk, and
//! no file of a snapshot, has rows from both sides of it. It stands in the log, so that a chunk is
//! divided alike whenever that is read.
//!
//! Live chunks of a table do not overlap in time, but for those of one chunk time that were divided;
//! nor do frozen ones. A row is in exactly one place of a view: one live chunk, one frozen chunk, or
//! one file. Of one chunk time, files are older than the frozen chunks and these are older than the
//! live ones, unless it was divided and a later part became a file first; in any case their stretches
//! of writes tell. No step shows half of a swap.
//!
//! `SwapChunk`, `EndSnapshot`, `RemoveFiles`, `SwapFiles` and `DropTables` may be repeated. `FrozenChunks` for
//! a snapshot whose mark has not come gets no answer.
//!
//! ## On failure
//! Rebuilt from the index of files and the WAL, which repeats the marks: the snapshot under way
//! is frozen again. `Wal` holds the answers of writers meanwhile and repeats what was not applied.
//! `Index` repeats `EndSnapshot`, `RemoveFiles` and `SwapFiles` that were not answered: the index may
//! have been read before they were sent. The epochs of views go on, for queries outlive the shard.

mod actor;
mod chunk;
mod files;
mod pins;
mod shard;
mod shards;
mod split;
mod table;
#[cfg(test)]
mod tests;

pub use actor::Store;
pub use files::ShardFiles;
pub use pins::Epochs;
pub use shard::Shard;
pub use shards::{StoreShards, shard_index};
