//! The `Triggers` actor: which triggers run, and which rows each of them gets.
//!
//! ## Owns
//! The births of the `Trigger` actors, the directory of them that others read, and the rows of the
//! flush interval under way.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `SyncTriggers` | HTTP handlers, a ticker (tell) | when the triggers of the catalog run, and no others |
//! | `RowsWritten` | `Wal` (tell) | – |
//! | `FlushTriggers` | a ticker (tell) | – |
//! | `SnapshotTaken` | `Persist` (tell) | – |
//! | `TestPlugin` | HTTP handlers | what a plugin would have done |
//! | `StopTriggers` | shutdown | when no plugin runs any more |
//!
//! ## Emits
//! `FireWrites` and `FireSnapshot` to `Trigger`, as tells; `ReadPlugin` to `PluginFiles`, `RunPlugin`
//! to `PythonHost` for tests; `ForgetTrigger` (tell) and `StopHost` to `PythonHost`; the directory of
//! triggers for `Wal`, `Persist` and HTTP.
//!
//! ## Invariants
//! - Nobody who writes waits for a trigger: rows are told, and what finds no room is lost.
//! - The rows that a database got in one flush interval are one event, shared by its triggers.
//!
//! ## On failure
//! Rebuilt with the same triggers; the rows of the interval under way are lost to them.

mod actor;
mod config;
mod directory;
mod test_run;

pub use actor::Triggers;
pub use config::TriggersConfig;
pub use directory::{RowsFeed, RunningTrigger, TriggerDirectory};
