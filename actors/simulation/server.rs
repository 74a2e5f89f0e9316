//! A server without its sockets: the actors of a real one, wired in the same order.

use super::server_parts::{CatalogSource, ReplaySource, catalog_factory, store_factory};
use crate::catalog::{Catalog, CatalogConfig, CatalogLimits, Opened, removed_tables};
use crate::ingest::{Ingest, IngestConfig};
use crate::parquet_cache::{DECODES_MAX, ParquetCache, ParquetCacheConfig};
use crate::persist::index::IndexLog;
use crate::persist::{Persist, PersistConfig};
use crate::query::{Query, QueryConfig, QueryRuntime};
use crate::runtime::actor::Service;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Birth, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox_pool::MailboxPool;
use crate::runtime::objects::Objects;
use crate::runtime::pools::Pool;
use crate::runtime::published::Published;
use crate::runtime::ticker::{self, Ticker};
use crate::store::StoreShards;
use crate::supervisor::Supervisor;
use crate::wal::{Owner, Wal, WalConfig};
use futures::FutureExt;
use protocols::file_index::FileIndex;
use protocols::ids::TableId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::line_protocol::SchemaLimits;
use protocols::messages::catalog::{CatchUp, NodeStopped, SweepDeleted};
use protocols::messages::parquet_cache::PruneDue;
use protocols::messages::persist::{CleanUp, FinishSnapshot, SnapshotDue};
use protocols::messages::store::DropTables;
use protocols::messages::wal::{Drain, PeriodDue};
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Messages and bytes that a mailbox takes: far more than a run sends.
const MESSAGES_MAX: usize = 4_096;
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often deleted tables, snapshots and files are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it keeps its state.
    pub objects: Objects,
    /// Its wall clock.
    pub clock: Clock,
    /// Shards of the store, and members of the ingest pool.
    pub shards: usize,
    /// Width of a chunk.
    pub gen1_ns: i64,
    /// Length of a WAL period.
    pub flush_interval: Duration,
    /// Periods of a snapshot.
    pub snapshot_size: usize,
    /// Bytes of rows above which everything is taken as a snapshot.
    pub force_snapshot_bytes: usize,
    /// Bytes of rows above which writes are refused.
    pub held_bytes_max: usize,
    /// WAL files that are kept although nobody needs them.
    pub wal_files_kept: u64,
    /// How long a file of the log stays after it has become unnecessary.
    pub wal_delete_delay: Duration,
    /// Bytes of the cache of files, if there is one.
    pub cache_bytes: Option<usize>,
}

/// Name of the node.
pub const NODE: &str = "node";

/// The addresses of a running server.
#[derive(Clone)]
pub struct Server {
    /// Takes writes.
    pub ingest: MailboxPool<Ingest>,
    /// Takes changes of the schema.
    pub catalog: Mailbox<Catalog>,
    /// Takes queries.
    pub query: Mailbox<Query>,
    wal: Mailbox<Wal>,
    persist: Mailbox<Persist>,
}

/// What has to be kept while the server runs.
pub struct Running {
    /// Its addresses.
    pub server: Server,
    births: Vec<Birth>,
    tickers: Vec<Ticker>,
}

impl Running {
    /// Ends the server in good order. True when everything that was taken is durable, and no
    /// snapshot is under way any more.
    pub async fn stop(self) -> bool {
        let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
        let drained = self.server.wal.ask_from_edge(Drain, deadline).await;
        let finished = self.server.persist.ask_from_edge(FinishSnapshot, deadline).await;
        drop(self.tickers);
        self.server.catalog.ask_from_edge(NodeStopped, deadline).await.ok();
        for birth in self.births.into_iter().rev() {
            birth.end().await;
        }
        matches!(drained, Ok(Ok(()))) && finished.is_ok()
    }
}

struct Boot {
    options: Options,
    owner: Owner,
    index: Arc<FileIndex>,
    fatal: Fatal,
    guardian: Guardian,
    births: Vec<Birth>,
}

