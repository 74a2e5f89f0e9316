//! What actors are made from: in their first life and after each death.

use crate::cache_kit::CacheFeeds;
use crate::catalog::{Catalog, CatalogConfig, removed_tables};
use crate::persist::index;
use crate::runtime::guardian::Factory;
use crate::runtime::objects::Objects;
use crate::runtime::published::{Published, Publisher};
use crate::store::{ShardFiles, Store};
use crate::wal::{Owner, Replay, ReplayError, replay};
use futures::FutureExt;
use protocols::file_index::FileIndex;
use protocols::schema::CatalogSnapshot;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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
    /// The index as of the start: all actors begin with the same. Later lives read it again.
    pub(super) first_index: Mutex<Option<Arc<FileIndex>>>,
}

impl ReplaySource {
    pub(super) async fn get(&self) -> anyhow::Result<Replay> {
        // A shard takes no more from the log than the log's writer vouches for.
        let through = self.only_shard.map(|_| self.owner.confirmed());
        let first = self.first_index.lock().ok().and_then(|mut first| first.take());
        let index = match first {
            Some(index) => index,
            None => Arc::new(index::load(&self.objects, &self.node).await?),
        };
        Ok(Replay {
            objects: self.objects.clone(),
            node: self.node.clone(),
            index,
            catalog: self.snapshot.load(),
            shards: self.shards,
            only_shard: self.only_shard,
            through,
            concurrency: self.concurrency,
            fail_on_damage: self.fail_on_damage,
        })
    }
}

/// The catalog was opened before its birth, because others need what it publishes; its later
/// lives open it again.
pub(super) fn catalog_factory(
    config: CatalogConfig,
    first: Catalog,
    publisher: Publisher<CatalogSnapshot>,
) -> Factory<Catalog> {
    let first = Mutex::new(Some(first));
    let (config, publisher) = (Arc::new(config), Arc::new(publisher));
    Arc::new(move || {
        let first = first.lock().ok().and_then(|mut first| first.take());
        let (config, publisher) = (Arc::clone(&config), Arc::clone(&publisher));
        async move {
            match first {
                Some(catalog) => Ok(catalog),
                None => Ok(Catalog::open(&config, Some(publisher.again())).await?.catalog),
            }
        }
        .boxed_local()
    })
}

/// A shard is born with files and without rows, because the log feeds it at its own start; its
/// later lives read their rows back themselves.
pub(super) fn store_factory(
    source: Arc<ReplaySource>,
    shard: usize,
    caches: CacheFeeds,
) -> Factory<Store> {
    let born = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let again = born.swap(true, Ordering::Relaxed);
        let (source, caches) = (Arc::clone(&source), caches.clone());
        async move {
            let what = source.get().await?;
            let catalog = &what.catalog;
            let files = ShardFiles::of(&what.index, shard, what.shards);
            let dropped = removed_tables(catalog);
            let mut store = Store::new(shard, catalog.gen1_duration_ns, dropped, files);
            if again {
                replay(&what, None, async |_, group| {
                    store.apply(group);
                    Ok::<(), ReplayError>(())
                })
                .await?;
            }
            Ok(store.with_caches(caches))
        }
        .boxed_local()
    })
}
