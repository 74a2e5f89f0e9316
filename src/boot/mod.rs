//! Start-up: the one place that creates actors and wires them, lowest rank first.

mod caches;
mod options;
mod storage;

use crate::config::{Config, as_nanos};
use crate::housekeeping;
use crate::http::state::ServerState;
use actix_web::web;
use actors::cache_kit::CacheDirectory;
use actors::catalog::{Catalog, CatalogConfig, CatalogLimits, Opened};
use actors::ingest::{Ingest, IngestConfig};
use actors::parquet_cache::ParquetCache;
use actors::persist::Persist;
use actors::persist::index::IndexLog;
use actors::query::{Query, QueryConfig, QueryRuntime, ServerFacts};
use actors::runtime::actor::Service;
use actors::runtime::clock::Clock;
use actors::runtime::fatal::Fatal;
use actors::runtime::guardian::{ActorConfig, Birth, Factory, Guardian};
use actors::runtime::mailbox::Mailbox;
use actors::runtime::mailbox_pool::MailboxPool;
use actors::runtime::objects::Objects;
use actors::runtime::objects::options::StoreOptions;
use actors::runtime::published::{Published, Publisher};
use actors::runtime::ticker::{self, Ticker};
use actors::store::StoreShards;
use actors::supervisor::Supervisor;
use actors::wal::{Owner, Wal};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use protocols::file_index::FileIndex;
use protocols::limits;
use protocols::messages::parquet_cache::PruneDue;
use protocols::messages::persist::{CleanUp, SnapshotDue};
use protocols::messages::wal::PeriodDue;
use protocols::schema::CatalogSnapshot;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// How often `Persist` looks for work that nobody told it of.
const PERSIST_INTERVAL: Duration = Duration::from_secs(1);

/// All actors of a running server.
pub struct Actors {
    /// What HTTP handlers are given.
    pub state: web::Data<ServerState>,
    /// The log, for the orderly end.
    pub wal: Mailbox<Wal>,
    /// Snapshots, for the orderly end.
    pub persist: Mailbox<Persist>,
    /// The catalog, for the orderly end.
    pub catalog: Mailbox<Catalog>,
    /// Raised when the process has to end.
    pub fatal: Fatal,
    /// Set to true when the server begins to stop.
    pub stopping: watch::Sender<bool>,
    /// The actors in the order in which they were born.
    pub births: Vec<Birth>,
    /// Regular work; ends when dropped.
    pub tickers: (Vec<Ticker>, housekeeping::Housekeeping),
}

/// What the steps of the start-up share.
struct Boot<'a> {
    config: &'a Config,
    objects: Objects,
    /// The claim of this process on the log.
    owner: Owner,
    /// The Parquet files as of the start.
    index: Arc<FileIndex>,
    clock: Clock,
    fatal: Fatal,
    guardian: Guardian,
    births: Vec<Birth>,
    /// The caches that run.
    caches: CacheDirectory,
}

/// Starts every actor. Returns once the log was replayed and everything is ready to serve.
///
/// # Errors
/// When the store cannot be opened, read or written, or holds damage that is to stop the start.
pub async fn boot(config: &Config, metrics: PrometheusHandle) -> anyhow::Result<Actors> {
    let fatal = Fatal::default();
    let clock = Clock::System;
    let objects = Objects::open(&StoreOptions {
        storage: config.storage.clone(),
        file_store_fsync: config.file_store_fsync,
        allow_unfenced: config.allow_unfenced,
        node: config.node_id.clone(),
    })
    .await?;
    // First the claims, then the reading: a former process can neither acknowledge rows nor finish
    // a snapshot any more that the reading would miss.
    let owner = Owner::take(&objects, &config.node_id).await?;
    let index = IndexLog::take_over(&objects, &config.node_id, &owner).await?;
    let index = Arc::new(index.index().clone());
    let (directory, running_caches) = caches::directory();
    let mut boot = Boot {
        config,
        objects,
        owner,
        index,
        clock: clock.clone(),
        fatal: fatal.clone(),
        guardian: Guardian::new(fatal.clone()),
        births: vec![],
        caches: running_caches,
    };

    let supervisor = boot.supervisor().await?;
    boot.guardian = boot.guardian.reporting_to(supervisor.clone());
    let (catalog, snapshot) = boot.catalog().await?;
    let cache = boot.parquet_cache().await?;
    let stores = boot.stores(&snapshot).await?;
    let persist = boot.persist_mailbox();
    let wal = boot.wal(&catalog, &stores, &snapshot, &persist.1).await?;
    let persist = boot.persist(persist, &stores, &snapshot, &wal, cache.clone()).await?;
    let ingest = boot.ingest(&catalog, &snapshot, &wal).await?;
    let query = boot.query(&stores, &snapshot, cache.clone()).await?;
    let caches = boot.cache_keeper(&snapshot, directory, &query).await?;

    let (stopping, on_stop) = watch::channel(false);
    let state = web::Data::new(ServerState {
        ingest,
        catalog: catalog.clone(),
        snapshot: snapshot.clone(),
        caches: caches.clone(),
        query,
        supervisor,
        metrics,
        max_body_bytes: config.body_bytes_max,
        without_auth: config.without_auth,
        process_id: Uuid::new_v4(),
        clock,
        stopping: on_stop,
    });
    let mut tickers = vec![
        ticker::start(wal.clone(), config.wal_flush_interval, || PeriodDue),
        ticker::start(persist.clone(), PERSIST_INTERVAL, || SnapshotDue),
        ticker::start(persist.clone(), PERSIST_INTERVAL, || CleanUp),
    ];
    tickers.extend(boot.cache_tickers(&caches));
    if let (Some(cache), Some(options)) = (cache, &config.parquet_cache) {
        tickers.push(ticker::start(cache, options.prune_interval, || PruneDue));
    }
    let housekeeping = housekeeping::start(catalog.clone(), snapshot, stores);
    let (births, tickers) = (boot.births, (tickers, housekeeping));
    Ok(Actors { state, wal, persist, catalog, fatal, stopping, births, tickers })
}

