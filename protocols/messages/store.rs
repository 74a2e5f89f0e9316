//! What the `Store` shards accept.

use super::Command;
use crate::ids::{DbId, TableId};
use crate::row_deletes::RowCut;
use crate::snapshot::{ParquetFile, SnapshotMark, Stamps};
use arrow_array::RecordBatch;
use std::sync::Arc;

/// Rows of one table from one request.
#[derive(Clone)]
pub struct TableBatch {
    /// The database.
    pub db: DbId,
    /// The table.
    pub table: TableId,
    /// The columns the request had values for, and `time` as the last column.
    pub rows: RecordBatch,
    /// Smallest time, nanoseconds since 1970.
    pub min_time_ns: i64,
    /// Largest time, nanoseconds since 1970.
    pub max_time_ns: i64,
    /// Memory the columns take.
    pub size_bytes: usize,
}

impl std::fmt::Debug for TableBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableBatch")
            .field("table", &self.table)
            .field("rows", &self.rows.num_rows())
            .finish_non_exhaustive()
    }
}

/// Makes durable rows visible. Sent by `Wal` in the order of sequences. A shard skips sequences
/// that it has applied already, so the sender may repeat itself.
#[derive(Clone, Debug)]
pub struct ApplyRows {
    /// Number of the WAL group.
    pub sequence: u64,
    /// Its stamp, which rises with the number.
    pub stamp: i64,
    /// The rows of the group that belong to this shard, in the order of acceptance.
    pub batches: Vec<TableBatch>,
    /// Where rows are divided behind these: chunks of such times take no more rows.
    pub cuts: Vec<RowCut>,
    /// When set, a snapshot begins behind these rows: chunks that it covers take no more rows.
    pub mark: Option<SnapshotMark>,
}

impl Command for ApplyRows {
    /// How many bytes of rows the shard holds now.
    type Reply = usize;
    const NAME: &'static str = "ApplyRows";
    fn cost_bytes(&self) -> usize {
        256 + self.batches.iter().map(|b| b.size_bytes).sum::<usize>()
    }
}

/// Asks for everything a query needs of one table. Sent by `Query`.
#[derive(Clone, Copy, Debug)]
pub struct ViewTable {
    /// The table.
    pub table: TableId,
    /// Chunks that end before this instant are left out (nanoseconds since 1970, inclusive).
    pub min_time_ns: i64,
    /// Chunks that begin after this instant are left out (nanoseconds since 1970, inclusive).
    pub max_time_ns: i64,
}

impl Command for ViewTable {
    type Reply = TableView;
    const NAME: &'static str = "ViewTable";
}

/// One consistent view of a table: every row that was acknowledged before the question, each in
/// exactly one chunk or file. Where keys are equal, the chunk or file wins whose stretch of writes is
/// later.
#[derive(Clone, Debug, Default)]
pub struct TableView {
    /// Chunks in order of time. There can be several of one chunk time: the rows of a snapshot under
    /// way, and then those that came since, each divided where rows were deleted. Otherwise their
    /// time ranges do not overlap.
    pub chunks: Vec<ChunkView>,
    /// Parquet files by chunk time and id.
    pub files: Vec<Arc<ParquetFile>>,
    /// The objects of these files stay while somebody holds this.
    pub pin: Option<Arc<Pin>>,
}

/// What a query holds while it may read the files of its view.
#[derive(Debug)]
pub struct Pin;

/// The rows of one chunk.
#[derive(Clone, Debug)]
pub struct ChunkView {
    /// Identity within its shard, never used again: a chunk that takes rows after a snapshot froze
    /// its predecessor of the same time is another one.
    pub chunk_id: u64,
    /// Start of the chunk, nanoseconds since 1970.
    pub chunk_time_ns: i64,
    /// Which of the chunks of that time in the buffer, or in the snapshot, from zero: deletes
    /// divide them.
    pub division: u32,
    /// The oldest part of the chunk in sorted form, if a query has sorted it before.
    pub sorted: Option<Arc<SortedRows>>,
    /// How many batches, in order of arrival, `sorted` covers.
    pub sorted_batches: usize,
    /// The batches that arrived after those, in order of arrival. Each has `time` as its last
    /// column.
    pub unsorted: Vec<RecordBatch>,
    /// How many batches `sorted` and `unsorted` cover together: what a [`KeepSorted`] made from
    /// all of this view says.
    pub arrived_batches: usize,
    /// Smallest time of any row.
    pub min_time_ns: i64,
    /// Largest time of any row.
    pub max_time_ns: i64,
    /// The stretch of writes that the rows come from.
    pub order: Stamps,
}

/// Rows of one table, sorted by tags in key order and then time, each key once.
#[derive(Clone, Debug)]
pub struct SortedRows {
    /// The rows.
    pub rows: RecordBatch,
    /// Row at which each series (distinct tag set) begins, ascending.
    pub series_starts: Vec<u32>,
    /// Names of the tag columns in key order.
    pub key: Vec<Arc<str>>,
}

