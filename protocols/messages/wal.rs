//! What the `Wal` actor accepts.

use super::Command;
use super::store::TableBatch;
use crate::error::ErrorKind;
use crate::row_deletes::RowCut;
use crate::snapshot::PlacedMark;
use bytes::Bytes;

/// Whether a writer waits until its rows are durable and visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Answer when the rows are on stable storage and the next query sees them.
    #[default]
    Durable,
    /// Answer when the rows are queued; a crash may lose them.
    Buffered,
}

/// Adds the rows of one request to the open group. Sent by `Ingest`.
pub struct AppendRows {
    /// The rows as the log stores them: one entry of [`crate::wal_frame`].
    pub entry: Bytes,
    /// The same rows as Arrow columns, for the store.
    pub batches: Vec<TableBatch>,
    /// When to answer.
    pub sync: SyncMode,
}

impl std::fmt::Debug for AppendRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppendRows")
            .field("entry_bytes", &self.entry.len())
            .field("tables", &self.batches.len())
            .finish_non_exhaustive()
    }
}

impl Command for AppendRows {
    type Reply = Result<Receipt, WalError>;
    const NAME: &'static str = "AppendRows";
    fn cost_bytes(&self) -> usize {
        self.entry.len() + self.batches.iter().map(|b| b.size_bytes).sum::<usize>()
    }
}

/// Divides the rows of a table in the log and in the store: what was acknowledged before is older
/// than the stamp of the answer or as old, what is sent behind the answer is newer. Sent for a delete
/// of rows.
#[derive(Clone, Copy, Debug)]
pub struct CutRows(pub RowCut);

impl Command for CutRows {
    /// The stamp.
    type Reply = Result<i64, WalError>;
    const NAME: &'static str = "CutRows";
}

/// Ends the open WAL period. Sent by a ticker each flush interval.
#[derive(Clone, Copy, Debug)]
pub struct PeriodDue;

impl Command for PeriodDue {
    type Reply = ();
    const NAME: &'static str = "PeriodDue";
    const IS_CONTROL: bool = true;
}

/// Refuses further writes and answers once everything queued is durable. Sent at shutdown.
#[derive(Clone, Copy, Debug)]
pub struct Drain;

impl Command for Drain {
    type Reply = Result<(), WalError>;
    const NAME: &'static str = "Drain";
    const IS_CONTROL: bool = true;
}

/// Has a snapshot of all rows taken at the end of the period, although they may be few: deleted ones
/// among them are to go for good. Sent by housekeeping.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotWanted;

impl Command for SnapshotWanted {
    type Reply = ();
    const NAME: &'static str = "SnapshotWanted";
    const IS_CONTROL: bool = true;
}

/// Asks for the snapshot that is to be taken. The answer stays the same until [`SnapshotDone`].
/// Sent by `Persist`.
#[derive(Clone, Copy, Debug)]
pub struct TakeSnapshot;

impl Command for TakeSnapshot {
    /// `None` when no snapshot is due. The shards have its chunks when it is answered.
    type Reply = Option<PlacedMark>;
    const NAME: &'static str = "TakeSnapshot";
    const IS_CONTROL: bool = true;
}

/// Says that the index with the files of a snapshot is durable and every shard has them: the next
/// one may begin. Repeating it does nothing. Sent by `Persist`.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotDone {
    /// Number of the snapshot.
    pub number: u64,
}

impl Command for SnapshotDone {
    type Reply = ();
    const NAME: &'static str = "SnapshotDone";
    const IS_CONTROL: bool = true;
}

/// Proof that rows were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The rows are on stable storage under this group number, and visible.
    Durable {
        /// Number of the group that holds them.
        sequence: u64,
    },
    /// The rows are queued.
    Buffered,
}

/// Why rows were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// Too many writes wait for durability.
    #[error("wal buffer full with {0} ops")]
    Full(usize),
    /// The store holds as many rows as it may.
    #[error("the buffer is full: it holds {held_bytes} bytes of rows, and may hold {max_bytes}")]
    BufferFull {
        /// Bytes of rows in memory.
        held_bytes: usize,
        /// The configured bound.
        max_bytes: usize,
    },
    /// The server is stopping.
    #[error("wal is shutdown and not accepting writes")]
    Shutdown,
    /// Another process took over this node id; this one stops.
    #[error("another process has written to the WAL ahead of this one")]
    Fenced,
    /// The log could not be written. The rows are not visible; whether they come back after a
    /// restart is said in the text.
    #[error("error writing wal file: {0}")]
    Io(String),
    /// The rows are durable, but the store did not take them in time: they are visible after the
    /// store was rebuilt.
    #[error("the rows are durable but not visible yet: {0}")]
    NotApplied(String),
}

impl WalError {
    /// What the caller has to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fenced => ErrorKind::Internal,
            Self::Full(_) | Self::BufferFull { .. } => ErrorKind::Overloaded,
            Self::Shutdown => ErrorKind::Unavailable,
            Self::Io(_) | Self::NotApplied(_) => ErrorKind::Timeout,
        }
    }
}
