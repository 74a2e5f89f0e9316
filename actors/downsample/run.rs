//! How the computing of a downsample has gone, for the size of the next batch and the time of it.

use std::time::Duration;
use tokio::time::Instant;

/// The longest pause before a downsample that failed is tried again.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A batch that took less time and wrote fewer rows lets the next one have twice as many intervals, one
/// that took more of either lets it have half as many.
const BATCH_TIME: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
const BATCH_ROWS: (u64, u64) = (10_000, 50_000);

/// What is only known of a downsample since the start.
pub(super) struct Run {
    /// Intervals of the next batch.
    pub(super) batch: i64,
    /// How often in a row it has failed.
    pub(super) failures: u32,
    /// Not before then.
    pub(super) next: Instant,
    /// What is being computed.
    pub(super) running: Option<(i64, i64)>,
    pub(super) rows_written: u64,
    pub(super) last_run_ns: Option<i64>,
    pub(super) last_error: Option<String>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            batch: 1,
            failures: 0,
            next: Instant::now(),
            running: None,
            rows_written: 0,
            last_run_ns: None,
            last_error: None,
        }
    }

    /// A batch took so long and came to so many rows.
    pub(super) fn has_written(&mut self, rows: u64, took: Duration) {
        if took < BATCH_TIME.0 && rows < BATCH_ROWS.0 {
            self.batch = self.batch.saturating_mul(2);
        } else if took > BATCH_TIME.1 || rows > BATCH_ROWS.1 {
            self.batch = (self.batch / 2).max(1);
        }
        self.rows_written += rows;
        (self.failures, self.last_error) = (0, None);
    }

    pub(super) fn has_failed(&mut self, error: String) {
        self.batch = (self.batch / 2).max(1);
        self.failures = self.failures.saturating_add(1);
        let pause = Duration::from_secs(1 << self.failures.min(6));
        self.next = Instant::now() + pause.min(RETRY_PAUSE_MAX);
        self.last_error = Some(error);
    }
}
