//! What was done of late, and how much there is to do: for a system table and for metrics.

use super::plan::Job;
use crate::runtime::published::{Published, Publisher};
use protocols::messages::compact::CompactionEvent;
use std::collections::VecDeque;
use std::sync::Arc;

/// Limit: so many events are remembered.
const EVENTS_MAX: usize = 1_000;

/// What compactions did, the newest last.
pub type History = Published<VecDeque<Arc<CompactionEvent>>>;

/// Writes the history.
#[derive(Debug)]
pub(super) struct Historian(Publisher<VecDeque<Arc<CompactionEvent>>>);

impl Historian {
    pub(super) fn new(publisher: Publisher<VecDeque<Arc<CompactionEvent>>>) -> Self {
        Self(publisher)
    }

    /// Remembers and counts an event.
    pub(super) fn note(&self, event: CompactionEvent) {
        count(&event);
        let mut events = VecDeque::clone(&self.0.load());
        if events.len() >= EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(Arc::new(event));
        self.0.publish(Arc::new(events));
    }
}

fn count(event: &CompactionEvent) {
    let outcome = if event.error.is_none() { "success" } else { "failed" };
    metrics::counter!("compaction_jobs_total", "outcome" => outcome).increment(1);
    let seconds = event.duration_ns as f64 / 1e9;
    metrics::histogram!("compaction_seconds").record(seconds);
    if event.error.is_some() {
        return;
    }
    metrics::counter!("compaction_files_in_total").increment(event.files_in as u64);
    metrics::counter!("compaction_files_out_total").increment(event.files_out as u64);
    metrics::counter!("compaction_rows_in_total").increment(event.rows_in);
    metrics::counter!("compaction_rows_out_total").increment(event.rows_out);
    metrics::counter!("compaction_bytes_in_total").increment(event.bytes_in);
    metrics::counter!("compaction_bytes_out_total").increment(event.bytes_out);
}

/// Measures what is due.
pub(super) fn measure_backlog(jobs: &[Job], now_ns: i64) {
    let files: usize = jobs.iter().map(|job| job.files().count()).sum();
    let bytes: u64 = jobs.iter().map(Job::bytes).sum();
    let newest = |job: &Job| job.files().map(|file| file.order.hi).max();
    let oldest = jobs.iter().filter_map(newest).min();
    let age = oldest.map_or(0, |oldest| now_ns.saturating_sub(oldest).max(0));
    metrics::gauge!("compaction_backlog_windows").set(jobs.len() as f64);
    metrics::gauge!("compaction_backlog_files").set(files as f64);
    metrics::gauge!("compaction_backlog_bytes").set(bytes as f64);
    metrics::gauge!("compaction_backlog_oldest_seconds").set(age as f64 / 1e9);
}

/// Notes meanwhile, until it is measured anew, that there is a window less to do.
pub(super) fn take_from_backlog(done: &CompactionEvent) {
    metrics::gauge!("compaction_backlog_windows").decrement(1.0);
    metrics::gauge!("compaction_backlog_files").decrement(done.files_in as f64);
    metrics::gauge!("compaction_backlog_bytes").decrement(done.bytes_in as f64);
}