/// Starts every actor on this thread.
///
/// # Errors
/// As at the start of a real server.
pub async fn boot(options: Options, fatal: Fatal) -> anyhow::Result<Running> {
    let owner = Owner::take(&options.objects, NODE).await?;
    let index = IndexLog::take_over(&options.objects, NODE, &owner).await?;
    let index = Arc::new(index.index().clone());
    let guardian = Guardian::new(fatal.clone());
    let mut boot = Boot { options, owner, index, fatal, guardian, births: vec![] };
    let supervisor = boot
        .birth(
            "supervisor",
            "supervisor",
            Arc::new(|| async { Ok(Supervisor::default()) }.boxed_local()),
        )
        .await?;
    boot.guardian = boot.guardian.reporting_to(supervisor);
    let (catalog, snapshot) = boot.catalog().await?;
    let cache = boot.parquet_cache().await?;
    let stores = boot.stores(&snapshot).await?;
    let persist_config = actor_config("persist", "persist");
    let persist = Guardian::mailbox(&persist_config);
    let wal = boot.wal(&catalog, &stores, &snapshot, &persist).await?;
    boot.persist((persist_config, &persist), &stores, &snapshot, &wal, cache.clone()).await?;
    let ingest = boot.ingest(&catalog, &snapshot, &wal).await?;
    let query = boot.query(&stores, &snapshot, cache.clone()).await?;

    let mut tickers = vec![
        ticker::start(wal.clone(), boot.options.flush_interval, || PeriodDue),
        ticker::start(persist.clone(), HOUSEKEEPING, || SnapshotDue),
        ticker::start(persist.clone(), HOUSEKEEPING, || CleanUp),
    ];
    tickers.extend(cache.map(|cache| ticker::start(cache, HOUSEKEEPING, || PruneDue)));
    actix_rt::spawn(sweep(catalog.clone(), snapshot, stores));
    let server = Server { ingest, catalog, query, wal, persist };
    Ok(Running { server, births: boot.births, tickers })
}

fn actor_config(kind: &'static str, name: &str) -> ActorConfig {
    let (messages_max, bytes_max) = (MESSAGES_MAX, BYTES_MAX);
    let vital = !matches!(kind, "supervisor" | "parquet-cache");
    ActorConfig { kind, name: name.to_owned(), messages_max, bytes_max, vital }
}

/// Removes the rows of deleted tables when their time has come.
async fn sweep(
    catalog: Mailbox<Catalog>,
    snapshot: Published<CatalogSnapshot>,
    stores: StoreShards,
) {
    let deadline = || Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    let mut dropped: Vec<TableId> = removed_tables(&snapshot.load());
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        if !matches!(catalog.ask_from_edge(SweepDeleted, deadline()).await, Ok(Ok(_))) {
            continue;
        }
        let mut new = removed_tables(&snapshot.load());
        new.retain(|table| !dropped.contains(table));
        new.sort_unstable();
        let mut done = true;
        for shard in stores.all() {
            let ask = DropTables { tables: new.clone() };
            done &= new.is_empty() || shard.ask_from_edge(ask, deadline()).await.is_ok();
        }
        if done {
            dropped.extend(new);
        }
    }
}

impl Boot {
    async fn birth<A: Service>(
        &mut self,
        kind: &'static str,
        name: &str,
        factory: Factory<A>,
    ) -> anyhow::Result<Mailbox<A>> {
        let config = actor_config(kind, name);
        let mailbox = Guardian::mailbox(&config);
        self.births.push(self.guardian.birth(config, mailbox.clone(), factory).await?);
        Ok(mailbox)
    }

    async fn catalog(&mut self) -> anyhow::Result<(Mailbox<Catalog>, Published<CatalogSnapshot>)> {
        let config = CatalogConfig {
            node_id: NODE.to_owned(),
            objects: self.options.objects.clone(),
            gen1_duration_ns: self.options.gen1_ns,
            hard_delete_default_ns: 2_000_000_000,
            delete_grace_ns: 1_000_000_000,
            limits: CatalogLimits::default(),
            clock: self.options.clock.clone(),
        };
        let Opened { catalog: first, snapshot, publisher_again } =
            Catalog::open(&config, None).await?;
        let factory = catalog_factory(CatalogSource { config, publisher: publisher_again }, first);
        Ok((self.birth("catalog", "catalog", factory).await?, snapshot))
    }

    async fn parquet_cache(&mut self) -> anyhow::Result<Option<Mailbox<ParquetCache>>> {
        let Some(bytes_max) = self.options.cache_bytes else { return Ok(None) };
        let config = ParquetCacheConfig {
            objects: self.options.objects.clone(),
            bytes_max,
            prune_fraction: 0.2,
            query_path_duration: Duration::from_secs(3600),
            clock: self.options.clock.clone(),
            pool: Pool::background("decode", 1, DECODES_MAX)?,
        };
        let factory: Factory<ParquetCache> = Arc::new(move || {
            let config = config.clone();
            async move { Ok(ParquetCache::new(config)) }.boxed_local()
        });
        self.birth("parquet-cache", "parquet-cache", factory).await.map(Some)
    }

    fn replay_source(
        &self,
        snapshot: &Published<CatalogSnapshot>,
        only_shard: Option<usize>,
    ) -> Arc<ReplaySource> {
        let (objects, shards) = (self.options.objects.clone(), self.options.shards);
        let known = (&self.owner, &self.index);
        Arc::new(ReplaySource::new(objects, snapshot.clone(), shards, only_shard, known))
    }

