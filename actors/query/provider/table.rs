//! A table as the engine sees it.

use super::context::{Rows, ScanContext};
use super::exec::ScanExec;
use super::filters::classify;
use super::scan::Scan;
use super::segment::{Segment, Source, share, together};
use super::selection::Selection;
use super::times::TimeRange;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use protocols::schema::TableSchema;
use std::collections::HashMap;
use std::sync::Arc;

/// One table at one schema. It knows nothing of rows: these are found in the session of a query.
#[derive(Clone, Debug)]
pub struct StoredTable {
    table: Arc<TableSchema>,
    retention_ns: Option<i64>,
}

impl StoredTable {
    /// The table without the rows that are older than `retention_ns`.
    pub fn new(table: Arc<TableSchema>, retention_ns: Option<i64>) -> Self {
        Self { table, retention_ns }
    }

    /// The schema.
    pub(super) fn table(&self) -> &TableSchema {
        &self.table
    }

    /// Plans the reading of columns and rows. `None` if nothing can be selected.
    ///
    /// Nothing is read here. What is looked at are times and numbers of rows, and of one source the
    /// tags, if there is a condition on them: the optimizer has to know how much there is.
    pub(super) async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Option<ScanExec>> {
        let scan = self.plan_unadmitted(state, projection, filters, limit).await?;
        scan.map(|scan| scan.admitted(state.config())).transpose()
    }

    /// The same before it counts for the files that a query may read.
    pub(super) async fn plan_unadmitted(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Option<ScanExec>> {
        let context = ScanContext::of(state.config())?;
        let schema = project_schema(self.table.arrow_schema(), projection)?;
        let oldest = |retention_ns| context.now_ns.saturating_sub(retention_ns);
        let min_ns = self.retention_ns.map_or(i64::MIN, oldest);
        let visible = TimeRange { min_ns, max_ns: i64::MAX };
        let selection = Selection::new(state, &self.table, visible, filters)?;
        if selection.times.is_empty() {
            return Ok(None);
        }
        let view = context.view(&self.table, selection.times).await?;
        let ScanContext { files_since_ns, groups_since_ns, .. } = *context;
        let sources = together(&view, &selection, files_since_ns, groups_since_ns)?;
        let table = context.newest(&self.table); // not before the view: it has to cover its rows
        // For a number of rows nobody has to look into a file.
        let decoded = match schema.fields().is_empty() && selection.is_every_series() {
            true => HashMap::new(),
            false => {
                let files = sources.iter().flatten().filter_map(Source::file).collect();
                let mut decoded = context.files.decoded(files, &schema).await;
                decoded.retain(|_, rows| fits(&rows.rows, &table));
                decoded
            }
        };
        let memory = Arc::clone(&state.runtime_env().memory_pool);
        let rows = Rows { view, decoded, memory };
        let share = share(&sources, &rows, &selection)?;
        let segment = |sources| Segment::new(sources, &rows, &selection, &table, share);
        let segments = sources.into_iter().map(segment).collect::<Result<Vec<_>>>()?;
        if segments.is_empty() {
            return Ok(None);
        }
        let scan = Scan {
            number: context.keep(Arc::new(rows)),
            table,
            retention_ns: self.retention_ns,
            selection,
            schema,
            segments,
        };
        let (partitions, batch_rows) =
            (state.config().target_partitions(), state.config().batch_size());
        Ok(Some(ScanExec::new(Arc::new(scan), partitions, batch_rows, limit)))
    }
}

/// True if the columns have the types that the table has for them.
fn fits(rows: &RecordBatch, table: &TableSchema) -> bool {
    let table = table.arrow_schema();
    rows.schema_ref().fields().iter().all(|field| {
        table.field_with_name(field.name()).is_ok_and(|f| f.data_type() == field.data_type())
    })
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
        Ok(match self.plan(state, projection, filters, limit).await? {
            Some(scan) => Arc::new(scan),
            None => {
                let schema = project_schema(self.table.arrow_schema(), projection)?;
                Arc::new(EmptyExec::new(schema))
            }
        })
    }
}
