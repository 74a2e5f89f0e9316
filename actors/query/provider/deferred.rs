//! Buffered rows that are sorted when a query comes to them, not while it is planned.
//!
//! A query over a large buffer that nobody has sorted would otherwise hold the sorted forms of all
//! chunks at once, and sort chunks that it never looks at.

use super::files::file_plan;
use super::group::{Group, GroupRows, read_group};
use super::plan::Scan;
use crate::runtime::pools;
use crate::runtime::published::{Published, Publisher};
use datafusion::arrow::array::RecordBatch;
use datafusion::common::exec_datafusion_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// A group that is read when somebody asks for its rows.
#[derive(Debug)]
pub(super) struct Deferred {
    /// Where a sorted form was handed back, it has taken the place of the rows it was made from.
    group: Publisher<Group>,
}

impl Deferred {
    pub(super) fn new(group: Group) -> Self {
        Self { group: Published::new(Arc::new(group)).0 }
    }

    /// The group, with what is known by now.
    pub(super) fn group(&self) -> Arc<Group> {
        self.group.load()
    }

    /// How many files have rows of the group.
    pub(super) fn files(&self) -> usize {
        self.group.load().files.len()
    }

    /// The selected rows. `filters` may be used to read less of files.
    pub(super) fn rows(
        self: Arc<Self>,
        scan: Arc<Scan>,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        context: Arc<TaskContext>,
    ) -> SendableRecordBatchStream {
        let schema = Arc::clone(&scan.schema);
        let opened = async move {
            let group = self.group.load();
            if group.unsorted_bytes() == 0 {
                let memory = scan.memory.new_empty();
                let rows = read_group(&group, &scan, &memory)?; // there is nothing to sort
                let rows = stream_of(rows, &scan, &filters, context)?;
                return Ok(held(rows, memory));
            }
            // A task of its own: the others wait for their turn even if nobody asks this one on.
            let reading = Arc::clone(&scan);
            let read = SpawnedTask::spawn(async move { self.read(&reading).await });
            let (rows, memory) = read.join().await.map_err(failed)??;
            let rows = stream_of(rows, &scan, &filters, context)?;
            Ok::<_, DataFusionError>(held(rows, memory))
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(opened).try_flatten()))
    }

    /// Sorts the rows and picks those that are selected.
    async fn read(&self, scan: &Arc<Scan>) -> Result<(GroupRows, MemoryReservation)> {
        match self.read_beside(scan, 1).await {
            // What others sort at the same time may be all that is in the way.
            Err(error) if is_exhausted(&error) => self.read_beside(scan, scan.partitions).await,
            read => read,
        }
    }

    /// Reads while so many turns of the scan are taken.
    async fn read_beside(
        &self,
        scan: &Arc<Scan>,
        turns: usize,
    ) -> Result<(GroupRows, MemoryReservation)> {
        let turns = u32::try_from(turns.max(1)).unwrap_or(u32::MAX);
        let _turns = scan.turns.acquire_many(turns).await.map_err(failed)?;
        let group = self.group.load();
        let (shared, input) = (Arc::clone(scan), Arc::clone(&group));
        let memory = scan.memory.new_empty();
        let job = move || read_group(&input, &shared, &memory).map(|rows| (rows, memory));
        let (mut rows, memory) = pools::spawn_blocking(job).await.map_err(failed)??;
        let kept = scan.hand_back(&mut rows, &memory);
        if !kept.is_empty() {
            self.group.publish(Arc::new(group.with_sorted(&kept)));
        }
        Ok((rows, memory))
    }
}

fn failed(error: impl std::fmt::Display) -> DataFusionError {
    exec_datafusion_err!("reading a chunk failed: {error}")
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// The rows of a group, one source after the other.
fn stream_of(
    rows: GroupRows,
    scan: &Scan,
    filters: &[Arc<dyn PhysicalExpr>],
    context: Arc<TaskContext>,
) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
    let config = context.session_config().options();
    let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    for file in &rows.files {
        plans.push(file_plan(file, scan, &scan.schema, filters, None, config)?);
    }
    if let Some(merge) = &rows.merge {
        plans.push(merge.plan(scan, config)?);
    }
    let planned = stream::iter(plans).map(move |plan| plan.execute(0, Arc::clone(&context)));
    Ok(stream::iter(rows.plain.into_iter().map(Ok)).chain(planned.try_flatten()))
}

/// `rows`, which end with the return of `memory`.
fn held(
    rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    memory: MemoryReservation,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    stream::try_unfold((rows.boxed(), memory), |(mut rows, memory)| async move {
        Ok(rows.try_next().await?.map(|batch| (batch, (rows, memory))))
    })
}
