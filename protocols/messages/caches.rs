//! What the caches accept, and what their keeper does. The messages are the same for both kinds.

use super::Command;
use super::catalog::CacheKind;
use super::query::{QueryError, QueryResult};
use crate::ids::{CacheId, TableId};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::sync::Arc;

/// Which cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheRef {
    /// Its table.
    pub table: TableId,
    /// The cache in the table.
    pub cache: CacheId,
}

/// A value of a key column or a cached column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// Value of a tag or of a string field.
    Text(Arc<str>),
    /// Signed integer.
    Integer(i64),
    /// Unsigned integer.
    UInteger(u64),
    /// True or false.
    Boolean(bool),
}

/// A condition on one column. A null value fulfils neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTest {
    /// The value is one of these.
    In(Vec<KeyValue>),
    /// The value is none of these.
    NotIn(Vec<KeyValue>),
}

/// Takes rows that are durable. Sent by a `Store` shard in the order of the log; it answers the
/// writers when the cache has answered.
#[derive(Clone)]
pub struct CacheRows {
    /// Rows of the cache's table in order of acceptance. All caches of the table get the same.
    pub batches: Arc<[RecordBatch]>,
    /// Memory they take.
    pub size_bytes: usize,
}

impl std::fmt::Debug for CacheRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheRows").field("batches", &self.batches.len()).finish_non_exhaustive()
    }
}

impl Command for CacheRows {
    type Reply = ();
    const NAME: &'static str = "CacheRows";
    fn cost_bytes(&self) -> usize {
        256 + self.size_bytes
    }
}

/// Rows that were there before. Sent by the keeper while the cache is filled.
#[derive(Clone)]
pub struct FillRows {
    /// The filling they belong to; rows of another one are ignored.
    pub filling: u64,
    /// The rows.
    pub rows: RecordBatch,
}

impl std::fmt::Debug for FillRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FillRows").field("rows", &self.rows.num_rows()).finish_non_exhaustive()
    }
}

impl Command for FillRows {
    type Reply = ();
    const NAME: &'static str = "FillRows";
    fn cost_bytes(&self) -> usize {
        256 + self.rows.get_array_memory_size()
    }
}

/// All rows that were there before have been sent. Sent by the keeper.
#[derive(Clone, Copy, Debug)]
pub struct FillEnded {
    /// Which filling has ended.
    pub filling: u64,
}

impl Command for FillEnded {
    type Reply = ();
    const NAME: &'static str = "FillEnded";
}

/// Forgets everything and waits to be filled: the cache has missed rows. Sent by the keeper.
#[derive(Clone, Copy, Debug)]
pub struct StartOver;

impl Command for StartOver {
    type Reply = ();
    const NAME: &'static str = "StartOver";
}

/// Removes what is too old or too much. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct EvictDue;

impl Command for EvictDue {
    type Reply = ();
    const NAME: &'static str = "EvictDue";
}

/// Asks for rows. Sent by `Query`. While the cache is being filled the answer waits.
#[derive(Clone, Debug)]
pub struct LookUpCache {
    /// Conditions on the key columns (of a distinct-value cache: on its columns), by their place.
    /// All of them hold.
    pub tests: Vec<(usize, KeyTest)>,
    /// The columns that are wanted. One that the cache does not know yet is null.
    pub schema: SchemaRef,
    /// So many rows are enough.
    pub limit: Option<usize>,
}

impl Command for LookUpCache {
    type Reply = Result<RecordBatch, CacheError>;
    const NAME: &'static str = "LookUpCache";
    fn cost_bytes(&self) -> usize {
        512 + self.tests.len() * 64
    }
}

/// Why a cache does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The columns could not be built.
    #[error("the rows of the cache could not be built: {0}")]
    Build(String),
}

/// Reads a table for a cache. Sent by the keeper.
#[derive(Clone, Debug)]
pub struct ScanTable {
    /// Name of the database.
    pub db: Arc<str>,
    /// Name of the table.
    pub table: Arc<str>,
    /// The columns that are wanted.
    pub columns: Vec<Arc<str>>,
    /// Rows before this instant are left out.
    pub rows_since_ns: i64,
    /// Files whose rows are all before this instant are left out.
    pub files_since_ns: i64,
}

impl Command for ScanTable {
    type Reply = Result<QueryResult, QueryError>;
    const NAME: &'static str = "ScanTable";
}

/// Evicts what is due in the caches of a kind. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct EvictCaches {
    /// Which caches.
    pub kind: CacheKind,
}

impl Command for EvictCaches {
    type Reply = ();
    const NAME: &'static str = "EvictCaches";
}

/// Makes the caches that run those that the catalog has. Answered when they do. Sent by HTTP
/// handlers and a ticker.
#[derive(Clone, Copy, Debug)]
pub struct SyncCaches;

impl Command for SyncCaches {
    type Reply = ();
    const NAME: &'static str = "SyncCaches";
}

/// Has all caches of a table begin anew: rows of it were deleted, or have come back. Answered when no
/// cache answers with what it had before. Sent by HTTP handlers.
#[derive(Clone, Copy, Debug)]
pub struct RefillCaches {
    /// The table.
    pub table: TableId,
}

impl Command for RefillCaches {
    type Reply = ();
    const NAME: &'static str = "RefillCaches";
}

/// Looks after caches that have to be filled, or filled again. Sent by the caches and a ticker.
#[derive(Clone, Copy, Debug)]
pub struct LookAfterCaches;

impl Command for LookAfterCaches {
    type Reply = ();
    const NAME: &'static str = "LookAfterCaches";
}
