//! What the tests stand on: servers, clients and waiting.

pub(crate) mod client;
pub(crate) mod command;
mod limit;
pub(crate) mod server;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: long, because the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; fails with `what` after [`DEADLINE`].
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
