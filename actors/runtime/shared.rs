//! State of an actor that others may look at while the actor does nothing.
//!
//! A question to an actor on another thread and the answer wake a thread each, which takes far longer
//! than most answers do. So an actor that is asked very often lays its state open: whoever has a
//! question looks for himself, as if his message were handled at that instant. If the actor is at work
//! just then, or dead, there is nothing to see, and he sends the message. Nobody but the actor waits
//! for the state, and never longer than a look takes.

use super::faults;
use arc_swap::ArcSwapOption;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The place where an actor lays its state open, life after life.
pub struct Shared<S>(Arc<ArcSwapOption<Mutex<S>>>);

/// The state of one life, as the actor has it. With the life the look at it ends.
pub struct Own<S> {
    state: Arc<Mutex<S>>,
    shared: Shared<S>,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<S> Default for Shared<S> {
    fn default() -> Self {
        Self(Arc::new(ArcSwapOption::empty()))
    }
}

impl<S> Shared<S> {
    /// Lays the state of a life open.
    pub fn begin(&self, state: S) -> Own<S> {
        let state = Arc::new(Mutex::new(state));
        self.0.store(Some(Arc::clone(&state)));
        Own { state, shared: self.clone() }
    }

    /// What `look` sees. `None` if the actor is at work, or dead, or somebody else looks.
    pub fn try_look<R>(&self, look: impl FnOnce(&mut S) -> R) -> Option<R> {
        if is_overlooked() {
            return None;
        }
        let state = self.0.load();
        let mut state = state.as_ref()?.try_lock().ok()?;
        Some(look(&mut state))
    }
}

/// Tests of the messages have it planted (`look`), outside of simulations.
fn is_overlooked() -> bool {
    #[cfg(feature = "simulation")]
    if super::simulated::is_active() {
        return false;
    }
    faults::fails("look")
}

impl<S> Own<S> {
    /// State that nobody else looks at.
    pub fn alone(state: S) -> Self {
        Shared::default().begin(state)
    }

    /// Works on the state. Should that panic, nobody sees what is left of it.
    pub fn with<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        // A panic of our own ends this life, and one of somebody who looks has changed nothing.
        let mut state = self.state.lock().unwrap_or_else(|poisoned| {
            self.state.clear_poison();
            PoisonError::into_inner(poisoned)
        });
        work(&mut state)
    }
}

impl<S> Drop for Own<S> {
    fn drop(&mut self) {
        // Unless the next life has begun.
        self.shared.0.compare_and_swap(&self.state, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn nothing_is_seen_of_an_actor_at_work() {
        let shared = Shared::default();
        assert_eq!(shared.try_look(|n: &mut u32| *n), None);
        let own = shared.begin(1);
        let seen = own.with(|n| {
            *n = 2;
            shared.try_look(|n| *n)
        });
        assert_eq!((seen, shared.try_look(|n| *n)), (None, Some(2)));
    }

    #[test]
    fn a_life_is_seen_until_it_ends() {
        let shared = Shared::default();
        let first = shared.begin(1);
        let second = shared.begin(2);
        drop(first);
        assert_eq!(shared.try_look(|n| *n), Some(2));
        drop(second);
        assert_eq!(shared.try_look(|n| *n), None);
    }

    #[test]
    fn what_a_panic_leaves_is_seen_by_nobody() {
        let shared = Shared::default();
        let own = shared.begin(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| own.with(|_| panic!("on purpose"))));
        assert!(panicked.is_err() && shared.try_look(|n| *n).is_none());
    }

    #[test]
    fn a_panic_of_somebody_who_looks_does_not_harm_the_actor() {
        let shared = Shared::default();
        let own = shared.begin(1);
        let look = AssertUnwindSafe(|| shared.try_look(|_| panic!("on purpose")));
        assert!(catch_unwind(look).is_err());
        assert_eq!(own.with(|n| *n), 1);
        assert_eq!(shared.try_look(|n| *n), Some(1));
    }
}
