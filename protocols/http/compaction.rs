//! Compaction on request.

use serde::{Deserialize, Serialize};

/// What is to be compacted.
#[derive(Clone, Debug, Deserialize)]
pub struct CompactBody {
    /// The database.
    pub db: String,
    /// The table; all of the database without.
    pub table: Option<String>,
}

/// Which compaction is asked about.
#[derive(Clone, Debug, Deserialize)]
pub struct CompactionRunParams {
    /// Its number.
    pub run: u64,
}

/// How it is with a compaction.
#[derive(Clone, Debug, Serialize)]
pub struct CompactionRunShown {
    /// Its number, counted from the start of the server.
    pub run: u64,
    /// `running` or `done`.
    pub status: &'static str,
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
