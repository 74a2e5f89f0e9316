//! See the module's page.

use super::cache_tables::CacheTables;
use super::catalog_view::{Catalogs, UserTables};
use super::config::QueryConfig;
use super::errors;
use super::lanes::{QueryRuntime, Width};
use super::log::{Entered, LogEntry, Phase, QueryLog, Reporter};
use super::places::{Place, Places};
use super::prepare;
use super::provider::{ParquetFiles, Remembered, ScanContext, Seen};
use super::running::{AskedBy, Job, Stop};
use super::scope::{Pool, Scope};
use super::session::Sessions;
use super::shapes::Shapes;
use super::statement::{self, Runnable};
use super::stream::{Course, is_wide};
use super::system_tables::{PluginTables, SystemTables};
use super::table_scan::TableScan;
use super::view::View;
use crate::cache_directory::CacheDirectory;
use crate::downsample::Board;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock;
use crate::runtime::mailbox::{Responder, SharedResponder};
use crate::runtime::published::Published;
use anyhow::Context;
use datafusion::error::Result;
use futures::FutureExt;
use protocols::access::rights::Right;
use protocols::error::ErrorKind;
use protocols::ids::DbId;
use protocols::messages::caches::ScanTable;
use protocols::messages::query::{
    AnswerProbe, CommandAnswered, Delivery, Language, ListTables, PlanStatement, QueryError,
    QueryResult, RunStatement, Statement,
};
use protocols::messages::{Command, rank};
use protocols::principal::{Action, Principal, Visible};
use protocols::schema::DatabaseSchema;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// How long a scan waits for its view of a table. The shard answers between two messages, so this
/// is reached only when something is very wrong.
const VIEW_TIME: Duration = Duration::from_secs(30);

/// Limit: memory for plans that may be used again, about.
const PLANS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// See the module's page.
#[derive(Debug)]
pub struct Query {
    config: QueryConfig,
    files: ParquetFiles,
    runtime: QueryRuntime,
    sessions: Arc<Sessions>,
    memory: Arc<Pool>,
    shapes: Shapes,
    places: Places,
    log: QueryLog,
    caches: Option<CacheDirectory>,
    plugins: Option<PluginTables>,
    downsamples: Option<Published<Board>>,
}

/// A query that may run.
struct Admitted {
    found: Database,
    place: Place,
    scope: Arc<Scope>,
}

/// A database as of a state of the catalog.
struct Database {
    visible: Visible,
    schema: Arc<DatabaseSchema>,
}

impl Query {
    /// An actor that runs its queries on `runtime`.
    ///
    /// # Errors
    /// When a setting of the engine is unknown or has a value that does not fit, or there is no
    /// directory to write to.
    pub fn new(config: QueryConfig, runtime: QueryRuntime) -> anyhow::Result<Self> {
        let options = &config.options;
        let sessions = Sessions::new(
            options.threads,
            options.memory_pool_bytes,
            options.spill.as_ref(),
            &options.settings,
        )?;
        let memory = Pool::open(options.memory_pool_bytes, options.query_memory_bytes);
        let files = ParquetFiles {
            node: Arc::from(config.node.as_str()),
            store: Arc::clone(&config.objects.store),
            cache: config.cache.clone(),
            held: config.held.clone(),
            clock: config.clock.clone(),
            query_file_limit: options.file_limit,
            is_near: !config.objects.remote,
            remembered: Remembered::default(),
        };
        Ok(Self {
            files,
            places: Places::new(options.max_concurrent, options.token_queries_max),
            log: QueryLog::new(options.log_entries_max),
            caches: None,
            plugins: None,
            downsamples: None,
            sessions: Arc::new(sessions),
            memory: memory.context("there are too many servers in one process")?,
            shapes: Shapes::new(PLANS_BYTES_MAX),
            config,
            runtime,
        })
    }

    /// The same with caches that queries can read.
    #[must_use]
    pub fn with_caches(self, caches: CacheDirectory) -> Self {
        Self { caches: Some(caches), ..self }
    }

    /// The same with what plugins said, and where they are.
    #[must_use]
    pub fn with_plugins(self, plugins: PluginTables) -> Self {
        Self { plugins: Some(plugins), ..self }
    }

