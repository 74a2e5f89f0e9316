//! A table of which somebody wants the newest rows.

use super::super::table::StoredTable;
use super::exec::{NewestExec, Yields};
use super::names::GroupNamesExec;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// A table of which somebody wants the newest row of each group of rows with equal `key`.
///
/// Its scan yields rows of each group among the selected rows, as `yields` says.
#[derive(Debug)]
pub(in super::super) struct NewestRows {
    table: StoredTable,
    /// Names of tags.
    key: Vec<String>,
    yields: Yields,
}

impl NewestRows {
    pub(super) fn new(table: StoredTable, key: Vec<String>, yields: Yields) -> Self {
        Self { table, key, yields }
    }

    /// Plans the reading of nothing but tags of the groups: those at the places `shown`.
    async fn names(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        shown: Vec<usize>,
        output: SchemaRef,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = self.schema();
        let columns = self.key.iter().map(|name| table.index_of(name));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(match self.table.plan(state, Some(&columns), filters, None).await? {
            Some(scan) => Arc::new(GroupNamesExec::new(&scan, shown, output)),
            None => Arc::new(EmptyExec::new(output)),
        })
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
        _: Option<usize>, // of groups, and there is no telling which rows make so many
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = self.schema();
        let output = project_schema(&table, projection)?;
        let shown = output.fields().iter().map(|f| self.key.iter().position(|key| key == f.name()));
        if let (Yields::OneRow, Some(shown)) = (self.yields, shown.collect::<Option<Vec<_>>>()) {
            return self.names(state, filters, shown, output).await;
        }
        let mut columns = projection.cloned().unwrap_or((0..table.fields().len()).collect());
        for name in self.key.iter().map(String::as_str).chain([TIME_COLUMN]) {
            let column = table.index_of(name)?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let Some(scan) = self.table.plan(state, Some(&columns), filters, None).await? else {
            return Ok(Arc::new(EmptyExec::new(output)));
        };
        let schema = scan.schema();
        let key = self.key.iter().map(|name| Ok(schema.index_of(name)?));
        let key = key.collect::<Result<Vec<_>>>()?;
        let newest = Arc::new(NewestExec::try_new(scan, key, self.yields)?);
        if schema.fields().len() == output.fields().len() {
            return Ok(newest);
        }
        let columns = output.fields().iter().enumerate().map(|(i, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), i));
            (column, field.name().clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(columns, newest)?))
    }
}
