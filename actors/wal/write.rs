//! Bringing a group into the log, for as long as its writers wait.

use super::log::{Log, LogError, WalGroup};
use std::time::Duration;
use tokio::time::Instant;

/// Pause before a failed write to the log is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is.
const RETRIES_MAX: u32 = 100;
/// A group is given up when it is not in the log by then. Its writers wait no longer, and the next
/// group goes on from there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Appends until it succeeds, the log is fenced, or it was tried for long enough.
pub(super) async fn append(
    mut log: Box<dyn Log>,
    group: WalGroup,
) -> (Box<dyn Log>, Result<(), LogError>) {
    record_group(&group);
    let begun = Instant::now();
    let until = begun + PATIENCE;
    let mut result = log.append(&group, until).await;
    let mut tries = 0;
    while let Err(LogError::Io(cause)) = &result
        && tries < RETRIES_MAX
        && Instant::now() + RETRY_PAUSE < until
    {
        if tries == 0 {
            tracing::error!(cause, group = group.sequence, "error writing wal file, trying again");
        }
        metrics::counter!("wal_write_errors_total").increment(1);
        tries += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
        result = log.append(&group, until).await;
    }
    metrics::histogram!("wal_sync_seconds").record(begun.elapsed().as_secs_f64());
    (log, result)
}

fn record_group(group: &WalGroup) {
    let bytes: usize = group.entries.iter().map(bytes::Bytes::len).sum();
    metrics::histogram!("wal_group_writes").record(group.entries.len() as f64);
    metrics::counter!("wal_groups_total").increment(1);
    metrics::counter!("wal_bytes_total").increment(bytes as u64);
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use super::*;
    use async_trait::async_trait;

    /// Answers nothing before it has to.
    struct Silent;

    #[async_trait]
    impl Log for Silent {
        async fn append(&mut self, _: &WalGroup, until: Instant) -> Result<(), LogError> {
            tokio::time::sleep_until(until).await;
            Err(LogError::Io("planted".to_owned()))
        }
        fn end_period(&mut self) {}
        fn next_file(&self) -> u64 {
            1
        }
        fn newest_file(&self) -> u64 {
            1
        }
        fn first_own_file(&self) -> u64 {
            1
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_writers_of_a_log_that_is_silent_are_told_after_ten_seconds() {
        let begun = Instant::now();
        let (_, result) =
            append(Box::new(Silent), WalGroup { sequence: 1, stamp: 1, entries: vec![] }).await;
        assert_eq!(result, Err(LogError::Io("planted".to_owned())));
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
