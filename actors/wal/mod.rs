//! The `Wal` actor: rows become durable here, and only here.
//!
//! ## Owns
//! The open group of requests, the log file of the current period, group and file numbers, and
//! the writers that wait.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `AppendRows` | `Ingest` | a receipt when the rows are durable and visible, or queued |
//! | `PeriodDue` | ticker (tell) | – |
//! | `Drain` | shutdown | when everything queued is durable and visible |
//!
//! ## Emits
//! `ApplyRows` to each `Store` shard, in the order of groups, repeated until the shard took it.
//! `CatchUp` to `Catalog`, when it has taken the log over and is about to read it.
//!
//! ## Invariants
//! A group is written to the log and synced before a shard sees its rows, and its writers are
//! answered after every shard has. While a sync runs the next group gathers (group commit). A
//! file that failed a write or a sync is never written again: the group goes to a new file. Only
//! one process can acknowledge under a node id: after each sync, and before any acknowledgement,
//! the log looks for a successor's file. What a replaced process may still bring into its own file
//! cannot hide a group of its successor: each takeover numbers groups from a range of its own.
//! Nothing is skipped in silence when the log is read: files that are missing, damaged or in the
//! wrong place are reported, and rows of names that the catalog lost stop the start.
//!
//! ## On failure
//! Rebuilt when nothing was in flight lost: the log is opened again under a new writer identity,
//! and what is durable but was not applied is read back and applied first. When the log is fenced
//! the process ends: another one has taken over.

mod actor;
mod feed;
mod log;
mod object;
mod replay;
mod segment;
#[cfg(test)]
mod tests;

pub use actor::{Wal, WalConfig};
pub(crate) use replay::table_batch;
pub use replay::{Replay, ReplayError, ReplayStats, replay};
