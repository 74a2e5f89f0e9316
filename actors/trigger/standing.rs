//! How a trigger is doing, for whoever wants to know without asking it.

use protocols::limits::PLUGIN_COUNTS_MAX;
use protocols::plugins::host::Count;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// No event waits or runs.
const NOTHING_NS: i64 = i64::MAX;

/// Name and labels of something that a plugin counts.
pub type Counted = (String, BTreeMap<String, String>);

/// How a trigger is doing. It writes this; metrics and health read it, and it goes with the
/// trigger.
#[derive(Debug)]
pub struct TriggerStanding {
    runs: AtomicU64,
    failures: AtomicU64,
    run_ns: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    oldest_ns: AtomicI64,
    counts: Mutex<BTreeMap<Counted, u64>>,
}

impl Default for TriggerStanding {
    fn default() -> Self {
        Self {
            runs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            run_ns: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            oldest_ns: AtomicI64::new(NOTHING_NS),
            counts: Mutex::default(),
        }
    }
}

impl TriggerStanding {
    pub(super) fn ran(&self, took: Duration, failed: bool) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(failed.into(), Ordering::Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.run_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
    }

    /// How many events wait, and when the oldest that waits or runs has come.
    pub(super) fn set_waiting(&self, events: usize, oldest_ns: Option<i64>) {
        self.waiting.store(events as u64, Ordering::Relaxed);
        self.oldest_ns.store(oldest_ns.unwrap_or(NOTHING_NS), Ordering::Relaxed);
    }

    /// Adds up what a run has counted; false if a series found no room.
    pub(super) fn count(&self, counts: Vec<Count>) -> bool {
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut had_room = true;
        for Count { name, labels, value } in counts {
            let key = (name, labels);
            if all.len() >= PLUGIN_COUNTS_MAX && !all.contains_key(&key) {
                had_room = false;
                continue;
            }
            let sum = all.entry(key).or_default();
            *sum = sum.saturating_add(value);
        }
        had_room
    }

    /// Runs that have ended.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Those of them that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What they took together.
    pub fn run_time(&self) -> Duration {
        Duration::from_nanos(self.run_ns.load(Ordering::Relaxed))
    }

    /// Events that found no room in the queue.
    pub fn events_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Events that wait.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long ago the oldest event has come that is not done yet.
    pub fn lag(&self, now_ns: i64) -> Duration {
        let ns = now_ns.saturating_sub(self.oldest_ns.load(Ordering::Relaxed));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }

    /// What its plugin has counted.
    pub fn counts(&self) -> BTreeMap<Counted, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_up_as_long_as_there_is_room() {
        let standing = TriggerStanding::default();
        let count = |name: String, value| Count { name, labels: BTreeMap::new(), value };
        let all = |value| (0..PLUGIN_COUNTS_MAX).map(|n| count(format!("n{n}"), value)).collect();
        assert!(standing.count(all(1)) && standing.count(all(2)));
        assert!(!standing.count(vec![count("more".to_owned(), 1), count("n0".to_owned(), 4)]));
        let counts = standing.counts();
        assert_eq!(
            (counts.len(), counts[&("n0".to_owned(), BTreeMap::new())]),
            (PLUGIN_COUNTS_MAX, 7)
        );
    }

    #[test]
    fn the_lag_is_that_of_the_oldest_event() {
        let standing = TriggerStanding::default();
        assert_eq!(standing.lag(1000), Duration::ZERO);
        standing.set_waiting(2, Some(400));
        assert_eq!((standing.waiting(), standing.lag(1000)), (2, Duration::from_nanos(600)));
        standing.set_waiting(0, None);
        assert_eq!(standing.lag(i64::MAX), Duration::ZERO);
    }
}
