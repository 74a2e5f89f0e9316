//! One query from its text to the last of its batches, as a task on the query threads.

use super::catalog_view::Catalogs;
use super::functions::bounded::{CONSTANT_BYTES_LEFT, CONSTANT_BYTES_MAX};
use super::log::{Phase, Reporter};
use super::memory::QueryMemory;
use super::provider::FILES_OPENED;
use super::session::Sessions;
use super::{cache_tables, errors, guard, params};
use crate::runtime::mailbox::Responder;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use protocols::messages::Command;
use protocols::messages::query::{QueryError, QueryResult, RunSql};
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

/// Batches that wait for the client to take them.
const BATCHES_AHEAD_MAX: usize = 2;
/// How often a query that has not answered yet looks whether somebody still waits for it.
const ABANDONED_POLL: Duration = Duration::from_millis(50);

/// An admitted query.
pub(super) struct Admitted {
    /// What to run.
    pub(super) message: RunSql,
    /// What it runs on.
    pub(super) sessions: Arc<Sessions>,
    /// What it sees.
    pub(super) catalogs: Arc<Catalogs>,
    /// When it began, nanoseconds since 1970.
    pub(super) now_ns: i64,
    /// True if the answer waits for the first batch.
    pub(super) waits_for_rows: bool,
    /// How long it may take.
    pub(super) timeout: Option<Duration>,
    /// Its entry in the log.
    pub(super) reporter: Reporter,
    /// Its place among the queries that run at once, held until it ends.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A query that runs, with its first batch if that was awaited.
struct Started {
    schema: SchemaRef,
    first: Option<RecordBatch>,
    rows: SendableRecordBatchStream,
    plan: Arc<dyn ExecutionPlan>,
    memory: Arc<QueryMemory>,
}

/// What goes from the query to the client; without an end mark the query was cut short.
enum Item {
    Batch(RecordBatch),
    Error(QueryError),
    End,
}

/// Runs the query. The answer may wait for the first batch, so that what fails at once can still be
/// an error and not a broken stream.
pub(super) async fn run<M>(query: Admitted, reply: Responder<M>)
where
    M: Command<Reply = Result<QueryResult, QueryError>>,
{
    // A limit beyond what a clock can show is none.
    let deadline =
        query.timeout.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
    // Constants that are refused while the statement is planned are asked for once more when it
    // runs, so both are counted.
    let constants = Cell::new(CONSTANT_BYTES_MAX);
    let started = CONSTANT_BYTES_LEFT.scope(constants, Box::pin(query.start()));
    let started = tokio::select! {
        // A query that never has to wait uses up what its task may do at a time, after which
        // clocks seem to stand still. So they are looked at first.
        biased;
        error = expired(deadline) => Err(error),
        () = abandoned(&reply) => return query.reporter.end(Phase::Cancel),
        started = AssertUnwindSafe(started).catch_unwind() => match started {
            Ok(started) => started.map_err(|e| errors::from_engine(&e)),
            Err(_) => Err(errors::panicked()),
        },
    };
    let Started { schema, first, rows, plan, memory } = match started {
        Ok(started) => started,
        Err(error) => {
            query.reporter.end(Phase::Fail);
            return reply.answer(Err(error));
        }
    };
    if first.is_none() && query.waits_for_rows {
        query.finish(&plan, &memory, Phase::Success);
        let batches = stream::empty().boxed();
        return reply.answer(Ok(QueryResult { schema, batches }));
    }
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD_MAX);
    let batches = stream::iter(first.map(Ok)).chain(received(receiver)).boxed();
    reply.answer(Ok(QueryResult { schema, batches }));
    let phase = pump(rows, &sender, deadline).await;
    query.finish(&plan, &memory, phase);
}

