//! Merging rows with equal keys while they stream by.

use crate::dedup::last_values;
use crate::query::plan_kit::{new_children, no_expressions};
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::{concat_batches, partition, take};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{exec_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// Makes one row of neighbouring rows with equal keys: of each other column the last value that
/// is not null. The input is one partition, ordered by the key and then by age.
#[derive(Debug)]
pub(super) struct DedupExec {
    input: Arc<dyn ExecutionPlan>,
    /// How many columns of the input, from the first, are the key.
    key_columns: usize,
    /// The order of the input.
    ordering: LexOrdering,
    layout: Arc<Layout>,
    properties: Arc<PlanProperties>,
}

/// Where the columns of the result come from.
#[derive(Debug)]
struct Layout {
    key_columns: usize,
    /// Column of the input for each column of the result.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl DedupExec {
    /// Merges `input` and yields the columns of `schema`, which are found by name.
    pub(super) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        key_columns: usize,
        ordering: LexOrdering,
        schema: SchemaRef,
    ) -> Result<Self> {
        let from = input.schema();
        let columns = schema.fields().iter().map(|f| from.index_of(f.name()));
        let columns = columns.collect::<Result<_, _>>()?;
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let layout = Arc::new(Layout { key_columns, columns, schema });
        Ok(Self { input, key_columns, ordering, layout, properties })
    }
}

impl DisplayAs for DedupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupExec: key=[{}]", self.ordering)
    }
}

impl ExecutionPlan for DedupExec {
    fn name(&self) -> &'static str {
        "DedupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.ordering.clone()))]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    no_expressions!();

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop().filter(|_| children.is_empty()) else {
            return internal_err!("a merge has exactly one input");
        };
        let (ordering, schema) = (self.ordering.clone(), Arc::clone(&self.layout.schema));
        Ok(Arc::new(Self::try_new(input, self.key_columns, ordering, schema)?))
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let merge = Merge { input, held: None, layout: Arc::clone(&self.layout) };
        let schema = Arc::clone(&self.layout.schema);
        let merged = stream::try_unfold(merge, Merge::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, merged)))
    }
}

/// A merge under way.
struct Merge {
    input: SendableRecordBatchStream,
    /// Rows with the last key so far: the next batch may go on with it.
    held: Option<RecordBatch>,
    layout: Arc<Layout>,
}

impl Merge {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while let Some(batch) = self.input.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let rows = match self.held.take() {
                Some(held) => concat_batches(&batch.schema(), [&held, &batch])?,
                None => batch,
            };
            let mut first = self.layout.first_rows(&rows)?;
            let last = first.pop().unwrap_or_default() as usize;
            self.held = Some(rows.slice(last, rows.num_rows() - last));
            if last > 0 {
                let merged = self.layout.merge(&rows.slice(0, last), &first)?;
                return Ok(Some((merged, self)));
            }
        }
        match self.held.take() {
            Some(held) => Ok(Some((self.layout.merge(&held, &[0])?, self))),
            None => Ok(None),
        }
    }
}

impl Layout {
    /// The row at which each distinct key begins.
    fn first_rows(&self, rows: &RecordBatch) -> Result<Vec<u32>> {
        let key = &rows.columns()[..self.key_columns];
        Ok(partition(key)?.ranges().iter().map(|range| range.start as u32).collect())
    }

    fn merge(&self, rows: &RecordBatch, first: &[u32]) -> Result<RecordBatch> {
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
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
