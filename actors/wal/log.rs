//! What a log can do, whatever it is made of.

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use protocols::paths;
use protocols::wal_frame::FrameError;
use tokio::time::Instant;

/// One group of requests on its way to the log.
#[derive(Clone, Debug)]
pub(super) struct WalGroup {
    /// Number of the group, over all files and processes of this node.
    pub(super) sequence: u64,
    /// Its place in the order of writes.
    pub(super) stamp: i64,
    /// One entry a request, and possibly the mark of a snapshot as the last.
    pub(super) entries: Vec<Bytes>,
}

/// Why a group is not known to be durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LogError {
    /// Another process writes under this node id.
    #[error("another process has written to the WAL ahead of this one")]
    Fenced,
    /// The write failed; trying again (under a new file number) may help.
    #[error("{0}")]
    Io(String),
    /// What writes the log has panicked: nothing can be tried with it any more.
    #[error("the log's disk thread failed")]
    Lost,
}

impl From<FrameError> for LogError {
    fn from(error: FrameError) -> Self {
        Self::Io(error.to_string())
    }
}

/// A log that belongs to one process at a time.
///
/// A group whose append has failed may be in the log or not. The next append that succeeds decides
/// it: the failed one does not count from then on, wherever its bytes are. Until then a successor
/// counts it if it finds it.
#[async_trait]
pub(super) trait Log: Send {
    /// Returns once the group is on stable storage and no successor has taken over. A store behind
    /// a network is not waited for longer than `until`.
    async fn append(&mut self, group: &WalGroup, until: Instant) -> Result<(), LogError>;

    /// Ends the period: the next group begins a new file.
    fn end_period(&mut self);

    /// Makes the file that the next group goes to, while no group waits for it. If that fails, the
    /// next append makes it.
    async fn prepare(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Number of the file that the next group goes to, if its first attempt succeeds.
    fn next_file(&self) -> u64;

    /// Number of the newest file of this log.
    fn newest_file(&self) -> u64;

    /// Every file of earlier writers has a number below this one. When the log was opened, this
    /// file had no more in it than what was taken over from them.
    fn first_own_file(&self) -> u64;
}

/// The numbers of all log files of a node, ascending.
pub(super) async fn list(store: &dyn ObjectStore, node: &str) -> object_store::Result<Vec<u64>> {
    let prefix = Path::from(paths::wal_dir(node));
    let mut found: Vec<u64> = store
        .list(Some(&prefix))
        .try_filter_map(async |meta| Ok(meta.location.filename().and_then(paths::wal_sequence)))
        .try_collect()
        .await?;
    found.sort_unstable();
    Ok(found)
}

/// The bytes of a log file, if it can be read.
pub(super) async fn bytes_of(store: &dyn ObjectStore, path: &Path) -> Option<Bytes> {
    store.get(path).await.ok()?.bytes().await.ok()
}