impl Boot<'_> {
    async fn birth<A: Service>(
        &mut self,
        config: ActorConfig,
        mailbox: &Mailbox<A>,
        factory: Factory<A>,
    ) -> anyhow::Result<()> {
        let born = self.guardian.birth(config, mailbox.clone(), factory).await?;
        self.births.push(born);
        Ok(())
    }

    async fn supervisor(&mut self) -> anyhow::Result<Mailbox<Supervisor>> {
        let config = ActorConfig {
            kind: "supervisor",
            name: "supervisor".to_owned(),
            messages_max: limits::SUPERVISOR_MAILBOX_MESSAGES,
            bytes_max: limits::SUPERVISOR_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let factory: Factory<Supervisor> =
            Arc::new(|| async { Ok(Supervisor::default()) }.boxed_local());
        self.birth(config, &mailbox, factory).await?;
        Ok(mailbox)
    }

    async fn catalog(&mut self) -> anyhow::Result<(Mailbox<Catalog>, Published<CatalogSnapshot>)> {
        let limits = self.config.schema_limits;
        let catalog = CatalogConfig {
            node_id: self.config.node_id.clone(),
            objects: self.objects.clone(),
            gen1_duration_ns: self.config.gen1_duration_ns,
            hard_delete_default_ns: as_nanos(self.config.hard_delete_default),
            delete_grace_ns: as_nanos(self.config.delete_grace),
            limits: CatalogLimits {
                databases: self.config.databases_max,
                tables: limits.tables,
                columns_per_table: limits.columns_per_table,
                tag_columns_per_table: limits.tag_columns_per_table,
                last_cache_count: self.config.last_cache_count_max,
            },
            clock: self.clock.clone(),
        };
        let Opened { catalog: first, snapshot, publisher_again } =
            Catalog::open(&catalog, None).await?;
        let config = ActorConfig {
            kind: "catalog",
            name: "catalog".to_owned(),
            messages_max: limits::CATALOG_MAILBOX_MESSAGES,
            bytes_max: limits::CATALOG_MAILBOX_BYTES,
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        self.birth(config, &mailbox, catalog_factory(catalog, first, publisher_again)).await?;
        Ok((mailbox, snapshot))
    }

    async fn ingest(
        &mut self,
        catalog: &Mailbox<Catalog>,
        snapshot: &Published<CatalogSnapshot>,
        wal: &Mailbox<Wal>,
    ) -> anyhow::Result<MailboxPool<Ingest>> {
        let ingest = IngestConfig {
            catalog: catalog.clone(),
            snapshot: snapshot.clone(),
            wal: wal.clone(),
            limits: self.config.schema_limits,
            immutable_tags: self.config.immutable_tags,
            write_window: self.config.write_window,
        };
        let mut members = Vec::with_capacity(self.config.io_threads);
        for member in 0..self.config.io_threads {
            let config = ActorConfig {
                kind: "ingest",
                name: format!("ingest-{member}"),
                messages_max: limits::INGEST_MAILBOX_MESSAGES,
                bytes_max: self.config.ingest_bytes_max,
                vital: true,
            };
            let mailbox = Guardian::mailbox(&config);
            let ingest = ingest.clone();
            let factory: Factory<Ingest> = Arc::new(move || {
                let ingest = ingest.clone();
                async move { Ok(Ingest::new(ingest)) }.boxed_local()
            });
            self.birth(config, &mailbox, factory).await?;
            members.push(mailbox);
        }
        Ok(MailboxPool::new(members))
    }

    /// What the server says of itself.
    fn facts(&self) -> ServerFacts {
        ServerFacts {
            roster: self.guardian.roster(),
            instance: Uuid::new_v4(),
            started_at_ns: self.clock.now_ns(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            options: Some(options::given(std::env::args().skip(1))),
        }
    }

    async fn query(
        &mut self,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        cache: Option<Mailbox<ParquetCache>>,
    ) -> anyhow::Result<Mailbox<Query>> {
        let query = QueryConfig {
            node: self.config.node_id.clone(),
            objects: self.objects.clone(),
            cache,
            query_file_limit: self.config.query_file_limit,
            write_window: self.config.write_window,
            catalog: snapshot.clone(),
            stores: stores.clone(),
            clock: self.clock.clone(),
            threads: self.config.query_threads,
            memory_pool_bytes: self.config.query_bytes_max,
            timeout: self.config.query_timeout,
            settings: self.config.query_settings.clone(),
            max_concurrent: self.config.queries_max,
            log_entries_max: self.config.query_log_entries_max,
            server: Arc::new(self.facts()),
        };
        let runtime = QueryRuntime::new(self.config.query_threads)?;
        let config = ActorConfig {
            kind: "query",
            name: "query".to_owned(),
            messages_max: limits::QUERY_MAILBOX_MESSAGES,
            bytes_max: limits::QUERY_MAILBOX_BYTES,
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        let caches = self.caches.clone();
        let factory: Factory<Query> = Arc::new(move || {
            let (query, runtime) = (query.clone(), runtime.clone());
            let caches = caches.clone();
            async move { Ok(Query::new(query, runtime)?.with_caches(caches)) }.boxed_local()
        });
        self.birth(config, &mailbox, factory).await?;
        Ok(mailbox)
    }
}

/// The catalog was opened before its birth, because others need what it publishes; its later
/// lives open it again.
fn catalog_factory(
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
