//! The actors that hold data: shards of the store, the log, snapshots, the cache of files.

use super::Start;
use super::lives::{ReplaySource, store_lives};
use crate::cache_directory::CacheFeeds;
use crate::catalog::Catalog;
use crate::compact::{Compact, CompactConfig};
use crate::index::{Index, IndexConfig};
use crate::parquet_cache::{DECODES_MAX, ParquetCache, ParquetCacheConfig};
use crate::persist::{Persist, PersistConfig};
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pools::Pool;
use crate::runtime::published::Published;
use crate::runtime::shared::Shared;
use crate::store::{Shard, StoreShards};
use crate::wal::{Wal, WalConfig};
use protocols::catalog::CatalogSnapshot;
use protocols::limits;
use protocols::messages::catalog::CatchUp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Start<'_> {
    fn replay_source(
        &self,
        snapshot: &Published<CatalogSnapshot>,
        shards: usize,
        only_shard: Option<usize>,
    ) -> ReplaySource {
        ReplaySource {
            objects: self.objects.clone(),
            node: self.config.node_id.clone(),
            snapshot: snapshot.clone(),
            shards,
            only_shard,
            owner: self.owner.clone(),
            concurrency: self.config.wal_replay_concurrency,
            fail_on_damage: self.config.wal_replay_fail_on_error,
        }
    }

    pub(super) async fn parquet_cache(&mut self) -> anyhow::Result<Option<Mailbox<ParquetCache>>> {
        let Some(options) = self.config.parquet_cache else { return Ok(None) };
        let cache = ParquetCacheConfig {
            objects: self.objects.clone(),
            options,
            clock: self.clock.clone(),
            pool: Pool::background("decode", 1, DECODES_MAX)?,
            held: self.held.clone(),
        };
        let config = ActorConfig {
            kind: "parquet-cache",
            name: "parquet-cache".to_owned(),
            messages_max: limits::PARQUET_CACHE_MAILBOX_MESSAGES,
            bytes_max: limits::PARQUET_CACHE_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let lives = Lives::of(move || Ok(ParquetCache::new(cache.clone())));
        self.birth(config, &mailbox, lives).await?;
        Ok(Some(mailbox))
    }

    pub(super) async fn stores(
        &mut self,
        snapshot: &Published<CatalogSnapshot>,
    ) -> anyhow::Result<StoreShards> {
        let shards = self.config.io_threads;
        let mut mailboxes = Vec::with_capacity(shards);
        let open: Vec<Shared<Shard>> = (0..shards).map(|_| Shared::default()).collect();
        for (shard, open) in open.iter().enumerate() {
            let config = ActorConfig {
                kind: "store",
                name: format!("store-{shard}"),
                messages_max: limits::STORE_MAILBOX_MESSAGES,
                bytes_max: limits::STORE_MAILBOX_BYTES,
                vital: true,
            };
            let mailbox = Guardian::mailbox(&config);
            let source = self.replay_source(snapshot, shards, Some(shard));
            let (index, caches) = (Arc::clone(&self.index), CacheFeeds::new(self.caches.clone()));
            let lives = store_lives(source, index, (shard, open.clone()), caches);
            self.birth(config, &mailbox, lives).await?;
            mailboxes.push(mailbox);
        }
        Ok(StoreShards::new(mailboxes).laid_open(open))
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
            persist: persist.clone().into(),
            snapshot_size: self.config.wal_snapshot_size,
            gen1_duration_ns: snapshot.load().gen1_duration_ns,
            force_snapshot_bytes: self.config.force_snapshot_bytes,
            waiting_writes_max: self.config.wal_writes_max,
            waiting_bytes_max: self.config.wal_bytes_max,
            held_bytes_max: self.config.buffer_bytes_max,
            triggers: Some(Arc::new(self.plugins.feed.clone())),
            clock: self.clock.clone(),
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
        let source = Arc::new(self.replay_source(snapshot, stores.all().len(), None));
        let first = {
            let (wal, source, catalog) = (wal.clone(), Arc::clone(&source), catalog.clone());
            let index = Arc::clone(&self.index);
            let what = async move || {
                catch_up(&catalog).await?;
                Ok(source.with(Arc::clone(&index)))
            };
            async move { Wal::open(wal, what).await }
        };
        let catalog = catalog.clone();
        let lives = Lives::begun_by(first, move || {
            let (wal, source, catalog) = (wal.clone(), Arc::clone(&source), catalog.clone());
            let what = async move || {
                catch_up(&catalog).await?;
                source.again().await
            };
            async move { Wal::open(wal, what).await }
        });
        self.birth(config, &mailbox, lives).await?;
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

    pub(super) async fn index(
        &mut self,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<Mailbox<Index>> {
        let index = IndexConfig {
            node: self.config.node_id.clone(),
            owner: self.owner.clone(),
            objects: self.objects.clone(),
            stores: stores.clone(),
            catalog: snapshot.clone(),
            cache,
            clock: self.clock.clone(),
            fatal: self.fatal.clone(),
            object_grace: self.config.object_grace,
            cleanup_wait: match &self.config.compaction {
                Some(compaction) => compaction.cleanup_wait,
                None => self.config.object_grace,
            },
            retention_check_interval: self.config.retention_check_interval,
        };
        let config = ActorConfig {
            kind: "index",
            name: "index".to_owned(),
            messages_max: limits::INDEX_MAILBOX_MESSAGES,
            bytes_max: limits::INDEX_MAILBOX_BYTES,
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        let lives = Lives::alike(move || Index::open(index.clone()));
        self.birth(config, &mailbox, lives).await?;
        Ok(mailbox)
    }

    pub(super) async fn persist(
        &mut self,
        (config, mailbox): (ActorConfig, Mailbox<Persist>),
        (stores, wal, index): (&StoreShards, &Mailbox<Wal>, &Mailbox<Index>),
        snapshot: &Published<CatalogSnapshot>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<Mailbox<Persist>> {
        let persist = PersistConfig {
            node: self.config.node_id.clone(),
            objects: self.objects.clone(),
            stores: stores.clone(),
            wal: wal.clone(),
            index: index.clone(),
            catalog: snapshot.clone(),
            cache,
            triggers: Some(self.plugins.feed.clone()),
            concurrency: self.config.snapshot_concurrency,
            bytes_max: self.config.snapshot_bytes_max,
            wal_files_kept: self.config.wal_files_kept,
            wal_delete_delay: self.config.wal_delete_delay,
        };
        let lives = Lives::alike(move || Persist::open(persist.clone()));
        self.birth(config, &mailbox, lives).await?;
        Ok(mailbox)
    }
}

impl Start<'_> {
    /// The compaction, unless there is to be none.
    pub(super) async fn compact(
        &mut self,
        index: &Mailbox<Index>,
        snapshot: &Published<CatalogSnapshot>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<Option<Mailbox<Compact>>> {
        let Some(options) = self.config.compaction.clone() else { return Ok(None) };
        let compact = CompactConfig {
            node: self.config.node_id.clone(),
            objects: self.objects.clone(),
            index: index.clone(),
            cache,
            catalog: snapshot.clone(),
            clock: self.clock.clone(),
            options,
        };
        let config = ActorConfig {
            kind: "compact",
            name: "compact".to_owned(),
            messages_max: limits::COMPACT_MAILBOX_MESSAGES,
            bytes_max: limits::COMPACT_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let history = self.compactions.again();
        let lives = Lives::of(move || Compact::new(compact.clone(), history.again()));
        self.birth(config, &mailbox, lives).await?;
        Ok(Some(mailbox))
    }
}

/// Has the catalog read what a former process may have written last.
async fn catch_up(catalog: &Mailbox<Catalog>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_millis(limits::ADMIN_DEADLINE_MS);
    catalog.ask_from_edge(CatchUp, deadline).await??;
    Ok(())
}
