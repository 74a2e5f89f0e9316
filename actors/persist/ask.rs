//! What `Persist` says to other actors. Asks are repeated until they are answered: an actor that
//! does not answer now is being rebuilt or has too much to do, and a snapshot cannot go on
//! without it.

use super::PersistConfig;
use crate::index::Index;
use crate::parquet_cache::ParquetCache;
use crate::runtime::mailbox::Mailbox;
use crate::store::StoreShards;
use crate::triggers::RowsFeed;
use crate::wal::Wal;
use bytes::Bytes;
use futures::future::join_all;
use protocols::messages::index::{
    AppendSnapshot, FindSnapshot, FoundSnapshot, IndexError, SnapshotFiles,
};
use protocols::messages::parquet_cache::Insert;
use protocols::messages::rank::PERSIST;
use protocols::messages::store::{Frozen, FrozenChunks, SwapChunk};
use protocols::messages::wal::{SnapshotDone, TakeSnapshot};
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::sync::Arc;

/// The actors that a snapshot needs. Tests have others.
pub(super) trait Peers: Send + 'static {
    /// The snapshot that is to be taken.
    async fn take_snapshot(&self) -> Option<PlacedMark>;
    /// What the shards have of a snapshot, one answer a shard.
    async fn frozen_chunks(&self, snapshot: u64) -> Vec<Frozen>;
    /// Puts files in the place of a chunk.
    async fn swap_chunk(&self, swap: SwapChunk);
    /// What the index knows of a snapshot.
    async fn find_snapshot(&self, number: u64) -> FoundSnapshot;
    /// Makes a snapshot durable and has each shard know of its end.
    async fn append_snapshot(&self, append: AppendSnapshot) -> Result<SnapshotFiles, IndexError>;
    /// Tells the WAL that a snapshot is over.
    async fn snapshot_done(&self, number: u64);
    /// Tells whoever wants to know of a snapshot that is over.
    fn tell_triggers(&self, _number: u64, _files: &[Arc<ParquetFile>]) {}
    /// Puts a file into the cache, if that has room.
    fn cache(&self, path: Arc<str>, bytes: Bytes);
}

/// The real ones.
pub(super) struct Mailboxes {
    stores: StoreShards,
    wal: Mailbox<Wal>,
    index: Mailbox<Index>,
    cache: Option<Mailbox<ParquetCache>>,
    triggers: Option<RowsFeed>,
}

impl Mailboxes {
    pub(super) fn of(config: &PersistConfig) -> Self {
        Self {
            stores: config.stores.clone(),
            wal: config.wal.clone(),
            index: config.index.clone(),
            cache: config.cache.clone(),
            triggers: config.triggers.clone(),
        }
    }
}

impl Peers for Mailboxes {
    async fn take_snapshot(&self) -> Option<PlacedMark> {
        self.wal.ask_until_answered::<PERSIST, _>(TakeSnapshot).await
    }

    async fn frozen_chunks(&self, snapshot: u64) -> Vec<Frozen> {
        let asks = self.stores.all().iter();
        let ask = FrozenChunks { snapshot };
        join_all(asks.map(|shard| shard.ask_until_answered::<PERSIST, _>(ask))).await
    }

    async fn swap_chunk(&self, swap: SwapChunk) {
        self.stores.shard_of(swap.table).ask_until_answered::<PERSIST, _>(swap).await;
    }

    async fn find_snapshot(&self, number: u64) -> FoundSnapshot {
        self.index.ask_until_answered::<PERSIST, _>(FindSnapshot { number }).await
    }

    async fn append_snapshot(&self, append: AppendSnapshot) -> Result<SnapshotFiles, IndexError> {
        self.index.ask_until_answered::<PERSIST, _>(append).await
    }

    async fn snapshot_done(&self, number: u64) {
        self.wal.ask_until_answered::<PERSIST, _>(SnapshotDone { number }).await;
    }

    fn tell_triggers(&self, number: u64, files: &[Arc<ParquetFile>]) {
        if let Some(triggers) = &self.triggers {
            triggers.tell_snapshot(number, files);
        }
    }

    fn cache(&self, path: Arc<str>, bytes: Bytes) {
        if let Some(cache) = &self.cache {
            // Without room in the cache's mailbox the file is fetched when it is needed.
            cache.tell(Insert { path, bytes, in_place_of: Vec::new() });
        }
    }
}
