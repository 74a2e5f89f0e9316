//! The queries that run, looked after from a thread that executes none of them.
//!
//! A query that works without a pause sees neither its deadline nor that its client is gone. So
//! somebody else looks, answers in its place, and tells it to stop.

use super::errors;
use super::scope::Scope;
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::SharedResponder;
use crate::runtime::published::Published;
use protocols::catalog::CatalogSnapshot;
use protocols::messages::Command;
use protocols::messages::query::QueryError;
use protocols::principal::Principal;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often running queries are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a query has to stop.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// Nobody wants its rows any more.
    Abandoned,
    /// Its reader is to be told this.
    Failed(QueryError),
}

/// Whoever waits for the answer of a query.
trait Asker: Send + Sync {
    fn is_gone(&self) -> bool;
    fn fail(&self, error: QueryError);
}

impl<T, M> Asker for SharedResponder<M>
where
    T: Send,
    M: Command<Reply = Result<T, QueryError>>,
{
    fn is_gone(&self) -> bool {
        self.is_abandoned()
    }

    fn fail(&self, error: QueryError) {
        self.answer(Err(error));
    }
}

/// One running query, as those who do not run it see it.
pub(super) struct Job {
    asker: Box<dyn Asker>,
    /// When its time is up, and how much it had.
    deadline: Option<(Instant, Duration)>,
    stop: OnceLock<Stop>,
    stopped: CancellationToken,
    scope: Arc<Scope>,
    asked_by: AskedBy,
}

/// On whose behalf a query runs, and where it is known what they may do.
#[derive(Clone, Debug)]
pub(super) struct AskedBy {
    pub(super) principal: Principal,
    pub(super) catalog: Published<CatalogSnapshot>,
    pub(super) clock: Clock,
}

impl AskedBy {
    /// False once the token was deleted or replaced, or has expired.
    fn is_known(&self) -> bool {
        self.principal
            .token()
            .is_none_or(|token| self.catalog.load().tokens.still_has(token, self.clock.now_ns()))
    }
}

impl Job {
    /// What its threads have taken, and look at.
    pub(super) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Tells the query to stop and whoever waits for it why. The first reason counts.
    pub(super) fn stop(&self, why: Stop) {
        if self.stop.set(why).is_err() {
            return;
        }
        self.stopped.cancel();
        self.scope.stop();
        if let Some(Stop::Failed(error)) = self.stop.get() {
            self.asker.fail(error.clone());
        }
    }

    /// Resolves when the query has to stop.
    pub(super) async fn stopped(&self) -> Stop {
        self.stopped.cancelled().await;
        self.stop.get().cloned().unwrap_or(Stop::Abandoned)
    }

    fn look(&self, now: Instant) {
        if self.asker.is_gone() {
            self.stop(Stop::Abandoned);
        } else if let Some(fault) = self.scope.fault() {
            self.stop(Stop::Failed(fault));
        } else if let Some((at, limit)) = self.deadline
            && at <= now
        {
            self.stop(Stop::Failed(errors::timed_out(limit)));
        } else if !self.asked_by.is_known() {
            self.stop(Stop::Failed(errors::token_ended()));
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Vec<Weak<Job>>>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Running {
    /// Looks after a query until the last handle on it is gone. It may take as long as `limit`.
    pub(super) fn enter<T, M>(
        &self,
        asker: SharedResponder<M>,
        limit: Option<Duration>,
        scope: Arc<Scope>,
        asked_by: AskedBy,
    ) -> Arc<Job>
    where
        T: Send,
        M: Command<Reply = Result<T, QueryError>>,
    {
        // A limit beyond what a clock can show is none.
        let deadline = limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        let job = Arc::new(Job {
            asker: Box::new(asker),
            deadline,
            stop: OnceLock::new(),
            stopped: CancellationToken::new(),
            scope,
            asked_by,
        });
        self.lock().push(Arc::downgrade(&job));
        job
    }

    /// Looks at the queries again and again, as long as there may be any.
    pub(super) async fn look_after(running: Weak<Self>) {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            let Some(running) = running.upgrade() else { return };
            running.lock().retain(|job| job.strong_count() > 0);
            let jobs: Vec<_> = running.lock().iter().filter_map(Weak::upgrade).collect();
            let now = Instant::now();
            jobs.iter().for_each(|job| job.look(now));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
