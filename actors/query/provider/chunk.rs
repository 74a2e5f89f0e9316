//! Reading one chunk: sorting what is not sorted yet, and cutting out the selected rows.

use super::filters::TimeRange;
use super::plan::Scan;
use super::select::{cut, project, times, within};
use crate::dedup::{merge_sorted, sort_dedup};
use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt8Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use protocols::messages::store::{ChunkView, KeepSorted, SortedRows};
use protocols::schema::{CHUNK_ORDER_COLUMN, ColumnKind, TIME_COLUMN, TableSchema, time_field};
use std::sync::Arc;

/// Rows that arrived since the kept sorted form are merged into it once they are more than one
/// part in so many. Until then each query sorts them again: cheaper than copying the chunk.
const MERGE_AT_FRACTION: usize = 8;

/// The selected rows of a chunk.
#[derive(Default)]
pub(super) struct ChunkRows {
    /// Rows that need no merging.
    pub(super) plain: Vec<RecordBatch>,
    /// True if `plain` is in key order.
    pub(super) in_order: bool,
    /// Rows whose keys may be equal.
    pub(super) overlapping: Option<Overlapping>,
    /// A sorted form that is worth keeping.
    pub(super) kept: Option<KeepSorted>,
}

/// Two sorted inputs with columns that are laid out for the merge: the key, the other columns,
/// and the number of the input.
pub(super) struct Overlapping {
    pub(super) schema: SchemaRef,
    /// How many columns, from the first, are the key.
    pub(super) key_columns: usize,
    pub(super) inputs: Vec<Vec<RecordBatch>>,
}

/// Reads the rows that `scan` selects.
pub(super) fn read_chunk(chunk: &ChunkView, scan: &Scan) -> Result<ChunkRows> {
    let (runs, made) = sorted_runs(chunk, &scan.table)?;
    let mut rows = match runs.as_slice() {
        [] => ChunkRows::default(),
        [one] => {
            let every_time = TimeRange { min_ns: chunk.min_time_ns, max_ns: chunk.max_time_ns };
            let spans =
                if scan.selection.is_every_series() && scan.selection.times.covers(every_time) {
                    std::iter::once(0..one.rows.num_rows()).collect()
                } else {
                    within(times(&one.rows)?, &scan.selection.series(one)?, scan.selection.times)
                };
            let plain = cut(&project(&one.rows, &scan.schema)?, &spans, scan.batch_rows)?;
            ChunkRows { plain, in_order: in_key_order(one, scan), ..ChunkRows::default() }
        }
        [older, newer, ..] => read_runs(older, newer, scan)?,
    };
    rows.kept = made.filter(|_| knows_all_columns(&scan.table, chunk)).map(|sorted| KeepSorted {
        table: scan.table.id,
        chunk_time_ns: chunk.chunk_time_ns,
        sorted_batches: chunk.arrived_batches,
        sorted,
    });
    Ok(rows)
}

/// All rows of the chunk in one or two sorted runs, and the new one if it holds them all.
type Runs = (Vec<Arc<SortedRows>>, Option<Arc<SortedRows>>);

fn sorted_runs(chunk: &ChunkView, table: &TableSchema) -> Result<Runs> {
    if chunk.unsorted.is_empty() {
        return Ok((chunk.sorted.iter().cloned().collect(), None));
    }
    let newer = Arc::new(sort_dedup(&chunk.unsorted, table)?);
    let Some(older) = &chunk.sorted else {
        return Ok((vec![Arc::clone(&newer)], Some(newer)));
    };
    if newer.rows.num_rows().saturating_mul(MERGE_AT_FRACTION) < older.rows.num_rows() {
        return Ok((vec![Arc::clone(older), newer], None));
    }
    let merged = Arc::new(merge_sorted(&[older, &newer], table)?);
    Ok((vec![Arc::clone(&merged)], Some(merged)))
}

/// True unless the rows are ordered by a newer tag that the query does not know.
fn in_key_order(rows: &SortedRows, scan: &Scan) -> bool {
    rows.key.len() <= scan.table.tags().count()
}

