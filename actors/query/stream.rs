//! One query from its plan to the last of its batches, as a task on a lane of its own.

use super::errors;
use super::log::{Phase, Reporter};
use super::memory::QueryMemory;
use super::places::Place;
use super::provider::FILES_OPENED;
use super::running::{Job, Stop};
use super::scope::Scope;
use super::statement::Runnable;
use crate::runtime::mailbox::SharedResponder;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use protocols::messages::Command;
use protocols::messages::query::{QueryError, QueryResult};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Batches that wait for the client to take them.
const BATCHES_AHEAD_MAX: usize = 2;

/// What a query runs with, beside its plan.
pub(super) struct Course<M: Command> {
    /// Who waits for the answer.
    pub(super) reply: SharedResponder<M>,
    /// The same query, as those see it who look after it.
    pub(super) job: Arc<Job>,
    /// Its entry in the log.
    pub(super) reporter: Reporter,
    /// True if the answer waits for the first rows.
    pub(super) waits_for_rows: bool,
    /// How long it waits for its reader to take the next batch.
    pub(super) idle_limit: Duration,
    /// Its place among the queries that run at once. Given back before its reader hears of the
    /// end, so that the reader's next query finds it free.
    pub(super) place: Option<Place>,
}

/// A query that runs.
struct Started {
    /// The batches that were there at once.
    ready: Vec<RecordBatch>,
    /// True if there are no more.
    has_ended: bool,
    rows: SendableRecordBatchStream,
}

/// Why a query came to no result.
enum Ended {
    Stopped(Stop),
    Failed(QueryError),
}

/// What goes from the query to the client; without an end mark the query was cut short.
enum Item {
    Batch(RecordBatch),
    Error(QueryError),
    End,
}

impl<M> Course<M>
where
    M: Command<Reply = Result<QueryResult, QueryError>>,
{
    /// Plans as `planning` does. `None` if there is nothing to run, which was answered.
    pub(super) async fn plan(
        &mut self,
        planning: impl AsyncFnOnce(&Reporter) -> Result<Runnable>,
    ) -> Option<Runnable> {
        let planned = self.until_stopped(planning(&self.reporter)).await;
        let runnable = self.unless_ended(planned)?;
        let partitions = i64::try_from(partitions(&runnable.plan)).ok();
        self.reporter.note(|p, elapsed_ns| {
            p.plan_ns = Some(elapsed_ns);
            p.partitions = partitions;
            p.parquet_files = Some(0);
            // The place to run was taken before planning, so there is nothing to wait for.
            p.phase = Phase::Executing;
            p.permit_ns = Some(0);
        });
        Some(runnable)
    }

    /// Runs a plan. The answer may wait for the first batch, so that what fails at once can still
    /// be an error and not a broken stream.
    pub(super) async fn run(mut self, runnable: Runnable) {
        let Runnable { context, plan, metadata } = runnable;
        let context = with_memory(context, self.job.scope());
        let started = self.until_stopped(start(&plan, context, self.waits_for_rows)).await;
        let Some(Started { ready, has_ended, rows }) = self.unless_ended(started) else { return };
        let schema = with_metadata(plan.schema(), metadata);
        let ready = stream::iter(ready.into_iter().map(Ok));
        if has_ended {
            self.finish(&plan, Phase::Success);
            self.place = None;
            let batches = ready.boxed();
            return self.reply.answer(Ok(QueryResult { schema, batches }));
        }
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD_MAX);
        let rest = Reader { receiver, job: Arc::clone(&self.job) }.batches();
        let batches = ready.chain(rest).boxed();
        self.reply.answer(Ok(QueryResult { schema, batches }));
        let phase = self.pump(rows, &sender).await;
        self.finish(&plan, phase);
    }

    /// What becomes of `work` if the query may go on as long.
    async fn until_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T, Ended> {
        tokio::select! {
            biased;
            stop = self.job.stopped() => Err(Ended::Stopped(stop)),
            outcome = AssertUnwindSafe(work).catch_unwind() => match outcome {
                Ok(done) => done.map_err(|e| Ended::Failed(errors::from_engine(&e))),
                Err(_) => Err(Ended::Failed(errors::panicked())),
            },
        }
    }

    /// What was done, or `None` after an end that is noted and answered.
    fn unless_ended<T>(&mut self, outcome: Result<T, Ended>) -> Option<T> {
        match outcome {
            Ok(done) => return Some(done),
            // Whoever stopped it has answered.
            Err(Ended::Stopped(stop)) => self.end(phase_of(&stop)),
            Err(Ended::Failed(error)) => {
                self.end(Phase::Fail);
                self.place = None;
                self.reply.answer(Err(error));
            }
        }
        None
    }

    /// Sends the batches on until they end, the query has to stop or its reader is gone.
    async fn pump(
        &mut self,
        mut rows: SendableRecordBatchStream,
        sender: &mpsc::Sender<Item>,
    ) -> Phase {
        loop {
            let next = tokio::select! {
                biased;
                stop = self.job.stopped() => return phase_of(&stop),
                next = AssertUnwindSafe(next_with_rows(&mut rows)).catch_unwind() => match next {
                    Ok(Some(Ok(batch))) => Item::Batch(batch),
                    Ok(Some(Err(error))) => Item::Error(errors::from_engine(&error)),
                    Ok(None) => Item::End,
                    Err(_) => Item::Error(errors::panicked()),
                },
            };
            let end = match next {
                Item::Batch(_) => None,
                Item::Error(_) => Some(Phase::Fail),
                Item::End => Some(Phase::Success),
            };
            if end.is_some() {
                self.place = None;
            }
            let sent = tokio::select! {
                biased;
                sent = timeout(self.idle_limit, sender.send(next)) => sent,
                stop = self.job.stopped() => return phase_of(&stop),
            };
            match (sent, end) {
                (Err(_), _) => {
                    self.job.stop(Stop::Failed(errors::reader_is_idle(self.idle_limit)));
                    return Phase::Fail;
                }
                (Ok(_), Some(phase)) => return phase,
                (Ok(Err(_)), None) => return Phase::Cancel,
                (Ok(Ok(())), None) => {}
            }
        }
    }

    fn finish(&self, plan: &Arc<dyn ExecutionPlan>, phase: Phase) {
        let compute_ns = i64::try_from(compute_ns(plan)).ok();
        let files = i64::try_from(files_opened(plan)).ok();
        self.reporter.note(|p, _| (p.compute_ns, p.parquet_files) = (compute_ns, files));
        self.end(phase);
    }

    fn end(&self, phase: Phase) {
        let peak = i64::try_from(self.job.scope().peak()).ok();
        self.reporter.note(|p, _| p.memory_max = peak);
        self.reporter.end(phase);
    }
}

