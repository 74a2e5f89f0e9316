//! The schema `system`: what the server knows about itself, as tables.

mod audit;
mod caches;
mod catalog_tables;
mod compactions;
mod downsamples;
mod parquet_files;
mod plugins;
mod queries;
mod row_deletes;
mod server;
mod tokens;

use super::config::ServerFacts;
use super::errors;
use super::log::LogEntry;
use super::provider::ScanContext;
use crate::audit::Audit;
use crate::cache_directory::CacheDirectory;
use crate::downsample::Board;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::TableType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
pub use plugins::PluginTables;
use protocols::principal::{Action, Denied, Principal, Visible};
use protocols::schema::{DatabaseSchema, INTERNAL_DB};
use std::fmt;
use std::sync::Arc;

/// What the tables show.
#[derive(Debug)]
struct Source {
    visible: Visible,
    db: Arc<DatabaseSchema>,
    log: Vec<Arc<LogEntry>>,
    context: ScanContext,
    server: Arc<ServerFacts>,
    caches: Option<CacheDirectory>,
    plugins: Option<PluginTables>,
    audit: Option<Mailbox<Audit>>,
    downsamples: Option<Published<Board>>,
}

/// A system table: its columns and how its rows are made.
struct SystemTable {
    name: &'static str,
    /// True for tables that only the built-in database has.
    internal: bool,
    schema: fn() -> SchemaRef,
    rows: Rows,
}

/// How rows are made.
enum Rows {
    /// At once.
    Made(fn(&Source, SchemaRef) -> Result<RecordBatch>),
    /// By an actor that is asked.
    Asked(fn(Arc<Source>, SchemaRef) -> BoxFuture<'static, Result<RecordBatch>>),
    /// By a provider of their own.
    Scanned(fn(&Arc<Source>, SchemaRef) -> Arc<dyn TableProvider>),
}

/// All of them, by name.
const TABLES: [SystemTable; 24] = [
    server::ACTORS,
    audit::AUDIT,
    caches::CACHE_STATES,
    compactions::COMPACTION_EVENTS,
    catalog_tables::DATABASES,
    caches::DISTINCT_CACHES,
    downsamples::DOWNSAMPLES,
    catalog_tables::FILE_INDEXES,
    catalog_tables::GENERATION_DURATIONS,
    catalog_tables::INFLUXDB_SCHEMA,
    caches::LAST_CACHES,
    server::NODES,
    parquet_files::PARQUET_FILES,
    plugins::PLUGIN_FILES,
    plugins::PROCESSING_ENGINE_LOGS,
    plugins::PROCESSING_ENGINE_PLUGINS,
    plugins::PROCESSING_ENGINE_RUNS,
    plugins::PROCESSING_ENGINE_TRIGGER_ARGUMENTS,
    plugins::PROCESSING_ENGINE_TRIGGERS,
    queries::QUERIES,
    row_deletes::ROW_DELETES,
    catalog_tables::TABLES,
    catalog_tables::TABLE_RETENTION,
    tokens::TOKENS,
];

/// The names of all of them, those included that are in no list.
pub fn system_table_names() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().map(|table| table.name)
}

/// Tables that only those find who know of them: clients expect the list to be that of every
/// server of this kind.
const UNLISTED: [&str; 10] = [
    caches::CACHE_STATES.name,
    compactions::COMPACTION_EVENTS.name,
    downsamples::DOWNSAMPLES.name,
    catalog_tables::FILE_INDEXES.name,
    server::ACTORS.name,
    audit::AUDIT.name,
    plugins::PROCESSING_ENGINE_PLUGINS.name,
    plugins::PROCESSING_ENGINE_RUNS.name,
    row_deletes::ROW_DELETES.name,
    catalog_tables::TABLE_RETENTION.name,
];

/// Tables that only admins may read: they are about the server, not about a database.
const ADMINISTRATIVE: [&str; 6] = [
    server::ACTORS.name,
    audit::AUDIT.name,
    compactions::COMPACTION_EVENTS.name,
    server::NODES.name,
    plugins::PLUGIN_FILES.name,
    tokens::TOKENS.name,
];

