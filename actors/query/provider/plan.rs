//! From a view of a table to an execution plan.

use super::chunk::{ChunkRows, Overlapping, read_chunk};
use super::dedup_exec::DedupExec;
use super::select::Selection;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::exec_datafusion_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use futures::{StreamExt, stream};
use protocols::messages::store::{KeepSorted, TableView};
use protocols::schema::{TIME_COLUMN, TableSchema};
use std::sync::Arc;

/// What is asked of a table.
pub(super) struct Scan {
    /// The table as the query knows it.
    pub(super) table: Arc<TableSchema>,
    /// Which rows.
    pub(super) selection: Selection,
    /// Which columns, in the order of the result.
    pub(super) schema: SchemaRef,
    /// Rows in a batch, at most.
    pub(super) batch_rows: usize,
    /// How many threads may read at the same time.
    pub(super) partitions: usize,
    /// So many rows are enough.
    pub(super) limit: Option<usize>,
}

/// Plans the reading of `view`. Sorted forms that were made on the way go to `keep`.
pub(super) async fn scan_view(
    view: TableView,
    scan: Arc<Scan>,
    mut keep: impl FnMut(KeepSorted),
) -> Result<Arc<dyn ExecutionPlan>> {
    // With a limit one chunk is often enough, so the next is read only when it is not.
    let at_once = if scan.limit.is_some() { 1 } else { scan.partitions.max(1) };
    let shared = Arc::clone(&scan);
    let mut chunks = stream::iter(view.chunks)
        .map(move |chunk| {
            let scan = Arc::clone(&shared);
            SpawnedTask::spawn_blocking(move || read_chunk(&chunk, &scan))
        })
        .buffered(at_once);
    let mut read: Vec<ChunkRows> = Vec::new();
    let mut plain_rows = 0;
    while scan.limit.is_none_or(|limit| plain_rows < limit)
        && let Some(chunk) = chunks.next().await
    {
        let mut chunk =
            chunk.map_err(|e| exec_datafusion_err!("reading a chunk failed: {e}"))??;
        if let Some(kept) = chunk.kept.take() {
            keep(kept);
        }
        plain_rows += chunk.plain.iter().map(RecordBatch::num_rows).sum::<usize>();
        if !chunk.plain.is_empty() || chunk.overlapping.is_some() {
            read.push(chunk);
        }
    }

    let ordering = match read.as_slice() {
        [one] if one.in_order => key_order(&scan.table, &scan.schema),
        _ => None,
    };
    let mut plans = Vec::new();
    let mut batches = Vec::new();
    for chunk in read {
        batches.extend(chunk.plain);
        if let Some(overlapping) = chunk.overlapping {
            plans.push(merge_plan(overlapping, &scan.schema)?);
        }
    }
    if !batches.is_empty() {
        let groups = divide(batches, scan.partitions, scan.batch_rows);
        plans.push(memory_plan(&groups, &scan.schema, ordering)?);
    }
    if plans.is_empty() {
        return Ok(Arc::new(EmptyExec::new(Arc::clone(&scan.schema))));
    }
    UnionExec::try_new(plans)
}

/// The order of sorted rows, as far as the result has the columns of the key.
fn key_order(table: &TableSchema, schema: &Schema) -> Option<LexOrdering> {
    let tags = table.tags().map(|t| t.name.as_ref());
    let columns = tags.chain([TIME_COLUMN]).map_while(|name| sort_column(schema, name));
    LexOrdering::new(columns)
}

fn sort_column(schema: &Schema, name: &str) -> Option<PhysicalSortExpr> {
    let index = schema.index_of(name).ok()?;
    let options = SortOptions { descending: false, nulls_first: true };
    Some(PhysicalSortExpr::new(Arc::new(Column::new(name, index)), options))
}

fn memory_plan(
    partitions: &[Vec<RecordBatch>],
    schema: &SchemaRef,
    ordering: Option<LexOrdering>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let source = MemorySourceConfig::try_new(partitions, Arc::clone(schema), None)?
        .try_with_sort_information(ordering.into_iter().collect())?;
    Ok(DataSourceExec::from_data_source(source))
}

fn merge_plan(rows: Overlapping, output: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let last = rows.schema.fields().len() - 1;
    let names = (0..rows.key_columns).chain([last]).map(|i| rows.schema.field(i).name());
    let ordering = LexOrdering::new(names.filter_map(|name| sort_column(&rows.schema, name)))
        .ok_or_else(|| exec_datafusion_err!("a merge without a key"))?;
    let inputs = memory_plan(&rows.inputs, &rows.schema, Some(ordering.clone()))?;
    let merged = Arc::new(SortPreservingMergeExec::new(ordering.clone(), inputs));
    Ok(Arc::new(DedupExec::try_new(merged, rows.key_columns, ordering, Arc::clone(output))?))
}

/// Divides batches into at most `parts` runs of about equal numbers of rows.
fn divide(batches: Vec<RecordBatch>, parts: usize, rows_min: usize) -> Vec<Vec<RecordBatch>> {
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let share = total.div_ceil(parts.max(1)).max(rows_min);
    let mut groups: Vec<Vec<RecordBatch>> = Vec::new();
    let mut before = 0;
    for batch in batches {
        let group = before / share;
        before += batch.num_rows();
        if group >= groups.len() {
            groups.push(Vec::new());
        }
        if let Some(last) = groups.last_mut() {
            last.push(batch);
        }
    }
    groups
}
