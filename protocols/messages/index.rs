//! What the `Index` actor accepts.

use super::Command;
use crate::error::ErrorKind;
use crate::ids::TableId;
use crate::snapshot::{ParquetFile, PlacedMark};
use std::sync::Arc;

/// Asks what the index knows of a snapshot. Sent by `Persist`.
#[derive(Clone, Copy, Debug)]
pub struct FindSnapshot {
    /// Number of the snapshot.
    pub number: u64,
}

/// What the index knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundSnapshot {
    /// The snapshot of that number, if it is durable and not forgotten.
    pub durable: Option<PlacedMark>,
    /// The newest durable snapshot has made WAL files up to this one unnecessary; 0 for none.
    pub wal_through: u64,
    /// An id that is larger than that of every file so far. Only `Persist` adds such files.
    pub next_file_id: u64,
}

impl Command for FindSnapshot {
    type Reply = FoundSnapshot;
    const NAME: &'static str = "FindSnapshot";
    const IS_CONTROL: bool = true;
}

/// Makes a snapshot durable whose files are stored, and has every shard know of its end. Repeating
/// it does nothing but the latter: the files are those of the first time. Sent by `Persist`.
#[derive(Clone, Debug)]
pub struct AppendSnapshot {
    /// The snapshot.
    pub snapshot: PlacedMark,
    /// Its files.
    pub added: Vec<ParquetFile>,
}

/// What came of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct SnapshotFiles {
    /// The files of the snapshot.
    pub files: Vec<Arc<ParquetFile>>,
    /// Files that have gone from their tables since the snapshot before, as far as this life of
    /// the index knows.
    pub removed: Vec<Arc<ParquetFile>>,
    /// An id that is larger than that of every file so far.
    pub next_file_id: u64,
}

impl Command for AppendSnapshot {
    type Reply = Result<SnapshotFiles, IndexError>;
    const NAME: &'static str = "AppendSnapshot";
    const IS_CONTROL: bool = true;
}

/// Looks for files that are wholly past retention or whose table is gone, and for removed files
/// whose grace is over. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct SweepFiles;

impl Command for SweepFiles {
    type Reply = ();
    const NAME: &'static str = "SweepFiles";
}

/// Answered when the step of the index that is under way is over, and the shards have heard of it.
/// Later steps take into account what the catalog has now. Sent by `CacheKeeper`.
#[derive(Clone, Copy, Debug)]
pub struct AwaitStep;

impl Command for AwaitStep {
    type Reply = ();
    const NAME: &'static str = "AwaitStep";
}

/// Asks which files there are. Sent by `Compact`.
#[derive(Clone, Copy, Debug)]
pub struct ListFiles;

/// The files that there are.
#[derive(Clone, Debug, Default)]
pub struct FileList {
    /// All of them, by id.
    pub files: Vec<Arc<ParquetFile>>,
    /// Whatever becomes a file of a snapshot later was written behind this stamp.
    pub durable_stamp: i64,
}

impl Command for ListFiles {
    type Reply = FileList;
    const NAME: &'static str = "ListFiles";
}

/// Puts stored files in the place of others, durably and in every shard. Repeating it is refused.
/// Sent by `Compact`.
#[derive(Clone, Debug)]
pub struct AppendCompaction {
    /// The table.
    pub table: TableId,
    /// Ids of the files whose rows are in the new ones.
    pub inputs: Vec<u64>,
    /// The new ones. Their ids are given by the index. None if all rows were deleted.
    pub outputs: Vec<ParquetFile>,
    /// Numbers of the deletes of rows that were applied.
    pub deletes: Vec<u64>,
}

impl Command for AppendCompaction {
    /// The new files with their ids.
    type Reply = Result<Vec<Arc<ParquetFile>>, CompactionRefused>;
    const NAME: &'static str = "AppendCompaction";
    fn cost_bytes(&self) -> usize {
        256 + 8 * self.inputs.len() + 256 * self.outputs.len()
    }
}

/// Why nothing came of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactionRefused {
    /// Another process took over this node id; this one stops.
    #[error("another process has written to the file index ahead of this one")]
    Fenced,
    /// The files have changed since the compaction began, or their table is gone.
    #[error("the compaction does not fit the files any more: {0}")]
    Stale(&'static str),
}

/// Deletes objects among the compacted files that the index does not name: what compactions have
/// left that did not come to their end. Sent by `Compact` while it has no compaction under way.
#[derive(Clone, Copy, Debug)]
pub struct SweepOrphans;

impl Command for SweepOrphans {
    /// How many were deleted; `None` if not all could be looked at.
    type Reply = Option<usize>;
    const NAME: &'static str = "SweepOrphans";
}

/// Why the index was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Another process took over this node id; this one stops.
    #[error("another process has written to the file index ahead of this one")]
    Fenced,
}

impl IndexError {
    /// What the caller has to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fenced => ErrorKind::Internal,
        }
    }
}
