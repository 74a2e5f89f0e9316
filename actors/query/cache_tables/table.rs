//! A cache as the engine sees it: a table that can be asked for keys.

use super::exec::{CacheExec, Wanted};
use super::predicates::{condition, is_exact, key_test};
use crate::cache_kit::{CacheDirectory, CacheEntry};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{plan_datafusion_err, project_schema};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use protocols::messages::caches::CacheRef;
use protocols::messages::catalog::CacheKind;
use protocols::schema::DatabaseSchema;
use std::sync::Arc;

/// The caches of one database.
#[derive(Debug)]
pub(in super::super) struct CacheTables {
    /// The database.
    pub(in super::super) db: Arc<DatabaseSchema>,
    /// The caches that run.
    pub(in super::super) directory: Option<CacheDirectory>,
}

impl CacheTables {
    /// The cache of that table and name.
    ///
    /// # Errors
    /// When there is no such table or cache, or several caches and no name.
    pub(super) fn find(
        &self,
        kind: CacheKind,
        table: &str,
        cache: Option<&str>,
    ) -> Result<CacheTable> {
        let schema = self.db.table(table).ok_or_else(|| match kind {
            CacheKind::Last => plan_datafusion_err!("provided table name is invalid"),
            CacheKind::Distinct => {
                plan_datafusion_err!("provided table name ({table}) is invalid")
            }
        })?;
        let found = match kind {
            CacheKind::Last => {
                let def = schema.caches.last(cache).ok_or_else(|| {
                    plan_datafusion_err!("could not find cache for the given arguments")
                })?;
                (def.id, def.keys.len(), def.schema(schema))
            }
            CacheKind::Distinct => {
                let def = schema.caches.distinct(cache).ok_or_else(|| {
                    plan_datafusion_err!(
                        "could not find distinct value cache for the given arguments"
                    )
                })?;
                (def.id, def.columns.len(), def.schema(schema))
            }
        };
        let (cache, keys, columns) = found;
        let cache = CacheRef { table: schema.id, cache };
        let running = self.directory.as_ref().map(CacheDirectory::load);
        let entry = running.and_then(|running| running.find(cache).map(Arc::clone));
        Ok(CacheTable { kind, keys, schema: columns, entry })
    }
}

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct CacheTable {
    /// Which kind.
    pub(super) kind: CacheKind,
    /// So many of the first columns are keys.
    pub(super) keys: usize,
    /// The columns.
    pub(super) schema: SchemaRef,
    /// The cache, if it runs.
    pub(super) entry: Option<Arc<CacheEntry>>,
}

impl CacheTable {
    /// The columns that can be tested.
    pub(super) fn key_fields(&self) -> &[Arc<arrow::datatypes::Field>] {
        &self.schema.fields()[..self.keys]
    }
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
    /// be distinct after them. The tests of a last-value cache are made again above it.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match self.kind {
            CacheKind::Distinct if is_exact(filter) => TableProviderFilterPushDown::Exact,
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
