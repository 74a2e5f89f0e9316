//! The actor: says what is done next.

use super::history::{Historian, History, take_from_backlog};
use super::options::CompactionOptions;
use super::plan::Job;
use super::worker::{Ended, Failure, Peers, Worker};
use crate::index::Index;
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::pools::Pool;
use crate::runtime::published::{Published, Publisher};
use crate::storage::objects::Objects;
use futures::FutureExt;
use futures::future::{AbortHandle, Aborted, LocalBoxFuture, abortable};
use hashbrown::HashMap;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::TableId;
use protocols::messages::compact::{
    CompactNow, CompactionDue, CompactionEvent, CompactionRun, ReadCompactionRun,
};
use protocols::messages::rank;
use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked for what unfinished compactions have left, besides at the start and after
/// each that failed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Pause after that could not be done.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);
/// How long a window is left alone after its compaction failed; each further failure doubles that.
const FAILURE_PAUSE: Duration = Duration::from_secs(60);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);
/// So often in a row the files may have changed under a compaction before its window has to wait.
const STALE_MAX: u32 = 3;
/// Limit: so many runs are remembered, those that wait included.
const RUNS_MAX: usize = 100;

/// How a [`Compact`] is set up.
#[derive(Clone, Debug)]
pub struct CompactConfig {
    /// Prefix of the node's objects.
    pub node: String,
    /// Where everything is kept.
    pub objects: Objects,
    /// Knows which files there are.
    pub index: Mailbox<Index>,
    /// Gets new files that are likely to be asked for, if there is one.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// Tables and retention periods.
    pub catalog: Published<CatalogSnapshot>,
    /// Wall-clock time: windows end with it.
    pub clock: Clock,
    /// What was chosen.
    pub options: CompactionOptions,
}

/// See the module's page.
pub struct Compact {
    worker: Worker,
    is_automatic: bool,
    /// Work under way, which ends with the actor.
    work: Option<UnderWay>,
    /// What was planned, and for which run.
    queue: VecDeque<Job>,
    queue_is_of: Option<u64>,
    is_due: bool,
    sweep_at: Instant,
    /// Windows whose compaction failed, and how long they are left alone.
    paused: HashMap<(TableId, i64), Pause>,
    stale_in_a_row: u32,
    runs: VecDeque<CompactionRun>,
    next_run: u64,
    history: Historian,
    /// Another process has taken over: nothing is begun any more.
    is_fenced: bool,
}

/// Work that ends with the actor.
struct UnderWay(AbortHandle);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a window is left alone.
struct Pause {
    until: Instant,
    failures: u32,
}

impl Pause {
    fn after(failures: u32) -> Self {
        let factor = 1_u32.checked_shl(failures.min(16)).unwrap_or(1);
        let pause = FAILURE_PAUSE.saturating_mul(factor).min(FAILURE_PAUSE_MAX);
        Self { until: Instant::now() + pause, failures: failures + 1 }
    }
}

/// What came of a piece of work.
enum Done {
    Planned(anyhow::Result<Vec<Job>>),
    Compacted(Box<Ended>),
    Swept(bool),
}

impl Compact {
    /// Begins with nothing to do. What is done is published as `history`.
    ///
    /// # Errors
    /// When the options make no sense for this store, or the system has no thread to give.
    pub fn new(
        config: CompactConfig,
        history: Publisher<VecDeque<Arc<CompactionEvent>>>,
    ) -> anyhow::Result<Self> {
        let CompactConfig { node, objects, index, cache, catalog, clock, options } = config;
        let is_automatic = options.is_automatic;
        let pool = Pool::unhurried("compact", 1, 1)?;
        let peers = Peers { index, cache, catalog, clock };
        let worker = Worker::new(&node, objects.store, pool, peers, Arc::new(options))?;
        Ok(Self {
            worker,
            is_automatic,
            work: None,
            queue: VecDeque::new(),
            queue_is_of: None,
            is_due: false,
            sweep_at: Instant::now(),
            paused: HashMap::new(),
            stale_in_a_row: 0,
            runs: VecDeque::new(),
            next_run: 1,
            history: Historian::new(history),
            is_fenced: false,
        })
    }

    /// A history without events, and who writes it.
    pub fn history() -> (Publisher<VecDeque<Arc<CompactionEvent>>>, History) {
        Published::new(Arc::default())
    }

