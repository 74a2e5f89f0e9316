//! From a view of a table to an execution plan.

use super::chunk::Kept;
use super::group::{Group, GroupRows, read_group};
use super::join::join_short;
use super::part::Part;
use super::parts_exec::PartsExec;
use super::reader::FileAccess;
use super::select::Selection;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pools;
use crate::store::Store;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::exec_datafusion_err;
use datafusion::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use futures::{StreamExt, stream};
use protocols::messages::store::KeepSorted;
use protocols::schema::{TIME_COLUMN, TableSchema};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What is asked of a table.
#[derive(Debug)]
pub(super) struct Scan {
    /// The table with all its columns. The query may know fewer.
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
    /// How files are read.
    pub(super) access: Arc<FileAccess>,
    /// Counts what was sorted for the scan and nobody keeps, for as long as the scan exists.
    pub(super) memory: MemoryReservation,
    /// What keeps sorted forms.
    pub(super) shard: Mailbox<Store>,
    /// Up to so many bytes of unsorted rows are sorted while the scan is planned.
    pub(super) sort_ahead_bytes_max: usize,
    /// One for each thread that may sort while the query runs.
    pub(super) turns: Semaphore,
}

impl Scan {
    /// Hands the sorted forms in `rows` to the shard. Those that it takes are returned, and are no
    /// longer counted in `memory`: they replace what they were made from.
    pub(super) fn hand_back(
        &self,
        rows: &mut GroupRows,
        memory: &MemoryReservation,
    ) -> Vec<KeepSorted> {
        let mut taken = Vec::new();
        for Kept { form, bytes } in rows.kept.drain(..) {
            if self.shard.tell(form.clone()) {
                memory.shrink(bytes);
                taken.push(form);
            } else {
                // A shard without room does without; the next query sorts again.
                tracing::debug!(table = %self.table.name, "a sorted chunk was not kept");
            }
        }
        taken
    }
}

/// Plans the reading of `groups`. The number of files that the plan reads goes to `admit`.
pub(super) async fn scan_groups(
    groups: Vec<Group>,
    scan: Arc<Scan>,
    admit: impl FnOnce(usize) -> Result<()>,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let (now, later) = divide_work(groups, &scan);
    let groups = read_groups(now, &scan).await?;
    let rows = groups.iter().map(GroupRows::rows_min).sum();
    let later = if wants_more(&scan, rows) { later } else { Vec::new() };
    let in_merges = groups.iter().filter_map(|g| g.merge.as_ref()).map(|m| m.files.len());
    let in_groups = groups.iter().map(|g| g.files.len());
    let files = later.iter().map(Group::files_read).chain(in_groups).chain(in_merges).sum();
    if files == 0 && later.is_empty() {
        return buffer_plan(groups, &scan, config);
    }
    admit(files)?;
    let mut parts: Vec<Part> =
        groups.into_iter().flat_map(|group| group_parts(group, &scan)).collect();
    parts.extend(later.into_iter().map(|group| Part::deferred(group, &scan)));
    parts.sort_by_key(|part| (part.times.max_ns, part.times.min_ns));
    Ok(Arc::new(PartsExec::new(parts, scan)))
}

/// The groups that are read while the scan is planned, and those that are read when the query
/// comes to them, because there is much to sort, or a long history that may not matter to it. What
/// is read early has exact numbers of rows.
fn divide_work(groups: Vec<Group>, scan: &Scan) -> (Vec<Group>, Vec<Group>) {
    let unsorted: usize = groups.iter().map(Group::unsorted_bytes).sum();
    let sorts_ahead = unsorted <= scan.sort_ahead_bytes_max;
    let is_now = |group: &Group| group.decoded == 0 && (sorts_ahead || group.unsorted_bytes() == 0);
    groups.into_iter().partition(is_now)
}

/// Whether so many rows are too few.
fn wants_more(scan: &Scan, rows: usize) -> bool {
    scan.limit.is_none_or(|limit| rows < limit)
}

