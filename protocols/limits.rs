//! Every bound of the server, with its unit and the reason for its size.

/// Largest request body, on the wire and decompressed, in bytes. The original's default.
pub const HTTP_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Longest measurement, key, tag value or string field, in bytes. The original's limit.
pub const ELEMENT_BYTES_MAX: usize = 1024 * 1024;

/// Refused lines of a write that its answer lists; the others are only counted. Far above what
/// anybody reads, and it keeps a small compressed body of bad lines from becoming a huge answer.
pub const REFUSED_LINES_TOLD_MAX: usize = 10_000;

/// Bytes of a refused line that the answer shows, and of any part of it that the reason names: a
/// line of megabytes would make an answer of megabytes.
pub const REFUSED_LINE_BYTES_MAX: usize = 512;

/// How long an edge waits for room in a mailbox before it answers 503, in milliseconds: long
/// enough to ride out a group commit, short enough that a client's own retry takes over.
pub const ADMISSION_WAIT_MS_MAX: u64 = 2_000;

/// How long a write may take from its arrival to its answer, in milliseconds. Longer than the
/// ten seconds for which the WAL retries a failing store.
pub const WRITE_DEADLINE_MS: u64 = 30_000;

/// How long an administration request may take, in milliseconds.
pub const ADMIN_DEADLINE_MS: u64 = 30_000;

/// Mailbox of the audit log: one message for each thing that is told, until it is on the disk.
pub const AUDIT_MAILBOX_MESSAGES: usize = 16_384;
/// Mailbox of the audit log, in bytes. What finds no room is lost, and counted.
pub const AUDIT_MAILBOX_BYTES: usize = 32 * 1024 * 1024;
/// Entries of the audit log that are kept for the system table.
pub const AUDIT_ENTRIES_MAX: usize = 10_000;
/// Bytes that these may take; the oldest go.
pub const AUDIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Catalog mailbox: schema changes are rare, a burst of new tables is a few hundred.
pub const CATALOG_MAILBOX_MESSAGES: usize = 4_096;
/// Catalog mailbox, in bytes.
pub const CATALOG_MAILBOX_BYTES: usize = 64 * 1024 * 1024;

/// Ingest mailbox of one pool member: a few bodies wait while one is parsed and its durability is
/// awaited, so the count bounds the writes in flight.
pub const INGEST_MAILBOX_MESSAGES: usize = 4_096;
/// Ingest mailbox of one pool member, in bytes of request bodies, where there is memory enough.
pub const INGEST_MAILBOX_BYTES: usize = 128 * 1024 * 1024;
/// Part of the memory that the bodies in all ingest mailboxes may take.
pub const INGEST_MEMORY_PART: f64 = 0.05;

/// Part of the memory that the chunks take which a snapshot sorts, encodes and stores at a time,
/// beside their rows: a chunk that is larger goes alone.
pub const SNAPSHOT_MEMORY_PART: f64 = 0.1;

/// Store mailbox of a shard: one message a WAL group and one a query.
pub const STORE_MAILBOX_MESSAGES: usize = 4_096;
/// Store mailbox of a shard, in bytes of rows on their way from the WAL.
pub const STORE_MAILBOX_BYTES: usize = 1024 * 1024 * 1024;

/// Mailbox of the cache of Parquet files: one message for each file that a query opens.
pub const PARQUET_CACHE_MAILBOX_MESSAGES: usize = 65_536;
/// Mailbox of the cache of Parquet files, in bytes of files on their way into it.
pub const PARQUET_CACHE_MAILBOX_BYTES: usize = 64 * 1024 * 1024;

/// Mailbox of a cache: one message a WAL group and one a query.
pub const CACHE_MAILBOX_MESSAGES: usize = 4_096;
/// Mailbox of a cache, in bytes of rows on their way into it. A cache that lets so much gather
/// cannot keep up, and is rebuilt.
pub const CACHE_MAILBOX_BYTES: usize = 256 * 1024 * 1024;

/// Mailbox of the keeper of caches: administration and reminders.
pub const CACHE_KEEPER_MAILBOX_MESSAGES: usize = 4_096;
/// Mailbox of the keeper of caches, in bytes.
pub const CACHE_KEEPER_MAILBOX_BYTES: usize = 4 * 1024 * 1024;