/// The same columns with more said of them.
fn with_metadata(schema: SchemaRef, metadata: HashMap<String, String>) -> SchemaRef {
    match metadata.is_empty() {
        true => schema,
        false => Arc::new(Schema::clone(&schema).with_metadata(metadata)),
    }
}

/// Starts a plan and may await its first batch with rows.
async fn start(
    plan: &Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    waits_for_rows: bool,
) -> Result<Started> {
    let mut rows = execute_stream(Arc::clone(plan), context)?;
    let (ready, has_ended) = match waits_for_rows {
        true => ready_batches(&mut rows).await?,
        false => (Vec::new(), false),
    };
    Ok(Started { ready, has_ended, rows })
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

/// True if a part of the plan has several partitions, which threads can run side by side.
pub(super) fn is_wide(plan: &Arc<dyn ExecutionPlan>) -> bool {
    partitions(plan) > 1 || plan.children().into_iter().any(is_wide)
}

/// How a query ends that has to stop.
pub(super) fn phase_of(stop: &Stop) -> Phase {
    match stop {
        Stop::Abandoned => Phase::Cancel,
        Stop::Failed(_) => Phase::Fail,
    }
}

/// The same context with the memory of the query.
fn with_memory(context: TaskContext, scope: &Arc<Scope>) -> Arc<TaskContext> {
    let mut runtime = RuntimeEnv::clone(&context.runtime_env());
    let may_spill = runtime.disk_manager.tmp_files_enabled();
    runtime.memory_pool = Arc::new(QueryMemory::of(scope, may_spill));
    Arc::new(context.with_runtime(Arc::new(runtime)))
}

/// The client's side of the channel. The query ends when it is dropped.
struct Reader {
    receiver: mpsc::Receiver<Item>,
    job: Arc<Job>,
}

impl Reader {
    fn batches(self) -> BoxStream<'static, Result<RecordBatch, QueryError>> {
        stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            let item = tokio::select! {
                biased;
                item = reader.receiver.recv() => item,
                stop = reader.job.stopped() => Some(Item::Error(told(&stop))),
            };
            match item {
                Some(Item::Batch(batch)) => Some((Ok(batch), Some(reader))),
                Some(Item::Error(error)) => Some((Err(error), None)),
                Some(Item::End) => None,
                None => Some((Err(reader.cut_short()), None)),
            }
        })
        .boxed()
    }

    /// Why the query is gone without a word.
    fn cut_short(&self) -> QueryError {
        let stop = self.job.stopped().now_or_never();
        stop.map_or_else(errors::panicked, |stop| told(&stop))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.job.stop(Stop::Abandoned);
    }
}

/// What a reader hears of a query that had to stop.
fn told(stop: &Stop) -> QueryError {
    match stop {
        Stop::Abandoned => errors::panicked(),
        Stop::Failed(error) => error.clone(),
    }
}

/// The first batch and what is there behind it at once, mostly the end: it goes along with the
/// answer, whose reader need not be woken again. True if there are no more.
async fn ready_batches(rows: &mut SendableRecordBatchStream) -> Result<(Vec<RecordBatch>, bool)> {
    let mut ready = Vec::new();
    let mut next = next_with_rows(rows).await;
    loop {
        match next.transpose()? {
            Some(batch) => ready.push(batch),
            None => return Ok((ready, true)),
        }
        if ready.len() > BATCHES_AHEAD_MAX {
            return Ok((ready, false));
        }
        match next_with_rows(rows).now_or_never() {
            Some(following) => next = following,
            None => return Ok((ready, false)),
        }
    }
}

/// Batches without rows say nothing that the schema does not.
async fn next_with_rows(rows: &mut SendableRecordBatchStream) -> Option<Result<RecordBatch>> {
    loop {
        match rows.next().await? {
            Ok(batch) if batch.num_rows() == 0 => {}
            other => return Some(other),
        }
    }
}

/// CPU time that the operators have counted.
fn compute_ns(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|m| m.elapsed_compute()).unwrap_or(0);
    own + plan.children().into_iter().map(compute_ns).sum::<usize>()
}

/// Files that were read.
fn files_opened(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|m| m.sum_by_name(FILES_OPENED));
    let below = plan.children().into_iter().map(files_opened);
    own.map_or(0, |count| count.as_usize()) + below.sum::<usize>()
}
