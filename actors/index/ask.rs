//! What `Index` says to other actors. Asks are repeated until they are answered: an actor that does
//! not answer now is being rebuilt or has too much to do, and the index has moved on already.

use super::IndexConfig;
use crate::parquet_cache::ParquetCache;
use crate::runtime::mailbox::Mailbox;
use crate::store::StoreShards;
use futures::future::join_all;
use hashbrown::HashMap;
use protocols::ids::TableId;
use protocols::messages::parquet_cache::Evict;
use protocols::messages::rank;
use protocols::messages::store::{EndSnapshot, OldestEpoch, RemoveFiles, SwapFiles};
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::sync::Arc;

/// The actors that have to hear of what happens to files. Tests have others.
pub(super) trait Peers: Clone + 'static {
    /// Tells each shard that a snapshot is durable, with the files of its tables.
    async fn end_snapshot(&self, snapshot: PlacedMark, files: &[Arc<ParquetFile>]);
    /// Has the shards forget files. Tells of each table up to when views may have them.
    async fn remove_files(&self, files: &[(TableId, u64)]) -> HashMap<TableId, Seen>;
    /// Has a shard put files in the place of others.
    async fn swap_files(&self, swap: SwapFiles) -> Seen;
    /// For each shard the epoch of the oldest view that is still held.
    async fn oldest_epochs(&self) -> Vec<u64>;
    /// Has the cache forget files.
    async fn evict(&self, paths: Vec<Arc<str>>);
}

/// Up to when views of a shard may have a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) shard: usize,
    /// The last epoch.
    pub(super) epoch: u64,
}

/// The real ones.
#[derive(Clone)]
pub(super) struct Mailboxes {
    stores: StoreShards,
    cache: Option<Mailbox<ParquetCache>>,
}

impl Mailboxes {
    pub(super) fn of(config: &IndexConfig) -> Self {
        Self { stores: config.stores.clone(), cache: config.cache.clone() }
    }
}

impl Peers for Mailboxes {
    async fn end_snapshot(&self, snapshot: PlacedMark, files: &[Arc<ParquetFile>]) {
        let asks = self.stores.all().iter().enumerate().map(|(index, shard)| {
            let of_shard = files.iter().filter(|file| self.stores.index_of(file.table) == index);
            let files = of_shard.map(Arc::clone).collect();
            shard.ask_until_answered::<{ rank::INDEX }, _>(EndSnapshot { snapshot, files })
        });
        join_all(asks).await;
    }

    async fn remove_files(&self, files: &[(TableId, u64)]) -> HashMap<TableId, Seen> {
        let asks = self.stores.all().iter().enumerate().map(async |(index, shard)| {
            let of_shard = files.iter().filter(|(table, _)| self.stores.index_of(*table) == index);
            let files: Vec<_> = of_shard.copied().collect();
            match files.is_empty() {
                true => 0,
                false => {
                    shard.ask_until_answered::<{ rank::INDEX }, _>(RemoveFiles { files }).await
                }
            }
        });
        let epochs = join_all(asks).await;
        let seen = |table: TableId| {
            let shard = self.stores.index_of(table);
            Seen { shard, epoch: epochs.get(shard).copied().unwrap_or_default() }
        };
        files.iter().map(|(table, _)| (*table, seen(*table))).collect()
    }

    async fn swap_files(&self, swap: SwapFiles) -> Seen {
        let shard = self.stores.index_of(swap.table);
        let store = self.stores.shard_of(swap.table);
        let epoch = store.ask_until_answered::<{ rank::INDEX }, _>(swap).await;
        Seen { shard, epoch }
    }

    async fn oldest_epochs(&self) -> Vec<u64> {
        let asks = self.stores.all().iter();
        let asks = asks.map(|s| s.ask_until_answered::<{ rank::INDEX }, _>(OldestEpoch));
        join_all(asks).await
    }

    async fn evict(&self, paths: Vec<Arc<str>>) {
        if let Some(cache) = &self.cache {
            cache.ask_until_answered::<{ rank::INDEX }, _>(Evict { paths }).await;
        }
    }
}
