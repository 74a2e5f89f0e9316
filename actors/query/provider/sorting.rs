//! Bringing the rows of a chunk into sorted form.

use crate::dedup::{merge_sorted, sort_dedup};
use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use protocols::messages::store::{ChunkView, KeepSorted, SortedRows};
use protocols::schema::{TIME_COLUMN, TableSchema};
use std::sync::Arc;

/// Rows that arrived since the kept sorted form are merged into it once they are more than one
/// part in so many. Until then each query sorts them again: cheaper than copying the chunk.
const MERGE_AT_FRACTION: usize = 8;

/// All rows of a chunk in one or two sorted runs, the older first.
pub(super) struct SortedChunk {
    pub(super) runs: Vec<Arc<SortedRows>>,
    /// A sorted form that is worth keeping.
    pub(super) kept: Option<Kept>,
}

/// A sorted form that is worth keeping.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) form: KeepSorted,
    /// What was reserved for it.
    pub(super) bytes: usize,
}

/// Sorts what nobody has sorted before. What that takes is added to `memory`.
pub(super) fn sort_chunk(
    chunk: &ChunkView,
    table: &TableSchema,
    memory: &MemoryReservation,
) -> Result<SortedChunk> {
    if chunk.unsorted.is_empty() {
        return Ok(SortedChunk { runs: chunk.sorted.iter().cloned().collect(), kept: None });
    }
    let newer_bytes = chunk.unsorted.iter().map(RecordBatch::get_array_memory_size).sum();
    memory.try_grow(newer_bytes)?;
    let newer = Arc::new(sort_dedup(&chunk.unsorted, table)?);
    let Some(older) = &chunk.sorted else {
        let kept = keep(chunk, table, &newer, newer_bytes);
        return Ok(SortedChunk { runs: vec![newer], kept });
    };
    if newer.rows.num_rows().saturating_mul(MERGE_AT_FRACTION) < older.rows.num_rows() {
        return Ok(SortedChunk { runs: vec![Arc::clone(older), newer], kept: None });
    }
    let older_bytes = older.rows.get_array_memory_size();
    memory.try_grow(older_bytes)?;
    let merged = Arc::new(merge_sorted(&[older, &newer], table)?);
    let kept = keep(chunk, table, &merged, newer_bytes + older_bytes);
    Ok(SortedChunk { runs: vec![merged], kept })
}

fn keep(
    chunk: &ChunkView,
    table: &TableSchema,
    sorted: &Arc<SortedRows>,
    bytes: usize,
) -> Option<Kept> {
    let form = knows_all_columns(table, chunk).then(|| KeepSorted {
        table: table.id,
        chunk_id: chunk.chunk_id,
        chunk_time_ns: chunk.chunk_time_ns,
        sorted_batches: chunk.arrived_batches,
        sorted: Arc::clone(sorted),
    });
    form.map(|form| Kept { form, bytes })
}

/// A sorted form that lacks columns must not be kept.
fn knows_all_columns(table: &TableSchema, chunk: &ChunkView) -> bool {
    let batches = chunk.unsorted.iter().chain(chunk.sorted.iter().map(|s| &s.rows));
    let known = |name: &str| name == TIME_COLUMN || table.column(name).is_some();
    batches.into_iter().all(|b| b.schema_ref().fields().iter().all(|f| known(f.name())))
}
