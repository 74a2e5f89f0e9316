//! What the `Catalog` actor accepts. Its state is read without asking it: it publishes an
//! immutable [`CatalogSnapshot`] after each change.

use super::Command;
use crate::access::rights::Permission;
use crate::access::tokens::Secret;
use crate::error::ErrorKind;
use crate::plugins::{Delivery, ErrorBehavior, Isolation, PluginDef, PluginRef, TriggerSpec};
use crate::principal::{Denied, Origin, Principal};
use crate::row_deletes::TagValues;
use crate::schema::{CatalogSnapshot, ColumnKind, FieldType};
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

/// Why the catalog refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Create of something that is there.
    #[error("attempted to create a resource that already exists")]
    AlreadyExists,
    /// A named resource is unknown.
    #[error("the requested resource was not found: {0}")]
    NotFound(String),
    /// The database of a table command is unknown.
    #[error("Database not found {0}")]
    DatabaseNotFound(String),
    /// The table is unknown.
    #[error("Table {table} not in DB schema for {db}")]
    TableNotFound {
        /// Name of the database.
        db: String,
        /// Name of the table.
        table: String,
    },
    /// Change of something that was deleted.
    #[error("attempted to modify resource that was already deleted: {0}")]
    AlreadyDeleted(String),
    /// Undeletion under a name that something else has now.
    #[error("cannot undelete '{deleted}': the name '{name}' is in use")]
    NameInUse {
        /// What it is called since its deletion.
        deleted: String,
        /// What it was called before.
        name: String,
    },
    /// Undeletion of something whose rows are gone.
    #[error("cannot undelete '{0}': its rows have been removed")]
    RowsRemoved(String),
    /// Write to a deleted database under its new name.
    #[error("cannot write to soft-deleted database '{0}' - it is marked for deletion")]
    SoftDeleted(String),
    /// Write to a deleted table under its new name.
    #[error("cannot write to soft-deleted table '{0}' - it is marked for deletion")]
    SoftDeletedTable(String),
    /// Change of `_internal`; the text says which.
    #[error("cannot {0} internal db")]
    Internal(&'static str),
    /// A name that is not allowed; the text says why.
    #[error("{0}")]
    InvalidName(String),
    /// A column named like a reserved one.
    #[error("'{0}' is a reserved column")]
    ReservedColumn(String),
    /// The same column twice in a table made by hand.
    #[error("duplicate column '{0}'")]
    DuplicateColumn(String),
    /// Somebody else gave the column another type: parse the request again.
    #[error("invalid column type for column '{column}', expected {expected}, got {got}")]
    TypeConflict {
        /// Name of the column.
        column: String,
        /// Type in the catalog, for example `tag`.
        expected: &'static str,
        /// Type in the request.
        got: &'static str,
    },
    /// A delete of rows that makes no sense.
    #[error("invalid delete of rows: {0}")]
    InvalidRowDelete(String),
    /// As many deletes of rows are pending as may be.
    #[error("{0} deletes of rows are pending, which is as many as may be")]
    TooManyRowDeletes(usize),
    /// A delete of rows is unknown, or was forgotten.
    #[error("row delete request not found: {0}")]
    RowDeleteNotFound(u64),
    /// A delete of rows has come to its end.
    #[error("row delete request {0} is not pending any more")]
    RowDeleteEnded(u64),
    /// A cache with options that make no sense.
    #[error("invalid configuration provided: {0}")]
    InvalidCache(String),
    /// A column of a type that a cache cannot have as a key; the text says which it can.
    #[error("{0}")]
    CacheColumnType(&'static str),
    /// Who asks may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A token of a name that another has.
    #[error("token name already exists, {0}")]
    TokenExists(String),
    /// A token of that name is unknown.
    #[error("token not found: {0}")]
    TokenNotFound(String),
    /// Another text for the operator's token before there is one.
    #[error("missing admin token, cannot update")]
    NoOperatorToken,
    /// Deletion of the operator's token.
    #[error("cannot delete operator token")]
    OperatorToken,
    /// Deletion of a plugin that is used.
    #[error(
        "Cannot delete plugin {plugin} in database {db} because it is used by trigger {trigger}"
    )]
    PluginInUse {
        /// Name of the plugin.
        plugin: String,
        /// Name of the database.
        db: String,
        /// A trigger that uses it.
        trigger: String,
    },
    /// The plugin is unknown.
    #[error("Processing Engine Plugin {plugin} not in DB schema for {db}")]
    PluginNotFound {
        /// Name of the plugin.
        plugin: String,
        /// Name of the database.
        db: String,
    },
    /// A trigger of another plugin or with other settings has the name.
    #[error("Cannot overwrite Processing Engine Trigger {trigger} in Database {db}")]
    TriggerDiffers {
        /// Name of the trigger.
        trigger: String,
        /// Name of the database.
        db: String,
    },
    /// Deletion of a trigger that runs.
    #[error("Cannot delete running plugin {0}. Disable it first or use --force.")]
    TriggerRuns(String),
    /// A trigger that its plugin is not for, or one with a name that is not allowed.
    #[error("invalid request: {0}")]
    InvalidTrigger(String),
    /// An index of files by columns that it cannot be of; the text says why.
    #[error("invalid file index: {0}")]
    InvalidFileIndex(String),
    /// A downsample that makes no sense, or gets in the way of another.
    #[error("invalid downsample: {0}")]
    InvalidDownsample(String),
    /// A configured limit would be exceeded; the text says which.
    #[error("{0}")]
    Limit(String),
    /// The log could not be written.
    #[error("catalog update error: {0}")]
    Storage(String),
}

impl CatalogError {
    /// What the caller has to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(_) => ErrorKind::Forbidden,
            Self::OperatorToken => ErrorKind::NotImplemented,
            Self::AlreadyExists
            | Self::TokenExists(_)
            | Self::AlreadyDeleted(_)
            | Self::NameInUse { .. }
            | Self::RowsRemoved(_)
            | Self::RowDeleteEnded(_)
            | Self::TooManyRowDeletes(_)
            | Self::TriggerDiffers { .. } => ErrorKind::Conflict,
            Self::NotFound(_)
            | Self::DatabaseNotFound(_)
            | Self::TableNotFound { .. }
            | Self::RowDeleteNotFound(_)
            | Self::PluginNotFound { .. }
            | Self::TokenNotFound(_) => ErrorKind::NotFound,
            Self::SoftDeleted(_)
            | Self::SoftDeletedTable(_)
            | Self::InvalidName(_)
            | Self::ReservedColumn(_)
            | Self::DuplicateColumn(_)
            | Self::InvalidRowDelete(_)
            | Self::InvalidCache(_)
            | Self::CacheColumnType(_)
            | Self::InvalidTrigger(_)
            | Self::InvalidDownsample(_)
            | Self::InvalidFileIndex(_)
            | Self::TypeConflict { .. } => ErrorKind::InvalidInput,
            Self::Limit(_) => ErrorKind::LimitReached,
            Self::Internal(_)
            | Self::NoOperatorToken
            | Self::PluginInUse { .. }
            | Self::TriggerRuns(_) => ErrorKind::Internal,
            Self::Storage(_) => ErrorKind::Unavailable,
        }
    }
}
