//! The `Wal` actor: rows become durable here, and only here.
//!
//! ## Owns
//! The open group of requests, the log file of the current period, group and file numbers, the
//! writers that wait, and which periods are not part of a snapshot yet.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `AppendRows` | `Ingest` | a receipt when the rows are durable and visible, or queued |
//! | `CutRows` | HTTP handlers | the stamp of the cut, when it is durable and the shard has made it |
//! | `SnapshotWanted` | housekeeping | – |
//! | `PeriodDue` | ticker (tell) | – |
//! | `TakeSnapshot` | `Persist` | the snapshot under way, once all shards know of it |
//! | `SnapshotDone` | `Persist` | – |
//! | `Drain` | shutdown | when everything queued is durable and visible |
//!
//! ## Emits
//! `ApplyRows` to each `Store` shard, in the order of groups, repeated until the shard took it.
//! `CatchUp` to `Catalog`, when it has taken the log over and is about to read it. `SnapshotDue` to
//! `Persist`.
//!
//! ## Invariants
//! A group is written to the log and synced before a shard sees its rows, and its writers are
//! answered after every shard has, by the last of these. While a sync runs the next group gathers (group commit). A
//! file that failed a write or a sync is never written again: the group goes to a new file. Only
//! one process can acknowledge under a node id: after each sync, and before any acknowledgement,
//! the log looks for a successor. What a replaced process may still bring into its own file cannot
//! hide a group of its successor: each takeover numbers groups from a range of its own.
//! What was not acknowledged counts for everybody or for nobody: a group that was given up is
//! excluded by the file after it, one that is found at the end of a log that is taken over becomes
//! part of the new log first, and nothing that comes later counts.
//! A snapshot is decided at the end of a period and stands in the log behind the rows that it may
//! hold, so that whoever reads the log repeats it. One runs at a time, and the next is not decided
//! before every shard has heard of the end of the one before.
//! A cut stands in the log behind the rows that it is to divide from later ones, and has their
//! stamp: so whoever reads the log again divides them alike, whatever came of the delete that it was
//! made for.
//! Nothing is skipped in silence when the log is read: files that are missing, damaged or in the
//! wrong place are reported, and rows of names that the catalog lost stop the start.
//!
//! ## On failure
//! Rebuilt when nothing was in flight lost: the log is opened again under a new writer identity,
//! and what is durable but was not applied is read back and applied first. The last durable
//! snapshot is offered to `Persist` again, which may not have told all shards of its end. When the
//! log is fenced the process ends: another one has taken over.

mod actor;
mod apply;
mod config;
mod feed;
mod log;
mod object;
mod open;
mod owner;
mod reader;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod tracker;
mod write;

pub use actor::Wal;
pub use config::{RowsWatcher, WalConfig};
pub use owner::Owner;
pub use reader::{LogPlace, LogReader, Stretch};
pub(crate) use replay::table_batch;
pub use replay::{Replay, ReplayError, ReplayStats, replay};
pub use tracker::Period;
