//! What the `Catalog` actor accepts. Its state is read without asking it: it publishes an
//! immutable [`CatalogSnapshot`] after each change.

mod error;

pub use error::CatalogError;

use super::Command;
use crate::access::rights::Permission;
use crate::access::tokens::Secret;
use crate::catalog::CatalogSnapshot;
use crate::plugins::{Delivery, ErrorBehavior, Isolation, PluginDef, PluginRef, TriggerSpec};
use crate::principal::{Origin, Principal};
use crate::row_deletes::TagValues;
use crate::schema::{ColumnKind, FieldType};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A change, and on whose behalf it is asked for.
#[derive(Clone, Debug)]
pub struct By<M> {
    /// Who wants it.
    pub principal: Principal,
    /// Where they want it from.
    pub origin: Origin,
    /// What they want.
    pub change: M,
}

impl<M: Command> Command for By<M> {
    type Reply = M::Reply;
    const NAME: &'static str = M::NAME;
    fn cost_bytes(&self) -> usize {
        self.change.cost_bytes()
    }
}

/// A table as a write needs it.
#[derive(Clone, Debug)]
pub struct TableShape {
    /// Name of the table.
    pub name: Arc<str>,
    /// Columns the write has values for, in order of appearance.
    pub columns: Vec<(Arc<str>, ColumnKind)>,
}

/// Makes sure that a database, its tables and their columns exist. Sent by `Ingest` before rows
/// that need them go to the WAL. Answered once the change is durable; nothing is written when
/// everything exists already.
#[derive(Clone, Debug)]
pub struct EnsureSchema {
    /// Name of the database, created if it is unknown.
    pub db: String,
    /// Tables and columns to add, possibly none.
    pub tables: Vec<TableShape>,
}

/// Creates a database.
#[derive(Clone, Debug)]
pub struct CreateDatabase {
    /// Its name.
    pub name: String,
    /// Retention period in nanoseconds, `None` for ever.
    pub retention_ns: Option<i64>,
}

/// Sets or clears a database's retention period.
#[derive(Clone, Debug)]
pub struct SetRetention {
    /// Name of the database.
    pub name: String,
    /// Retention period in nanoseconds, `None` for ever.
    pub retention_ns: Option<i64>,
}

/// Sets or clears the retention period of a table, which counts before that of its database.
#[derive(Clone, Debug)]
pub struct SetTableRetention {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Retention period in nanoseconds, `None` for that of the database.
    pub retention_ns: Option<i64>,
}

/// Sets the columns that files are indexed by when they are merged from now on, or clears the setting.
#[derive(Clone, Debug)]
pub struct SetIndexedColumns {
    /// Name of the database.
    pub db: String,
    /// Name of the table, `None` for all that have no setting of their own.
    pub table: Option<String>,
    /// Names of columns of texts. `None` leaves it to the database, which leaves it at all tags.
    pub columns: Option<Vec<String>>,
}

/// When the rows of something deleted are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardDelete {
    /// After the server's default delay.
    Default,
    /// As soon as possible.
    Now,
    /// Never.
    Never,
    /// At this instant, in nanoseconds since 1970.
    At(i64),
}

/// Deletes a database: its name is free at once, its rows go at the given time.
#[derive(Clone, Debug)]
pub struct DeleteDatabase {
    /// Name of the database.
    pub name: String,
    /// When its rows go.
    pub when: HardDelete,
}

/// Creates a table, and its database if that is unknown.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Tag columns in key order.
    pub tags: Vec<String>,
    /// Field columns.
    pub fields: Vec<(String, FieldType)>,
}

/// Deletes a table: its name is free at once, its rows go at the given time.
#[derive(Clone, Debug)]
pub struct DeleteTable {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// When its rows go.
    pub when: HardDelete,
}

