//! One query from its text to the last of its batches, as a task on the query threads.

use super::catalog_view::Catalogs;
use super::log::{Phase, Reporter};
use super::provider::FILES_OPENED;
use super::session::Sessions;
use super::{errors, guard, params};
use crate::runtime::mailbox::Responder;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use protocols::messages::query::{QueryError, QueryResult, RunSql};
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
    /// How long it may take.
    pub(super) timeout: Option<Duration>,
    /// Its entry in the log.
    pub(super) reporter: Reporter,
    /// Its place among the queries that run at once, held until it ends.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A query whose first batch, if any, is there.
struct Started {
    schema: SchemaRef,
    first: Option<RecordBatch>,
    rows: SendableRecordBatchStream,
    plan: Arc<dyn ExecutionPlan>,
}

/// What goes from the query to the client; without an end mark the query was cut short.
enum Item {
    Batch(RecordBatch),
    Error(QueryError),
    End,
}

/// Runs the query. The answer waits for the first batch, so that what fails at once can still be
/// an error and not a broken stream.
pub(super) async fn run(query: Admitted, reply: Responder<RunSql>) {
    // A limit beyond what a clock can show is none.
    let deadline =
        query.timeout.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
    let started = tokio::select! {
        // A query that never has to wait uses up what its task may do at a time, after which
        // clocks seem to stand still. So they are looked at first.
        biased;
        error = expired(deadline) => Err(error),
        () = abandoned(&reply) => return query.reporter.end(Phase::Cancel),
        started = AssertUnwindSafe(query.start()).catch_unwind() => match started {
            Ok(started) => started.map_err(|e| errors::from_engine(&e)),
            Err(_) => Err(errors::panicked()),
        },
    };
    let Started { schema, first, rows, plan } = match started {
        Ok(started) => started,
        Err(error) => {
            query.reporter.end(Phase::Fail);
            return reply.answer(Err(error));
        }
    };
    if first.is_none() {
        query.finish(&plan, Phase::Success);
        let batches = stream::empty().boxed();
        return reply.answer(Ok(QueryResult { schema, batches }));
    }
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD_MAX);
    let batches = stream::iter(first.map(Ok)).chain(received(receiver)).boxed();
    reply.answer(Ok(QueryResult { schema, batches }));
    let phase = pump(rows, &sender, deadline).await;
    query.finish(&plan, phase);
}

impl Admitted {
    /// Plans the statement, starts it and awaits its first batch with rows.
    async fn start(&self) -> Result<Started> {
        let state = self.sessions.open(Arc::clone(&self.catalogs) as _, self.now_ns);
        let text = &self.message.text;
        let statement = guard::parse(&state, text)?;
        let plan = state.statement_to_plan(statement).await?;
        guard::verify(&plan)?;
        let plan = params::bind(plan, text, &self.message.params)?;
        self.reporter.note(|p, _| p.phase = Phase::LogicallyPlanned);
        let plan = state.create_physical_plan(&plan).await?;
        let partitions = i64::try_from(plan.output_partitioning().partition_count()).ok();
        self.reporter.note(|p, elapsed_ns| {
            p.phase = Phase::Executing; // the place to run was taken before planning
            p.plan_ns = Some(elapsed_ns);
            p.permit_ns = Some(0);
            p.partitions = partitions;
            p.parquet_files = Some(0);
        });
        let schema = plan.schema();
        let mut rows = execute_stream(Arc::clone(&plan), state.task_ctx())?;
        let first = next_with_rows(&mut rows).await.transpose()?;
        Ok(Started { schema, first, rows, plan })
    }

    fn finish(&self, plan: &Arc<dyn ExecutionPlan>, phase: Phase) {
        let compute_ns = i64::try_from(compute_ns(plan)).ok();
        let files = i64::try_from(files_opened(plan)).ok();
        self.reporter.note(|p, _| (p.compute_ns, p.parquet_files) = (compute_ns, files));
        self.reporter.end(phase);
    }
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
async fn abandoned(reply: &Responder<RunSql>) {
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
