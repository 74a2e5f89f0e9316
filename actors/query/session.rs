//! The engine's settings, functions and memory, shared by all queries.

use super::cache_tables;
use super::catalog_view::{CATALOG, Catalogs, DEFAULT_SCHEMA};
use super::config::SpillOptions;
use super::corrections;
use super::extensions::Planner;
use super::functions::windows::WatchWindows;
use super::functions::{self, gapfill};
use super::narrow::NarrowLargeRows;
use super::provider::{ReadNewest, ReadNewestBins};
use super::rules;
use super::runs::GroupRuns;
use super::watched::WatchPlan;
use chrono::DateTime;
use datafusion::catalog::{CatalogProviderList, EmptyCatalogProviderList};
use datafusion::common::config::ConfigOptions;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many memory consumers an error about exhausted memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// Sorted files that are merged at once: a few rows of each are in memory.
const SPILLED_RUNS_MAX: usize = 4;

/// Sessions that are kept although no query uses them.
const IDLE_SESSIONS_MAX: usize = 32;

/// Makes sessions. Everything that is the same for all of them is built once, and a session that
/// has ended is used again: it has hundreds of functions by name.
#[derive(Debug)]
pub(super) struct Sessions {
    base: SessionState,
    idle: Mutex<Vec<Parts>>,
}

/// What a session is made of.
#[derive(Debug)]
struct Parts {
    state: SessionState,
    /// When its query began, nanoseconds since 1970.
    now_ns: Arc<AtomicI64>,
}

/// The session of one query.
#[derive(Debug)]
pub(super) struct Session {
    /// There until the session ends.
    parts: Option<Parts>,
    home: Arc<Sessions>,
}

impl Deref for Session {
    type Target = SessionState;

    fn deref(&self) -> &SessionState {
        self.parts.as_ref().map_or(&self.home.base, |parts| &parts.state)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        // What the query saw is not to be kept by a session that nobody uses.
        parts.state.register_catalog_list(Arc::new(EmptyCatalogProviderList));
        *parts.state.config_mut() = self.home.base.config().clone();
        let mut idle = self.home.idle();
        if idle.len() < IDLE_SESSIONS_MAX {
            idle.push(parts);
        }
    }
}

impl Sessions {
    /// Sessions whose queries use `partitions` partitions, and whose scans share `memory_bytes`.
    ///
    /// # Errors
    /// When a setting is unknown or has a value that does not fit, or there is no directory to
    /// write to.
    pub(super) fn new(
        partitions: usize,
        memory_bytes: usize,
        spill: Option<&SpillOptions>,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut config = SessionConfig::new().with_target_partitions(partitions.max(1));
        for (key, value) in settings {
            config.options_mut().set(key, value)?;
        }
        fix_settings(config.options_mut());
        // What scans sort, and hand to the shard. What queries take themselves is counted by it.
        let pool = GreedyMemoryPool::new(memory_bytes);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, CONSUMERS_NAMED)))
            .with_disk_manager_builder(disk(spill))
            .build_arc()?;
        // File formats and table factories are left out: a query must not reach files.
        let mut base = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_query_planner(Arc::new(Planner))
            .with_optimizer_rule(Arc::new(ReadNewest))
            .with_optimizer_rule(Arc::new(WatchWindows))
            .with_physical_optimizer_rules(rules::rules())
            .with_physical_optimizer_rule(Arc::new(ReadNewestBins))
            .with_physical_optimizer_rule(Arc::new(GroupRuns))
            .with_physical_optimizer_rule(Arc::new(NarrowLargeRows))
            .with_physical_optimizer_rule(Arc::new(WatchPlan))
            .with_catalog_list(Arc::new(EmptyCatalogProviderList))
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_scalar_functions(functions::scalar())
            .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
            .with_aggregate_functions(functions::aggregate())
            .with_window_functions(functions::window())
            .with_table_function_list(SessionStateDefaults::default_table_functions())
            .build();
        for rule in corrections::rules() {
            base.add_analyzer_rule(rule);
        }
        Ok(Self { base, idle: Mutex::default() })
    }

    /// A session for one query that starts at `now_ns` and sees `catalogs`.
    pub(super) fn open(self: &Arc<Self>, catalogs: Arc<Catalogs>, now_ns: i64) -> Session {
        let functions = catalogs.caches().into_iter().flat_map(cache_tables::functions);
        let functions: Vec<_> = functions.collect();
        let scans = Arc::new(catalogs.scans().clone());
        let mut session = self.open_on(catalogs, now_ns);
        if let Some(parts) = &mut session.parts {
            parts.state.config_mut().set_extension(scans);
            for (name, function) in functions {
                parts.state.register_udtf(name, function);
            }
        }
        session
    }

    /// The same without what belongs to a database.
    pub(super) fn open_on(
        self: &Arc<Self>,
        catalogs: Arc<dyn CatalogProviderList>,
        now_ns: i64,
    ) -> Session {
        let idle = self.idle().pop();
        let mut parts = idle.unwrap_or_else(|| {
            let (mut state, now_ns) = (self.base.clone(), Arc::<AtomicI64>::default());
            state.add_analyzer_rule(Arc::new(gapfill::HandleGapFill::new(Arc::clone(&now_ns))));
            Parts { state, now_ns }
        });
        parts.now_ns.store(now_ns, Ordering::Relaxed);
        parts.state.register_catalog_list(catalogs);
        parts.state.mark_start_execution();
        let now = DateTime::from_timestamp_nanos(now_ns);
        parts.state.execution_props_mut().query_execution_start_time = Some(now);
        Session { parts: Some(parts), home: Arc::clone(self) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Parts>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where operators write what they cannot hold in memory.
fn disk(spill: Option<&SpillOptions>) -> DiskManagerBuilder {
    let builder = DiskManagerBuilder::default();
    match spill {
        Some(spill) => builder
            .with_mode(DiskManagerMode::Directories(vec![spill.directory.clone()]))
            .with_max_temp_directory_size(spill.bytes_max)
            .with_max_spill_merge_fan_in(SPILLED_RUNS_MAX),
        None => builder.with_mode(DiskManagerMode::Disabled),
    }
}

/// Settings that are part of how this server behaves and not the operator's to change.
fn fix_settings(options: &mut ConfigOptions) {
    CATALOG.clone_into(&mut options.catalog.default_catalog);
    DEFAULT_SCHEMA.clone_into(&mut options.catalog.default_schema);
    options.catalog.create_default_catalog_and_schema = false;
    options.catalog.information_schema = true;
    options.catalog.location = None;
    // Columns carry metadata that aggregates drop; the check would take that for a fault.
    options.execution.skip_physical_aggregate_schema_check = true;
    // The strings of tables are of the same type as those of casts.
    options.sql_parser.map_string_types_to_utf8view = false;
    // Scans say how many rows they yield, about. Few are not worth an exchange between threads.
    options.execution.use_row_number_estimates_to_optimize_partitioning = true;
}
