//! The newest queries and how far they have come, for `system.queries`.

use crate::audit::Audit;
use crate::runtime::clock;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::random;
use protocols::ids::DbId;
use protocols::messages::audit::{AuditEntry, KeepAudit, Outcome};
use protocols::trace_id::TraceId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Limit: bytes of a statement that the log keeps, so that it cannot fill the memory.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// How far a query has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Received,
    LogicallyPlanned,
    PhysicallyPlanned,
    Executing,
    Success,
    Fail,
    Cancel,
}

impl Phase {
    /// The word that the table shows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::LogicallyPlanned => "logically_planned",
            Self::PhysicallyPlanned => "physically_planned",
            Self::Executing => "execution_permit",
            Self::Success => "success",
            Self::Fail => "fail",
            Self::Cancel => "cancel",
        }
    }

    /// True until the query has ended.
    pub(super) fn runs(self) -> bool {
        !matches!(self, Self::Success | Self::Fail | Self::Cancel)
    }
}

/// What is known about a query so far. Durations in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) phase: Phase,
    pub(super) partitions: Option<i64>,
    pub(super) parquet_files: Option<i64>,
    pub(super) plan_ns: Option<i64>,
    pub(super) permit_ns: Option<i64>,
    pub(super) execute_ns: Option<i64>,
    pub(super) end2end_ns: Option<i64>,
    pub(super) compute_ns: Option<i64>,
    /// The most that it had reserved, in bytes.
    pub(super) memory_max: Option<i64>,
}

/// One query.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) id: Uuid,
    pub(super) issue_time_ns: i64,
    pub(super) query_type: &'static str,
    pub(super) text: String,
    /// The database that it was about.
    pub(super) db: Option<DbId>,
    pub(super) trace_id: Option<TraceId>,
    progress: watch::Receiver<Progress>,
}

impl LogEntry {
    /// How far it has come. A query whose task is gone without an end was cancelled.
    pub(super) fn progress(&self) -> Progress {
        let gone = self.progress.has_changed().is_err();
        let mut progress = *self.progress.borrow();
        if gone && progress.phase.runs() {
            progress.phase = Phase::Cancel;
        }
        progress
    }
}

/// What is known when a query comes in.
#[derive(Clone, Debug)]
pub(super) struct Entered<'a> {
    pub(super) issue_time_ns: i64,
    pub(super) query_type: &'static str,
    pub(super) text: &'a str,
    pub(super) db: Option<DbId>,
    pub(super) trace_id: Option<TraceId>,
}

/// The newest queries, oldest first.
#[derive(Debug)]
pub(super) struct QueryLog {
    entries: VecDeque<Arc<LogEntry>>,
    entries_max: usize,
}

impl QueryLog {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: VecDeque::new(), entries_max }
    }

    /// Enters a query. The reporter is for the task that runs it.
    pub(super) fn enter(&mut self, query: Entered<'_>) -> Reporter {
        let Entered { issue_time_ns, query_type, text, db, trace_id } = query;
        let (sender, progress) = watch::channel(Progress::default());
        let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
        self.entries.push_back(Arc::new(LogEntry {
            id: random::uuid(),
            issue_time_ns,
            query_type,
            text,
            db,
            trace_id,
            progress,
        }));
        while self.entries.len() > self.entries_max {
            self.entries.pop_front();
        }
        Reporter { sender, begun: Instant::now(), audited: None }
    }

    /// Enters something that has ended before it came here.
    pub(super) fn enter_ended(&mut self, query: Entered<'_>, took: Duration, phase: Phase) {
        let mut reporter = self.enter(query);
        reporter.begun = reporter.begun.checked_sub(took).unwrap_or(reporter.begun);
        reporter.end(phase);
    }

    /// The queries, oldest first.
    pub(super) fn entries(&self) -> Vec<Arc<LogEntry>> {
        self.entries.iter().map(Arc::clone).collect()
    }
}

/// Tells the log how far a query has come.
#[derive(Debug)]
pub(super) struct Reporter {
    sender: watch::Sender<Progress>,
    begun: Instant,
    /// What the audit log is told at the end.
    audited: Option<Box<(Mailbox<Audit>, AuditEntry)>>,
}

impl Reporter {
    /// For what is no statement of a client, and is not in the log.
    pub(super) fn unlogged() -> Self {
        let sender = watch::channel(Progress::default()).0;
        Self { sender, begun: Instant::now(), audited: None }
    }

    /// The same, and the audit log is told how the query ended.
    pub(super) fn audited(mut self, audit: Mailbox<Audit>, entry: AuditEntry) -> Self {
        self.audited = Some(Box::new((audit, entry)));
        self
    }

    /// Notes something about the query. `change` gets the nanoseconds since it was received.
    pub(super) fn note(&self, change: impl FnOnce(&mut Progress, i64)) {
        let elapsed_ns = clock::as_nanos(self.begun.elapsed());
        self.sender.send_modify(|progress| change(progress, elapsed_ns));
    }

    /// Notes the end of the query.
    pub(super) fn end(&self, phase: Phase) {
        self.note(|progress, elapsed_ns| {
            progress.execute_ns = match (progress.plan_ns, progress.permit_ns) {
                (Some(plan), Some(permit)) => Some((elapsed_ns - plan - permit).max(0)),
                _ => None,
            };
            progress.end2end_ns = Some(elapsed_ns);
            progress.phase = phase;
        });
    }
}

/// Whatever becomes of a query, its reporter goes with it.
impl Drop for Reporter {
    fn drop(&mut self) {
        let Some(audited) = self.audited.take() else { return };
        let (audit, entry) = *audited;
        let outcome = match self.sender.borrow().phase {
            Phase::Success => Outcome::Done,
            Phase::Fail => Outcome::Failed,
            _ => Outcome::Cancelled,
        };
        audit.tell(KeepAudit(entry.ended(outcome)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Entered<'_> {
        Entered { issue_time_ns: 1, query_type: "sql", text, db: None, trace_id: None }
    }

    #[test]
    fn what_ended_before_is_entered_with_the_time_it_took() {
        let mut log = QueryLog::new(2);
        log.enter_ended(query("a"), Duration::from_secs(2), Phase::Success);
        let progress = log.entries()[0].progress();
        assert_eq!(progress.phase, Phase::Success);
        assert!(progress.end2end_ns.is_some_and(|ns| ns >= 2_000_000_000), "{progress:?}");
        assert_eq!(progress.execute_ns, None, "it was not planned");
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut log = QueryLog::new(2);
        for text in ["a", "b", "c"] {
            log.enter(query(text)).end(Phase::Success);
        }
        let texts: Vec<String> = log.entries().iter().map(|e| e.text.clone()).collect();
        assert_eq!(texts, ["b", "c"]);
    }

    #[test]
    fn a_vanished_task_was_cancelled() {
        let mut log = QueryLog::new(2);
        let reporter = log.enter(query("a"));
        let entry = Arc::clone(&log.entries()[0]);
        assert_eq!(entry.progress().phase, Phase::Received);
        drop(reporter);
        assert_eq!(entry.progress().phase, Phase::Cancel);
        let reporter = log.enter(query(&"ü".repeat(TEXT_BYTES_MAX)));
        reporter.end(Phase::Fail);
        drop(reporter);
        let entry = Arc::clone(&log.entries()[1]);
        assert_eq!(entry.progress().phase, Phase::Fail);
        assert_eq!(entry.text.len(), TEXT_BYTES_MAX);
    }
}
