//! What a shard shows after which messages.

mod model;
mod rows;
mod snapshots;

use super::{Shard, ShardFiles};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use protocols::columns::{ColumnData, StoredColumn, StoredRows};
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::store::{ApplyRows, ChunkView, TableBatch, TableView, ViewTable};
use protocols::schema::{ColumnKind, ColumnSchema, FieldType, TableSchema};
use protocols::snapshot::{ParquetFile, SnapshotMark, Stamps};
use std::sync::Arc;

const GEN1: i64 = 600;

fn batch(rows: &[(i64, i64)]) -> TableBatch {
    let column = ColumnSchema {
        id: ColumnId(0),
        name: "f".into(),
        kind: ColumnKind::Field(FieldType::Integer),
    };
    let schema = TableSchema::new(TableId(1), "m".into(), vec![column], None);
    let stored = StoredRows {
        table: TableId(1),
        times: rows.iter().map(|r| r.0).collect(),
        columns: vec![StoredColumn {
            id: ColumnId(0),
            data: ColumnData::Integer(rows.iter().map(|r| r.1).collect()),
            validity: None,
        }],
    };
    let rows_arrow: RecordBatch = stored.into_arrow(&schema).unwrap();
    TableBatch {
        db: DbId(1),
        table: TableId(1),
        size_bytes: rows_arrow.get_array_memory_size(),
        rows: rows_arrow,
        min_time_ns: rows.iter().map(|r| r.0).min().unwrap(),
        max_time_ns: rows.iter().map(|r| r.0).max().unwrap(),
    }
}

fn view(store: &mut Shard, min: i64, max: i64) -> TableView {
    store.view(&ViewTable { table: TableId(1), min_time_ns: min, max_time_ns: max })
}

fn rows(view: &TableView) -> usize {
    view.chunks.iter().flat_map(|c| &c.unsorted).map(RecordBatch::num_rows).sum()
}

fn empty() -> Shard {
    Shard::new(0, GEN1, vec![], ShardFiles::default())
}

fn group(sequence: u64, batch: TableBatch) -> ApplyRows {
    ApplyRows { sequence, stamp: sequence as i64, batches: vec![batch], cuts: vec![], mark: None }
}

fn mark(number: u64, end_time_ns: i64) -> SnapshotMark {
    SnapshotMark { number, end_time_ns, wal_through: 0, forced: false, durable_stamp: 0 }
}

/// A file of table 1 with rows all over its chunk.
pub(super) fn file(id: u64, chunk_time_ns: i64, long_ns: i64) -> Arc<ParquetFile> {
    Arc::new(ParquetFile {
        id,
        db: DbId(1),
        table: TableId(1),
        chunk_time_ns,
        wal_file: id,
        part: 0,
        size_bytes: 1000,
        row_count: 10,
        min_time_ns: chunk_time_ns,
        max_time_ns: chunk_time_ns + long_ns - 1,
        crc32: 0,
        order: Stamps::at(id as i64),
        keys: Default::default(),
        compacted: None,
    })
}

fn everything(store: &mut Shard) -> TableView {
    view(store, i64::MIN, i64::MAX)
}

/// The values of a chunk's rows, in order of arrival.
fn values(chunk: &ChunkView) -> Vec<i64> {
    let sorted = chunk.sorted.iter().map(|sorted| &sorted.rows);
    let batches = sorted.chain(&chunk.unsorted);
    batches.flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// Chunk time and values of each chunk, and the ids of the files.
fn shown(store: &mut Shard) -> (Vec<(i64, Vec<i64>)>, Vec<u64>) {
    let view = everything(store);
    let chunks = view.chunks.iter().map(|c| (c.chunk_time_ns, values(c))).collect();
    (chunks, view.files.iter().map(|f| f.id).collect())
}
