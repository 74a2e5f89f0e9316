//! What the actor needs.

use crate::audit::Audit;
use crate::compact::History;
use crate::parquet_cache::{HeldRows, ParquetCache};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::runtime::vitals::Roster;
use crate::storage::objects::Objects;
use crate::store::StoreShards;
use protocols::catalog::CatalogSnapshot;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What can be chosen about queries.
#[derive(Clone, Debug)]
pub struct QueryOptions {
    /// Threads that run queries, and partitions that each is split into.
    pub threads: usize,
    /// Memory that all queries share, in bytes.
    pub memory_pool_bytes: usize,
    /// What one of them may take of it.
    pub query_memory_bytes: usize,
    /// Where queries write what they cannot hold in memory, if they may.
    pub spill: Option<SpillOptions>,
    /// More Parquet files than this a query must not read.
    pub file_limit: Option<usize>,
    /// How long a query may take, until its last row has been handed over.
    pub timeout: Option<Duration>,
    /// How long a query waits for its reader to take the next rows.
    pub idle_timeout: Duration,
    /// Settings of the engine, such as `datafusion.execution.batch_size`.
    pub settings: Vec<(String, String)>,
    /// Queries that may run at once.
    pub max_concurrent: usize,
    /// Those of one token.
    pub token_queries_max: Option<usize>,
    /// Nobody is told the literals of a statement.
    pub redacts: bool,
    /// Queries that the log keeps.
    pub log_entries_max: usize,
}

/// What the actor needs.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// What was chosen.
    pub options: QueryOptions,
    /// Names and schemas.
    pub catalog: Published<CatalogSnapshot>,
    /// Where the buffered rows are.
    pub stores: StoreShards,
    /// The node: the first part of the keys of its Parquet files.
    pub node: String,
    /// Where the Parquet files are.
    pub objects: Objects,
    /// What has some of them in memory.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// The decoded rows that it holds.
    pub held: HeldRows,
    /// Chunks and files whose rows are all older than this are left out of queries.
    pub write_window: Option<Duration>,
    /// What `now()` is.
    pub clock: Clock,
    /// What is told of statements.
    pub telling: Telling,
    /// What the server says of itself.
    pub server: Arc<ServerFacts>,
}

/// What is told of statements, and to whom.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// Has the table of what was done, and hears of statements if it is to.
    pub audit: Option<Mailbox<Audit>>,
    /// It is to.
    pub audits_statements: bool,
    /// Nobody is told the literals of a statement.
    pub redacts: bool,
}

/// Files that last as long as their query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillOptions {
    /// Where they are. It is made if there is none.
    pub directory: PathBuf,
    /// Bytes that those of all queries may have together.
    pub bytes_max: u64,
}

/// What system tables show of the server itself.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts {
    /// All actors.
    pub roster: Roster,
    /// Made up anew at each start.
    pub instance: Uuid,
    /// When the server started, nanoseconds since 1970.
    pub started_at_ns: i64,
    /// Processor cores it may use.
    pub cores: u64,
    /// The options that it was started with, as a JSON object.
    pub options: Option<String>,
    /// What compactions did.
    pub compactions: Option<History>,
    /// The widths of the windows of all generations of files, in nanoseconds; empty if there is but
    /// the first one.
    pub generations_ns: Vec<i64>,
}
