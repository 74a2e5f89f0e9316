//! What actors are made from: in their first life and after each death.

use crate::cache_directory::CacheFeeds;
use crate::catalog::{Catalog, CatalogConfig, removed_tables};
use crate::index::log;
use crate::runtime::lives::Lives;
use crate::runtime::published::{Published, Publisher};
use crate::runtime::shared::Shared;
use crate::storage::objects::Objects;
use crate::store::{Epochs, Shard, ShardFiles, Store};
use crate::wal::{Owner, Replay, ReplayError, replay};
use protocols::catalog::CatalogSnapshot;
use protocols::file_index::FileIndex;
use std::future::ready;
use std::sync::Arc;

/// What a reading of the log needs.
pub(super) struct ReplaySource {
    pub(super) objects: Objects,
    pub(super) node: String,
    pub(super) snapshot: Published<CatalogSnapshot>,
    pub(super) shards: usize,
    pub(super) only_shard: Option<usize>,
    pub(super) owner: Owner,
    pub(super) concurrency: usize,
    pub(super) fail_on_damage: bool,
}

impl ReplaySource {
    /// What a later life reads, with the index as it is now.
    pub(super) async fn again(&self) -> anyhow::Result<Replay> {
        Ok(self.with(Arc::new(log::load(&self.objects, &self.node).await?)))
    }

    /// The same with this index: in their first lives all actors begin with that of the start.
    pub(super) fn with(&self, index: Arc<FileIndex>) -> Replay {
        // A shard takes no more from the log than the log's writer vouches for.
        let through = self.only_shard.map(|_| self.owner.confirmed());
        Replay {
            objects: self.objects.clone(),
            node: self.node.clone(),
            index,
            catalog: self.snapshot.load(),
            shards: self.shards,
            only_shard: self.only_shard,
            through,
            concurrency: self.concurrency,
            fail_on_damage: self.fail_on_damage,
        }
    }
}

/// The catalog was opened before its birth, because others need what it publishes; its later
/// lives open it again.
pub(super) fn catalog_lives(
    config: CatalogConfig,
    first: Catalog,
    publisher: Publisher<CatalogSnapshot>,
) -> Lives<Catalog> {
    let (config, publisher) = (Arc::new(config), Arc::new(publisher));
    Lives::begun_by(ready(Ok(first)), move || {
        let (config, publisher) = (Arc::clone(&config), Arc::clone(&publisher));
        async move { Ok(Catalog::open(&config, Some(publisher.again())).await?.catalog) }
    })
}

/// A shard is born with files and without rows, because the log feeds it at its own start; its
/// later lives read their rows back themselves.
pub(super) fn store_lives(
    source: ReplaySource,
    index: Arc<FileIndex>,
    (number, shared): (usize, Shared<Shard>),
    caches: CacheFeeds,
) -> Lives<Store> {
    let source = Arc::new(source);
    let epochs = Epochs::new();
    let begin = move |shard: Shard, epochs: &Epochs| {
        Store::open(shard.with_epochs(epochs), &shared, caches.clone())
    };
    let first = {
        let (source, begin, epochs) = (Arc::clone(&source), begin.clone(), epochs.again());
        async move { Ok(begin(empty(&source.with(index), number), &epochs)) }
    };
    Lives::begun_by(first, move || {
        let (source, begin, epochs) = (Arc::clone(&source), begin.clone(), epochs.again());
        async move {
            let what = source.again().await?;
            let mut shard = empty(&what, number);
            replay(&what, None, async |_, group| {
                shard.apply(group);
                Ok::<(), ReplayError>(())
            })
            .await?;
            Ok(begin(shard, &epochs))
        }
    })
}

/// A shard with its files and without rows.
fn empty(what: &Replay, number: usize) -> Shard {
    let files = ShardFiles::of(&what.index, number, what.shards);
    let dropped = removed_tables(&what.catalog);
    Shard::new(number, what.catalog.gen1_duration_ns, dropped, files)
}
