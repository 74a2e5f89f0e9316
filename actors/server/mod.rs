//! A server without its sockets: the one place that creates actors and wires them, lowest rank
//! first. The simulation runs it as it is, but for last-value and distinct-value caches,
//! plugins and downsamples.

mod audit;
mod caches;
mod config;
mod data;
mod downsamples;
mod housekeeping;
mod lives;
mod plugins;
mod requests;
mod row_deletes;

pub use config::{CacheOptions, ServerConfig};
pub use plugins::{PluginAddresses, PluginOptions};
pub use row_deletes::{Left, RowDeleteError, RowDeleter};

use crate::audit::Audit;
use crate::cache_directory::{CacheDirectory, Directory};
use crate::catalog::Catalog;
use crate::compact::Compact;
use crate::downsample::Board;
use crate::index::Index;
use crate::index::log::IndexLog;
use crate::ingest::Ingest;
use crate::parquet_cache::HeldRows;
use crate::persist::Persist;
use crate::query::Query;
use crate::runtime::actor::Service;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Birth, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox_pool::MailboxPool;
use crate::runtime::published::{Published, Publisher};
use crate::runtime::pulse::Pulse;
use crate::runtime::ticker::{self, Ticker};
use crate::runtime::vitals::Roster;
use crate::storage::objects::Objects;
use crate::wal::{Owner, Wal};
use audit::AuditLog;
use housekeeping::Housekeeping;
use plugins::Engine;
use protocols::catalog::CatalogSnapshot;
use protocols::file_index::FileIndex;
use protocols::messages::catalog::NodeStopped;
use protocols::messages::compact::{CompactionDue, CompactionEvent};
use protocols::messages::index::SweepFiles;
use protocols::messages::parquet_cache::PruneDue;
use protocols::messages::persist::{CleanUp, FinishSnapshot, SnapshotDue};
use protocols::messages::wal::{Drain, PeriodDue};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often `Persist` and `Index` look for work that nobody told them of.
const PERSIST_INTERVAL: Duration = Duration::from_secs(1);

/// Whom requests are sent to.
#[derive(Clone)]
pub struct Addresses {
    /// Takes writes.
    pub ingest: MailboxPool<Ingest>,
    /// Hears of what is done and refused.
    pub audit: Mailbox<Audit>,
    /// Takes changes of names and schemas.
    pub catalog: Mailbox<Catalog>,
    /// What the catalog holds.
    pub snapshot: Published<CatalogSnapshot>,
    /// Deletes rows.
    pub row_deleter: RowDeleter,
    /// Takes queries.
    pub query: Mailbox<Query>,
    /// How the actors are.
    pub roster: Roster,
    /// Whether writes and queries get on.
    pub pulses: Pulses,
    /// The caches that run.
    pub running_caches: CacheDirectory,
    /// Makes files fewer, if there is to be that.
    pub compact: Option<Mailbox<Compact>>,
}

/// Whether the parts of a server that has work get on with it.
#[derive(Clone, Debug, Default)]
pub struct Pulses {
    /// Groups of writes become durable and visible.
    pub wal: Pulse,
    /// The threads of queries answer. Only where [`Server::watch_queries`] was called.
    pub queries: Pulse,
}

/// All actors of a running server. What is dropped is not ended in good order: see [`end`].
///
/// [`end`]: Server::end
pub struct Server {
    /// Whom requests are sent to.
    pub addresses: Addresses,
    audit: AuditLog,
    wal: Mailbox<Wal>,
    persist: Mailbox<Persist>,
    index: Mailbox<Index>,
    guardian: Guardian,
    clock: Clock,
    /// The caches that run.
    directory: Publisher<Directory>,
    /// How the downsamples are doing.
    downsamples: Publisher<Board>,
    /// The processing engine, which is born later.
    plugins: Engine,
    /// The claim of this process on the log of its node.
    owner: Owner,
    /// The actors in the order in which they were born.
    births: Vec<Birth>,
    /// Regular work; ends when dropped.
    tickers: Vec<Ticker>,
    housekeeping: Housekeeping,
}

/// What the steps of the start share.
struct Start<'a> {
    config: &'a ServerConfig,
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
    pulses: Pulses,
    /// What the compaction did.
    compactions: Publisher<VecDeque<Arc<CompactionEvent>>>,
    /// Decoded rows that the cache of files holds.
    held: HeldRows,
    /// How the downsamples are doing.
    downsamples: Publisher<Board>,
    /// The processing engine, which is born later.
    plugins: Engine,
}

