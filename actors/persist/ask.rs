//! What `Persist` says to other actors. Asks are repeated until they are answered: an actor that
//! does not answer now is being rebuilt or has too much to do, and a snapshot cannot go on
//! without it.

use super::PersistConfig;
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::Receive;
use crate::runtime::mailbox::Mailbox;
use crate::store::StoreShards;
use crate::triggers::RowsFeed;
use crate::wal::Wal;
use bytes::Bytes;
use futures::future::join_all;
use protocols::ids::TableId;
use protocols::messages::parquet_cache::{Evict, Insert};
use protocols::messages::store::{EndSnapshot, Frozen, FrozenChunks, RemoveFiles, SwapChunk};
use protocols::messages::wal::{SnapshotDone, TakeSnapshot};
use protocols::messages::{Command, rank};
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before something that failed is tried again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take. It is short, for an actor that dies after it has taken a message
/// is noticed at once.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// The actors that a snapshot needs. Tests have others.
pub(super) trait Peers: Send + 'static {
    /// The snapshot that is to be taken.
    async fn take_snapshot(&self) -> Option<PlacedMark>;
    /// What the shards have of a snapshot, one answer a shard.
    async fn frozen_chunks(&self, snapshot: u64) -> Vec<Frozen>;
    /// Puts files in the place of a chunk.
    async fn swap_chunk(&self, swap: SwapChunk);
    /// Tells each shard that a snapshot is durable, with the files of its tables.
    async fn end_snapshot(&self, snapshot: PlacedMark, files: &[Arc<ParquetFile>]);
    /// Tells the WAL that a snapshot is over.
    async fn snapshot_done(&self, number: u64);
    /// Tells whoever wants to know of a snapshot that is over.
    fn tell_triggers(&self, _number: u64, _files: &[Arc<ParquetFile>]) {}
    /// Has the shards forget files.
    async fn remove_files(&self, files: &[(TableId, u64)]);
    /// Puts a file into the cache, if that has room.
    fn cache(&self, path: Arc<str>, bytes: Bytes);
    /// Has the cache forget files.
    async fn evict(&self, paths: Vec<Arc<str>>);
}

/// The real ones.
pub(super) struct Mailboxes {
    stores: StoreShards,
    wal: Mailbox<Wal>,
    cache: Option<Mailbox<ParquetCache>>,
    triggers: Option<RowsFeed>,
}

impl Mailboxes {
    pub(super) fn of(config: &PersistConfig) -> Self {
        Self {
            stores: config.stores.clone(),
            wal: config.wal.clone(),
            cache: config.cache.clone(),
            triggers: config.triggers.clone(),
        }
    }
}

impl Peers for Mailboxes {
    async fn take_snapshot(&self) -> Option<PlacedMark> {
        until_answered(&self.wal, TakeSnapshot).await
    }

    async fn frozen_chunks(&self, snapshot: u64) -> Vec<Frozen> {
        let asks = self.stores.all().iter();
        join_all(asks.map(|shard| until_answered(shard, FrozenChunks { snapshot }))).await
    }

    async fn swap_chunk(&self, swap: SwapChunk) {
        until_answered(self.stores.shard_of(swap.table), swap).await;
    }

    async fn end_snapshot(&self, snapshot: PlacedMark, files: &[Arc<ParquetFile>]) {
        let asks = self.stores.all().iter().enumerate().map(|(index, shard)| {
            let of_shard = files.iter().filter(|file| self.stores.index_of(file.table) == index);
            let files = of_shard.map(Arc::clone).collect();
            until_answered(shard, EndSnapshot { snapshot, files })
        });
        join_all(asks).await;
    }

    async fn snapshot_done(&self, number: u64) {
        until_answered(&self.wal, SnapshotDone { number }).await;
    }

    fn tell_triggers(&self, number: u64, files: &[Arc<ParquetFile>]) {
        if let Some(triggers) = &self.triggers {
            triggers.tell_snapshot(number, files);
        }
    }

    async fn remove_files(&self, files: &[(TableId, u64)]) {
        let asks = self.stores.all().iter().enumerate().map(async |(index, shard)| {
            let of_shard = files.iter().filter(|(table, _)| self.stores.index_of(*table) == index);
            let files: Vec<_> = of_shard.copied().collect();
            if !files.is_empty() {
                until_answered(shard, RemoveFiles { files }).await;
            }
        });
        join_all(asks).await;
    }

    fn cache(&self, path: Arc<str>, bytes: Bytes) {
        if let Some(cache) = &self.cache {
            // Without room in the cache's mailbox the file is fetched when it is needed.
            cache.tell(Insert { path, bytes });
        }
    }

    async fn evict(&self, paths: Vec<Arc<str>>) {
        if let Some(cache) = &self.cache {
            until_answered(cache, Evict { paths }).await;
        }
    }
}

async fn until_answered<A, M>(mailbox: &Mailbox<A>, message: M) -> M::Reply
where
    A: Receive<M>,
    M: Command + Clone,
{
    let mut tries = 0_u64;
    loop {
        let deadline = Instant::now() + ANSWER_DEADLINE;
        match mailbox.ask::<{ rank::PERSIST }, _>(message.clone(), deadline).await {
            Ok(reply) => return reply,
            Err(error) if tries == 0 => {
                tracing::warn!(message = M::NAME, %error, "asking until it is answered");
            }
            Err(_) => {}
        }
        tries += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
