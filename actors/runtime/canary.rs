//! Planted bugs, each of which the simulation must find: they prove that it can see.
//!
//! A canary is a branch that does a named thing wrong. It sleeps unless the simulation that runs
//! on this thread has woken it, and is compiled out without the feature `simulation`.

/// True when the bug `name` is awake on this thread.
#[cfg(feature = "simulation")]
pub fn is(name: &str) -> bool {
    super::simulated::canary() == Some(name)
}

/// True when the bug `name` is awake on this thread: never without the feature `simulation`.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub const fn is(_name: &str) -> bool {
    false
}
