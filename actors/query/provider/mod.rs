//! A table as the engine sees it: its buffered rows and its Parquet files.
//!
//! A scan asks the shard for one view of chunks and files, sorts what nobody has sorted before
//! (and hands that back to the shard), and picks series and time spans of buffered rows by search.
//! What is much to sort is sorted while the query runs, chunk by chunk as it comes to them.
//! Where the time ranges of chunks and files overlap, their rows are merged key by key; all else
//! is only laid side by side. Files are opened while the query runs, one after the other.

mod chunk;
mod dedup_exec;
mod deferred;
mod files;
mod filters;
mod group;
mod join;
mod merge;
mod newest;
mod part;
mod parts_exec;
mod plan;
mod reader;
mod select;
#[cfg(test)]
mod tests;

pub use files::Files;
pub(super) use newest::ReadNewest;
pub(super) use parts_exec::FILES_OPENED;

use super::errors;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableSource, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use filters::{TimeRange, classify};
use group::{Group, group_by_time};
use newest::NewestRows;
use plan::{Scan, scan_groups};
use protocols::messages::rank;
use protocols::messages::store::ViewTable;
use protocols::schema::{CatalogSnapshot, TableSchema};
use reader::FileAccess;
use select::Selection;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What all scans of a query share.
#[derive(Clone, Debug)]
pub struct ScanContext {
    /// Where the buffered rows are.
    pub stores: StoreShards,
    /// Where the files are.
    pub files: Files,
    /// The newest names and schemas: rows may have columns that the query does not know.
    pub catalog: Published<CatalogSnapshot>,
    /// When the query has to have its views of tables.
    pub deadline: Instant,
    /// When the query began, nanoseconds since 1970: retention counts from here.
    pub now_ns: i64,
    /// How many files the query reads.
    pub files_planned: Arc<AtomicUsize>,
    /// Files whose rows are all before this instant are left out.
    pub files_since_ns: i64,
    /// Chunks and files whose rows are all before this instant are left out, but for those that
    /// share their time with newer ones: some rows of these may have to replace rows of the others.
    pub groups_since_ns: i64,
    /// A scan with up to so many bytes of unsorted rows sorts them while it is planned.
    pub sort_ahead_bytes_max: usize,
}

impl ScanContext {
    /// Admits so many more files to the query.
    fn admit(&self, files: usize) -> Result<()> {
        let planned = files + self.files_planned.fetch_add(files, Ordering::Relaxed);
        match self.files.query_file_limit {
            Some(limit) if planned > limit => {
                Err(DataFusionError::External(Box::new(errors::too_many_files(planned))))
            }
            _ => Ok(()),
        }
    }
}

/// One table at one schema.
#[derive(Clone, Debug)]
pub struct StoredTable {
    table: Arc<TableSchema>,
    retention_ns: Option<i64>,
    context: ScanContext,
}

impl StoredTable {
    /// The table without the rows that are older than `retention_ns`.
    pub fn new(table: Arc<TableSchema>, retention_ns: Option<i64>, context: ScanContext) -> Self {
        Self { table, retention_ns, context }
    }

    fn reopened(&self, context: &ScanContext) -> Self {
        Self { context: context.clone(), ..self.clone() }
    }

    fn visible(&self) -> TimeRange {
        let oldest = |r| self.context.now_ns.saturating_sub(r);
        let min_ns = self.retention_ns.map_or(i64::MIN, oldest);
        TimeRange { min_ns, max_ns: i64::MAX }
    }

    /// The table with every column that a row has which is visible by now. The tags among them
    /// are part of the order in which rows and files are sorted.
    fn newest(&self) -> Arc<TableSchema> {
        let snapshot = self.context.catalog.load();
        let mut tables =
            snapshot.databases.values().filter_map(|db| db.tables.get(&self.table.name));
        match tables.find(|table| table.id == self.table.id) {
            Some(newest) if newest.columns.len() > self.table.columns.len() => Arc::clone(newest),
            _ => Arc::clone(&self.table),
        }
    }

    /// What a scan of these columns and rows is about, and what there is. `None` if nothing can be
    /// selected.
    async fn look(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Option<(Vec<Group>, Scan)>> {
        let schema = project_schema(self.table.arrow_schema(), projection)?;
        let selection = Selection::new(state, &self.table, self.visible(), filters)?;
        if selection.times.is_empty() {
            return Ok(None);
        }
        let shard = self.context.stores.shard_of(self.table.id);
        let question = ViewTable {
            table: self.table.id,
            min_time_ns: selection.times.min_ns,
            max_time_ns: selection.times.max_ns,
        };
        let mut view = shard
            .ask::<{ rank::QUERY }, _>(question, self.context.deadline)
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        view.files.retain(|file| file.max_time_ns >= self.context.files_since_ns);
        let mut groups = group_by_time(view);
        groups.retain(|group| group.times().max_ns >= self.context.groups_since_ns);
        // For a number of rows nobody has to look into a file.
        let decoded = match schema.fields().is_empty() && selection.is_every_series() {
            true => HashMap::new(),
            false => self.context.files.decoded(&groups, &schema).await,
        };
        let table = self.newest(); // not before the view: it has to cover the rows of the view
        let runtime = state.runtime_env();
        let access = FileAccess {
            files: self.context.files.clone(),
            metadata: runtime.cache_manager.get_file_metadata_cache(),
            table: Arc::clone(&table),
            retention_ns: self.retention_ns,
        };
        let scan = Scan {
            table,
            selection,
            schema,
            batch_rows: state.config().batch_size(),
            partitions: state.config().target_partitions(),
            limit,
            access: Arc::new(access),
            memory: MemoryConsumer::new("SortChunks").register(&runtime.memory_pool),
            shard: shard.clone(),
            sort_ahead_bytes_max: self.context.sort_ahead_bytes_max,
            turns: Semaphore::new(state.config().target_partitions().max(1)),
        };
        groups.iter_mut().for_each(|group| group.take_decoded(&decoded, &scan.table));
        Ok(Some((groups, scan)))
    }
}

/// True for tables that can be opened again for another query.
pub(super) fn is_stored(source: &Arc<dyn TableSource>) -> bool {
    provider_of(source).is_some_and(|table| table.is::<StoredTable>() || table.is::<NewestRows>())
}

/// The same table for another query, with the same schema.
pub(super) fn reopened(
    source: &Arc<dyn TableSource>,
    context: &ScanContext,
) -> Option<Arc<dyn TableSource>> {
    let provider = provider_of(source)?;
    let reopened: Arc<dyn TableProvider> = match provider.downcast_ref::<StoredTable>() {
        Some(table) => Arc::new(table.reopened(context)),
        None => Arc::new(provider.downcast_ref::<NewestRows>()?.reopened(context)),
    };
    Some(provider_as_source(reopened))
}

fn provider_of(source: &Arc<dyn TableSource>) -> Option<&Arc<dyn TableProvider>> {
    source.downcast_ref::<DefaultTableSource>().map(|source| &source.table_provider)
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table.arrow_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters on tags alone and comparisons of `time` are answered exactly. Filters on fields
    /// have to act on merged rows, so they stay above the scan; so does everything else.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match classify(filter, &self.table) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some((groups, scan)) = self.look(state, projection, filters, limit).await? else {
            let schema = project_schema(self.table.arrow_schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        };
        let admit = |files| self.context.admit(files);
        scan_groups(groups, Arc::new(scan), admit, state.config_options()).await
    }
}
