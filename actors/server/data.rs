//! The actors that hold data: shards of the store, the log, snapshots, the cache of files.

use super::Start;
use super::lives::{ReplaySource, store_factory};
use crate::cache_kit::CacheFeeds;
use crate::catalog::Catalog;
use crate::parquet_cache::{DECODES_MAX, ParquetCache, ParquetCacheConfig};
use crate::persist::{Persist, PersistConfig};
use crate::runtime::guardian::{ActorConfig, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pools::Pool;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use crate::wal::{Wal, WalConfig};
use futures::FutureExt;
use protocols::limits;
use protocols::messages::catalog::CatchUp;
use protocols::schema::CatalogSnapshot;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

impl Start<'_> {
    fn replay_source(
        &self,
        snapshot: &Published<CatalogSnapshot>,
        shards: usize,
        only_shard: Option<usize>,
    ) -> Arc<ReplaySource> {
        Arc::new(ReplaySource {
            objects: self.objects.clone(),
            node: self.config.node_id.clone(),
            snapshot: snapshot.clone(),
            shards,
            only_shard,
            owner: self.owner.clone(),
            concurrency: self.config.wal_replay_concurrency,
            fail_on_damage: self.config.wal_replay_fail_on_error,
            first_index: Mutex::new(Some(Arc::clone(&self.index))),
        })
    }

    pub(super) async fn parquet_cache(&mut self) -> anyhow::Result<Option<Mailbox<ParquetCache>>> {
        let Some(options) = self.config.parquet_cache else { return Ok(None) };
        let cache = ParquetCacheConfig {
            objects: self.objects.clone(),
            bytes_max: options.bytes_max,
            prune_fraction: options.prune_fraction,
            query_path_duration: options.query_path_duration,
            clock: self.clock.clone(),
            pool: Pool::background("decode", 1, DECODES_MAX)?,
        };
        let config = ActorConfig {
            kind: "parquet-cache",
            name: "parquet-cache".to_owned(),
            messages_max: limits::PARQUET_CACHE_MAILBOX_MESSAGES,
            bytes_max: limits::PARQUET_CACHE_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let factory: Factory<ParquetCache> = Arc::new(move || {
            let cache = cache.clone();
            async move { Ok(ParquetCache::new(cache)) }.boxed_local()
        });
        self.birth(config, &mailbox, factory).await?;
        Ok(Some(mailbox))
    }

    pub(super) async fn stores(
        &mut self,
        snapshot: &Published<CatalogSnapshot>,
    ) -> anyhow::Result<StoreShards> {
        let shards = self.config.io_threads;
        let mut mailboxes = Vec::with_capacity(shards);
        for shard in 0..shards {
            let config = ActorConfig {
                kind: "store",
                name: format!("store-{shard}"),
                messages_max: limits::STORE_MAILBOX_MESSAGES,
                bytes_max: limits::STORE_MAILBOX_BYTES,
                vital: true,
            };
            let mailbox = Guardian::mailbox(&config);
            let source = self.replay_source(snapshot, shards, Some(shard));
            let factory = store_factory(source, shard, CacheFeeds::new(self.caches.clone()));
            self.birth(config, &mailbox, factory).await?;
            mailboxes.push(mailbox);
        }
        Ok(StoreShards::new(mailboxes))
    }

    pub(super) async fn wal(
        &mut self,
        catalog: &Mailbox<Catalog>,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        persist: &Mailbox<Persist>,
    ) -> anyhow::Result<Mailbox<Wal>> {
        let wal = WalConfig {
            owner: self.owner.clone(),
            above_file: self.index.wal_through(),
            put_by_period: self.objects.remote,
            stores: stores.clone(),
            persist: persist.clone(),
            snapshot_size: self.config.wal_snapshot_size,
            gen1_duration_ns: snapshot.load().gen1_duration_ns,
            force_snapshot_bytes: self.config.force_snapshot_bytes,
            waiting_writes_max: self.config.wal_writes_max,
            waiting_bytes_max: self.config.wal_bytes_max,
            held_bytes_max: self.config.buffer_bytes_max,
            triggers: Some(self.plugins.feed.clone()),
            fatal: self.fatal.clone(),
            pulse: self.pulses.wal.clone(),
        };
        let config = ActorConfig {
            kind: "wal",
            name: "wal".to_owned(),
            // The log itself refuses at its configured bounds, with a text that says so; its
            // mailbox holds those writes, the ones under way, and some messages of its own.
            messages_max: self.config.wal_writes_max.saturating_mul(2).saturating_add(1024),
            bytes_max: self.config.wal_bytes_max.saturating_mul(2),
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        let source = self.replay_source(snapshot, stores.all().len(), None);
        let catalog = catalog.clone();
        let factory: Factory<Wal> = Arc::new(move || {
            let (wal, source) = (wal.clone(), Arc::clone(&source));
            let catalog = catalog.clone();
            let what = async move || {
                let deadline = Instant::now() + Duration::from_millis(limits::ADMIN_DEADLINE_MS);
                catalog.ask_from_edge(CatchUp, deadline).await??;
                source.get().await
            };
            async move { Wal::open(wal, what).await }.boxed_local()
        });
        self.birth(config, &mailbox, factory).await?;
        Ok(mailbox)
    }

    /// The address of `Persist`, which the log has to know before `Persist` is born.
    pub(super) fn persist_mailbox(&self) -> (ActorConfig, Mailbox<Persist>) {
        let config = ActorConfig {
            kind: "persist",
            name: "persist".to_owned(),
            messages_max: limits::PERSIST_MAILBOX_MESSAGES,
            bytes_max: limits::PERSIST_MAILBOX_BYTES,
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        (config, mailbox)
    }

    pub(super) async fn persist(
        &mut self,
        (config, mailbox): (ActorConfig, Mailbox<Persist>),
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        wal: &Mailbox<Wal>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<Mailbox<Persist>> {
        let persist = PersistConfig {
            owner: self.owner.clone(),
            node: self.config.node_id.clone(),
            objects: self.objects.clone(),
            stores: stores.clone(),
            wal: wal.clone(),
            catalog: snapshot.clone(),
            cache,
            clock: self.clock.clone(),
            triggers: Some(self.plugins.feed.clone()),
            fatal: self.fatal.clone(),
            concurrency: self.config.snapshot_concurrency,
            bytes_max: self.config.snapshot_bytes_max,
            wal_files_kept: self.config.wal_files_kept,
            wal_delete_delay: self.config.wal_delete_delay,
            object_grace: self.config.object_grace,
            retention_check_interval: self.config.retention_check_interval,
        };
        let factory: Factory<Persist> = Arc::new(move || {
            let persist = persist.clone();
            async move { Persist::open(persist).await }.boxed_local()
        });
        self.birth(config, &mailbox, factory).await?;
        Ok(mailbox)
    }
}