    /// The same with how the downsamples are doing.
    #[must_use]
    pub fn with_downsamples(self, board: Published<Board>) -> Self {
        Self { downsamples: Some(board), ..self }
    }

    /// What the scans of a query share that begins at `now_ns`.
    fn scan_context(&self, now_ns: i64) -> ScanContext {
        ScanContext {
            stores: self.config.stores.clone(),
            files: self.files.clone(),
            catalog: self.config.catalog.clone(),
            view_time: VIEW_TIME,
            now_ns,
            files_since_ns: i64::MIN,
            groups_since_ns: self
                .config
                .write_window
                .map_or(i64::MIN, |w| clock::before(now_ns, w)),
            seen: Arc::<Seen>::default(),
        }
    }

    /// The database of that name, if `principal` may read it.
    fn database(&self, name: &str, principal: &Principal) -> Result<Database, QueryError> {
        let snapshot = self.config.catalog.load();
        let read = Action::In(Right::Read, name);
        principal.authorize(read, &snapshot).map_err(|denied| errors::denied(&denied))?;
        match snapshot.database(name).map(Arc::clone) {
            Some(schema) => {
                Ok(Database { visible: Visible::new(snapshot, principal.clone()), schema })
            }
            None => Err(errors::database_not_found(name)),
        }
    }

    /// What a statement sees that begins now with `context`.
    fn view(
        &self,
        found: Database,
        caches: Arc<CacheTables>,
        log: Vec<Arc<LogEntry>>,
        context: ScanContext,
    ) -> View {
        let Database { visible, schema: db } = found;
        let (now_ns, server) = (context.now_ns, Arc::clone(&self.config.server));
        let system =
            SystemTables::new(visible.clone(), Arc::clone(&db), log, context.clone(), server);
        let system = system.with_caches(self.caches.clone()).with_plugins(self.plugins.clone());
        let system = system.with_audit(self.config.telling.audit.clone());
        let system = system.with_downsamples(self.downsamples.clone());
        let catalogs = Catalogs::new(UserTables { db, context }, system).with_caches(caches);
        View {
            sessions: Arc::clone(&self.sessions),
            shapes: self.shapes.clone(),
            catalogs: Arc::new(catalogs),
            visible,
            now_ns,
        }
    }

    fn caches_of(&self, db: &Arc<DatabaseSchema>) -> Arc<CacheTables> {
        Arc::new(CacheTables { db: Arc::clone(db), directory: self.caches.clone() })
    }

    /// What a query needs to run.
    fn admit(&mut self, db: &str, principal: &Principal) -> Result<Admitted, QueryError> {
        let (found, place) = (self.database(db, principal)?, self.places.take(principal)?);
        let scope = self.memory.scope().ok_or_else(errors::too_many_accounts)?;
        Ok(Admitted { found, place, scope })
    }

    /// Begins to look after a query whose asker waits for `reply`.
    fn watch<T, M>(
        &self,
        reply: Responder<M>,
        scope: Arc<Scope>,
        principal: Principal,
    ) -> (SharedResponder<M>, Arc<Job>)
    where
        T: Send,
        M: Command<Reply = Result<T, QueryError>>,
    {
        let reply = SharedResponder::from(reply);
        let job = self.runtime.running().enter(
            reply.clone(),
            self.config.options.timeout,
            scope,
            self.asked_by(principal),
        );
        (reply, job)
    }

    fn asked_by(&self, principal: Principal) -> AskedBy {
        let (catalog, clock) = (self.config.catalog.clone(), self.config.clock.clone());
        AskedBy { principal, catalog, clock }
    }

    /// Runs `work` on a thread of its own.
    fn run(&self, job: &Job, work: impl Future<Output = ()> + Send + 'static) {
        run(&self.runtime, Width::One, job, work);
    }

