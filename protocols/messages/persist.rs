//! What the `Persist` actor accepts.

use super::Command;

/// Says that a snapshot is due. Sent by `Wal` and, in case that was lost, by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotDue;

impl Command for SnapshotDue {
    type Reply = ();
    const NAME: &'static str = "SnapshotDue";
}

/// Looks for log files that are no longer needed. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct CleanUp;

impl Command for CleanUp {
    type Reply = ();
    const NAME: &'static str = "CleanUp";
}

/// Answers once no snapshot is under way. Sent at shutdown, after the log was drained.
#[derive(Clone, Copy, Debug)]
pub struct FinishSnapshot;

impl Command for FinishSnapshot {
    type Reply = ();
    const NAME: &'static str = "FinishSnapshot";
}
