//! See the module's page.

use super::cache_tables::scan::TableScan;
use super::cache_tables::{self, CacheTables};
use super::catalog_view::{Catalogs, UserTables};
use super::errors;
use super::log::{Entered, LogEntry, Phase, QueryLog};
use super::prepare;
use super::provider::{Files, ScanContext};
use super::session::Sessions;
use super::stream::{self, Admitted};
use super::system_tables::SystemTables;
use crate::cache_kit::CacheDirectory;
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::{self, Clock};
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::objects::Objects;
use crate::runtime::published::Published;
use crate::runtime::vitals::Roster;
use crate::store::StoreShards;
use protocols::error::ErrorKind;
use protocols::messages::caches::ScanTable;
use protocols::messages::query::{
    CommandAnswered, ListTables, PlanSql, QueryError, QueryResult, RunSql, StreamSql,
};
use protocols::messages::{Command, rank};
use protocols::schema::{CatalogSnapshot, DatabaseSchema};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

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
    /// Chunks and files whose rows are all older than this are left out of queries.
    pub write_window: Option<Duration>,
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
    /// What the server says of itself.
    pub server: Arc<ServerFacts>,
}

/// What `system.nodes` and `system.actors` show.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts {
    /// All actors.
    pub roster: Roster,
    /// Made up anew at each start.
    pub instance: Uuid,
    /// When the server started, nanoseconds since 1970.
    pub started_at_ns: i64,
    /// Processor cores it may use.
    pub cores: u64,
    /// The options that it was started with, as a JSON object.
    pub options: Option<String>,
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
    caches: Option<CacheDirectory>,
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
            caches: None,
            sessions: Arc::new(sessions),
            config,
            runtime,
        })
    }
}

impl Query {
    /// The same with caches that queries can read.
    #[must_use]
    pub fn with_caches(self, caches: CacheDirectory) -> Self {
        Self { caches: Some(caches), ..self }
    }

    /// What the scans of a query share that begins at `now_ns`.
    fn scan_context(&self, now_ns: i64) -> ScanContext {
        ScanContext {
            stores: self.config.stores.clone(),
            files: self.files.clone(),
            catalog: self.config.catalog.clone(),
            deadline: Instant::now() + VIEW_DEADLINE,
            now_ns,
            files_planned: Arc::default(),
            files_since_ns: i64::MIN,
            groups_since_ns: self
                .config
                .write_window
                .map_or(i64::MIN, |w| clock::before(now_ns, w)),
            sort_ahead_bytes_max: SORT_AHEAD_BYTES_MAX,
        }
    }

    /// What a query of `db` sees.
    fn catalogs(
        &self,
        snapshot: Arc<CatalogSnapshot>,
        db: Arc<DatabaseSchema>,
        log: Vec<Arc<LogEntry>>,
        context: ScanContext,
        caches: Arc<CacheTables>,
    ) -> Arc<Catalogs> {
        let server = Arc::clone(&self.config.server);
        let system = SystemTables::new(snapshot, Arc::clone(&db), log, context.clone(), server);
        let system = system.with_caches(self.caches.clone());
        Arc::new(Catalogs::new(UserTables { db, context }, system).with_caches(caches))
    }
}

impl Service for Query {
    const RANK: u8 = rank::QUERY;
}

impl Receive<RunSql> for Query {
    fn receive(&mut self, message: RunSql, reply: Responder<RunSql>, _: &mut Cx<'_, Self>) {
        self.start(message, Origin::Http, reply);
    }
}

impl Receive<StreamSql> for Query {
    fn receive(&mut self, message: StreamSql, reply: Responder<StreamSql>, _: &mut Cx<'_, Self>) {
        self.start(message.query, Origin::Flight(message.command), reply);
    }
}

impl Receive<PlanSql> for Query {
    fn receive(&mut self, message: PlanSql, reply: Responder<PlanSql>, _: &mut Cx<'_, Self>) {
        let now_ns = self.config.clock.now_ns();
        match self.database(&message.query.db) {
            Ok(found) => {
                let (catalogs, _) = self.view(found, Vec::new(), now_ns);
                let session = self.sessions.open(catalogs, now_ns);
                self.runtime.handle().spawn(prepare::plan(session, message, reply));
            }
            Err(error) => reply.answer(Err(error)),
        }
    }
}

impl Receive<ListTables> for Query {
    fn receive(&mut self, message: ListTables, reply: Responder<ListTables>, _: &mut Cx<'_, Self>) {
        match self.database(&message.db) {
            Ok(found) => {
                let (catalogs, _) = self.view(found, Vec::new(), self.config.clock.now_ns());
                self.runtime.handle().spawn(prepare::tables(catalogs, reply));
            }
            Err(error) => reply.answer(Err(error)),
        }
    }
}

