//! The newest rows of a table: for queries that ask for the last value of each tag.
//!
//! Such a query needs one row of each group of rows with equal tags. The newest chunk or file has
//! nearly all of them; of an older one only its tags are looked at, to see whether there is a
//! group in it that no newer one has. What tags a file has is remembered beside its description.

mod exec;
mod keys;
mod rule;

pub(in super::super) use rule::ReadNewest;

use super::StoredTable;
use super::group::group_by_time;
use super::plan::scan_view;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use exec::NewestExec;
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// A table of which somebody wants the newest row of each group of rows with equal `key`.
///
/// Its scan yields, for each group among the selected rows, all rows of the newest time, and maybe
/// some older rows.
#[derive(Debug)]
pub(super) struct NewestRows {
    table: StoredTable,
    /// Names of tags.
    key: Vec<String>,
}

impl NewestRows {
    fn new(table: StoredTable, key: Vec<String>) -> Self {
        Self { table, key }
    }
}

#[async_trait]
impl TableProvider for NewestRows {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some((view, scan)) = self.table.look(state, projection, filters, limit).await? else {
            let schema = project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        };
        let scan = Arc::new(scan);
        let admit = |files| self.table.context.admit(files);
        let place = |name: &str| scan.schema.index_of(name).ok();
        let key: Option<Vec<usize>> = self.key.iter().map(|name| place(name)).collect();
        let time = place(TIME_COLUMN);
        match key {
            Some(key) if limit.is_none() => {
                admit(view.files.len())?;
                Ok(Arc::new(NewestExec::new(group_by_time(view), scan, key, time)))
            }
            _ => scan_view(view, scan, admit, state.config_options()).await,
        }
    }
}
