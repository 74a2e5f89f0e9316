//! What version 1 of the catalog's files holds. These structs are the format: a field is never
//! renamed, removed or given another meaning.

use crate::access::tokens::{Secret, Token, Tokens};
use crate::caches::{DistinctCacheDef, LastCacheDef, TableCaches};
use crate::downsamples::{DatabaseDownsamples, DownsampleDef};
use crate::ids::{CacheId, ColumnId, DbId, TableId, TokenId};
use crate::plugins::{DatabasePlugins, PluginDef, TriggerDef};
use crate::row_deletes::{RowDelete, RowDeletes};
use crate::schema::{ColumnKind, Deletion, IndexedColumns};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// One object of the log: changes that took effect together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRecord {
    /// Made up for this record alone, so that its writer knows it again when the outcome of the
    /// put is unclear.
    pub nonce: Uuid,
    /// Wall-clock time of the change, nanoseconds since 1970.
    pub time_ns: i64,
    /// The changes in order.
    pub changes: Vec<Change>,
}

/// A change of the catalog. Databases and tables are named as they are called just before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// The first change of every catalog.
    CreateCatalog {
        /// Width of a chunk by row time, in nanoseconds.
        gen1_duration_ns: i64,
    },
    /// A new, empty database.
    CreateDatabase {
        /// Its identity.
        id: DbId,
        /// Its name.
        db: Arc<str>,
        /// Retention period in nanoseconds, `None` for ever.
        retention_ns: Option<i64>,
    },
    /// Another retention period.
    SetRetention {
        /// Name of the database.
        db: Arc<str>,
        /// Retention period in nanoseconds, `None` for ever.
        retention_ns: Option<i64>,
    },
    /// Another retention period of a table.
    SetTableRetention {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
        /// Retention period in nanoseconds, `None` for that of the database.
        retention_ns: Option<i64>,
    },
    /// Other columns that files are indexed by when they are merged.
    SetIndexedColumns {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table, `None` for all that have no setting of their own.
        table: Option<Arc<str>>,
        /// Names of columns. `None` leaves it to the database, which leaves it at all tags.
        columns: Option<IndexedColumns>,
    },
    /// A database is deleted, or something about its deletion changes.
    DeleteDatabase {
        /// Name of the database.
        db: Arc<str>,
        /// What it is called from now on.
        renamed: Arc<str>,
        /// When its rows go, and whether they have gone.
        deletion: Deletion,
    },
    /// A deleted database leaves the catalog, with all its tables.
    ForgetDatabase {
        /// Name of the database.
        db: Arc<str>,
    },
    /// A new table.
    CreateTable {
        /// Name of the database.
        db: Arc<str>,
        /// Identity over all databases.
        id: TableId,
        /// Name of the table.
        table: Arc<str>,
        /// Its columns in order of creation.
        columns: Vec<StoredColumn>,
    },
    /// More columns for a table.
    AddColumns {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
        /// The new columns.
        columns: Vec<StoredColumn>,
    },
    /// A table is deleted, or something about its deletion changes.
    DeleteTable {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
        /// What it is called from now on.
        renamed: Arc<str>,
        /// When its rows go, and whether they have gone.
        deletion: Deletion,
    },
    /// A deleted table leaves the catalog.
    ForgetTable {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
    },
    /// A deleted database is back.
    UndeleteDatabase {
        /// Name of the database since its deletion.
        db: Arc<str>,
        /// What it is called from now on.
        renamed: Arc<str>,
    },
    /// A deleted table is back.
    UndeleteTable {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table since its deletion.
        table: Arc<str>,
        /// What it is called from now on.
        renamed: Arc<str>,
    },
    /// A node started or stopped.
    SetNode(StoredNode),
    /// A new last-value cache of a table.
    CreateLastCache {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
        /// The cache.
        cache: Arc<LastCacheDef>,
    },
    /// A new distinct-value cache of a table.
    CreateDistinctCache {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
        /// The cache.
        cache: Arc<DistinctCacheDef>,
    },
    /// A cache goes.
    DeleteCache {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the table.
        table: Arc<str>,
        /// Which of its caches.
        cache: CacheId,
    },
    /// A new token.
    CreateToken(Arc<Token>),
    /// Another text for a token. Its former one is refused, and it does not expire any more.
    ReplaceToken {
        /// Which token.
        id: TokenId,
        /// What is kept of the text.
        secret: Secret,
        /// When, nanoseconds since 1970.
        updated_at_ns: i64,
        /// By which token.
        updated_by: Option<TokenId>,
    },
    /// A token goes.
    DeleteToken {
        /// Which token.
        id: TokenId,
    },
    /// A new plugin.
    CreatePlugin {
        /// Name of the database.
        db: Arc<str>,
        /// The plugin.
        plugin: Arc<PluginDef>,
    },
    /// A plugin goes.
    DeletePlugin {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the plugin.
        plugin: Arc<str>,
    },
    /// A new trigger.
    CreateTrigger {
        /// Name of the database.
        db: Arc<str>,
        /// The trigger.
        trigger: Arc<TriggerDef>,
    },
    /// A trigger runs from now on, or does not.
    SetTriggerDisabled {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the trigger.
        trigger: Arc<str>,
        /// Whether it does not run.
        disabled: bool,
    },
    /// A trigger goes.
    DeleteTrigger {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the trigger.
        trigger: Arc<str>,
    },
    /// A new downsample.
    CreateDownsample {
        /// Name of the database.
        db: Arc<str>,
        /// The downsample.
        downsample: Arc<DownsampleDef>,
    },
    /// A downsample is computed from now on, or is not.
    SetDownsampleDisabled {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the downsample.
        downsample: Arc<str>,
        /// Whether it is not.
        disabled: bool,
    },
    /// A downsample goes.
    DeleteDownsample {
        /// Name of the database.
        db: Arc<str>,
        /// Name of the downsample.
        downsample: Arc<str>,
    },
    /// Rows are to be deleted, from a bound on that is not known yet.
    RequestRowDelete(Arc<RowDelete>),
    /// They are, up to this bound in the order of writes.
    AcceptRowDelete {
        /// Which delete.
        sequence: u64,
        /// Rows with this stamp or an older one.
        bound: i64,
    },
    /// They are not, for the bound could not be had.
    DropRowDelete {
        /// Which delete.
        sequence: u64,
    },
    /// The rows of a delete are gone.
    CompleteRowDelete {
        /// Which delete.
        sequence: u64,
        /// When, nanoseconds since 1970.
        at_ns: i64,
    },
    /// A delete is taken back.
    AbortRowDelete {
        /// Which delete.
        sequence: u64,
        /// When, nanoseconds since 1970.
        at_ns: i64,
        /// Why.
        reason: Option<Arc<str>>,
    },
}

