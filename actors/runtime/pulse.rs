//! Whether a part of the server that has work gets on with it: noted by the part itself, readable
//! by anybody at any time without asking the part, which may be stuck.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Work that comes so soon after work that failed counts as the same.
const RECENT: Duration = Duration::from_secs(60);

/// How a part does its work. Clones are of the same part.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// There is work.
    busy: bool,
    /// The last attempt failed.
    failing: bool,
    /// When a piece of work was done, or the first one began after a rest.
    progress_at: Instant,
    /// The same, and when an attempt failed.
    sign_at: Instant,
}

/// For how long a part has had work, and has not got on with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    /// Without a piece of work that was done.
    pub no_progress: Duration,
    /// Without a piece of work that was done, and without one that failed.
    pub no_sign: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        let now = Instant::now();
        let state = State { busy: false, failing: false, progress_at: now, sign_at: now };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that there is work.
    pub fn begins(&self) {
        let (now, mut state) = (Instant::now(), self.lock());
        if !state.busy {
            state.busy = true;
            if !state.failing || now.duration_since(state.sign_at) > RECENT {
                state.progress_at = now;
            }
            state.sign_at = now;
        }
    }

    /// Notes that a piece of work is done.
    pub fn goes_on(&self) {
        let (now, mut state) = (Instant::now(), self.lock());
        (state.failing, state.progress_at, state.sign_at) = (false, now, now);
    }

    /// Notes that a piece of work has failed.
    pub fn fails(&self) {
        let mut state = self.lock();
        (state.failing, state.sign_at) = (true, Instant::now());
    }

    /// Notes that there is nothing to do.
    pub fn rests(&self) {
        self.lock().busy = false;
    }

    /// How long it has been stuck: not at all while it has nothing to do.
    pub fn stall(&self) -> Stall {
        let (now, state) = (Instant::now(), self.lock());
        let since = |then| if state.busy { now.duration_since(then) } else { Duration::ZERO };
        Stall { no_progress: since(state.progress_at), no_sign: since(state.sign_at) }
    }
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use super::*;

    async fn wait(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn seconds(pulse: &Pulse) -> (u64, u64) {
        let Stall { no_progress, no_sign } = pulse.stall();
        (no_progress.as_secs(), no_sign.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_work_and_does_none_is_stuck() {
        let pulse = Pulse::default();
        wait(100).await;
        assert_eq!(seconds(&pulse), (0, 0), "nothing to do");
        pulse.begins();
        wait(10).await;
        pulse.begins();
        assert_eq!(seconds(&pulse), (10, 10), "more work is no progress");
        pulse.goes_on();
        wait(3).await;
        assert_eq!(seconds(&pulse), (3, 3));
        pulse.rests();
        wait(5).await;
        assert_eq!(seconds(&pulse), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn failing_again_and_again_is_a_sign_of_life_but_no_progress() {
        let pulse = Pulse::default();
        for _ in 0..3 {
            pulse.begins();
            wait(10).await;
            pulse.fails();
            pulse.rests();
            wait(1).await;
        }
        pulse.begins();
        wait(2).await;
        assert_eq!(seconds(&pulse), (35, 2));
        pulse.rests();
        wait(100).await;
        pulse.begins();
        assert_eq!(seconds(&pulse), (0, 0), "what was long ago says nothing of now");
    }
}