/// Asks for a delete of rows. It is not accepted before [`AcceptRowDelete`].
#[derive(Clone, Debug)]
pub struct RequestRowDelete {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Made up for this request, which knows the delete again by that.
    pub request: Uuid,
    /// The first instant, nanoseconds since 1970.
    pub min_time_ns: Option<i64>,
    /// The instant behind the last one.
    pub max_time_ns: Option<i64>,
    /// Tags and the values that they have.
    pub tags: TagValues,
}

/// Accepts a delete of rows: from now on the rows are hidden. Done by the server.
#[derive(Clone, Copy, Debug)]
pub struct AcceptRowDelete {
    /// Which.
    pub sequence: u64,
    /// Rows with this stamp or an older one.
    pub bound: i64,
}

/// Drops a delete of rows that was not accepted. Done by the server.
#[derive(Clone, Copy, Debug)]
pub struct DropRowDelete {
    /// Which.
    pub sequence: u64,
}

/// Notes that the rows of a delete are gone. Done by the server.
#[derive(Clone, Copy, Debug)]
pub struct CompleteRowDelete {
    /// Which.
    pub sequence: u64,
}

/// Takes a delete of rows back. What is left of them is there again.
#[derive(Clone, Debug)]
pub struct AbortRowDelete {
    /// Which.
    pub sequence: u64,
    /// Why.
    pub reason: Option<String>,
}

/// Brings a deleted database back under the name that it had, with its rows.
#[derive(Clone, Debug)]
pub struct UndeleteDatabase {
    /// What it is called since its deletion; or the name that it had, for the one that was deleted
    /// last.
    pub name: String,
}

/// Brings a deleted table back under the name that it had, with its rows.
#[derive(Clone, Debug)]
pub struct UndeleteTable {
    /// Name of the database.
    pub db: String,
    /// What the table is called since its deletion; or the name that it had, for the one that was
    /// deleted last.
    pub table: String,
}

/// Creates a last-value cache.
#[derive(Clone, Debug)]
pub struct CreateLastCache {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Its name; made of the table and the keys if there is none.
    pub name: Option<String>,
    /// Key columns in order; all tags if there is no list.
    pub keys: Option<Vec<String>>,
    /// Value columns in order; all other columns if there is no list.
    pub values: Option<Vec<String>>,
    /// Rows kept for each key.
    pub count: Option<u64>,
    /// Seconds for which a row is shown.
    pub ttl_seconds: Option<u64>,
    /// Begin with the rows that are written from now on.
    pub starts_empty: bool,
}

/// Creates a distinct-value cache.
#[derive(Clone, Debug)]
pub struct CreateDistinctCache {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Its name; made of the table and the columns if there is none.
    pub name: Option<String>,
    /// The columns in order.
    pub columns: Vec<String>,
    /// Combinations kept.
    pub max_cardinality: Option<u64>,
    /// Seconds for which a combination is shown after its newest row.
    pub max_age_seconds: Option<u64>,
    /// Begin with the rows that are written from now on.
    pub starts_empty: bool,
}

/// The two kinds of caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    /// Last values.
    Last,
    /// Distinct values.
    Distinct,
}

/// Deletes a cache.
#[derive(Clone, Debug)]
pub struct DeleteCache {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Kind of the cache.
    pub kind: CacheKind,
    /// Name of the cache.
    pub name: String,
}

/// What a new token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    Admin,
    /// This.
    Permissions(Vec<Permission>),
}

/// Makes a token. That of the operator can be made once, and has a name that no other may have.
#[derive(Clone, Debug)]
pub struct CreateToken {
    /// Its name.
    pub name: String,
    /// What is kept of its text.
    pub secret: Secret,
    /// What it may do.
    pub wanted: Wanted,
    /// From when on it is refused, nanoseconds since 1970; `None` for never.
    pub expires_at_ns: Option<i64>,
}

/// Gives the operator's token another text; the former one is refused from then on.
#[derive(Clone, Debug)]
pub struct RegenerateToken {
    /// What is kept of the text.
    pub secret: Secret,
}

