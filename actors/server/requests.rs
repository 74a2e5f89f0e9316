//! The actors that requests are sent to: names, writes and queries.

use super::Start;
use super::lives::catalog_lives;
use crate::audit::Audit;
use crate::catalog::{Catalog, CatalogConfig, CatalogLimits, Opened};
use crate::ingest::{Ingest, IngestConfig};
use crate::parquet_cache::ParquetCache;
use crate::query::{Query, QueryConfig, QueryRuntime, ServerFacts, Telling};
use crate::runtime::clock::as_nanos;
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox_pool::MailboxPool;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use crate::wal::Wal;
use protocols::catalog::CatalogSnapshot;
use protocols::limits;
use std::sync::Arc;

impl Start<'_> {
    pub(super) async fn catalog(
        &mut self,
        audit: &Mailbox<Audit>,
    ) -> anyhow::Result<(Mailbox<Catalog>, Published<CatalogSnapshot>)> {
        let limits = self.config.schema_limits;
        let catalog = CatalogConfig {
            audit: Some(audit.clone()),
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
        self.birth(config, &mailbox, catalog_lives(catalog, first, publisher_again)).await?;
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
            let lives = Lives::of(move || Ok(Ingest::new(ingest.clone())));
            self.birth(config, &mailbox, lives).await?;
            members.push(mailbox);
        }
        Ok(MailboxPool::new(members))
    }

    /// The widths of the windows that files are made for, if they are.
    fn generations_ns(&self, gen1_duration_ns: i64) -> Vec<i64> {
        let options = self.config.compaction.as_ref();
        // Options that make no sense have ended the start by now.
        options.and_then(|options| options.widths(gen1_duration_ns).ok()).unwrap_or_default()
    }

    /// What the server says of itself.
    fn facts(&self, gen1_duration_ns: i64) -> ServerFacts {
        ServerFacts {
            roster: self.guardian.roster(),
            instance: self.config.instance,
            started_at_ns: self.clock.now_ns(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            options: self.config.options.clone(),
            compactions: Some(self.compactions.reader()),
            generations_ns: self.generations_ns(gen1_duration_ns),
        }
    }

    /// What is told of statements.
    pub(super) fn telling(&self, audit: &Mailbox<Audit>) -> Telling {
        Telling {
            audit: Some(audit.clone()),
            audits_statements: self.config.audit.queries,
            redacts: self.config.query.redacts,
        }
    }

    pub(super) async fn query(
        &mut self,
        stores: &StoreShards,
        snapshot: &Published<CatalogSnapshot>,
        cache: Option<Mailbox<ParquetCache>>,
        telling: Telling,
    ) -> anyhow::Result<Mailbox<Query>> {
        let query = QueryConfig {
            node: self.config.node_id.clone(),
            objects: self.objects.clone(),
            cache,
            held: self.held.clone(),
            options: self.config.query.clone(),
            write_window: self.config.write_window,
            catalog: snapshot.clone(),
            stores: stores.clone(),
            clock: self.clock.clone(),
            telling,
            server: Arc::new(self.facts(snapshot.load().gen1_duration_ns)),
        };
        let runtime = QueryRuntime::new(self.config.query.threads)?;
        let config = ActorConfig {
            kind: "query",
            name: "query".to_owned(),
            messages_max: limits::QUERY_MAILBOX_MESSAGES,
            bytes_max: limits::QUERY_MAILBOX_BYTES,
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        let (caches, plugins) = (self.caches.clone(), self.plugins.tables());
        let board = self.downsamples.reader();
        let lives = Lives::of(move || {
            let query = Query::new(query.clone(), runtime.clone())?;
            let query = query.with_caches(caches.clone()).with_plugins(plugins.clone());
            Ok(query.with_downsamples(board.clone()))
        });
        self.birth(config, &mailbox, lives).await?;
        Ok(mailbox)
    }
}
