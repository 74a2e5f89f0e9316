//! How actors of a simulated server come back after a panic: as those of a real one.

use super::server::NODE;
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

/// What a reading of the log needs, for the first life of an actor and for later ones.
pub(super) struct ReplaySource {
    objects: Objects,
    snapshot: Published<CatalogSnapshot>,
    shards: usize,
    only_shard: Option<usize>,
    owner: Owner,
    /// The index as of the start; later lives read it again.
    first_index: Mutex<Option<Arc<FileIndex>>>,
}

impl ReplaySource {
    pub(super) fn new(
        objects: Objects,
        snapshot: Published<CatalogSnapshot>,
        shards: usize,
        only_shard: Option<usize>,
        (owner, index): (&Owner, &Arc<FileIndex>),
    ) -> Self {
        let first_index = Mutex::new(Some(Arc::clone(index)));
        Self { objects, snapshot, shards, only_shard, owner: owner.clone(), first_index }
    }

    pub(super) async fn get(&self) -> anyhow::Result<Replay> {
        let through = self.only_shard.map(|_| self.owner.confirmed());
        let first = self.first_index.lock().ok().and_then(|mut first| first.take());
        let index = match first {
            Some(index) => index,
            None => Arc::new(index::load(&self.objects, NODE).await?),
        };
        Ok(Replay {
            objects: self.objects.clone(),
            node: NODE.to_owned(),
            index,
            catalog: self.snapshot.load(),
            shards: self.shards,
            only_shard: self.only_shard,
            through,
            concurrency: 4,
            fail_on_damage: true,
        })
    }
}

/// What later lives of the catalog are opened with.
pub(super) struct CatalogSource {
    pub(super) config: CatalogConfig,
    pub(super) publisher: Publisher<CatalogSnapshot>,
}

pub(super) fn catalog_factory(source: CatalogSource, first: Catalog) -> Factory<Catalog> {
    let first = Mutex::new(Some(first));
    let source = Arc::new(source);
    Arc::new(move || {
        let first = first.lock().ok().and_then(|mut first| first.take());
        let source = Arc::clone(&source);
        async move {
            let publisher = source.publisher.again();
            match first {
                Some(catalog) => Ok(catalog),
                None => Ok(Catalog::open(&source.config, Some(publisher)).await?.catalog),
            }
        }
        .boxed_local()
    })
}

/// A shard is born without rows, because the log feeds it; its later lives read theirs themselves.
pub(super) fn store_factory(source: Arc<ReplaySource>, shard: usize) -> Factory<Store> {
    let born = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let again = born.swap(true, Ordering::Relaxed);
        let source = Arc::clone(&source);
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
            Ok(store)
        }
        .boxed_local()
    })
}
