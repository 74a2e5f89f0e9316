//! What a sweep has looked at, and what waits for the next ones.

use super::ask::Seen;
use hashbrown::HashMap;
use tokio::time::Instant;

/// See the page of this file.
pub(super) struct Due {
    /// Sequence of the catalog whose tables were looked at. `None`: look again.
    pub(super) catalog_sequence: Option<u64>,
    /// When retention is looked at next.
    pub(super) retention: Instant,
    /// The removed files that the shards were told of, and when their objects may go.
    pub(super) graces: HashMap<u64, Grace>,
}

/// When the object of a removed file may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grace {
    /// Not before that.
    pub(super) until: Instant,
    /// Nor while a view is held that may have the file.
    pub(super) seen: Seen,
}

impl Due {
    /// Everything is to be looked at.
    pub(super) fn new() -> Self {
        Self { catalog_sequence: None, retention: Instant::now(), graces: HashMap::new() }
    }

    /// The next sweep looks at all files, for there are new ones.
    pub(super) fn look_at_everything(&mut self) {
        self.catalog_sequence = None;
        self.retention = Instant::now();
    }
}