impl Server {
    /// Starts every actor but those of [`start_caches`](Self::start_caches). Returns once the log
    /// was replayed and everything is ready to serve. `fatal` is raised when the process has to
    /// end.
    ///
    /// # Errors
    /// When the store cannot be read or written, or holds damage that is to stop the start.
    pub async fn start(
        config: &ServerConfig,
        objects: Objects,
        clock: Clock,
        fatal: Fatal,
    ) -> anyhow::Result<Self> {
        // First the claims, then the reading: a former process can neither acknowledge rows nor
        // finish a snapshot any more that the reading would miss.
        let owner = Owner::take(&objects, &config.node_id).await?;
        let index = IndexLog::take_over(&objects, &config.node_id, &owner).await?;
        let index = Arc::new(index.index().clone());
        let (directory, caches) = Published::new(Arc::default());
        let guardian = Guardian::new(fatal.clone());
        let (births, pulses) = (Vec::new(), Pulses::default());
        let plugins = Engine::new();
        let start = Start {
            config,
            objects,
            owner,
            index,
            clock,
            fatal,
            guardian,
            births,
            caches,
            pulses,
            compactions: Compact::history().0,
            held: HeldRows::default(),
            downsamples: Published::new(Arc::default()).0,
            plugins,
        };
        start.all(directory).await
    }

    /// Has the threads of queries tell regularly that they answer.
    pub fn watch_queries(&mut self) {
        let (query, pulses) = (self.addresses.query.clone(), &self.addresses.pulses);
        self.housekeeping.watch_queries(query, pulses.queries.clone());
    }

    /// Takes no more writes, and waits until all that were taken are durable and visible. False if
    /// that was not reached.
    pub async fn drain(&self, deadline: Instant) -> bool {
        self.plugins.stop(deadline).await;
        let drained = self.wal.ask_from_edge(Drain, deadline).await;
        let clean = matches!(drained, Ok(Ok(())));
        if !clean {
            tracing::error!(?drained, "the log could not be drained");
        }
        clean
    }

    /// Ends the actors in order, from the highest rank down, after the snapshot under way. False
    /// if that did not end in time: then the next start repeats it.
    pub async fn end(self, deadline: Instant) -> bool {
        let finished = self.persist.ask_from_edge(FinishSnapshot, deadline).await;
        if let Err(error) = &finished {
            tracing::warn!(%error, "a snapshot is unfinished; the next start repeats it");
        }
        drop((self.tickers, self.housekeeping));
        let stopped = self.addresses.catalog.ask_from_edge(NodeStopped, deadline).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the catalog did not record the stop");
        }
        for birth in self.births.into_iter().rev() {
            birth.end().await;
        }
        self.audit.end(deadline).await;
        finished.is_ok()
    }
}

impl Start<'_> {
    async fn all(mut self, directory: Publisher<Directory>) -> anyhow::Result<Server> {
        let audit = self.audit().await?;
        let (catalog, snapshot) = self.catalog(&audit.mailbox).await?;
        let cache = self.parquet_cache().await?;
        let stores = self.stores(&snapshot).await?;
        let persist = self.persist_mailbox();
        let wal = self.wal(&catalog, &stores, &snapshot, &persist.1).await?;
        let index = self.index(&stores, &snapshot, cache.clone()).await?;
        let persist =
            self.persist(persist, (&stores, &wal, &index), &snapshot, cache.clone()).await?;
        let compact = self.compact(&index, &snapshot, cache.clone()).await?;
        let ingest = self.ingest(&catalog, &snapshot, &wal).await?;
        let telling = self.telling(&audit.mailbox);
        let query = self.query(&stores, &snapshot, cache.clone(), telling).await?;

        let mut tickers = vec![
            ticker::start(wal.clone(), self.config.wal_flush_interval, || PeriodDue),
            ticker::start(persist.clone(), PERSIST_INTERVAL, || SnapshotDue),
            ticker::start(persist.clone(), PERSIST_INTERVAL, || CleanUp),
            ticker::start(index.clone(), PERSIST_INTERVAL, || SweepFiles),
        ];
        if let (Some(cache), Some(options)) = (cache, &self.config.parquet_cache) {
            tickers.push(ticker::start(cache, options.prune_interval, || PruneDue));
        }
        if let (Some(compact), Some(options)) = (&compact, &self.config.compaction) {
            let (compact, interval) = (compact.clone(), options.check_interval);
            tickers.push(ticker::start(compact, interval, || CompactionDue));
        }
        let row_deleter =
            RowDeleter::new(catalog.clone(), snapshot.clone(), wal.clone(), stores.clone());
        let mut housekeeping = Housekeeping::start(catalog.clone(), snapshot.clone(), stores);
        housekeeping.watch_row_deletes(row_deleter.clone());
        Ok(Server {
            addresses: Addresses {
                audit: audit.mailbox.clone(),
                ingest,
                catalog,
                snapshot,
                row_deleter,
                query,
                roster: self.guardian.roster(),
                pulses: self.pulses,
                running_caches: self.caches,
                compact,
            },
            audit,
            wal,
            persist,
            index,
            guardian: self.guardian,
            clock: self.clock,
            directory,
            downsamples: self.downsamples,
            plugins: self.plugins,
            owner: self.owner,
            births: self.births,
            tickers,
            housekeeping,
        })
    }

    async fn birth<A: Service>(
        &mut self,
        config: ActorConfig,
        mailbox: &Mailbox<A>,
        lives: Lives<A>,
    ) -> anyhow::Result<()> {
        let born = self.guardian.birth(config, mailbox.clone(), lives).await?;
        self.births.push(born);
        Ok(())
    }
}