    async fn stores(
        &mut self,
        snapshot: &Published<CatalogSnapshot>,
    ) -> anyhow::Result<StoreShards> {
        let mut mailboxes = Vec::with_capacity(self.options.shards);
        for shard in 0..self.options.shards {
            let factory = store_factory(self.replay_source(snapshot, Some(shard)), shard);
            mailboxes.push(self.birth("store", &format!("store-{shard}"), factory).await?);
        }
        Ok(StoreShards::new(mailboxes))
    }

    async fn wal(
        &mut self,
        catalog: &Mailbox<Catalog>,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        persist: &Mailbox<Persist>,
    ) -> anyhow::Result<Mailbox<Wal>> {
        let config = WalConfig {
            owner: self.owner.clone(),
            above_file: self.index.wal_through(),
            put_by_period: self.options.objects.remote,
            stores: stores.clone(),
            persist: persist.clone(),
            snapshot_size: self.options.snapshot_size,
            gen1_duration_ns: snapshot.load().gen1_duration_ns,
            force_snapshot_bytes: self.options.force_snapshot_bytes,
            waiting_writes_max: 1_000,
            waiting_bytes_max: BYTES_MAX,
            held_bytes_max: self.options.held_bytes_max,
            fatal: self.fatal.clone(),
        };
        let (source, catalog) = (self.replay_source(snapshot, None), catalog.clone());
        let factory: Factory<Wal> = Arc::new(move || {
            let (config, source, catalog) = (config.clone(), Arc::clone(&source), catalog.clone());
            let what = async move || {
                let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
                catalog.ask_from_edge(CatchUp, deadline).await??;
                source.get().await
            };
            async move { Wal::open(config, what).await }.boxed_local()
        });
        self.birth("wal", "wal", factory).await
    }

    async fn persist(
        &mut self,
        (config, mailbox): (ActorConfig, &Mailbox<Persist>),
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        wal: &Mailbox<Wal>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<()> {
        let persist = PersistConfig {
            node: NODE.to_owned(),
            owner: self.owner.clone(),
            objects: self.options.objects.clone(),
            stores: stores.clone(),
            wal: wal.clone(),
            catalog: snapshot.clone(),
            cache,
            clock: self.options.clock.clone(),
            fatal: self.fatal.clone(),
            concurrency: 2,
            wal_files_kept: self.options.wal_files_kept,
            wal_delete_delay: self.options.wal_delete_delay,
            object_grace: crate::persist::OBJECT_GRACE_MIN,
            retention_check_interval: Duration::from_secs(5),
        };
        let factory: Factory<Persist> = Arc::new(move || {
            let persist = persist.clone();
            async move { Persist::open(persist).await }.boxed_local()
        });
        self.births.push(self.guardian.birth(config, mailbox.clone(), factory).await?);
        Ok(())
    }

    async fn ingest(
        &mut self,
        catalog: &Mailbox<Catalog>,
        snapshot: &Published<CatalogSnapshot>,
        wal: &Mailbox<Wal>,
    ) -> anyhow::Result<MailboxPool<Ingest>> {
        let config = IngestConfig {
            catalog: catalog.clone(),
            snapshot: snapshot.clone(),
            wal: wal.clone(),
            limits: SchemaLimits::default(),
            immutable_tags: false,
            write_window: None,
        };
        let mut members = Vec::with_capacity(self.options.shards);
        for member in 0..self.options.shards {
            let config = config.clone();
            let factory: Factory<Ingest> = Arc::new(move || {
                let config = config.clone();
                async move { Ok(Ingest::new(config)) }.boxed_local()
            });
            members.push(self.birth("ingest", &format!("ingest-{member}"), factory).await?);
        }
        Ok(MailboxPool::new(members))
    }

    async fn query(
        &mut self,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<Mailbox<Query>> {
        let config = QueryConfig {
            node: NODE.to_owned(),
            objects: self.options.objects.clone(),
            cache,
            query_file_limit: None,
            write_window: None,
            catalog: snapshot.clone(),
            stores: stores.clone(),
            clock: self.options.clock.clone(),
            threads: 2,
            memory_pool_bytes: 1 << 30,
            timeout: None,
            settings: vec![],
            max_concurrent: 64,
            log_entries_max: 8,
            server: Arc::default(),
        };
        let runtime = QueryRuntime::new(1)?;
        let factory: Factory<Query> = Arc::new(move || {
            let (config, runtime) = (config.clone(), runtime.clone());
            async move { Query::new(config, runtime) }.boxed_local()
        });
        self.birth("query", "query", factory).await
    }
}
