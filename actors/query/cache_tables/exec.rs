//! Asking a cache, as a step of a physical plan.

use super::cache::CacheTable;
use crate::cache_kit::shown;
use crate::query::plan_kit::{no_children, no_expressions};
use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{
    SortColumn, SortOptions, filter_record_batch, lexsort_to_indices, partition, take_record_batch,
};
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
};
use futures::stream;
use protocols::messages::caches::{KeyTest, KeyValue, LookUpCache};
use protocols::messages::catalog::CacheKind;
use std::fmt;
use std::sync::Arc;

/// What is wanted of a cache.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// What the cache tests.
    pub(super) tests: Vec<(usize, KeyTest)>,
    /// The columns that it is asked for.
    pub(super) asked: SchemaRef,
    /// A condition on these, for what the cache cannot test.
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns of the result.
    pub(super) schema: SchemaRef,
    /// So many rows are enough.
    pub(super) limit: Option<usize>,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct CacheExec {
    table: CacheTable,
    wanted: Wanted,
    properties: Arc<PlanProperties>,
}

impl CacheExec {
    pub(super) fn new(table: CacheTable, wanted: Wanted) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&wanted.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { table, wanted, properties: Arc::new(properties) }
    }

    fn show_tests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wanted.tests.is_empty() {
            return Ok(());
        }
        let value = |value: &KeyValue| match (self.table.kind, value) {
            (CacheKind::Last, KeyValue::Text(text)) => format!("'{text}'"),
            _ => shown(value),
        };
        let test = |(column, test): &(usize, KeyTest)| {
            let (word, values) = match test {
                KeyTest::In(values) => ("IN", values),
                KeyTest::NotIn(values) => ("NOT IN", values),
            };
            let values: Vec<String> = values.iter().map(value).collect();
            let name = self.table.schema.field(*column).name();
            format!("[{name}@{column} {word} ({})]", values.join(","))
        };
        let tests: Vec<String> = self.wanted.tests.iter().map(test).collect();
        write!(f, " predicates=[{}]", tests.join(", "))
    }
}

impl DisplayAs for CacheExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            self.wanted.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "{}: projection=[{}]", self.name(), names.join(", "))?;
        if let Some(limit) = self.wanted.limit {
            write!(f, " limit={limit}")?;
        }
        self.show_tests(f)?;
        match &self.wanted.filter {
            Some(filter) => write!(f, " filter={filter}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for CacheExec {
    fn name(&self) -> &'static str {
        match self.table.kind {
            CacheKind::Last => "LastCacheExec",
            CacheKind::Distinct => "DistinctCacheExec",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    no_children!();

    no_expressions!();

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (table, wanted) = (self.table.clone(), self.wanted.clone());
        let rows = stream::once(async move {
            let question = LookUpCache {
                tests: wanted.tests.clone(),
                schema: Arc::clone(&wanted.asked),
                limit: wanted.limit.filter(|_| wanted.filter.is_none()),
            };
            let rows = table.look_up(question).await?;
            match &wanted.filter {
                Some(filter) => filtered(&rows, filter, &table, &wanted),
                None => Ok(rows),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.wanted.schema), rows)))
    }
}

/// The rows for which the condition holds, with the columns of the result.
fn filtered(
    rows: &RecordBatch,
    filter: &Arc<dyn PhysicalExpr>,
    table: &CacheTable,
    wanted: &Wanted,
) -> Result<RecordBatch> {
    let holds = filter.evaluate(rows)?.into_array(rows.num_rows())?;
    let Some(holds) = holds.as_boolean_opt() else {
        return internal_err!("a filter is not a condition");
    };
    let rows = filter_record_batch(rows, holds)?;
    let columns = wanted.schema.fields().iter().map(|f| rows.schema_ref().index_of(f.name()));
    let rows = rows.project(&columns.collect::<Result<Vec<_>, _>>()?)?;
    let rows = match table.kind {
        CacheKind::Distinct if rows.num_columns() > 0 => distinct(&rows)?,
        _ => rows,
    };
    let limit = wanted.limit.unwrap_or(usize::MAX).min(rows.num_rows());
    Ok(rows.slice(0, limit))
}

/// Each row once, in order.
fn distinct(rows: &RecordBatch) -> Result<RecordBatch> {
    let options = Some(SortOptions { descending: false, nulls_first: true });
    let columns = rows.columns().iter().map(|c| SortColumn { values: Arc::clone(c), options });
    let order = lexsort_to_indices(&columns.collect::<Vec<_>>(), None)?;
    let sorted = take_record_batch(rows, &order)?;
    let firsts = partition(sorted.columns())?.ranges();
    let firsts = UInt32Array::from_iter_values(firsts.iter().map(|range| range.start as u32));
    Ok(take_record_batch(&sorted, &firsts)?)
}
