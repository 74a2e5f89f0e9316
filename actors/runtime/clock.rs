//! Wall-clock time, injected. Monotonic time is `tokio::time`, which tests can pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Source of wall-clock time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Nanoseconds since 1970, set by a test.
    Fixed(Arc<AtomicI64>),
    /// Goes with the paused clock of `tokio::time`.
    #[cfg(feature = "simulation")]
    Paused(Arc<PausedClock>),
}

impl Clock {
    /// Nanoseconds since 1970. Saturates in the year 2262.
    pub fn now_ns(&self) -> i64 {
        match self {
            Self::System => chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX),
            Self::Fixed(now) => now.load(Ordering::Relaxed),
            #[cfg(feature = "simulation")]
            Self::Paused(clock) => clock.now_ns(),
        }
    }
}

/// Nanoseconds, or as many as there can be.
pub fn as_nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// The instant so long before another one, nanoseconds since 1970. What is before the earliest
/// time there is, is that one.
pub fn before(instant_ns: i64, span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).map_or(i64::MIN, |span_ns| instant_ns.saturating_sub(span_ns))
}

/// A wall clock that advances with `tokio::time` and can be set wrong.
#[cfg(feature = "simulation")]
#[derive(Debug)]
pub struct PausedClock {
    origin: tokio::time::Instant,
    /// What the clock showed at the origin, with every step that it made since.
    origin_ns: AtomicI64,
}

#[cfg(feature = "simulation")]
impl PausedClock {
    /// A clock that shows `now_ns`.
    pub fn new(now_ns: i64) -> Self {
        Self { origin: tokio::time::Instant::now(), origin_ns: AtomicI64::new(now_ns) }
    }

    /// Nanoseconds since 1970.
    pub fn now_ns(&self) -> i64 {
        let elapsed = as_nanos(self.origin.elapsed());
        self.origin_ns.load(Ordering::Relaxed).saturating_add(elapsed)
    }

    /// Sets the clock forward, or back.
    pub fn step(&self, by_ns: i64) {
        self.origin_ns.fetch_add(by_ns, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_be_longer_than_time() {
        assert_eq!(before(100, Duration::from_nanos(30)), 70);
        assert_eq!(before(10, Duration::from_nanos(30)), -20);
        assert_eq!(before(100, Duration::from_secs(1000 * 365 * 86_400)), i64::MIN);
    }
}
