//! Decoding files: their selected rows, as a stream.

use super::counts::{CountedAtLast, Counts};
use super::enough::Enough;
use super::groups::Groups;
use super::held::held;
use super::narrowing::Narrowed;
use super::overlap::FileRows;
use super::reader::FileAccess;
use super::segment::file_times;
use super::selection::Selection;
use super::short::Quick;
use super::values::WantedValues;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::physical_plan::parquet::{
    ParquetRowSelection, can_expr_be_pushed_down_with_schemas,
};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSource;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit, not};
use datafusion::physical_expr::utils::{
    conjunction, conjunction_opt, reassign_expr_columns, split_conjunction,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{EmptyRecordBatchStream, PhysicalExpr};
use protocols::row_deletes::RowDelete;
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// Decodes the files of one partition of a scan.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) access: Arc<FileAccess>,
    options: TableParquetOptions,
    task: Arc<TaskContext>,
    counts: Counts,
}

/// What spares the decoding of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparing {
    /// Conditions on columns of the result that somebody above applies again.
    pub(super) filters: Vec<Arc<dyn PhysicalExpr>>,
    /// Those of them that are looked at before rows in memory are handed on.
    pub(super) quick: Option<Quick>,
    /// What they say of the values of columns.
    pub(super) values: WantedValues,
    /// So many rows are enough.
    pub(super) limit: Option<usize>,
    /// What is enough of each series.
    pub(super) enough: Option<Arc<Enough>>,
}

impl Sparing {
    /// The groups of which the newest row is enough.
    pub(super) fn newest(&self) -> Option<&Arc<Groups>> {
        self.enough.as_ref().and_then(|enough| enough.newest())
    }
}

impl Decoder {
    /// Decodes files that `access` gets at.
    pub(super) fn new(access: FileAccess, task: Arc<TaskContext>) -> Self {
        let global = task.session_config().options().execution.parquet.clone();
        let mut options = TableParquetOptions { global, ..Default::default() };
        options.global.pushdown_filters = true;
        // `narrowed` has looked at them, and remembers them.
        options.global.bloom_filter_on_read = false;
        let counts = access.counts.clone();
        Self { access: Arc::new(access), options, task, counts }
    }

    /// The selected rows of a file that are not deleted, in the order of the file, with the columns of
    /// `output`. Columns that the file does not have are null. Only those rows are looked at that
    /// `narrowed` leads to.
    pub(super) fn rows(
        &self,
        FileRows { file, deletes }: &FileRows,
        selection: &Selection,
        output: &SchemaRef,
        sparing: &Sparing,
        narrowed: Narrowed,
    ) -> Result<SendableRecordBatchStream> {
        if narrowed.is_nothing() {
            self.counts.exclude_file();
            return Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(output))));
        }
        let table = self.access.table.arrow_schema();
        let kept = deletes.iter().map(|delete| is_kept(delete, table));
        let kept = kept.collect::<Result<Vec<_>>>()?;
        let exact = selection.condition(table, file_times(file))?.into_iter().chain(kept);
        let exact = conjunction_opt(exact);
        if let Some(exact) = &exact {
            // The reader would leave out what it cannot evaluate, and nobody checks after it.
            for part in split_conjunction(exact) {
                if !can_expr_be_pushed_down_with_schemas(part, table) {
                    return exec_err!("{part} cannot be evaluated on a file");
                }
            }
        }
        let sparing_on_table = sparing.filters.iter().filter_map(|filter| on(table, filter));
        let mut source = ParquetSource::new(Arc::clone(table))
            .with_table_parquet_options(self.options.clone())
            .with_parquet_file_reader_factory(Arc::clone(&self.access) as _);
        if let Some(all) = conjunction_opt(exact.into_iter().chain(sparing_on_table)) {
            source = source.with_predicate(all);
        }
        let columns = output.fields().iter().map(|field| table.index_of(field.name()));
        let mut object = self.access.object(file);
        if let Some(rows) = narrowed.rows {
            object = object.with_extension(ParquetRowSelection::new(rows));
        }
        if let Some(fetched) = narrowed.fetched {
            object = object.with_extension(fetched);
        }
        let counted =
            CountedAtLast { decoder: source.metrics().clone(), counts: self.counts.clone() };
        // The reader knows where the bytes are. The engine wants the name of a store all the same.
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file(object)
            .with_projection_indices(Some(columns.collect::<Result<_, _>>()?))?
            .with_limit(sparing.limit)
            .build();
        let rows = scan.open(0, Arc::clone(&self.task))?;
        self.counts.files_opened.add(1);
        let schema = rows.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, held(rows, counted))))
    }
}

/// The condition that a row is none of those that a delete is about. It is never null.
fn is_kept(delete: &RowDelete, table: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let compared = |column: &str, op, value: ScalarValue| -> Result<Arc<dyn PhysicalExpr>> {
        let column = Arc::new(Column::new_with_schema(column, table)?);
        Ok(Arc::new(BinaryExpr::new(column, op, lit(value))))
    };
    let at = |ns| ScalarValue::TimestampNanosecond(Some(ns), None);
    let mut parts = Vec::with_capacity(delete.tags.len() + 2);
    for (tag, value) in &delete.tags {
        let value = ScalarValue::Utf8(Some(value.to_string()));
        parts.push(compared(tag, Operator::IsNotDistinctFrom, value)?);
    }
    let (min_ns, max_ns) = delete.times_ns();
    parts.push(compared(TIME_COLUMN, Operator::GtEq, at(min_ns))?);
    parts.push(compared(TIME_COLUMN, Operator::LtEq, at(max_ns))?);
    not(conjunction(parts))
}

/// The filter as one on columns of the table, if the decoder can evaluate it.
fn on(table: &SchemaRef, filter: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    let filter = reassign_expr_columns(Arc::clone(filter), table).ok()?;
    can_expr_be_pushed_down_with_schemas(&filter, table).then_some(filter)
}