impl Receive<CommandAnswered> for Query {
    fn receive(
        &mut self,
        message: CommandAnswered,
        reply: Responder<CommandAnswered>,
        _: &mut Cx<'_, Self>,
    ) {
        let CommandAnswered { text, trace_id, took, succeeded } = message;
        let took_ns = clock::as_nanos(took);
        let issue_time_ns = self.config.clock.now_ns().saturating_sub(took_ns);
        let entered = Entered { issue_time_ns, query_type: FLIGHT_SQL, text: &text, trace_id };
        let phase = if succeeded { Phase::Success } else { Phase::Fail };
        self.log.enter_ended(entered, took, phase);
        reply.answer(());
    }
}

/// What the log calls queries by a command of Flight SQL.
const FLIGHT_SQL: &str = "flightsql";

/// Where a statement came from.
#[derive(Clone, Copy)]
enum Origin {
    Http,
    /// With this Flight SQL command, if it came with one.
    Flight(Option<&'static str>),
}

impl Query {
    fn start<M>(&mut self, message: RunSql, origin: Origin, reply: Responder<M>)
    where
        M: Command<Reply = Result<QueryResult, QueryError>>,
    {
        let found = match self.database(&message.db) {
            Ok(found) => found,
            Err(error) => return reply.answer(Err(error)),
        };
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            return reply.answer(Err(errors::too_many_queries(self.config.max_concurrent)));
        };
        let now_ns = self.config.clock.now_ns();
        let named;
        let (query_type, text) = match origin {
            Origin::Http | Origin::Flight(None) => ("sql", message.text.as_str()),
            Origin::Flight(Some(command)) => {
                named = format!("{command} {}", message.text);
                (FLIGHT_SQL, named.as_str())
            }
        };
        let trace_id = message.trace_id.clone();
        let entered = Entered { issue_time_ns: now_ns, query_type, text, trace_id };
        let reporter = self.log.enter(entered);
        // Only a statement that names the table can read it; the others are spared the copy.
        let names_log = message.text.to_ascii_lowercase().contains("queries");
        let log = if names_log { self.log.entries() } else { Vec::new() };
        let (catalogs, caches) = self.view(found, log, now_ns);
        if let Some(fast) = cache_tables::fast::plan(&message, &caches) {
            self.runtime.handle().spawn(cache_tables::fast::run(fast, reporter, reply, permit));
            return;
        }
        let query = Admitted {
            message,
            sessions: Arc::clone(&self.sessions),
            catalogs,
            now_ns,
            waits_for_rows: matches!(origin, Origin::Http),
            timeout: self.config.timeout,
            reporter,
            _permit: permit,
        };
        self.runtime.handle().spawn(stream::run(query, reply));
    }

    fn database(&self, name: &str) -> Result<Database, QueryError> {
        let snapshot = self.config.catalog.load();
        match snapshot.database(name).map(Arc::clone) {
            Some(schema) => Ok(Database { snapshot, schema }),
            None => Err(errors::database_not_found(name)),
        }
    }

    /// What a statement that begins now sees.
    fn view(
        &self,
        found: Database,
        log: Vec<Arc<LogEntry>>,
        now_ns: i64,
    ) -> (Arc<Catalogs>, Arc<CacheTables>) {
        let Database { snapshot, schema } = found;
        let directory = self.caches.clone();
        let caches = Arc::new(CacheTables { db: Arc::clone(&schema), directory });
        let context = self.scan_context(now_ns);
        let catalogs = self.catalogs(snapshot, schema, log, context, Arc::clone(&caches));
        (catalogs, caches)
    }
}

/// A database as of a state of the catalog.
struct Database {
    snapshot: Arc<CatalogSnapshot>,
    schema: Arc<DatabaseSchema>,
}

impl Receive<ScanTable> for Query {
    fn receive(&mut self, message: ScanTable, reply: Responder<ScanTable>, _: &mut Cx<'_, Self>) {
        let snapshot = self.config.catalog.load();
        let Some(db) = snapshot.database(&message.db).map(Arc::clone) else {
            return reply.answer(Err(errors::database_not_found(&message.db)));
        };
        let Some(table) = db.table(&message.table).map(Arc::clone) else {
            let text = format!("table not found: {}", message.table);
            return reply.answer(Err(QueryError { kind: ErrorKind::NotFound, message: text }));
        };
        let context = ScanContext {
            files_since_ns: message.files_since_ns,
            ..self.scan_context(self.config.clock.now_ns())
        };
        let caches = Arc::new(CacheTables { db: Arc::clone(&db), directory: self.caches.clone() });
        let catalogs =
            self.catalogs(snapshot, Arc::clone(&db), Vec::new(), context.clone(), caches);
        let sessions = Arc::clone(&self.sessions);
        let scan = TableScan { message, db, table, context, sessions, catalogs };
        self.runtime.handle().spawn(async move { reply.answer(scan.start().await) });
    }
}