    fn start(
        &mut self,
        message: RunStatement,
        reply: Responder<RunStatement>,
    ) -> Result<(), (Responder<RunStatement>, QueryError)> {
        let RunStatement { statement, delivery } = message;
        let Admitted { found, place, scope } = match self.admit(&statement.db, &statement.principal)
        {
            Ok(admitted) => admitted,
            Err(error) => {
                let now_ns = self.config.clock.now_ns();
                self.config.telling.of_failure(&statement, &error, now_ns);
                return Err((reply, error));
            }
        };
        let now_ns = self.config.clock.now_ns();
        let reporter = self.enter(&statement, found.schema.id, delivery, now_ns);
        let caches = self.caches_of(&found.schema);
        // Only a statement that names the table can read it; the others are spared the copy.
        let names_log = statement.text.to_ascii_lowercase().contains("queries");
        let log = if names_log { self.log.entries() } else { Vec::new() };
        let view = self.view(found, caches, log, self.scan_context(now_ns));
        let (reply, job) = self.watch(reply, scope, statement.principal.clone());
        let mut course = Course {
            reply,
            job: Arc::clone(&job),
            reporter,
            waits_for_rows: delivery == Delivery::WithRows,
            idle_limit: self.config.options.idle_timeout,
            place: Some(place),
        };
        let runtime = self.runtime.clone();
        self.run(&job, async move {
            let planning =
                async |reporter: &Reporter| statement::prepare(&view, &statement, reporter).await;
            if let Some(runnable) = course.plan(planning).await {
                go_on(&runtime, course, runnable).await;
            }
        });
        Ok(())
    }

    /// Enters a statement in the log.
    fn enter(
        &mut self,
        statement: &Statement,
        db: DbId,
        delivery: Delivery,
        now_ns: i64,
    ) -> Reporter {
        let told = self.config.telling.text(statement);
        let named;
        let (query_type, text) = match (delivery, statement.language) {
            (Delivery::WithColumns { command: Some(command) }, _) => {
                named = format!("{command} {told}");
                (FLIGHT_SQL, named.as_str())
            }
            (_, Language::Sql) => ("sql", told.as_ref()),
            (_, Language::InfluxQl | Language::InfluxQlV1) => ("influxql", told.as_ref()),
        };
        let trace_id = statement.origin.trace_id.clone();
        let (issue_time_ns, db) = (now_ns, Some(db));
        let reporter = self.log.enter(Entered { issue_time_ns, query_type, text, db, trace_id });
        self.config.telling.at_the_end(reporter, statement, &told, now_ns)
    }

    /// Answers with what `work` finds out about the statements that the database could run.
    fn describe<T, M, W>(
        &mut self,
        (db, principal): (&str, &Principal),
        reply: Responder<M>,
        work: impl FnOnce(View) -> W + Send + 'static,
    ) where
        T: Send + 'static,
        M: Command<Reply = Result<T, QueryError>>,
        W: Future<Output = Result<T>> + Send,
    {
        let Admitted { found, place, scope } = match self.admit(db, principal) {
            Ok(admitted) => admitted,
            Err(error) => return reply.answer(Err(error)),
        };
        let caches = self.caches_of(&found.schema);
        let context = self.scan_context(self.config.clock.now_ns());
        let view = self.view(found, caches, Vec::new(), context);
        let (reply, job) = self.watch(reply, scope, principal.clone());
        let watched = Arc::clone(&job);
        self.run(&job, async move {
            tokio::select! {
                biased;
                _ = watched.stopped() => {}
                found = AssertUnwindSafe(work(view)).catch_unwind() => reply.answer(match found {
                    Ok(found) => found.map_err(|error| errors::from_engine(&error)),
                    Err(_) => Err(errors::panicked()),
                }),
            }
            drop(place);
        });
    }
}

/// What the log calls queries by a command of Flight SQL.
const FLIGHT_SQL: &str = "flightsql";

impl Service for Query {
    const RANK: u8 = rank::QUERY;
}

impl Receive<RunStatement> for Query {
    fn receive(
        &mut self,
        message: RunStatement,
        reply: Responder<RunStatement>,
        _: &mut Cx<'_, Self>,
    ) {
        if let Err((reply, error)) = self.start(message, reply) {
            reply.answer(Err(error));
        }
    }
}

/// Runs `work` of a query on a lane of its own.
fn run(
    runtime: &QueryRuntime,
    width: Width,
    job: &Job,
    work: impl Future<Output = ()> + Send + 'static,
) {
    if let Err(error) = runtime.run(width, job.scope().wrap(work)) {
        job.stop(Stop::Failed(errors::no_threads(&error)));
    }
}

