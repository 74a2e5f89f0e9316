//! What rows are ordered by.

use super::series_key::series_key_of;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{
    SortOptions, filter_record_batch, is_not_null, or, take_arrays, take_record_batch,
};
use arrow::datatypes::TimestampNanosecondType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{exec_datafusion_err, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, is_not_null as has_value};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use std::fmt;
use std::sync::Arc;

/// What rows are ordered by. Columns are told by their places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::query) struct Order {
    /// So many columns are shown, the first ones.
    pub(in crate::query) shown: usize,
    /// What tells series apart.
    pub(in crate::query) series: Vec<usize>,
    /// When a row was.
    pub(in crate::query) time: usize,
    /// What orders rows of one time.
    pub(in crate::query) keys: Vec<usize>,
    /// Rows that have a value in none of these are left out.
    pub(in crate::query) fields: Vec<usize>,
    /// True if the newest rows come first.
    pub(in crate::query) descending: bool,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, time, keys, fields, descending, .. } = self;
        let first = if *descending { "newest" } else { "oldest" };
        write!(f, "series={series:?}, time={time}, keys={keys:?}, some of={fields:?}, ")?;
        write!(f, "first={first}")
    }
}

/// Missing values come last.
const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

impl Order {
    /// The rows of `batch` that have a value.
    pub(super) fn with_values(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let fields = self.fields.iter().map(|at| batch.column(*at));
        if self.fields.is_empty() || fields.clone().any(|field| field.logical_null_count() == 0) {
            return Ok(batch);
        }
        let mut has_some: Option<BooleanArray> = None;
        for field in fields {
            let has = is_not_null(field)?;
            has_some = Some(match has_some {
                Some(some) => or(&some, &has)?,
                None => has,
            });
        }
        match has_some {
            Some(some) => Ok(filter_record_batch(&batch, &some)?),
            None => Ok(batch),
        }
    }

    /// The columns of `rows` that are shown, in order.
    pub(super) fn sorted(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let times = rows.column(self.time).as_primitive_opt::<TimestampNanosecondType>();
        let times = times.ok_or_else(|| exec_datafusion_err!("rows without a time column"))?;
        let rank = |row: u32| match times.is_valid(row as usize) {
            true if self.descending => !times.value(row as usize),
            true => times.value(row as usize),
            false => i64::MAX,
        };
        let series = encoded(rows, &self.series, None)?;
        let name = |row: u32| series.as_ref().map(|series| series.row(row as usize));
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        order.sort_unstable_by(|a, b| {
            let by_series = || name(*a).cmp(&name(*b));
            by_series().then_with(|| rank(*a).cmp(&rank(*b))).then_with(|| a.cmp(b))
        });
        let mut rest = order.as_mut_slice();
        while let Some(first) = rest.first().copied() {
            let is_same = |row: &u32| rank(*row) == rank(first) && name(*row) == name(first);
            let many = rest.iter().position(|row| !is_same(row)).unwrap_or(rest.len());
            let (same, later) = rest.split_at_mut(many);
            self.sort_by_keys(rows, same)?;
            rest = later;
        }
        let shown = rows.project(&(0..self.shown).collect::<Vec<_>>())?;
        Ok(take_record_batch(&shown, &UInt32Array::from(order))?)
    }

    /// Orders rows of one series and time.
    fn sort_by_keys(&self, rows: &RecordBatch, same: &mut [u32]) -> Result<()> {
        if same.len() < 2 {
            return Ok(());
        }
        let Some(keys) = encoded(rows, &self.keys, Some(same))? else { return Ok(()) };
        let mut places: Vec<usize> = (0..same.len()).collect();
        places.sort_unstable_by(|a, b| keys.row(*a).cmp(&keys.row(*b)).then_with(|| a.cmp(b)));
        let in_order: Vec<u32> = places.into_iter().map(|place| same[place]).collect();
        same.copy_from_slice(&in_order);
        Ok(())
    }

