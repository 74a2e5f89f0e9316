//! Wall-clock time, injected. Monotonic time is `tokio::time`, which tests can pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Source of wall-clock time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Nanoseconds since 1970, set by a test.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Nanoseconds since 1970. Saturates in the year 2262.
    pub fn now_ns(&self) -> i64 {
        match self {
            Self::System => chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX),
            Self::Fixed(now) => now.load(Ordering::Relaxed),
        }
    }
}
