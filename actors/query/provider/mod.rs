//! A table of rows in `Store` as the engine sees it.
//!
//! A scan asks the shard for one view, sorts what nobody has sorted before (and hands that back
//! to the shard), and picks series and time spans by search. Chunks do not overlap in time, so
//! they are only laid side by side; within a chunk, rows that came after the kept sorted form are
//! merged with it where their times overlap.

mod chunk;
mod dedup_exec;
mod filters;
mod plan;
mod select;
#[cfg(test)]
mod tests;

use crate::store::StoreShards;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use filters::{TimeRange, classify};
use plan::{Scan, scan_view};
use protocols::messages::rank;
use protocols::messages::store::{KeepSorted, ViewTable};
use protocols::schema::TableSchema;
use select::Selection;
use std::sync::Arc;
use tokio::time::Instant;

/// What all scans of a query share.
#[derive(Clone, Debug)]
pub struct ScanContext {
    /// Where the rows are.
    pub stores: StoreShards,
    /// When the query has to have its rows.
    pub deadline: Instant,
    /// When the query began, nanoseconds since 1970: retention counts from here.
    pub now_ns: i64,
}

/// One table at one schema.
#[derive(Debug)]
pub struct BufferedTable {
    table: Arc<TableSchema>,
    visible: TimeRange,
    context: ScanContext,
}

impl BufferedTable {
    /// The table without the rows that are older than `retention_ns`.
    pub fn new(table: Arc<TableSchema>, retention_ns: Option<i64>, context: ScanContext) -> Self {
        let min_ns = retention_ns.map_or(i64::MIN, |r| context.now_ns.saturating_sub(r));
        Self { table, visible: TimeRange { min_ns, max_ns: i64::MAX }, context }
    }
}

#[async_trait]
impl TableProvider for BufferedTable {
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
        let schema = project_schema(self.table.arrow_schema(), projection)?;
        let selection = Selection::new(state, &self.table, self.visible, filters)?;
        if selection.times.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let shard = self.context.stores.shard_of(self.table.id);
        let question = ViewTable {
            table: self.table.id,
            min_time_ns: selection.times.min_ns,
            max_time_ns: selection.times.max_ns,
        };
        let view = shard
            .ask::<{ rank::QUERY }, _>(question, self.context.deadline)
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        let scan = Scan {
            table: Arc::clone(&self.table),
            selection,
            schema,
            batch_rows: state.config().batch_size(),
            partitions: state.config().target_partitions(),
            limit,
        };
        let keep = |sorted: KeepSorted| {
            // A shard without room does without; the next query sorts again.
            if !shard.tell(sorted) {
                tracing::debug!(table = %self.table.name, "a sorted chunk was not kept");
            }
        };
        scan_view(view, Arc::new(scan), keep).await
    }
}
