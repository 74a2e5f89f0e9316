//! How the log is set up.

use super::owner::Owner;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::pulse::Pulse;
use crate::runtime::teller::Teller;
use crate::store::StoreShards;
use protocols::ids::DbId;
use protocols::messages::persist::SnapshotDue;
use protocols::messages::store::TableBatch;
use std::fmt::Debug;
use std::sync::Arc;

/// Somebody who wants rows when they are visible, of some databases.
pub trait RowsWatcher: Debug + Send + Sync {
    /// Whether the rows of that database are wanted, or may be.
    fn wants(&self, db: DbId) -> bool;
    /// Takes rows that are wanted. Nobody waits for what is done with them.
    fn tell_rows(&self, batches: Vec<TableBatch>);
}

/// How a [`Wal`](super::Wal) is set up.
#[derive(Clone, Debug)]
pub struct WalConfig {
    /// The claim of this process on the log: where it is kept, and for which node.
    pub owner: Owner,
    /// No file gets a number up to this one: files up to there belonged to durable snapshots when
    /// the process started, and may all have been removed.
    pub above_file: u64,
    /// Groups gather for a whole period and are put together when it ends, because each put costs
    /// a round trip. Otherwise a group is written as soon as the one before is on stable storage.
    pub put_by_period: bool,
    /// The shards that durable rows go to.
    pub stores: StoreShards,
    /// Who takes snapshots.
    pub persist: Teller<SnapshotDue>,
    /// Periods of a snapshot; half as many again stay in the log.
    pub snapshot_size: usize,
    /// Width of a chunk, nanoseconds.
    pub gen1_duration_ns: i64,
    /// Bytes of rows in the store above which everything is taken as a snapshot.
    pub force_snapshot_bytes: usize,
    /// Writes that may wait for a sync; more are refused.
    pub waiting_writes_max: usize,
    /// Bytes these may hold.
    pub waiting_bytes_max: usize,
    /// Bytes of rows that the store may hold; when it does, writes are refused.
    pub held_bytes_max: usize,
    /// Where rows go that triggers are for, once they are visible.
    pub triggers: Option<Arc<dyn RowsWatcher>>,
    /// Wall-clock time, for stamps.
    pub clock: Clock,
    /// Raised when the log was taken over by another process.
    pub fatal: Fatal,
    /// Whether groups become durable and visible.
    pub pulse: Pulse,
}