/// Hands back the sorted form that a query has made, so that the next one need not. A tell.
#[derive(Clone, Debug)]
pub struct KeepSorted {
    /// The table.
    pub table: TableId,
    /// Identity of the chunk, from its view.
    pub chunk_id: u64,
    /// Start of the chunk.
    pub chunk_time_ns: i64,
    /// How many batches of the chunk, in order of arrival, `sorted` covers.
    pub sorted_batches: usize,
    /// Those rows, sorted and deduplicated.
    pub sorted: Arc<SortedRows>,
}

impl Command for KeepSorted {
    type Reply = ();
    const NAME: &'static str = "KeepSorted";
}

/// Forgets the rows of deleted tables. Later rows of these tables are dropped too.
#[derive(Clone, Debug)]
pub struct DropTables {
    /// The tables.
    pub tables: Vec<TableId>,
}

impl Command for DropTables {
    type Reply = ();
    const NAME: &'static str = "DropTables";
}

/// Asks for the chunks that a snapshot has to write. Sent by `Persist`, again after its rebuilding.
#[derive(Clone, Copy, Debug)]
pub struct FrozenChunks {
    /// Number of the snapshot.
    pub snapshot: u64,
}

impl Command for FrozenChunks {
    type Reply = Frozen;
    const NAME: &'static str = "FrozenChunks";
}

/// What a shard has of a snapshot under way.
#[derive(Clone, Debug, Default)]
pub struct Frozen {
    /// Chunks that still have to be written.
    pub chunks: Vec<FrozenChunk>,
    /// Files that took the place of chunks already.
    pub swapped: Vec<Arc<ParquetFile>>,
}

/// A chunk that takes no more rows.
#[derive(Clone, Debug)]
pub struct FrozenChunk {
    /// The database.
    pub db: DbId,
    /// The table.
    pub table: TableId,
    /// The rows.
    pub chunk: ChunkView,
}

/// Puts files in the place of a frozen chunk, in one step. Repeating it does nothing. Sent by
/// `Persist`.
#[derive(Clone, Debug)]
pub struct SwapChunk {
    /// Number of the snapshot.
    pub snapshot: u64,
    /// The table.
    pub table: TableId,
    /// Start of the chunk.
    pub chunk_time_ns: i64,
    /// Which of the chunks of that time.
    pub division: u32,
    /// What holds its rows now; empty when all of them were deleted.
    pub files: Vec<Arc<ParquetFile>>,
}

impl Command for SwapChunk {
    /// How many bytes of rows the shard holds now.
    type Reply = usize;
    const NAME: &'static str = "SwapChunk";
}

/// Ends a snapshot that is durable: whatever of it is still a chunk here becomes files. Repeating
/// it does nothing. Sent by `Index`.
#[derive(Clone, Debug)]
pub struct EndSnapshot {
    /// The snapshot.
    pub snapshot: crate::snapshot::PlacedMark,
    /// All files of the snapshot whose tables belong to the shard.
    pub files: Vec<Arc<ParquetFile>>,
}

impl Command for EndSnapshot {
    /// How many bytes of rows the shard holds now.
    type Reply = usize;
    const NAME: &'static str = "EndSnapshot";
}

/// Forgets files, because all their rows are past retention or deleted. Sent by `Index` once
/// it has durably forgotten them.
#[derive(Clone, Debug)]
pub struct RemoveFiles {
    /// Table and id of each.
    pub files: Vec<(TableId, u64)>,
}

impl Command for RemoveFiles {
    /// The epoch of the last views that may have the files. Compare [`OldestEpoch`].
    type Reply = u64;
    const NAME: &'static str = "RemoveFiles";
}

/// Puts files in the place of others of the same table, in one step. Repeating it does nothing but
/// begin a new epoch. Sent by `Index` once the change is durable.
#[derive(Clone, Debug)]
pub struct SwapFiles {
    /// The database.
    pub db: DbId,
    /// The table.
    pub table: TableId,
    /// Ids of the files that go.
    pub removed: Vec<u64>,
    /// The files that come.
    pub added: Vec<Arc<ParquetFile>>,
}

impl Command for SwapFiles {
    /// The epoch of the last views that may have the removed files. Compare [`OldestEpoch`].
    type Reply = u64;
    const NAME: &'static str = "SwapFiles";
}

/// Asks for the epoch of the oldest view that somebody may still read from. Epochs are counted by
/// each shard on its own. Sent by `Index`.
#[derive(Clone, Copy, Debug)]
pub struct OldestEpoch;

impl Command for OldestEpoch {
    type Reply = u64;
    const NAME: &'static str = "OldestEpoch";
}