    /// The same by the operators of the engine, of `columns` that are made of rows.
    pub(super) fn planned(
        &self,
        input: Arc<dyn ExecutionPlan>,
        columns: &[ProjectionExpr],
        config: &Arc<ConfigOptions>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let made = ProjectionExec::try_new(columns.to_vec(), input)?;
        let input: Arc<dyn ExecutionPlan> = Arc::new(made);
        let schema = input.schema();
        let column = |at: usize| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(schema.field(at).name(), at))
        };
        let mut input = input;
        let has_values = self.fields.iter().map(|at| has_value(column(*at)));
        let mut some: Option<Arc<dyn PhysicalExpr>> = None;
        for has in has_values {
            let has = has?;
            some = Some(match some {
                Some(some) => Arc::new(BinaryExpr::new(some, Operator::Or, has)),
                None => has,
            });
        }
        if let Some(some) = some {
            input = Arc::new(FilterExec::try_new(some, input)?);
        }
        let named = |at: usize| (column(at), schema.field(at).name().clone());
        let mut keys: Vec<Arc<dyn PhysicalExpr>> = self.keys.iter().map(|at| column(*at)).collect();
        if keys.len() > 1 {
            let name = schema.field(self.keys[0]).name().clone();
            let key = series_key_of(keys, &schema, config)?;
            let mut columns: Vec<_> = (0..self.shown).map(named).collect();
            columns.push((key, name.clone()));
            input = Arc::new(ProjectionExec::try_new(columns, input)?);
            keys = vec![Arc::new(Column::new(&name, self.shown))];
        }
        let time = SortOptions { descending: self.descending, nulls_first: false };
        let by = |expr| PhysicalSortExpr::new(expr, ASCENDING);
        let series = self.series.iter().map(|at| by(column(*at)));
        let time = std::iter::once(PhysicalSortExpr::new(column(self.time), time));
        let order = LexOrdering::new(series.chain(time).chain(keys.into_iter().map(by)));
        let order = order.ok_or_else(|| internal_datafusion_err!("rows are ordered by time"))?;
        input = Arc::new(SortExec::new(order, input));
        if input.schema().fields().len() > self.shown {
            let columns: Vec<_> = (0..self.shown).map(named).collect();
            input = Arc::new(ProjectionExec::try_new(columns, input)?);
        }
        Ok(input)
    }
}

/// Columns as bytes that are in the order of their values: of all rows, or of these. `None` without
/// columns.
fn encoded(rows: &RecordBatch, columns: &[usize], only: Option<&[u32]>) -> Result<Option<Rows>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let mut values: Vec<ArrayRef> = columns.iter().map(|at| Arc::clone(rows.column(*at))).collect();
    if let Some(only) = only {
        values = take_arrays(&values, &UInt32Array::from(only.to_vec()), None)?;
    }
    let fields =
        values.iter().map(|v| SortField::new_with_options(v.data_type().clone(), ASCENDING));
    Ok(Some(RowConverter::new(fields.collect())?.convert_columns(&values)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray, TimestampNanosecondArray};

    #[test]
    fn rows_are_in_order_of_series_time_and_tags() {
        let column = |values: &[Option<&str>]| -> ArrayRef {
            Arc::new(values.iter().copied().collect::<StringArray>())
        };
        let host = column(&[Some("b"), Some("a"), Some("a"), None, Some("a"), Some("a")]);
        let time = Arc::new(TimestampNanosecondArray::from(vec![1, 2, 2, 1, 3, 4]));
        let value =
            Float64Array::from(vec![Some(1.), Some(2.), Some(3.), Some(4.), Some(5.), None]);
        let key = column(&[Some("x"), None, Some("x"), Some("x"), Some("x"), Some("x")]);
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("host", host, true),
            ("time", time as ArrayRef, false),
            ("v", Arc::new(value) as ArrayRef, true),
            ("key", key, true),
        ]);
        let rows = rows.expect("columns of one length");
        let shown = |descending: bool, series: Vec<usize>| -> Vec<f64> {
            let order =
                Order { shown: 3, series, time: 1, keys: vec![3], fields: vec![2], descending };
            let sorted = order.with_values(rows.clone()).and_then(|rows| order.sorted(&rows));
            let sorted = sorted.expect("rows");
            assert_eq!(sorted.num_columns(), 3);
            let values = sorted.column(2).as_primitive::<arrow::datatypes::Float64Type>();
            values.values().to_vec()
        };
        assert_eq!(shown(false, vec![0]), [3., 2., 5., 1., 4.]);
        assert_eq!(shown(true, vec![0]), [5., 3., 2., 1., 4.]);
        assert_eq!(shown(true, vec![]), [5., 3., 2., 1., 4.]);
        assert_eq!(shown(false, vec![]), [1., 4., 3., 2., 5.]);
    }
}