/// Persist mailbox: reminders, of which one is as good as many.
pub const PERSIST_MAILBOX_MESSAGES: usize = 64;
/// Persist mailbox, in bytes.
pub const PERSIST_MAILBOX_BYTES: usize = 1024 * 1024;
/// Messages that wait for `Index`, but for those of snapshots.
pub const INDEX_MAILBOX_MESSAGES: usize = 64;
/// Bytes of these.
pub const INDEX_MAILBOX_BYTES: usize = 1024 * 1024;
/// Messages that wait for the compaction: mostly questions how it is.
pub const COMPACT_MAILBOX_MESSAGES: usize = 256;
/// Bytes of these.
pub const COMPACT_MAILBOX_BYTES: usize = 4 * 1024 * 1024;

/// Query mailbox: statements waiting to be planned or running.
pub const QUERY_MAILBOX_MESSAGES: usize = 1_024;
/// Query mailbox, in bytes of statement text.
pub const QUERY_MAILBOX_BYTES: usize = 64 * 1024 * 1024;

/// Mailbox of what keeps downsamples: administration and reminders.
pub const DOWNSAMPLES_MAILBOX_MESSAGES: usize = 1_024;
/// Mailbox of what keeps downsamples, in bytes.
pub const DOWNSAMPLES_MAILBOX_BYTES: usize = 1024 * 1024;

/// Mailbox of the processing engine: one message a WAL group that triggers are for.
pub const TRIGGERS_MAILBOX_MESSAGES: usize = 16_384;
/// Mailbox of the processing engine, in bytes; rows count with what the store does not hold anyway.
pub const TRIGGERS_MAILBOX_BYTES: usize = 64 * 1024 * 1024;

/// Mailbox of a trigger: requests that wait for it, and a few events.
pub const TRIGGER_MAILBOX_MESSAGES: usize = 4_096;
/// Mailbox of a trigger, in bytes of request bodies.
pub const TRIGGER_MAILBOX_BYTES: usize = 64 * 1024 * 1024;

/// Events that wait for a trigger; then the oldest goes. The original's limit.
pub const TRIGGER_EVENTS_MAX: usize = 60;

/// Rows of one flush interval of a database that triggers get, in bytes: more of them come as
/// another event.
pub const TRIGGER_EVENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Mailbox of the plugin host: one message for each run under way.
pub const PYTHON_HOST_MAILBOX_MESSAGES: usize = 65_536;
/// Mailbox of the plugin host, in bytes of events on their way to it.
pub const PYTHON_HOST_MAILBOX_BYTES: usize = 1024 * 1024 * 1024;

/// Entries of the log of plugins. The original's limit.
pub const PLUGIN_LOG_ENTRIES_MAX: usize = 10_000;
/// Bytes of one entry; what is longer is cut.
pub const PLUGIN_LOG_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all texts in the log of plugins: the oldest go before it is full of entries, if they
/// are long.
pub const PLUGIN_LOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Kept runs of one trigger.
pub const PLUGIN_RUNS_MAX: usize = 100;
/// Kept runs of all triggers.
pub const PLUGIN_RUNS_ALL_MAX: usize = 20_000;
/// Bytes that are kept of why a run failed.
pub const PLUGIN_RUN_ERROR_BYTES_MAX: usize = 4 * 1024;
/// Series that a trigger may count.
pub const PLUGIN_COUNTS_MAX: usize = 1_000;
/// Mailbox of the log of plugins.
pub const PLUGIN_LOG_MAILBOX_MESSAGES: usize = 16_384;
/// Mailbox of the log of plugins, in bytes.
pub const PLUGIN_LOG_MAILBOX_BYTES: usize = 32 * 1024 * 1024;

/// Mailbox of the files of plugins: one message a run.
pub const PLUGIN_FILES_MAILBOX_MESSAGES: usize = 4_096;
/// Mailbox of the files of plugins, in bytes of uploads.
pub const PLUGIN_FILES_MAILBOX_BYTES: usize = 64 * 1024 * 1024;

/// Text of a plugin, or of all files of a directory, in bytes.
pub const PLUGIN_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Text of a plugin that the catalog holds, in bytes.
pub const PLUGIN_CODE_BYTES_MAX: usize = 1024 * 1024;

/// Mailbox of the installer of packages.
pub const PACKAGES_MAILBOX_MESSAGES: usize = 64;
/// Mailbox of the installer of packages, in bytes.
pub const PACKAGES_MAILBOX_BYTES: usize = 1024 * 1024;

/// Rows that one query of a plugin may return, in bytes: they are in the host as a whole.
pub const PLUGIN_QUERY_BYTES_MAX: usize = 1024 * 1024 * 1024;
