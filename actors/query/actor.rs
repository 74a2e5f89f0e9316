//! See the module's page.

use super::catalog_view::{Catalogs, UserTables};
use super::errors;
use super::log::QueryLog;
use super::provider::{Files, ScanContext};
use super::session::Sessions;
use super::stream::{self, Admitted};
use super::system_tables::SystemTables;
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::objects::Objects;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use protocols::messages::query::RunSql;
use protocols::messages::rank;
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Stack of a query thread: trees as deep as the guard lets through are walked on it. The system
/// gives memory only to the part that is used.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// How long a scan waits for its view of a table. The shard answers between two messages, so this
/// is reached only when something is very wrong.
const VIEW_DEADLINE: Duration = Duration::from_secs(30);

/// Up to so many bytes of unsorted rows are sorted while a scan of them is planned: the plan is
/// then the better for it. More are sorted while the query runs, a chunk at a time.
const SORT_AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the actor needs.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// Names and schemas.
    pub catalog: Published<CatalogSnapshot>,
    /// Where the buffered rows are.
    pub stores: StoreShards,
    /// The node: the first part of the keys of its Parquet files.
    pub node: String,
    /// Where the Parquet files are.
    pub objects: Objects,
    /// What has some of them in memory.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// More files than this a query must not read.
    pub query_file_limit: Option<usize>,
    /// What `now()` is.
    pub clock: Clock,
    /// Partitions that a query is split into.
    pub threads: usize,
    /// Memory that all queries share.
    pub memory_pool_bytes: usize,
    /// How long a query may take, until its last row has been handed over.
    pub timeout: Option<Duration>,
    /// Settings of the engine, such as `datafusion.execution.batch_size`.
    pub settings: Vec<(String, String)>,
    /// Queries that may run at once.
    pub max_concurrent: usize,
    /// Queries that the log keeps.
    pub log_entries_max: usize,
}

/// The threads that queries are planned and computed on. They outlive the actor, whose rebuilding
/// leaves running queries alone, and end with the last handle.
#[derive(Clone, Debug)]
pub struct QueryRuntime(Arc<Threads>);

#[derive(Debug)]
struct Threads(Option<Runtime>, Handle);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The last handle may go on a thread of another runtime, which must not block.
            runtime.shutdown_background();
        }
    }
}

impl QueryRuntime {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        #[cfg(feature = "simulation")]
        if crate::runtime::simulated::is_active() {
            return Ok(Self(Arc::new(Threads(None, Handle::current()))));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Arc::new(Threads(Some(runtime), handle))))
    }

    fn handle(&self) -> &Handle {
        &self.0.1
    }
}

/// See the module's page.
#[derive(Debug)]
pub struct Query {
    config: QueryConfig,
    files: Files,
    runtime: QueryRuntime,
    sessions: Arc<Sessions>,
    places: Arc<Semaphore>,
    log: QueryLog,
}

impl Query {
    /// An actor that runs its queries on `runtime`.
    ///
    /// # Errors
    /// When a setting of the engine is unknown or has a value that does not fit.
    pub fn new(config: QueryConfig, runtime: QueryRuntime) -> anyhow::Result<Self> {
        let sessions = Sessions::new(config.threads, config.memory_pool_bytes, &config.settings)?;
        let files = Files {
            node: Arc::from(config.node.as_str()),
            store: Arc::clone(&config.objects.store),
            cache: config.cache.clone(),
            clock: config.clock.clone(),
            query_file_limit: config.query_file_limit,
        };
        Ok(Self {
            files,
            places: Arc::new(Semaphore::new(config.max_concurrent.min(Semaphore::MAX_PERMITS))),
            log: QueryLog::new(config.log_entries_max),
            sessions: Arc::new(sessions),
            config,
            runtime,
        })
    }
}

impl Service for Query {
    const RANK: u8 = rank::QUERY;
}

impl Receive<RunSql> for Query {
    fn receive(&mut self, message: RunSql, reply: Responder<RunSql>, _: &mut Cx<'_, Self>) {
        let snapshot = self.config.catalog.load();
        let Some(db) = snapshot.database(&message.db).map(Arc::clone) else {
            return reply.answer(Err(errors::database_not_found(&message.db)));
        };
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            return reply.answer(Err(errors::too_many_queries(self.config.max_concurrent)));
        };
        let now_ns = self.config.clock.now_ns();
        let reporter = self.log.enter(now_ns, &message.text);
        // Only a statement that names the table can read it; the others are spared the copy.
        let names_log = message.text.to_ascii_lowercase().contains("queries");
        let log = if names_log { self.log.entries() } else { Vec::new() };
        let context = ScanContext {
            stores: self.config.stores.clone(),
            files: self.files.clone(),
            catalog: self.config.catalog.clone(),
            deadline: Instant::now() + VIEW_DEADLINE,
            now_ns,
            files_planned: Arc::default(),
            sort_ahead_bytes_max: SORT_AHEAD_BYTES_MAX,
        };
        let system = SystemTables::new(snapshot, Arc::clone(&db), log, context.clone());
        let catalogs = Arc::new(Catalogs::new(UserTables { db, context }, system));
        let query = Admitted {
            message,
            sessions: Arc::clone(&self.sessions),
            catalogs,
            now_ns,
            timeout: self.config.timeout,
            reporter,
            _permit: permit,
        };
        self.runtime.handle().spawn(stream::run(query, reply));
    }
}
