//! The actors that requests are sent to: names, writes, queries, and who lives.

use super::Start;
use super::lives::catalog_factory;
use crate::catalog::{Catalog, CatalogConfig, CatalogLimits, Opened};
use crate::ingest::{Ingest, IngestConfig};
use crate::parquet_cache::ParquetCache;
use crate::query::{Query, QueryConfig, QueryRuntime, ServerFacts};
use crate::runtime::clock::as_nanos;
use crate::runtime::guardian::{ActorConfig, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox_pool::MailboxPool;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use crate::supervisor::Supervisor;
use crate::wal::Wal;
use futures::FutureExt;
use protocols::limits;
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;

impl Start<'_> {
    pub(super) async fn supervisor(&mut self) -> anyhow::Result<Mailbox<Supervisor>> {
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

    pub(super) async fn catalog(
        &mut self,
    ) -> anyhow::Result<(Mailbox<Catalog>, Published<CatalogSnapshot>)> {
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

    pub(super) async fn ingest(
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
            instance: self.config.instance,
            started_at_ns: self.clock.now_ns(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            options: self.config.options.clone(),
        }
    }

    pub(super) async fn query(
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
            query_memory_bytes: self.config.query_share_bytes,
            spill: self.config.query_spill.clone(),
            timeout: self.config.query_timeout,
            idle_timeout: self.config.query_idle_timeout,
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
        let (caches, plugins) = (self.caches.clone(), self.plugins.tables());
        let factory: Factory<Query> = Arc::new(move || {
            let (query, runtime) = (query.clone(), runtime.clone());
            let (caches, plugins) = (caches.clone(), plugins.clone());
            let query = Query::new(query, runtime);
            async move { Ok(query?.with_caches(caches).with_plugins(plugins)) }.boxed_local()
        });
        self.birth(config, &mailbox, factory).await?;
        Ok(mailbox)
    }
}