impl Admitted {
    /// Plans the statement, starts it and may await its first batch with rows.
    async fn start(&self) -> Result<Started> {
        let state = self.sessions.open(Arc::clone(&self.catalogs), self.now_ns);
        let text = &self.message.text;
        let statement = guard::parse(&state, text)?;
        cache_tables::check(&statement)?;
        let plan = state.statement_to_plan(statement).await?;
        guard::verify(&plan)?;
        let plan = params::bind(plan, text, &self.message.params)?;
        self.reporter.note(|p, _| p.phase = Phase::LogicallyPlanned);
        let plan = state.create_physical_plan(&plan).await?;
        let partitions = i64::try_from(plan.output_partitioning().partition_count()).ok();
        self.reporter.note(|p, elapsed_ns| {
            p.phase = Phase::PhysicallyPlanned;
            p.plan_ns = Some(elapsed_ns);
            p.partitions = partitions;
            p.parquet_files = Some(0);
        });
        let memory = Arc::new(QueryMemory::of(&state.runtime_env().memory_pool));
        let context = task_context(&state, &memory);
        self.reporter.note(|p, elapsed_ns| {
            // The place to run was taken before planning, so there is next to nothing to wait for.
            p.phase = Phase::Executing;
            p.permit_ns = Some((elapsed_ns - p.plan_ns.unwrap_or(elapsed_ns)).max(0));
        });
        let schema = plan.schema();
        let mut rows = execute_stream(Arc::clone(&plan), context)?;
        let first = match self.waits_for_rows {
            true => next_with_rows(&mut rows).await.transpose()?,
            false => None,
        };
        Ok(Started { schema, first, rows, plan, memory })
    }

    fn finish(&self, plan: &Arc<dyn ExecutionPlan>, memory: &QueryMemory, phase: Phase) {
        let compute_ns = i64::try_from(compute_ns(plan)).ok();
        let files = i64::try_from(files_opened(plan)).ok();
        self.reporter.note(|p, _| {
            (p.compute_ns, p.parquet_files) = (compute_ns, files);
            p.memory_max = i64::try_from(memory.peak()).ok();
        });
        self.reporter.end(phase);
    }
}

/// What the plan runs in: as the session says, with the memory counted.
fn task_context(state: &SessionState, memory: &Arc<QueryMemory>) -> Arc<TaskContext> {
    let mut runtime = RuntimeEnv::clone(state.runtime_env());
    runtime.memory_pool = Arc::clone(memory) as _;
    Arc::new(TaskContext::from(state).with_runtime(Arc::new(runtime)))
}

/// Sends the batches on until they end, the time is up or the client is gone.
async fn pump(
    mut rows: SendableRecordBatchStream,
    sender: &mpsc::Sender<Item>,
    deadline: Option<(Instant, Duration)>,
) -> Phase {
    loop {
        let next = tokio::select! {
            biased;
            () = sender.closed() => return Phase::Cancel,
            error = expired(deadline) => Item::Error(error),
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
        // A slow client holds its place no longer than the query may take.
        let sent = tokio::select! {
            biased;
            sent = sender.send(next) => sent.is_ok(),
            _ = expired(deadline), if end.is_none() => return Phase::Fail,
        };
        match end {
            Some(phase) => return phase,
            None if !sent => return Phase::Cancel,
            None => {}
        }
    }
}

/// The client's side of the channel.
fn received(receiver: mpsc::Receiver<Item>) -> BoxStream<'static, Result<RecordBatch, QueryError>> {
    stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Item::Batch(batch)) => Some((Ok(batch), Some(receiver))),
            Some(Item::Error(error)) => Some((Err(error), None)),
            Some(Item::End) => None,
            None => Some((Err(errors::panicked()), None)),
        }
    })
    .boxed()
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

/// Resolves when the time is up, if there is a limit.
async fn expired(deadline: Option<(Instant, Duration)>) -> QueryError {
    match deadline {
        Some((at, limit)) => {
            tokio::time::sleep_until(at).await;
            errors::timed_out(limit)
        }
        None => std::future::pending().await,
    }
}

/// Resolves when nobody waits for the answer any more.
async fn abandoned<M: Command>(reply: &Responder<M>) {
    while !reply.is_abandoned() {
        tokio::time::sleep(ABANDONED_POLL).await;
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