/// Reads groups, those with buffered rows first, until there are as many rows as are wanted.
async fn read_groups(groups: Vec<Group>, scan: &Arc<Scan>) -> Result<Vec<GroupRows>> {
    let (unsorted, sorted): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|group| group.unsorted_bytes() > 0);
    let (buffered, filed): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|group| !group.chunks.is_empty());
    // With a limit one group is often enough, so the next is read only when it is not.
    let at_once = if scan.limit.is_some() { 1 } else { scan.partitions.max(1) };
    // To sort a group is work for a thread. Searching one is not: a thread gets many.
    let share = if scan.limit.is_some() { 1 } else { buffered.len().div_ceil(at_once).max(1) };
    let shares = buffered.chunks(share).map(<[Group]>::to_vec);
    let jobs: Vec<Vec<Group>> =
        shares.chain(unsorted.into_iter().map(|group| vec![group])).collect();
    let shared = Arc::clone(scan);
    let mut jobs = stream::iter(jobs)
        .map(move |groups| {
            let scan = Arc::clone(&shared);
            pools::spawn_blocking(move || {
                let read = groups.iter().map(|group| read_group(group, &scan, &scan.memory));
                read.collect::<Result<Vec<_>>>()
            })
        })
        .buffered(at_once);
    let mut read: Vec<GroupRows> = Vec::new();
    let mut rows = 0;
    while wants_more(scan, rows)
        && let Some(groups) = jobs.next().await
    {
        let groups = groups.map_err(|e| exec_datafusion_err!("reading a chunk failed: {e}"))??;
        for mut group in groups {
            scan.hand_back(&mut group, &scan.memory);
            rows += group.rows_min();
            read.push(group);
        }
    }
    for group in filed {
        if !wants_more(scan, rows) {
            break;
        }
        let group = read_group(&group, scan, &scan.memory)?; // there is nothing to sort
        rows += group.rows_min();
        read.push(group);
    }
    Ok(read)
}

/// The plan for rows that are all in memory.
fn buffer_plan(
    groups: Vec<GroupRows>,
    scan: &Scan,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let with_rows = groups.iter().filter(|g| !g.plain.is_empty() || g.merge.is_some());
    let ordering = match with_rows.collect::<Vec<_>>().as_slice() {
        [one] if one.in_order && one.merge.is_none() => key_order(&scan.table, &scan.schema),
        _ => None,
    };
    let mut plans = Vec::new();
    let mut batches = Vec::new();
    for group in groups {
        batches.extend(group.plain);
        if let Some(merge) = group.merge {
            plans.push(merge.plan(scan, config)?);
        }
    }
    if !batches.is_empty() {
        let batches = join_short(batches, &scan.schema, scan.batch_rows)?;
        let groups = divide(batches, scan.partitions, scan.batch_rows);
        plans.push(memory_plan(&groups, &scan.schema, ordering)?);
    }
    if plans.is_empty() {
        return Ok(Arc::new(EmptyExec::new(Arc::clone(&scan.schema))));
    }
    UnionExec::try_new(plans)
}

/// The parts that a group is read in. Many buffered rows become several, so that several threads
/// can work on them.
fn group_parts(group: GroupRows, scan: &Scan) -> Vec<Part> {
    let GroupRows { times, is_whole, plain, in_order, files, merge, .. } = group;
    let mut parts: Vec<Part> = Vec::new();
    if !plain.is_empty() {
        let pieces = divide(plain, scan.partitions, scan.batch_rows.saturating_mul(8));
        parts.extend(pieces.into_iter().map(|rows| Part::rows(rows, times, is_whole, in_order)));
    }
    parts.extend(files.into_iter().map(|file| Part::file(file, scan)));
    parts.extend(merge.map(|merge| Part::merge(merge, times, is_whole)));
    parts
}

/// The order of sorted rows, as far as the result has the columns of the key.
pub(super) fn key_order(table: &TableSchema, schema: &Schema) -> Option<LexOrdering> {
    let tags = table.tags().map(|t| t.name.as_ref());
    let columns = tags.chain([TIME_COLUMN]).map_while(|name| sort_column(schema, name));
    LexOrdering::new(columns)
}

pub(super) fn sort_column(schema: &Schema, name: &str) -> Option<PhysicalSortExpr> {
    let index = schema.index_of(name).ok()?;
    let options = SortOptions { descending: false, nulls_first: true };
    Some(PhysicalSortExpr::new(Arc::new(Column::new(name, index)), options))
}

pub(super) fn memory_plan(
    partitions: &[Vec<RecordBatch>],
    schema: &SchemaRef,
    ordering: Option<LexOrdering>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let source = MemorySourceConfig::try_new(partitions, Arc::clone(schema), None)?
        .try_with_sort_information(ordering.into_iter().collect())?;
    Ok(DataSourceExec::from_data_source(source))
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
