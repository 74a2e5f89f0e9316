//! The `Catalog` actor: the one writer of the names of databases, tables and columns.
//!
//! ## Owns
//! Databases, tables, columns, caches, plugins, triggers, downsamples, deletions, tokens and nodes,
//! and their files in the object store: a log of
//! create-only objects, one a group of changes, and checkpoints of the whole. The log is never
//! trimmed, so that no process can put a number that another has used before.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `EnsureSchema` | `Ingest` | the snapshot that has all of it, or why not |
//! | `CreateDatabase`, `SetRetention`, `DeleteDatabase`, `CreateTable`, `DeleteTable` | HTTP handlers | the snapshot after it, or why not |
//! | `SetTableRetention`, `SetIndexedColumns` | HTTP handlers | the snapshot after it, or why not |
//! | `UndeleteDatabase`, `UndeleteTable` | HTTP handlers | the snapshot after it, or why not |
//! | `RequestRowDelete`, `AcceptRowDelete`, `DropRowDelete`, `AbortRowDelete` | HTTP handlers | the snapshot after it, or why not |
//! | `CompleteRowDelete`, `DropRowDelete` | housekeeping | the snapshot after it |
//! | `CreateLastCache`, `CreateDistinctCache`, `DeleteCache` | HTTP handlers | the snapshot after it, or why not |
//! | `CreateToken`, `RegenerateToken`, `DeleteToken` | HTTP handlers, the start | the snapshot after it, or why not |
//! | `CreatePlugin`, `DeletePlugin`, `CreateTrigger`, `DeleteTrigger` | HTTP handlers | the snapshot after it, or why not |
//! | `SetTriggerDisabled` | HTTP handlers, `Trigger` | the snapshot after it, or why not |
//! | `CreateDownsample`, `SetDownsampleDisabled`, `DeleteDownsample` | HTTP handlers | the snapshot after it, or why not |
//! | `SweepDeleted` | a ticker (tell) | the snapshot after it |
//! | `NodeStopped` | shutdown | the snapshot after it |
//! | `CatchUp` | `Wal` | the snapshot with what another process has added |
//!
//! ## Emits
//! A [`CatalogSnapshot`] for all readers after each change, and a tell to `Audit` of each change of
//! names, tokens, plugins, triggers and downsamples and of each request that came to nothing. It asks nobody.
//!
//! ## Invariants
//! - What readers see is durable.
//! - Whoever asks for a change is named with it (`By`), and has the right to it in the very state
//!   of the catalog that it changes.
//! - A request takes effect whole or not at all, and is answered after its change is durable and
//!   published. Requests that arrive during a put gather and go together as the next record.
//! - When nobody knows what came of a put, nothing is answered before its number is taken, by its record
//!   or by one without changes: what is not there then cannot come to be later.
//! - A snapshot that answers `EnsureSchema` has all that was asked for: a deletion never shares a
//!   record with requests that came before it.
//! - An id is never given out twice, not even after its owner left the catalog.
//! - Rows are marked as removed in the log before anybody removes them.
//!
//! ## On failure
//! Rebuilt from its files. The askers of a put that was under way get a failure; the change may
//! have taken effect.

mod actor;
mod audited;
mod cache_plan;
mod downsample_plan;
mod indexed_plan;
mod log;
mod named;
mod new_database;
mod permission;
mod plan;
mod plugin_plan;
mod request;
mod row_delete_plan;
mod schema_plan;
mod state;
mod token_plan;
mod undelete;

#[cfg(test)]
mod tests;

pub use actor::{Catalog, Opened};

use crate::audit::Audit;
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use crate::storage::objects::Objects;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::TableId;
use protocols::schema::Deletion;

/// What the catalog needs to know.
#[derive(Clone, Debug)]
pub struct CatalogConfig {
    /// Hears of every change.
    pub audit: Option<Mailbox<Audit>>,
    /// Name of this node, the prefix of all its files.
    pub node_id: String,
    /// Where the files are.
    pub objects: Objects,
    /// Width of a chunk by row time for a new catalog, in nanoseconds.
    pub gen1_duration_ns: i64,
    /// How long the rows of something deleted stay by default, in nanoseconds.
    pub hard_delete_default_ns: i64,
    /// How long something deleted stays in the catalog after its rows, in nanoseconds.
    pub delete_grace_ns: i64,
    /// How much there may be.
    pub limits: CatalogLimits,
    /// Wall-clock time.
    pub clock: Clock,
}

/// How much there may be of everything; `None` is without limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatalogLimits {
    /// Live databases, `_internal` not counted.
    pub databases: Option<usize>,
    /// Live tables over all databases.
    pub tables: Option<usize>,
    /// Tags and fields of a table, `time` not counted.
    pub columns_per_table: Option<usize>,
    /// Tags of a table.
    pub tag_columns_per_table: Option<usize>,
    /// Rows that a last-value cache keeps for each key.
    pub last_cache_count: Option<u64>,
}

/// The tables whose rows are to be removed, if that has not happened yet: their own deletion or
/// that of their database is due and is recorded in the catalog's log.
pub fn removed_tables(snapshot: &CatalogSnapshot) -> Vec<TableId> {
    let removed = |deletion: Option<Deletion>| deletion.is_some_and(|d| d.rows_removed);
    let databases = snapshot.databases.values();
    databases
        .flat_map(|d| d.tables.values().map(move |t| (d, t)))
        .filter(|(d, t)| removed(d.deletion) || removed(t.deletion))
        .map(|(_, t)| t.id)
        .collect()
}