/// A tag or field column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredColumn {
    /// Identity in its table.
    pub id: ColumnId,
    /// Name of the column.
    pub name: Arc<str>,
    /// Tag, or field with its type.
    pub kind: ColumnKind,
}

/// A server that uses the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredNode {
    /// Its name, given by the operator.
    pub node: String,
    /// Made up at its first start and kept.
    pub instance: Uuid,
    /// False once it stopped in good order.
    pub running: bool,
    /// When that changed last, nanoseconds since 1970.
    pub since_ns: i64,
}

/// The whole catalog at one sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Width of a chunk by row time, in nanoseconds.
    pub gen1_duration_ns: i64,
    /// The id that the next new database gets.
    pub next_db_id: u32,
    /// The id that the next new table gets.
    pub next_table_id: u32,
    /// All databases by id, deleted ones included.
    pub databases: Vec<StoredDatabase>,
    /// All nodes by name.
    pub nodes: Vec<StoredNode>,
    /// The tokens. Checkpoints of catalogs that never had one lack the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<StoredTokens>,
    /// The deletes of rows. Checkpoints of catalogs that never had one lack the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_deletes: Option<StoredRowDeletes>,
}

/// The deletes of rows in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRowDeletes {
    /// Number of the last one; 0 for none.
    pub last: u64,
    /// Those that are known, by number.
    pub deletes: Vec<Arc<RowDelete>>,
}

impl StoredRowDeletes {
    /// The deletes as a checkpoint holds them; `None` if there never was one.
    pub fn of(deletes: &RowDeletes) -> Option<Self> {
        let all = deletes.all().map(Arc::clone).collect();
        (deletes.last() > 0).then(|| Self { last: deletes.last(), deletes: all })
    }
}

/// The tokens in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTokens {
    /// The id that the next one gets.
    pub next_id: u64,
    /// All of them by id.
    pub tokens: Vec<Arc<Token>>,
}

impl StoredTokens {
    /// The tokens as a checkpoint holds them; `None` if there never was one.
    pub fn of(tokens: &Tokens) -> Option<Self> {
        let all = tokens.all().map(Arc::clone).collect();
        tokens.are_required().then(|| Self { next_id: tokens.next_id(), tokens: all })
    }
}

/// A database in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredDatabase {
    /// Its identity.
    pub id: DbId,
    /// Its name.
    pub name: Arc<str>,
    /// Retention period in nanoseconds, `None` for ever.
    pub retention_ns: Option<i64>,
    /// Set once it was deleted.
    pub deletion: Option<Deletion>,
    /// Its tables by id, deleted ones included.
    pub tables: Vec<StoredTable>,
    /// Its plugins and triggers. Checkpoints of databases that never had one lack the field.
    #[serde(default, skip_serializing_if = "DatabasePlugins::is_unused")]
    pub plugins: Arc<DatabasePlugins>,
    /// Its downsamples. Checkpoints of databases that never had one lack the field.
    #[serde(default, skip_serializing_if = "DatabaseDownsamples::is_unused")]
    pub downsamples: Arc<DatabaseDownsamples>,
    /// Columns that its files are indexed by. Checkpoints of databases without a setting lack the
    /// field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed: Option<IndexedColumns>,
}

/// A table in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTable {
    /// Identity over all databases.
    pub id: TableId,
    /// Its name.
    pub name: Arc<str>,
    /// Set once it was deleted.
    pub deletion: Option<Deletion>,
    /// Its columns in order of creation.
    pub columns: Vec<StoredColumn>,
    /// Retention period in nanoseconds. Checkpoints of tables without one of their own lack the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ns: Option<i64>,
    /// Columns that its files are indexed by. Checkpoints of tables without a setting of their own
    /// lack the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed: Option<IndexedColumns>,
    /// Its caches. Checkpoints of tables that never had one lack the field.
    #[serde(default, skip_serializing_if = "TableCaches::is_unused")]
    pub caches: Arc<TableCaches>,
}
