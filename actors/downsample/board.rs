//! How the downsamples are doing, for whoever wants to know without asking.

use hashbrown::HashMap;
use protocols::ids::DbId;

/// A downsample: its database and its number there.
pub type DownsampleRef = (DbId, u32);

/// All that are known to the actor.
pub type Board = HashMap<DownsampleRef, DownsampleStatus>;

/// How a downsample is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct DownsampleStatus {
    /// In one word.
    pub state: &'static str,
    /// All intervals are computed that end at this instant or earlier, nanoseconds since 1970.
    pub complete_through_ns: i64,
    /// Intervals that are due.
    pub pending_intervals: u64,
    /// How much is done of what was there at the creation.
    pub backfill_percent: Option<f64>,
    /// Rows written since the start of the server.
    pub rows_written: u64,
    /// When intervals were computed last, nanoseconds since 1970.
    pub last_run_ns: Option<i64>,
    /// Why that failed, if it did.
    pub last_error: Option<String>,
}