/// Runs the plan of a query on the thread that made it, or on several if it has work for them.
async fn go_on<M>(runtime: &QueryRuntime, course: Course<M>, runnable: Runnable)
where
    M: Command<Reply = Result<QueryResult, QueryError>>,
{
    if is_wide(&runnable.plan) {
        let job = Arc::clone(&course.job);
        run(runtime, Width::Several, &job, course.run(runnable));
    } else {
        course.run(runnable).await;
    }
}

impl Receive<PlanStatement> for Query {
    fn receive(
        &mut self,
        message: PlanStatement,
        reply: Responder<PlanStatement>,
        _: &mut Cx<'_, Self>,
    ) {
        let Statement { db, principal, .. } = message.statement.clone();
        self.describe((&db, &principal), reply, async move |view| {
            prepare::describe(&view, message).await
        });
    }
}

impl Receive<ListTables> for Query {
    fn receive(&mut self, message: ListTables, reply: Responder<ListTables>, _: &mut Cx<'_, Self>) {
        let ListTables { db, principal } = message;
        self.describe((&db, &principal), reply, async move |view| prepare::tables(&view).await);
    }
}

impl Receive<CommandAnswered> for Query {
    fn receive(
        &mut self,
        message: CommandAnswered,
        reply: Responder<CommandAnswered>,
        _: &mut Cx<'_, Self>,
    ) {
        let CommandAnswered { text, db, trace_id, took, succeeded } = message;
        let text = self.config.telling.command(text);
        let db = self.config.catalog.load().database(&db).map(|db| db.id);
        let took_ns = clock::as_nanos(took);
        let issue_time_ns = self.config.clock.now_ns().saturating_sub(took_ns);
        let query_type = FLIGHT_SQL;
        let entered = Entered { issue_time_ns, query_type, text: &text, db, trace_id };
        let phase = if succeeded { Phase::Success } else { Phase::Fail };
        self.log.enter_ended(entered, took, phase);
        reply.answer(());
    }
}

impl Receive<AnswerProbe> for Query {
    fn receive(&mut self, _: AnswerProbe, reply: Responder<AnswerProbe>, _: &mut Cx<'_, Self>) {
        let runtime = self.runtime.clone();
        self.runtime.control(async move {
            if let Err(error) = runtime.run(Width::One, async move { reply.answer(()) }) {
                tracing::error!(%error, "no thread for a query");
            }
        });
    }
}

impl Receive<ScanTable> for Query {
    fn receive(&mut self, message: ScanTable, reply: Responder<ScanTable>, _: &mut Cx<'_, Self>) {
        let found = match self.database(&message.db, &Principal::Server) {
            Ok(found) => found,
            Err(error) => return reply.answer(Err(error)),
        };
        let db = Arc::clone(&found.schema);
        let Some(table) = db.table(&message.table).map(Arc::clone) else {
            let text = format!("table not found: {}", message.table);
            return reply.answer(Err(QueryError { kind: ErrorKind::NotFound, message: text }));
        };
        let context = ScanContext {
            files_since_ns: message.files_since_ns,
            ..self.scan_context(self.config.clock.now_ns())
        };
        let view = self.view(found, self.caches_of(&db), Vec::new(), context);
        let scan = TableScan { message, db, table, view };
        let Some(scope) = self.memory.scope() else {
            return reply.answer(Err(errors::too_many_accounts()));
        };
        let reply = SharedResponder::from(reply);
        let job = self.runtime.running().enter(
            reply.clone(),
            None,
            scope,
            self.asked_by(Principal::Server),
        );
        let mut course = Course {
            reply,
            job: Arc::clone(&job),
            reporter: Reporter::unlogged(),
            waits_for_rows: false,
            // The keeper of caches waits for a cache with every batch.
            idle_limit: Duration::MAX,
            place: None,
        };
        let runtime = self.runtime.clone();
        self.run(&job, async move {
            if let Some(runnable) = course.plan(async |_: &Reporter| scan.plan().await).await {
                go_on(&runtime, course, runnable).await;
            }
        });
    }
}
