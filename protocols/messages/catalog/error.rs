//! What the `Catalog` actor refuses, and why.

use crate::error::ErrorKind;
use crate::principal::Denied;

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
