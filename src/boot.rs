//! Start-up: the one place that creates actors and wires them, lowest rank first.

use crate::config::{Config, Storage, as_nanos};
use crate::housekeeping;
use crate::http::state::ServerState;
use actix_web::web;
use actors::catalog::{Catalog, CatalogConfig, CatalogLimits, Opened, removed_tables};
use actors::ingest::{Ingest, IngestConfig};
use actors::query::{Query, QueryConfig, QueryRuntime};
use actors::runtime::actor::Service;
use actors::runtime::clock::Clock;
use actors::runtime::fatal::Fatal;
use actors::runtime::guardian::{ActorConfig, Birth, Factory, Guardian};
use actors::runtime::mailbox::Mailbox;
use actors::runtime::mailbox_pool::MailboxPool;
use actors::runtime::objects::Objects;
use actors::runtime::published::{Published, Publisher};
use actors::runtime::ticker::{self, Ticker};
use actors::store::{Store, StoreShards};
use actors::supervisor::Supervisor;
use actors::wal::{Replay, ReplayError, Wal, WalConfig, replay};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use protocols::limits;
use protocols::messages::catalog::CatchUp;
use protocols::messages::wal::PeriodDue;
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// All actors of a running server.
pub struct Actors {
    /// What HTTP handlers are given.
    pub state: web::Data<ServerState>,
    /// The log, for the orderly end.
    pub wal: Mailbox<Wal>,
    /// The catalog, for the orderly end.
    pub catalog: Mailbox<Catalog>,
    /// Raised when the process has to end.
    pub fatal: Fatal,
    /// Set to true when the server begins to stop.
    pub stopping: watch::Sender<bool>,
    /// The actors in the order in which they were born.
    pub births: Vec<Birth>,
    /// Regular work; ends when dropped.
    pub tickers: (Ticker, housekeeping::Housekeeping),
}

/// What the steps of the start-up share.
struct Boot<'a> {
    config: &'a Config,
    objects: Objects,
    clock: Clock,
    fatal: Fatal,
    guardian: Guardian,
    births: Vec<Birth>,
}

/// Starts every actor. Returns once the log was replayed and everything is ready to serve.
///
/// # Errors
/// When the store cannot be opened, read or written, or holds damage that is to stop the start.
pub async fn boot(config: &Config, metrics: PrometheusHandle) -> anyhow::Result<Actors> {
    let fatal = Fatal::default();
    let clock = Clock::System;
    let objects = match &config.storage {
        Storage::Memory => Objects::memory(),
        Storage::Directory(root) => Objects::directory(root.clone())?,
    };
    let guardian = Guardian::new(fatal.clone());
    let mut boot = Boot {
        config,
        objects,
        clock: clock.clone(),
        fatal: fatal.clone(),
        guardian,
        births: vec![],
    };

    let supervisor = boot.supervisor().await?;
    boot.guardian = boot.guardian.reporting_to(supervisor.clone());
    let (catalog, snapshot) = boot.catalog().await?;
    let stores = boot.stores(&snapshot).await?;
    let wal = boot.wal(&catalog, &stores, &snapshot).await?;
    let ingest = boot.ingest(&catalog, &snapshot, &wal).await?;
    let query = boot.query(&stores, &snapshot).await?;

    let (stopping, on_stop) = watch::channel(false);
    let state = web::Data::new(ServerState {
        ingest,
        catalog: catalog.clone(),
        snapshot: snapshot.clone(),
        query,
        supervisor,
        metrics,
        max_body_bytes: config.body_bytes_max,
        without_auth: config.without_auth,
        process_id: Uuid::new_v4(),
        clock,
        stopping: on_stop,
    });
    let period = ticker::start(wal.clone(), config.wal_flush_interval, || PeriodDue);
    let housekeeping = housekeeping::start(catalog.clone(), snapshot, stores);
    let (births, tickers) = (boot.births, (period, housekeeping));
    Ok(Actors { state, wal, catalog, fatal, stopping, births, tickers })
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

    async fn stores(
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
            let factory = store_factory(self.replay(snapshot, shards, Some(shard)), shard);
            self.birth(config, &mailbox, factory).await?;
            mailboxes.push(mailbox);
        }
        Ok(StoreShards::new(mailboxes))
    }

    /// What a reading of the log needs to know; made anew each time, for the newest catalog.
    fn replay(
        &self,
        snapshot: &Published<CatalogSnapshot>,
        shards: usize,
        only_shard: Option<usize>,
    ) -> impl Fn() -> Replay + Send + Sync + 'static {
        let objects = self.objects.clone();
        let node = self.config.node_id.clone();
        let concurrency = self.config.wal_replay_concurrency;
        let fail_on_damage = self.config.wal_replay_fail_on_error;
        let snapshot = snapshot.clone();
        move || Replay {
            objects: objects.clone(),
            node: node.clone(),
            catalog: snapshot.load(),
            shards,
            only_shard,
            concurrency,
            fail_on_damage,
        }
    }

    async fn wal(
        &mut self,
        catalog: &Mailbox<Catalog>,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
    ) -> anyhow::Result<Mailbox<Wal>> {
        let wal = WalConfig {
            node: self.config.node_id.clone(),
            objects: self.objects.clone(),
            stores: stores.clone(),
            waiting_writes_max: self.config.wal_writes_max,
            waiting_bytes_max: self.config.wal_bytes_max,
            held_bytes_max: self.config.buffer_bytes_max,
            fatal: self.fatal.clone(),
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
        let replay = Arc::new(self.replay(snapshot, stores.all().len(), None));
        let catalog = catalog.clone();
        let factory: Factory<Wal> = Arc::new(move || {
            let (wal, replay) = (wal.clone(), Arc::clone(&replay));
            let catalog = catalog.clone();
            let what = async move || {
                let deadline = Instant::now() + Duration::from_millis(limits::ADMIN_DEADLINE_MS);
                catalog.ask_from_edge(CatchUp, deadline).await??;
                Ok(replay())
            };
            async move { Wal::open(wal, what).await }.boxed_local()
        });
        self.birth(config, &mailbox, factory).await?;
        Ok(mailbox)
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
                bytes_max: limits::INGEST_MAILBOX_BYTES,
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

    async fn query(
        &mut self,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
    ) -> anyhow::Result<Mailbox<Query>> {
        let query = QueryConfig {
            catalog: snapshot.clone(),
            stores: stores.clone(),
            clock: self.clock.clone(),
            threads: self.config.query_threads,
            memory_pool_bytes: self.config.query_bytes_max,
            timeout: self.config.query_timeout,
            settings: self.config.query_settings.clone(),
            max_concurrent: self.config.queries_max,
            log_entries_max: self.config.query_log_entries_max,
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
        let factory: Factory<Query> = Arc::new(move || {
            let (query, runtime) = (query.clone(), runtime.clone());
            async move { Query::new(query, runtime) }.boxed_local()
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

/// A shard is born empty, because the log feeds it at its own start; its later lives read their
/// rows back themselves.
fn store_factory(
    what: impl Fn() -> Replay + Send + Sync + 'static,
    shard: usize,
) -> Factory<Store> {
    let born = Arc::new(AtomicBool::new(false));
    let what = Arc::new(what);
    Arc::new(move || {
        let again = born.swap(true, Ordering::Relaxed);
        let what = Arc::clone(&what);
        async move {
            let what = what();
            let catalog = &what.catalog;
            let mut store = Store::new(shard, catalog.gen1_duration_ns, removed_tables(catalog));
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
