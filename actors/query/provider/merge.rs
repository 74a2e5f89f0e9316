//! Merging inputs whose keys may be equal.

use super::selection::project;
use crate::dedup::last_values;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::{SortOptions, concat_batches, partition, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use futures::{Stream, StreamExt, stream};
use protocols::schema::{CHUNK_ORDER_COLUMN, ColumnSchema, TIME_COLUMN, TableSchema, time_field};
use std::sync::Arc;

/// The columns of the inputs of a merge: the key, the other columns, the number of the input.
#[derive(Debug)]
pub(super) struct MergeLayout {
    numbered: SchemaRef,
    /// The same without the number.
    pub(super) unnumbered: SchemaRef,
    /// How many columns, from the first, are the key.
    key_columns: usize,
    /// By key, and then by number.
    ordering: LexOrdering,
    /// What comes out, and the column of the inputs that each of its columns comes from.
    output: SchemaRef,
    columns: Vec<usize>,
}

/// The order of sorted rows, as far as the result has the columns of the key.
pub(super) fn key_order(table: &TableSchema, schema: &Schema) -> Option<LexOrdering> {
    let tags = table.tags().map(|t| t.name.as_ref());
    let columns = tags.chain([TIME_COLUMN]).map_while(|name| sort_column(schema, name));
    LexOrdering::new(columns)
}

fn sort_column(schema: &Schema, name: &str) -> Option<PhysicalSortExpr> {
    let index = schema.index_of(name).ok()?;
    let options = SortOptions { descending: false, nulls_first: true };
    Some(PhysicalSortExpr::new(Arc::new(Column::new(name, index)), options))
}

impl MergeLayout {
    /// Yields the columns of `output`.
    pub(super) fn new(table: &TableSchema, output: &SchemaRef) -> Result<Self> {
        let mut fields: Vec<Field> = table.tags().map(ColumnSchema::arrow_field).collect();
        fields.push(time_field());
        let key_columns = fields.len();
        for field in output.fields() {
            if fields[..key_columns].iter().all(|key| key.name() != field.name()) {
                fields.push(field.as_ref().clone());
            }
        }
        let unnumbered = Arc::new(Schema::new(fields.clone()));
        fields.push(Field::new(CHUNK_ORDER_COLUMN, DataType::UInt32, false));
        let numbered = Arc::new(Schema::new(fields));
        let last = numbered.fields().len() - 1;
        let names = (0..key_columns).chain([last]).map(|i| numbered.field(i).name());
        let ordering = LexOrdering::new(names.filter_map(|name| sort_column(&numbered, name)))
            .ok_or_else(|| exec_datafusion_err!("a merge without a key"))?;
        let columns = output.fields().iter().map(|field| unnumbered.index_of(field.name()));
        let columns = columns.collect::<Result<_, _>>()?;
        let output = Arc::clone(output);
        Ok(Self { numbered, unnumbered, key_columns, ordering, output, columns })
    }

    /// The columns of numbered inputs.
    pub(super) fn numbered(&self) -> &SchemaRef {
        &self.numbered
    }

    /// `rows` as input `number` of a merge. Columns that they lack are null.
    pub(super) fn number(&self, rows: &RecordBatch, number: usize) -> Result<RecordBatch> {
        let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![number as u32; rows.num_rows()]));
        let mut columns = project(rows, &self.unnumbered)?.columns().to_vec();
        columns.push(numbers);
        Ok(RecordBatch::try_new(Arc::clone(&self.numbered), columns)?)
    }

    /// Reads numbered inputs side by side, each in key order, and makes one row of those with equal
    /// keys: of each column the last value that is not null. `merged` counts the rows that go in.
    pub(super) fn merge(
        self: &Arc<Self>,
        inputs: Vec<SendableRecordBatchStream>,
        batch_rows: usize,
        memory: MemoryReservation,
        merged: Count,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let uncounted = BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let input = StreamingMergeBuilder::new()
            .with_streams(inputs)
            .with_schema(Arc::clone(&self.numbered))
            .with_expressions(&self.ordering)
            .with_metrics(uncounted)
            .with_batch_size(batch_rows)
            .with_reservation(memory)
            .build()?;
        let merge = Merge { input, held: None, layout: Arc::clone(self), merged };
        Ok(stream::try_unfold(merge, Merge::next))
    }

    /// The row at which each distinct key begins.
    fn first_rows(&self, rows: &RecordBatch) -> Result<Vec<u32>> {
        let key = &rows.columns()[..self.key_columns];
        Ok(partition(key)?.ranges().iter().map(|range| range.start as u32).collect())
    }

    /// One row for each of the keys, which begin at the rows `first`.
    fn one_each(&self, rows: &RecordBatch, first: &[u32]) -> Result<RecordBatch> {
        let total = u32::try_from(rows.num_rows())
            .map_err(|_| exec_datafusion_err!("too many rows in a batch"))?;
        let key_rows = UInt32Array::from(first.to_vec());
        let column = |i: &usize| -> Result<ArrayRef> {
            let values = rows.column(*i);
            if first.len() == rows.num_rows() {
                return Ok(Arc::clone(values));
            }
            if *i < self.key_columns {
                return Ok(take(values, &key_rows, None)?);
            }
            Ok(take(values, &last_values(first, total, Some(values), |row| row), None)?)
        };
        let columns = self.columns.iter().map(column).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(first.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)?)
    }
}

/// A merge under way. Its input is ordered by key and then by age.
struct Merge {
    input: SendableRecordBatchStream,
    /// Rows with the last key so far: the next batch may go on with it.
    held: Option<RecordBatch>,
    layout: Arc<MergeLayout>,
    merged: Count,
}

impl Merge {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while let Some(batch) = self.input.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.merged.add(batch.num_rows());
            let rows = match self.held.take() {
                Some(held) => concat_batches(&batch.schema(), [&held, &batch])?,
                None => batch,
            };
            let mut first = self.layout.first_rows(&rows)?;
            let last = first.pop().unwrap_or_default() as usize;
            self.held = Some(rows.slice(last, rows.num_rows() - last));
            if last > 0 {
                let merged = self.layout.one_each(&rows.slice(0, last), &first)?;
                return Ok(Some((merged, self)));
            }
        }
        match self.held.take() {
            Some(held) => Ok(Some((self.layout.one_each(&held, &[0])?, self))),
            None => Ok(None),
        }
    }
}
