//! Threads for work that must not run on an actor's own: blocking disk calls and long
//! computations.

use crossbeam_channel::{Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The job panicked or the pool is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker thread failed")]
pub struct JobFailed;

/// Priority of background threads, from 0 to 99. On Linux this is a niceness of 10: beside a busy
/// thread such a one gets about a tenth of a core.
const BACKGROUND_PRIORITY: u8 = 22;
/// The least priority. On Linux this is a niceness of 19: about a seventieth of a busy core.
const LEAST_PRIORITY: u8 = 0;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of named threads behind one bounded queue. The threads end when the last handle
/// is dropped and the queue is empty. In a simulation there are none: a job runs on the spot, and
/// its result comes later.
#[derive(Clone, Debug)]
pub struct Pool(Option<Sender<Job>>);

impl Pool {
    /// Starts `threads` threads whose queue holds `queue_max` jobs.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(name: &str, threads: usize, queue_max: usize) -> std::io::Result<Self> {
        Self::start(name, threads, queue_max, None)
    }

    /// The same for work that nobody waits for: its threads take what processor time others
    /// leave, where the system can arrange that.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn background(name: &str, threads: usize, queue_max: usize) -> std::io::Result<Self> {
        Self::start(name, threads, queue_max, Some(BACKGROUND_PRIORITY))
    }

    /// The same for work that can wait for a time when there is little else to do.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn unhurried(name: &str, threads: usize, queue_max: usize) -> std::io::Result<Self> {
        Self::start(name, threads, queue_max, Some(LEAST_PRIORITY))
    }

    fn start(
        name: &str,
        threads: usize,
        queue_max: usize,
        priority: Option<u8>,
    ) -> std::io::Result<Self> {
        #[cfg(feature = "simulation")]
        if super::simulated::is_active() {
            return Ok(Self(None));
        }
        let (sender, receiver) = bounded::<Job>(queue_max);
        for i in 0..threads.max(1) {
            let receiver = receiver.clone();
            std::thread::Builder::new().name(format!("{name}-{i}")).spawn(move || {
                if let Some(priority) = priority {
                    yield_to_others(priority);
                }
                for job in receiver {
                    job();
                }
            })?;
        }
        Ok(Self(Some(sender)))
    }

    /// Runs `job` on one of the threads. The job runs even if nobody awaits the result. Callers
    /// keep fewer jobs under way than the queue holds: a full queue fails the job.
    ///
    /// # Errors
    /// When the job panics or the queue is full.
    pub fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, JobFailed>> + Send + 'static {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            if let Ok(result) = catch_unwind(AssertUnwindSafe(job)) {
                sender.send(result).ok();
            }
        });
        let queued = match &self.0 {
            Some(queue) => queue.try_send(job).map_err(|_| JobFailed),
            None => {
                job();
                Ok(())
            }
        };
        async move {
            queued?;
            #[cfg(feature = "simulation")]
            if super::simulated::is_active() {
                tokio::time::sleep(super::simulated::job_time()).await;
            }
            receiver.await.map_err(|_| JobFailed)
        }
    }
}

/// Lowers the priority of the calling thread.
fn yield_to_others(priority: u8) {
    let lowered = ThreadPriorityValue::try_from(priority).and_then(|value| {
        let priority = ThreadPriority::Crossplatform(value);
        set_current_thread_priority(priority).map_err(|error| error.to_string())
    });
    if let Err(error) = lowered {
        tracing::debug!(error, "background work keeps its priority");
    }
}

/// Runs `job` on the runtime's threads for blocking work. For short jobs of which there are many
/// at once; bounded work that others wait for has a [`Pool`].
pub fn spawn_blocking<R: Send + 'static>(
    job: impl FnOnce() -> R + Send + 'static,
) -> JoinHandle<R> {
    #[cfg(feature = "simulation")]
    if super::simulated::is_active() {
        return tokio::spawn(async move { job() });
    }
    tokio::task::spawn_blocking(job)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The niceness of a pool's thread; its job can tell.
    async fn niceness(pool: &Pool) -> i32 {
        #[expect(clippy::disallowed_methods, reason = "no file, but what the kernel tells")]
        let read = || std::fs::read_to_string("/proc/thread-self/stat").expect("a thread");
        let stat = pool.run(read).await.expect("runs");
        // Behind the name, which is in parentheses, it is the 17th.
        let (_, numbers) = stat.rsplit_once(')').expect("a name");
        numbers.split_whitespace().nth(16).and_then(|n| n.parse().ok()).expect("a number")
    }

    #[tokio::test]
    async fn background_threads_give_way() {
        let own = niceness(&Pool::new("a", 1, 1).unwrap()).await;
        assert!(niceness(&Pool::background("b", 1, 1).unwrap()).await >= own.max(10));
        assert_eq!(niceness(&Pool::unhurried("c", 1, 1).unwrap()).await, 19);
    }
}
