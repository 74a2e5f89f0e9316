//! What the actors of a server run with.

use crate::audit::AuditOptions;
use crate::compact::CompactionOptions;
use crate::parquet_cache::ParquetCacheOptions;
use crate::query::QueryOptions;
use protocols::line_protocol::SchemaLimits;
use std::time::Duration;
use uuid::Uuid;

/// What the actors of a server run with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Prefix of all objects of this node.
    pub node_id: String,
    /// Made up anew at each start.
    pub instance: Uuid,
    /// The options that the server was started with, as a JSON object.
    pub options: Option<String>,
    /// What the audit log is told, and where that goes.
    pub audit: AuditOptions,
    /// Width of a chunk, in nanoseconds.
    pub gen1_duration_ns: i64,
    /// How long one WAL file is appended to.
    pub wal_flush_interval: Duration,
    /// Writes that may wait for the WAL.
    pub wal_writes_max: usize,
    /// Bytes these may hold.
    pub wal_bytes_max: usize,
    /// Bytes of request bodies that may wait in one ingest mailbox.
    pub ingest_bytes_max: usize,
    /// Bytes of rows that may be held in memory.
    pub buffer_bytes_max: usize,
    /// Bytes of rows in memory that make a snapshot due at once.
    pub force_snapshot_bytes: usize,
    /// Periods of the WAL per snapshot.
    pub wal_snapshot_size: usize,
    /// WAL files kept although a snapshot covers them.
    pub wal_files_kept: u64,
    /// How long WAL files stay after a snapshot covered them.
    pub wal_delete_delay: Duration,
    /// Parquet files that a snapshot writes at once.
    pub snapshot_concurrency: usize,
    /// Memory that these may take beside their rows, in bytes.
    pub snapshot_bytes_max: usize,
    /// How long the object of a removed file stays for queries that still read it.
    pub object_grace: Duration,
    /// How files become fewer; nobody makes them so without.
    pub compaction: Option<CompactionOptions>,
    /// The cache of Parquet files, if there is to be one.
    pub parquet_cache: Option<ParquetCacheOptions>,
    /// Largest count of a last-value cache.
    pub last_cache_count_max: Option<u64>,
    /// How often files past their retention are looked for.
    pub retention_check_interval: Duration,
    /// Do not start when a WAL file is damaged.
    pub wal_replay_fail_on_error: bool,
    /// WAL files read ahead at start.
    pub wal_replay_concurrency: usize,
    /// Refuse rows of existing tables that are older than this, and leave chunks and files of none
    /// but older rows out of queries.
    pub write_window: Option<Duration>,
    /// Refuse tags that an existing table does not have yet.
    pub immutable_tags: bool,
    /// Most databases.
    pub databases_max: Option<usize>,
    /// Limits on tables and columns.
    pub schema_limits: SchemaLimits,
    /// How long deleted rows stay by default.
    pub hard_delete_default: Duration,
    /// How long a deleted name stays listed after that.
    pub delete_grace: Duration,
    /// What was chosen about queries.
    pub query: QueryOptions,
    /// So many actors parse writes, and so many shards hold rows.
    pub io_threads: usize,
}

/// Last-value and distinct-value caches.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Memory that they may take, in bytes.
    pub bytes_max: usize,
    /// Threads that they share.
    pub threads: usize,
    /// How often last-value caches are freed of what is over.
    pub last_eviction_interval: Duration,
    /// How often distinct-value caches are freed of what is over.
    pub distinct_eviction_interval: Duration,
}