/// The schema provider of the system tables of one database.
#[derive(Debug)]
pub(super) struct SystemTables(Arc<Source>);

impl SystemTables {
    /// The tables of `db`, with the queries of `log` and the files that `context` leads to.
    pub(super) fn new(
        visible: Visible,
        db: Arc<DatabaseSchema>,
        log: Vec<Arc<LogEntry>>,
        context: ScanContext,
        server: Arc<ServerFacts>,
    ) -> Self {
        Self(Arc::new(Source {
            visible,
            db,
            log,
            context,
            server,
            caches: None,
            plugins: None,
            audit: None,
            downsamples: None,
        }))
    }

    /// The same with what the caches say of themselves.
    pub(super) fn with_caches(mut self, caches: Option<CacheDirectory>) -> Self {
        if let Some(source) = Arc::get_mut(&mut self.0) {
            source.caches = caches;
        }
        self
    }

    /// The same with what plugins said, and where they are.
    pub(super) fn with_plugins(mut self, plugins: Option<PluginTables>) -> Self {
        if let Some(source) = Arc::get_mut(&mut self.0) {
            source.plugins = plugins;
        }
        self
    }

    /// The same with what was done and refused.
    pub(super) fn with_audit(mut self, audit: Option<Mailbox<Audit>>) -> Self {
        if let Some(source) = Arc::get_mut(&mut self.0) {
            source.audit = audit;
        }
        self
    }

    /// The same with how the downsamples are doing.
    pub(super) fn with_downsamples(mut self, board: Option<Published<Board>>) -> Self {
        if let Some(source) = Arc::get_mut(&mut self.0) {
            source.downsamples = board;
        }
        self
    }

    fn tables(&self) -> impl Iterator<Item = &'static SystemTable> {
        static ALL: [SystemTable; 24] = TABLES;
        let internal = self.0.db.name.as_ref() == INTERNAL_DB;
        ALL.iter().filter(move |table| internal || !table.internal)
    }

    fn is_allowed(&self, table: &SystemTable) -> std::result::Result<(), Denied> {
        match ADMINISTRATIVE.contains(&table.name) {
            true => self.0.visible.authorize(Action::Administrate),
            false => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Option<&'static SystemTable> {
        let found = self.tables().find(|table| table.name == name)?;
        // Where nobody has to bring a token, there is nothing to tell tokens by.
        let is_open = *self.0.visible.principal() == Principal::Everybody;
        let is_tokens = is_open && name == tokens::TOKENS.name;
        Some(if is_tokens { &tokens::WITHOUT_HASHES } else { found })
    }
}

#[async_trait]
impl SchemaProvider for SystemTables {
    fn table_names(&self) -> Vec<String> {
        let listed = self
            .tables()
            .filter(|table| !UNLISTED.contains(&table.name) && self.is_allowed(table).is_ok());
        listed.map(|table| table.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.find(name) else {
            return Ok(None);
        };
        self.is_allowed(table)
            .map_err(|denied| DataFusionError::External(Box::new(errors::denied(&denied))))?;
        let schema = (table.schema)();
        let rows = match table.rows {
            Rows::Scanned(provider) => return Ok(Some(provider(&self.0, schema))),
            Rows::Made(rows) => Making::AtOnce(rows),
            Rows::Asked(rows) => Making::Later(rows),
        };
        let (name, source) = (table.name, Arc::clone(&self.0));
        let scan = Scan { name, rows, schema: Arc::clone(&schema), source };
        Ok(Some(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(scan)])?)))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.find(name).map(|_| TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

/// Makes the rows when the query runs.
struct Scan {
    name: &'static str,
    rows: Making,
    schema: SchemaRef,
    source: Arc<Source>,
}

/// How they are made then.
enum Making {
    AtOnce(fn(&Source, SchemaRef) -> Result<RecordBatch>),
    Later(fn(Arc<Source>, SchemaRef) -> BoxFuture<'static, Result<RecordBatch>>),
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scan").field(&self.name).finish()
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let rows = match self.rows {
            Making::AtOnce(rows) => stream::iter([rows(&self.source, schema)]).boxed(),
            Making::Later(rows) => rows(Arc::clone(&self.source), schema).into_stream().boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