    /// Begins with what is next, unless something is under way.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        if self.work.is_some() || self.is_fenced {
            return;
        }
        let worker = self.worker.clone();
        let now = Instant::now();
        self.paused.retain(|_, pause| pause.until + FAILURE_PAUSE_MAX > now);
        if self.sweep_at <= now {
            return self.run(async { Done::Swept(worker.sweep().await) }.boxed_local(), cx);
        }
        if let Some(job) = self.queue.pop_front() {
            let work = async { Done::Compacted(Box::new(worker.run(job).await)) };
            return self.run(work.boxed_local(), cx);
        }
        let wanted: Option<BTreeSet<TableId>> = match self.runs.iter().find(|run| !run.is_done) {
            Some(run) => {
                self.queue_is_of = Some(run.run);
                Some(run.tables.clone())
            }
            None if std::mem::take(&mut self.is_due) => {
                self.queue_is_of = None;
                None
            }
            None => return,
        };
        self.run(async { Done::Planned(worker.plan(wanted).await) }.boxed_local(), cx);
    }

    fn run(&mut self, work: LocalBoxFuture<'static, Done>, cx: &mut Cx<'_, Self>) {
        // A panic in the work is one of the actor: its guardian rebuilds it.
        let (work, handle) = abortable(AssertUnwindSafe(work).catch_unwind().boxed_local());
        self.work = Some(UnderWay(handle));
        cx.then(work, |compact, done, cx| match done {
            Ok(Ok(done)) => {
                compact.work = None;
                compact.note(done);
                compact.go_on(cx);
            }
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Aborted) => {}
        });
    }

    fn note(&mut self, done: Done) {
        match done {
            Done::Swept(is_clean) => {
                let pause = if is_clean { SWEEP_INTERVAL } else { SWEEP_PAUSE };
                self.sweep_at = Instant::now() + pause;
            }
            Done::Planned(Ok(jobs)) => self.planned(jobs),
            Done::Planned(Err(error)) => {
                tracing::error!("a compaction could not be planned: {error:#}");
                self.end_run(Some(format!("{error:#}")));
            }
            Done::Compacted(ended) => self.ended(*ended),
        }
    }

    /// Takes on what was planned; a run for which nothing is left has ended.
    fn planned(&mut self, mut jobs: Vec<Job>) {
        let now = Instant::now();
        let is_paused = |job: &Job| {
            let pause = self.paused.get(&(job.table, job.window_start_ns));
            pause.is_some_and(|pause| pause.until > now)
        };
        jobs.retain(|job| !is_paused(job));
        match self.queue_is_of {
            None if !self.is_automatic => return, // it was measured, no more
            None => {}
            Some(_) if jobs.is_empty() => return self.end_run(None),
            Some(_) => self.with_run(|run, left| run.windows_left = left, jobs.len()),
        }
        self.queue = jobs.into();
    }

    fn end_run(&mut self, error: Option<String>) {
        self.with_run(
            |run, error| {
                run.is_done = true;
                run.windows_left = 0;
                run.error = error.or(run.error.take());
            },
            error,
        );
        self.queue_is_of = None;
    }

    fn with_run<T>(&mut self, change: impl FnOnce(&mut CompactionRun, T), value: T) {
        let number = self.queue_is_of;
        if let Some(run) = self.runs.iter_mut().find(|run| Some(run.run) == number) {
            change(run, value);
        }
    }

    fn ended(&mut self, Ended { event, failure }: Ended) {
        let window = (event.table, event.window_start_ns);
        let CompactionEvent { files_in, files_out, rows_in, rows_out, .. } = event;
        match (failure, &event.error) {
            (None, _) => {
                let (table, generation) = (event.table, event.generation);
                tracing::info!(%table, generation, files_in, files_out, rows_in, rows_out, "compacted");
                self.stale_in_a_row = 0;
                self.paused.remove(&window);
                if self.queue_is_of.is_none() {
                    take_from_backlog(&event);
                }
            }
            (Some(failure), error) => {
                let error = error.as_deref().unwrap_or_default();
                tracing::warn!(table = %event.table, error, "nothing has come of a compaction");
                let is_stale = failure == Failure::Stale;
                self.stale_in_a_row = if is_stale { self.stale_in_a_row + 1 } else { 0 };
                if failure == Failure::Failed || self.stale_in_a_row > STALE_MAX {
                    let failures = self.paused.get(&window).map_or(0, |pause| pause.failures);
                    self.paused.insert(window, Pause::after(failures));
                }
                if is_stale {
                    // The others were planned with the same files.
                    self.queue.clear();
                }
                self.is_fenced |= failure == Failure::Fenced;
                // It may have stored some files.
                self.sweep_at = Instant::now();
            }
        }
        self.with_run(
            |run, event: &CompactionEvent| {
                run.windows_left = run.windows_left.saturating_sub(1);
                match &event.error {
                    Some(error) => run.error = Some(error.clone()),
                    None => {
                        run.windows_done += 1;
                        run.files_in += event.files_in;
                        run.files_out += event.files_out;
                        run.bytes_in += event.bytes_in;
                        run.bytes_out += event.bytes_out;
                    }
                }
            },
            &event,
        );
        self.history.note(event);
        // What was done may make wider windows due.
        self.is_due = true;
    }
}

impl Service for Compact {
    const RANK: u8 = rank::COMPACT;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.go_on(cx);
    }
}

impl Receive<CompactionDue> for Compact {
    fn receive(
        &mut self,
        _: CompactionDue,
        reply: Responder<CompactionDue>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.is_due = true;
        self.go_on(cx);
        reply.answer(());
    }
}

impl Receive<CompactNow> for Compact {
    fn receive(&mut self, now: CompactNow, reply: Responder<CompactNow>, cx: &mut Cx<'_, Self>) {
        if self.runs.len() >= RUNS_MAX {
            match self.runs.iter().position(|run| run.is_done) {
                Some(done) => drop(self.runs.remove(done)),
                None => return reply.answer(None),
            }
        }
        self.paused.retain(|(table, _), _| !now.tables.contains(table));
        let run = CompactionRun { run: self.next_run, tables: now.tables, ..Default::default() };
        self.next_run += 1;
        self.runs.push_back(run.clone());
        if self.queue_is_of.is_none() {
            // What was due by itself can wait.
            self.queue.clear();
            self.is_due = true;
        }
        self.go_on(cx);
        reply.answer(Some(run));
    }
}

impl Receive<ReadCompactionRun> for Compact {
    fn receive(
        &mut self,
        read: ReadCompactionRun,
        reply: Responder<ReadCompactionRun>,
        _: &mut Cx<'_, Self>,
    ) {
        reply.answer(self.runs.iter().find(|run| run.run == read.run).cloned());
    }
}