/// Takes a token away: it is refused from then on.
#[derive(Clone, Debug)]
pub struct DeleteToken {
    /// Its name.
    pub name: String,
}

/// Creates a plugin with a name. One that is there and the same is no error.
#[derive(Clone, Debug)]
pub struct CreatePlugin {
    /// Name of the database.
    pub db: String,
    /// The plugin.
    pub plugin: PluginDef,
}

/// Deletes a plugin that no trigger uses.
#[derive(Clone, Debug)]
pub struct DeletePlugin {
    /// Name of the database.
    pub db: String,
    /// Name of the plugin.
    pub plugin: String,
}

/// Creates a trigger. One of a named plugin that is there and the same is no error.
#[derive(Clone, Debug)]
pub struct CreateTrigger {
    /// Name of the database.
    pub db: String,
    /// Name of the trigger.
    pub name: String,
    /// What runs.
    pub plugin: PluginRef,
    /// When it runs, as it was given.
    pub specification: String,
    /// The same, understood.
    pub spec: TriggerSpec,
    /// What the plugin is given.
    pub arguments: BTreeMap<Arc<str>, Arc<str>>,
    /// Runs may overlap.
    pub run_async: bool,
    /// What happens when a run fails.
    pub error_behavior: ErrorBehavior,
    /// Where its runs happen.
    pub isolation: Isolation,
    /// What becomes of rows that it could not be given at once.
    pub delivery: Delivery,
    /// It does not run yet.
    pub disabled: bool,
}

/// Has a trigger run, or not. Sent by HTTP handlers, and by a `Trigger` whose run failed.
#[derive(Clone, Debug)]
pub struct SetTriggerDisabled {
    /// Name of the database.
    pub db: String,
    /// Name of the trigger.
    pub trigger: String,
    /// Whether it does not run.
    pub disabled: bool,
}

/// Deletes a trigger.
#[derive(Clone, Debug)]
pub struct DeleteTrigger {
    /// Name of the database.
    pub db: String,
    /// Name of the trigger.
    pub trigger: String,
    /// Even if it is enabled.
    pub force: bool,
}

/// Looks for deleted databases and tables whose time has come. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct SweepDeleted;

/// Records that this node stopped in good order. Sent at shutdown.
#[derive(Clone, Copy, Debug)]
pub struct NodeStopped;

/// Takes in what another process has written to the catalog's log meanwhile. Sent by `Wal` when
/// it has taken its own log over: rows that the former writer made durable until then may be of
/// tables that this process has not heard of.
#[derive(Clone, Copy, Debug)]
pub struct CatchUp;

impl Command for EnsureSchema {
    type Reply = Result<Arc<CatalogSnapshot>, CatalogError>;
    const NAME: &'static str = "EnsureSchema";
    fn cost_bytes(&self) -> usize {
        256 + self.tables.iter().map(|t| 64 + t.columns.len() * 48).sum::<usize>()
    }
}

macro_rules! admin_command {
    ($($name:ident),*) => {$(
        impl Command for $name {
            type Reply = Result<Arc<CatalogSnapshot>, CatalogError>;
            const NAME: &'static str = stringify!($name);
        }
    )*};
}
admin_command!(
    CreateDatabase,
    SetRetention,
    SetTableRetention,
    SetIndexedColumns,
    DeleteDatabase,
    CreateTable,
    DeleteTable,
    UndeleteDatabase,
    UndeleteTable,
    RequestRowDelete,
    AcceptRowDelete,
    DropRowDelete,
    CompleteRowDelete,
    AbortRowDelete,
    CreateLastCache,
    CreateDistinctCache,
    DeleteCache,
    CreateToken,
    RegenerateToken,
    DeleteToken,
    CreatePlugin,
    DeletePlugin,
    CreateTrigger,
    SetTriggerDisabled,
    DeleteTrigger,
    SweepDeleted,
    NodeStopped,
    CatchUp
);
