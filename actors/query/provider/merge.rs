//! Merging inputs whose keys may be equal.

use super::dedup_exec::DedupExec;
use super::files::file_plan;
use super::plan::{Scan, memory_plan, sort_column};
use super::select::project;
use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{ScalarValue, exec_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_expr::expressions::{Column, lit};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use protocols::schema::{CHUNK_ORDER_COLUMN, ColumnSchema, time_field};
use protocols::snapshot::ParquetFile;
use std::sync::Arc;

/// Inputs that have to be merged. Where keys are equal, the last one wins: files in order, then
/// buffered rows in order.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) layout: MergeLayout,
    pub(super) files: Vec<Arc<ParquetFile>>,
    /// Each in key order, laid out for the merge.
    pub(super) buffered: Vec<Vec<RecordBatch>>,
}

/// The columns of the inputs of a merge: the key, the other columns, the number of the input.
#[derive(Debug)]
pub(super) struct MergeLayout {
    schema: SchemaRef,
    /// The same without the number.
    unnumbered: SchemaRef,
    /// How many columns, from the first, are the key.
    key_columns: usize,
}

impl MergeLayout {
    /// Has every column that `scan` yields.
    pub(super) fn new(scan: &Scan) -> Self {
        let mut fields: Vec<Field> = scan.table.tags().map(ColumnSchema::arrow_field).collect();
        fields.push(time_field());
        let key_columns = fields.len();
        for field in scan.schema.fields() {
            if fields[..key_columns].iter().all(|key| key.name() != field.name()) {
                fields.push(field.as_ref().clone());
            }
        }
        let unnumbered = Arc::new(Schema::new(fields.clone()));
        fields.push(Field::new(CHUNK_ORDER_COLUMN, DataType::UInt32, false));
        Self { schema: Arc::new(Schema::new(fields)), unnumbered, key_columns }
    }

    /// `rows` as input `number` of a merge.
    pub(super) fn number(&self, rows: &RecordBatch, number: usize) -> Result<RecordBatch> {
        let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![number as u32; rows.num_rows()]));
        let mut columns = project(rows, &self.unnumbered)?.columns().to_vec();
        columns.push(numbers);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// `file` as input `number` of a merge.
    fn file(
        &self,
        file: &Arc<ParquetFile>,
        number: usize,
        scan: &Scan,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = file_plan(file, scan, &self.unnumbered, &[], None, config)?;
        let columns = self.unnumbered.fields().iter().enumerate().map(|(i, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), i));
            (column, field.name().clone())
        });
        let number = lit(ScalarValue::UInt32(Some(number as u32)));
        let columns = columns.chain([(number, CHUNK_ORDER_COLUMN.to_owned())]);
        Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
    }
}

impl Merge {
    /// How many rows there are at most.
    pub(super) fn rows_max(&self) -> usize {
        let in_files: usize = self.files.iter().map(|file| file.row_count as usize).sum();
        in_files + self.buffered.iter().flatten().map(RecordBatch::num_rows).sum::<usize>()
    }

    /// Reads the inputs side by side, one row for each key.
    pub(super) fn plan(
        &self,
        scan: &Scan,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let layout = &self.layout;
        let last = layout.schema.fields().len() - 1;
        let names = (0..layout.key_columns).chain([last]).map(|i| layout.schema.field(i).name());
        let ordering = LexOrdering::new(names.filter_map(|name| sort_column(&layout.schema, name)))
            .ok_or_else(|| exec_datafusion_err!("a merge without a key"))?;
        let mut inputs = Vec::with_capacity(self.files.len() + 1);
        for (number, file) in self.files.iter().enumerate() {
            inputs.push(layout.file(file, number, scan, config)?);
        }
        if !self.buffered.is_empty() {
            let ordering = Some(ordering.clone());
            inputs.push(memory_plan(&self.buffered, &layout.schema, ordering)?);
        }
        let merged = SortPreservingMergeExec::new(ordering.clone(), UnionExec::try_new(inputs)?);
        let (key, output) = (layout.key_columns, Arc::clone(&scan.schema));
        Ok(Arc::new(DedupExec::try_new(Arc::new(merged), key, ordering, output)?))
    }
}
