//! What the `Compact` actor accepts.

use super::Command;
use crate::ids::TableId;
use std::collections::BTreeSet;

/// Looks for files that are to become fewer. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct CompactionDue;

impl Command for CompactionDue {
    type Reply = ();
    const NAME: &'static str = "CompactionDue";
}

/// Compacts all windows of these tables that are over, whether it is worth it or not. Sent by HTTP
/// handlers.
#[derive(Clone, Debug)]
pub struct CompactNow {
    /// The tables.
    pub tables: BTreeSet<TableId>,
}

impl Command for CompactNow {
    /// How the run is; `None` when too many wait.
    type Reply = Option<CompactionRun>;
    const NAME: &'static str = "CompactNow";
    fn cost_bytes(&self) -> usize {
        256 + 8 * self.tables.len()
    }
}

/// Asks how a run is that [`CompactNow`] began. Sent by HTTP handlers.
#[derive(Clone, Copy, Debug)]
pub struct ReadCompactionRun {
    /// Its number.
    pub run: u64,
}

impl Command for ReadCompactionRun {
    /// `None` for one that is not known, or not any more.
    type Reply = Option<CompactionRun>;
    const NAME: &'static str = "ReadCompactionRun";
}

/// How a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionRun {
    /// Its number, counted from the start of the server.
    pub run: u64,
    /// Its tables: whoever asks must have a right to all of them.
    pub tables: BTreeSet<TableId>,
    /// True once nothing is left to do.
    pub is_done: bool,
    /// Windows that are known to be left.
    pub windows_left: usize,
    /// Windows that were compacted.
    pub windows_done: usize,
    /// Files that went in.
    pub files_in: usize,
    /// Files that came out.
    pub files_out: usize,
    /// Bytes that went in.
    pub bytes_in: u64,
    /// Bytes that came out.
    pub bytes_out: u64,
    /// What went wrong last, if anything has.
    pub error: Option<String>,
}

/// Something that the compaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionEvent {
    /// When it ended, nanoseconds since 1970.
    pub time_ns: i64,
    /// How long it took, in nanoseconds.
    pub duration_ns: i64,
    /// The table.
    pub table: TableId,
    /// The generation of what came out.
    pub generation: u8,
    /// Start of the window, nanoseconds since 1970.
    pub window_start_ns: i64,
    /// Files that went in.
    pub files_in: usize,
    /// Files that came out.
    pub files_out: usize,
    /// Rows that went in.
    pub rows_in: u64,
    /// Rows that came out.
    pub rows_out: u64,
    /// Bytes that went in.
    pub bytes_in: u64,
    /// Bytes that came out.
    pub bytes_out: u64,
    /// Why nothing came of it.
    pub error: Option<String>,
}