/// A query may have planned before the newest columns were added. What it sorts then lacks them
/// and must not be kept.
fn knows_all_columns(table: &TableSchema, chunk: &ChunkView) -> bool {
    let batches = chunk.unsorted.iter().chain(chunk.sorted.iter().map(|s| &s.rows));
    let known = |name: &str| name == TIME_COLUMN || table.column(name).is_some();
    batches.into_iter().all(|b| b.schema_ref().fields().iter().all(|f| known(f.name())))
}

/// Reads two runs of one chunk. They are merged only in the span of time in which both have rows.
fn read_runs(older: &SortedRows, newer: &SortedRows, scan: &Scan) -> Result<ChunkRows> {
    let wanted = scan.selection.times;
    let newer_times = times(&newer.rows)?;
    let newer_series = scan.selection.series(newer)?;
    let newer_spans = within(newer_times, &newer_series, wanted);
    let selected = newer_spans.iter().flat_map(|span| &newer_times[span.clone()]);
    let shared = selected.fold(TimeRange { min_ns: i64::MAX, max_ns: i64::MIN }, |range, t| {
        TimeRange { min_ns: range.min_ns.min(*t), max_ns: range.max_ns.max(*t) }
    });

    let older_times = times(&older.rows)?;
    let older_series = scan.selection.series(older)?;
    let spans = |range: TimeRange| within(older_times, &older_series, range);
    let older_rows = project(&older.rows, &scan.schema)?;
    let mut plain = Vec::new();
    if shared.is_empty() {
        plain = cut(&older_rows, &spans(wanted), scan.batch_rows)?;
        let in_order = in_key_order(older, scan);
        return Ok(ChunkRows { plain, in_order, ..ChunkRows::default() });
    }
    for apart in [shared.before(), shared.after()] {
        plain.extend(cut(&older_rows, &spans(wanted.and(apart)), scan.batch_rows)?);
    }
    let older_shared = spans(wanted.and(shared));
    if older_shared.is_empty() {
        let newer_rows = project(&newer.rows, &scan.schema)?;
        plain.extend(cut(&newer_rows, &newer_spans, scan.batch_rows)?);
        return Ok(ChunkRows { plain, ..ChunkRows::default() });
    }

    let (schema, key_columns) = merge_layout(older, newer, scan);
    let input = |number: u8, rows: &RecordBatch, spans: &[_]| -> Result<Vec<RecordBatch>> {
        let numbers: ArrayRef = Arc::new(UInt8Array::from(vec![number; rows.num_rows()]));
        let unnumbered = schema.project(&(0..schema.fields().len() - 1).collect::<Vec<_>>())?;
        let mut columns = project(rows, &Arc::new(unnumbered))?.columns().to_vec();
        columns.push(numbers);
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        cut(&rows, spans, scan.batch_rows)
    };
    let inputs = vec![input(0, &older.rows, &older_shared)?, input(1, &newer.rows, &newer_spans)?];
    let overlapping = Some(Overlapping { schema: Arc::clone(&schema), key_columns, inputs });
    Ok(ChunkRows { plain, overlapping, ..ChunkRows::default() })
}

/// Columns of the inputs of a merge, and how many of them are the key.
fn merge_layout(older: &SortedRows, newer: &SortedRows, scan: &Scan) -> (SchemaRef, usize) {
    // Keys only grow at their end, so the longest known one is the order of both runs.
    let key = [&older.key, &newer.key].into_iter().max_by_key(|k| k.len());
    let mut fields: Vec<Field> = key
        .into_iter()
        .flatten()
        .map(|name| match scan.table.column(name) {
            Some(tag) => tag.arrow_field(),
            None => Field::new(name.as_ref(), ColumnKind::Tag.arrow_type(), true),
        })
        .collect();
    fields.push(time_field());
    let key_columns = fields.len();
    for field in scan.schema.fields() {
        if fields[..key_columns].iter().all(|key| key.name() != field.name()) {
            fields.push(field.as_ref().clone());
        }
    }
    fields.push(Field::new(CHUNK_ORDER_COLUMN, DataType::UInt8, false));
    (Arc::new(Schema::new(fields)), key_columns)
}
