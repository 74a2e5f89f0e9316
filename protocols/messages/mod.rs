//! What actors say to each other: plain owned values, one module for each actor that listens.
//!
//! An *ask* awaits a reply and may only go to an actor of lower rank, so no cycle of waiting can
//! exist; the ranks are the constants of [`rank`]. Anything to the same or a higher rank is a
//! *tell*: the sender does not wait.

pub mod audit;
pub mod caches;
pub mod catalog;
pub mod compact;
pub mod downsamples;
pub mod index;
pub mod ingest;
pub mod parquet_cache;
pub mod persist;
pub mod plugins;
pub mod query;
pub mod store;
pub mod wal;

use std::fmt::Debug;

/// A message and the reply it gets.
pub trait Command: Debug + Send + 'static {
    /// What the sender receives.
    type Reply: Send + 'static;
    /// Name in metrics and logs.
    const NAME: &'static str;
    /// Messages of the server's own regular work, without which an actor that is full would stay
    /// so: they have room of their own in its mailbox. Few of them are under way at a time.
    const IS_CONTROL: bool = false;
    /// How much of the mailbox's byte budget the message takes while it waits.
    fn cost_bytes(&self) -> usize {
        256
    }
}

/// Who may wait for whom: an ask goes to a strictly lower rank.
pub mod rank {
    /// The one writer of names and schemas.
    pub const CATALOG: u8 = 0;
    /// What was done, and by whom: told by all, asks nobody.
    pub const AUDIT: u8 = 0;
    /// Bytes of Parquet files.
    pub const PARQUET_CACHE: u8 = 0;
    /// Last values and distinct values: told of rows by the store, asked by queries.
    pub const CACHE: u8 = 0;
    /// Buffered rows.
    pub const STORE: u8 = 1;
    /// The write-ahead log.
    pub const WAL: u8 = 2;
    /// Which Parquet files there are.
    pub const INDEX: u8 = 2;
    /// Parsing of writes.
    pub const INGEST: u8 = 3;
    /// Snapshots on their way to files.
    pub const PERSIST: u8 = 3;
    /// Fewer and larger files.
    pub const COMPACT: u8 = 3;
    /// Planning and running of queries.
    pub const QUERY: u8 = 3;
    /// What keeps coarse tables up to date.
    pub const DOWNSAMPLES: u8 = 4;
    /// Births, fillings and ends of caches.
    pub const CACHE_KEEPER: u8 = 4;
    /// What plugins and triggers said.
    pub const PLUGIN_LOG: u8 = 0;
    /// Files of plugins.
    pub const PLUGIN_FILES: u8 = 0;
    /// The virtual environment of plugins.
    pub const PACKAGES: u8 = 0;
    /// The process that runs Python. It asks for what plugins ask for.
    pub const PYTHON_HOST: u8 = 4;
    /// One trigger.
    pub const TRIGGER: u8 = 5;
    /// Births and ends of triggers, and which rows each gets.
    pub const TRIGGERS: u8 = 6;
    /// HTTP handlers and other edges: not actors, they may ask anyone.
    pub const EDGE: u8 = 7;
}
