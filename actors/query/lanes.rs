//! The threads of queries.
//!
//! Operators of the engine work until they have rows to hand on, and some work for minutes. So no
//! two running queries share a thread: each has a *lane*, worker threads of its own, and the
//! operating system shares the processors among the lanes. A query begins on a lane of one thread,
//! and goes on to one of several if its plan has work for them: most queries have not, and to wake
//! a thread for nothing takes longer than a short one. Lanes are kept and used again, the one that
//! was used last first. What looks after running queries (see `running`) and what is answered
//! without a plan runs on one more thread, which never executes a plan.

use super::running::Running;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Stack of a lane's thread: trees as deep as the guard lets through are walked on it. The system
/// gives memory only to the part that is used.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Lanes of each width that are kept although no query uses them.
const IDLE_LANES_MAX: usize = 16;
/// How often it is looked, one step of other tasks after the other, whether a query has ended.
const ENDING_LOOKS: usize = 100;
/// How long it may take to end after that.
const ENDING_TIME: Duration = Duration::from_millis(10);

/// The threads of queries. They outlive the actor, whose rebuilding leaves running queries alone,
/// and end with the last handle.
#[derive(Clone, Debug)]
pub struct QueryRuntime(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    control: OwnThreads,
    narrow: Lanes,
    wide: Lanes,
    running: Arc<Running>,
}

/// Lanes of one width that no query uses.
#[derive(Debug)]
struct Lanes {
    threads: usize,
    idle: Mutex<Vec<OwnThreads>>,
}

/// How many threads a query has work for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    One,
    Several,
}

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
struct OwnThreads {
    /// `None` in a simulation, which has one thread for everything.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl OwnThreads {
    fn new(name: &str, threads: usize) -> std::io::Result<Self> {
        #[cfg(feature = "simulation")]
        if crate::runtime::simulated::is_active() {
            return Ok(Self { runtime: None, handle: Handle::current() });
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }
}

impl Drop for OwnThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // This may be a thread of another runtime, which must not block.
            runtime.shutdown_background();
        }
    }
}

impl QueryRuntime {
    /// Starts the thread that looks after queries. Those that run them, up to `threads` a query,
    /// start with the queries.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let control = OwnThreads::new("query-control", 1)?;
        let running = Arc::<Running>::default();
        control.handle.spawn(Running::look_after(Arc::downgrade(&running)));
        let lanes = |threads| Lanes { threads, idle: Mutex::default() };
        let (narrow, wide) = (lanes(1), lanes(threads));
        Ok(Self(Arc::new(Threads { control, narrow, wide, running })))
    }

    /// The queries that run.
    pub(super) fn running(&self) -> &Arc<Running> {
        &self.0.running
    }

    /// Runs what executes no plan.
    pub(super) fn control(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.control.handle.spawn(work);
    }

    /// Runs `work` on a lane of its own.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn run(
        &self,
        width: Width,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let lanes = self.lanes(width);
        let idle = lanes.idle().pop();
        let threads = match idle {
            Some(idle) => idle,
            None => OwnThreads::new("query", lanes.threads)?,
        };
        let handle = threads.handle.clone();
        let lane = Lane { threads, width, home: self.clone() };
        handle.spawn(async move {
            work.await;
            lane.give_back().await;
        });
        Ok(())
    }

    fn lanes(&self, width: Width) -> &Lanes {
        match width {
            Width::One => &self.0.narrow,
            Width::Several => &self.0.wide,
        }
    }
}

impl Lanes {
    fn idle(&self) -> MutexGuard<'_, Vec<OwnThreads>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads of one query.
struct Lane {
    threads: OwnThreads,
    width: Width,
    home: QueryRuntime,
}

impl Lane {
    /// Gives the threads back, unless the query has left something behind that still holds one.
    async fn give_back(self) {
        if self.threads.runtime.is_none() {
            return; // everybody's threads
        }
        // This task is one. What else there is was told to end, and needs a moment for that.
        let is_free = || self.threads.handle.metrics().num_alive_tasks() <= 1;
        for _ in 0..ENDING_LOOKS {
            if is_free() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if !is_free() {
            tokio::time::sleep(ENDING_TIME).await;
        }
        if is_free() {
            let mut idle = self.home.lanes(self.width).idle();
            if idle.len() < IDLE_LANES_MAX {
                idle.push(self.threads);
            }
        }
    }
}
