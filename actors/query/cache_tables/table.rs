//! A cache as the engine sees it: a table that can be asked for keys.

use super::cache::CacheTable;
use super::exec::{CacheExec, Wanted};
use super::predicates::{condition, finds_key, is_exact, key_test};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::datasource::DefaultTableSource;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableSource, TableType};
use datafusion::physical_plan::ExecutionPlan;
use protocols::messages::catalog::CacheKind;
use std::sync::Arc;

/// True for caches as tables: a plan of these may be kept, for it finds the cache when it runs.
pub(in super::super) fn is_cache(source: &Arc<dyn TableSource>) -> bool {
    let source = source.downcast_ref::<DefaultTableSource>();
    source.is_some_and(|source| source.table_provider.is::<CacheTable>())
}

#[async_trait]
impl TableProvider for CacheTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// A distinct-value cache answers conditions on its columns by itself: what it yields has to
    /// be distinct after them. A last-value cache finds rows by their key; its other tests are made
    /// again above it.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match self.kind {
            CacheKind::Distinct if is_exact(filter) => TableProviderFilterPushDown::Exact,
            CacheKind::Last if finds_key(filter, self.key_fields()) => {
                TableProviderFilterPushDown::Exact
            }
            CacheKind::Last if key_test(filter, self.key_fields()).is_some() => {
                TableProviderFilterPushDown::Inexact
            }
            _ => TableProviderFilterPushDown::Unsupported,
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
        let schema = project_schema(&self.schema, projection)?;
        let mut tests = Vec::new();
        let mut rest = Vec::new();
        for filter in filters {
            match key_test(filter, self.key_fields()) {
                Some(test) => tests.push(test),
                None => rest.push(filter.clone()),
            }
        }
        let mut asked = Arc::clone(&schema);
        let mut filter = None;
        if !rest.is_empty() {
            let read: Vec<_> = rest.iter().flat_map(Expr::column_refs).collect();
            let is_asked = |name: &str| {
                schema.index_of(name).is_ok() || read.iter().any(|column| column.name == name)
            };
            let fields = self.schema.fields().iter().filter(|field| is_asked(field.name()));
            asked = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
            drop(read);
            filter = condition(state, &asked, rest)?;
        }
        let wanted = Wanted { tests, asked, filter, schema, limit };
        Ok(Arc::new(CacheExec::new(self.clone(), wanted)))
    }
}
