//! Which rows a scan yields, and where they are in sorted rows: series are found by their first
//! row, times by bisection.

use super::filters::{ScanFilter, classify};
use super::times::TimeRange;
use super::values::WantedValues;
use datafusion::arrow::array::{
    Array, AsArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
    new_null_array,
};
use datafusion::arrow::compute::{take, take_record_batch};
use datafusion::arrow::datatypes::{Int32Type, Schema, SchemaRef, TimestampNanosecondType};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, ScalarValue, exec_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
use datafusion::physical_expr::utils::{conjunction_opt, reassign_expr_columns};
use datafusion::physical_plan::PhysicalExpr;
use protocols::key_bounds::WantedKeys;
use protocols::messages::store::SortedRows;
use protocols::schema::{TIME_COLUMN, TableSchema};
use protocols::snapshot::Keys;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Runs of rows shorter than this on average are copied together instead of being passed on as
/// batches of their own: what a batch costs outweighs copying so few rows.
pub(super) const ROWS_PER_SLICE_MIN: usize = 512;

/// Limit: values that a tag is compared with one by one.
const VALUES_MAX: usize = 16;

/// Which rows of a table a scan yields.
#[derive(Debug)]
pub(super) struct Selection {
    /// The span that `time` must lie in.
    pub(super) times: TimeRange,
    /// Condition on the tags of a series, and the tag columns it reads.
    tags: Option<(Arc<dyn PhysicalExpr>, SchemaRef)>,
    /// The same, if it wants a tag to have one of a few values.
    one_of: Option<OneOf>,
    /// What it says of the keys.
    keys: WantedKeys,
    /// The values that it wants tags to have.
    values: WantedValues,
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TimeRange { min_ns, max_ns } = self.times;
        if min_ns > i64::MIN {
            write!(f, ", time>={min_ns}")?;
        }
        if max_ns < i64::MAX {
            write!(f, ", time<={max_ns}")?;
        }
        self.tags.iter().try_for_each(|(condition, _)| write!(f, ", tags={condition}"))
    }
}

impl Selection {
    /// The rows of `visible` for which all of `filters` hold.
    pub(super) fn new(
        state: &dyn Session,
        table: &TableSchema,
        visible: TimeRange,
        filters: &[Expr],
    ) -> Result<Self> {
        let mut times = visible;
        let mut on_tags = Vec::new();
        for filter in filters.iter().flat_map(split_conjunction) {
            match classify(filter, table) {
                Some(ScanFilter::Time(range)) => times = times.and(range),
                Some(ScanFilter::Tags) => on_tags.push(filter.clone()),
                None => return Err(exec_datafusion_err!("{filter} cannot be part of a scan")),
            }
        }
        let one_each: Vec<OneOf> = on_tags.iter().filter_map(OneOf::new).collect();
        let keys = WantedKeys::new(table, one_each.iter().map(OneOf::parts));
        let one_of = one_each.into_iter().next().filter(|_| on_tags.len() == 1);
        let condition = conjunction(on_tags);
        let tags = condition.map(|c| tag_condition(state, table, c)).transpose()?;
        let values = WantedValues::of(tags.iter().map(|(condition, _)| condition), table);
        Ok(Self { times, tags, one_of, keys, values })
    }

    /// The rows of these whose times lie in `wanted`.
    pub(super) fn within(&self, wanted: TimeRange) -> Self {
        let times = self.times.and(wanted);
        let Self { tags, one_of, keys, values, .. } = self;
        let (tags, one_of) = (tags.clone(), one_of.clone());
        Self { times, tags, one_of, keys: keys.clone(), values: values.clone() }
    }

    /// False if no row is selected of a file with such keys.
    pub(super) fn may_be_in(&self, keys: &Keys) -> bool {
        self.keys.may_be_in(keys)
    }

    /// The values that tags of selected rows have, as far as these are few.
    pub(super) fn values(&self) -> &WantedValues {
        &self.values
    }

    /// The rows of each selected series, at all times.
    pub(super) fn series(&self, sorted: &SortedRows) -> Result<Vec<Range<usize>>> {
        let starts = &sorted.series_starts;
        let end = |i: usize| starts.get(i + 1).map_or(sorted.rows.num_rows(), |s| *s as usize);
        let span = |i: usize| starts[i] as usize..end(i);
        let Some((condition, schema)) = &self.tags else {
            return Ok((0..starts.len()).map(span).collect());
        };
        if let Some(wanted) = self.one_of.as_ref().and_then(|one_of| one_of.series(sorted)) {
            return Ok(wanted.into_iter().map(span).collect());
        }
        let heads = UInt32Array::from(starts.clone());
        let columns = schema.fields().iter().map(|f| match sorted.rows.column_by_name(f.name()) {
            Some(column) => take(column, &heads, None),
            None => Ok(new_null_array(f.data_type(), heads.len())),
        });
        let heads = RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?;
        let holds = condition.evaluate(&heads)?.into_array(heads.num_rows())?;
        if holds.data_type().is_null() {
            return Ok(Vec::new());
        }
        let holds = holds
            .as_boolean_opt()
            .ok_or_else(|| exec_datafusion_err!("a filter is not a condition"))?;
        let selected = (0..starts.len()).filter(|i| holds.is_valid(*i) && holds.value(*i));
        Ok(selected.map(span).collect())
    }

    /// The part of the rows that is selected, if the times of all of them are.
    pub(super) fn share(&self, sorted: &SortedRows) -> Result<f64> {
        let selected: usize = self.series(sorted)?.iter().map(Range::len).sum();
        Ok(selected as f64 / sorted.rows.num_rows().max(1) as f64)
    }

    /// The condition as an expression on `schema`, for rows whose times lie in `times`. `None` when
    /// it holds for all of them.
    pub(super) fn condition(
        &self,
        schema: &Schema,
        times: TimeRange,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let mut parts = Vec::new();
        if let Some((tags, _)) = &self.tags {
            parts.push(reassign_expr_columns(Arc::clone(tags), schema)?);
        }
        let time: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(TIME_COLUMN, schema)?);
        let mut bound = |op, at| {
            let at = lit(ScalarValue::TimestampNanosecond(Some(at), None));
            parts.push(Arc::new(BinaryExpr::new(Arc::clone(&time), op, at)));
        };
        if self.times.min_ns > times.min_ns {
            bound(Operator::GtEq, self.times.min_ns);
        }
        if self.times.max_ns < times.max_ns {
            bound(Operator::LtEq, self.times.max_ns);
        }
        Ok(conjunction_opt(parts))
    }

    /// The condition on tags.
    pub(super) fn tags(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.tags.as_ref().map(|(condition, _)| condition)
    }

    /// True when no condition but the one on `time` exists.
    pub(super) fn is_every_series(&self) -> bool {
        self.tags.is_none()
    }

    /// True when every row is selected whose time lies in `times`.
    pub(super) fn is_all_of(&self, times: TimeRange) -> bool {
        self.is_every_series() && self.times.covers(times)
    }
}

/// A tag that is to have one of a few values: found by the codes of these.
#[derive(Clone, Debug)]
struct OneOf {
    tag: String,
    /// In order, each once.
    values: Vec<String>,
}

impl OneOf {
    fn new(condition: &Expr) -> Option<Self> {
        let (tag, values) = match condition {
            Expr::BinaryExpr(pair) if pair.op == Operator::Eq => {
                (pair.left.as_ref(), std::slice::from_ref(pair.right.as_ref()))
            }
            Expr::InList(list) if !list.negated => (list.expr.as_ref(), list.list.as_slice()),
            Expr::BinaryExpr(pair) if pair.op == Operator::Or => {
                let (one, other) = (Self::new(&pair.left)?, Self::new(&pair.right)?);
                let values = one.values.iter().chain(&other.values).cloned().collect();
                return (one.tag == other.tag).then(|| Self::of(one.tag, values)).flatten();
            }
            _ => return None,
        };
        let Expr::Column(tag) = tag else { return None };
        let text = |value: &Expr| match value {
            Expr::Literal(value, _) => Some(value.try_as_str()??.to_owned()),
            _ => None,
        };
        Self::of(tag.name.clone(), values.iter().map(text).collect::<Option<_>>()?)
    }

    fn of(tag: String, mut values: Vec<String>) -> Option<Self> {
        values.sort_unstable();
        values.dedup();
        (values.len() <= VALUES_MAX).then_some(Self { tag, values })
    }

    /// The tag and the values.
    fn parts(&self) -> (&str, impl Iterator<Item = &str>) {
        (&self.tag, self.values.iter().map(String::as_str))
    }

    /// The numbers of the series with such a value. `None` if the column is of another kind.
    fn series(&self, sorted: &SortedRows) -> Option<Vec<usize>> {
        let tags = sorted.rows.column_by_name(&self.tag)?.as_dictionary_opt::<Int32Type>()?;
        let (keys, texts) = (tags.keys(), tags.values().as_string_opt::<i32>()?);
        if sorted.key.first().is_some_and(|first| **first == *self.tag) {
            return Some(self.first_of_key(&sorted.series_starts, keys, texts));
        }
        let is_one = |text: Option<&str>| text.is_some_and(|t| self.values.iter().any(|v| v == t));
        let wanted: Vec<bool> = texts.iter().map(is_one).collect();
        if !wanted.contains(&true) {
            return Some(Vec::new());
        }
        let is_wanted = |row: usize| keys.is_valid(row) && wanted[keys.value(row) as usize];
        let series = sorted.series_starts.iter().enumerate();
        Some(series.filter(|(_, start)| is_wanted(**start as usize)).map(|(i, _)| i).collect())
    }

    /// The same where series are in the order of this tag, those without it first.
    fn first_of_key(&self, starts: &[u32], keys: &Int32Array, texts: &StringArray) -> Vec<usize> {
        let text = |start: u32| {
            let row = start as usize;
            keys.is_valid(row).then(|| texts.value(keys.value(row) as usize))
        };
        let mut found = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let value = Some(value.as_str());
            let from = starts.partition_point(|start| text(*start) < value);
            let equal = starts[from..].partition_point(|start| text(*start) == value);
            found.extend(from..from + equal);
        }
        found
    }
}

fn tag_condition(
    state: &dyn Session,
    table: &TableSchema,
    condition: Expr,
) -> Result<(Arc<dyn PhysicalExpr>, SchemaRef)> {
    let read = condition.column_refs();
    let is_read = |name: &str| read.iter().any(|c| c.name == name);
    let fields =
        table.tags().filter(|t| is_read(&t.name)).map(|t| t.arrow_field()).collect::<Vec<_>>();
    let schema = Arc::new(Schema::new(fields));
    let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
    drop(read);
    let props = state.execution_props();
    // The engine has brought both sides of comparisons to one type.
    let condition =
        create_physical_expr(&condition, &df_schema, props, &PhysicalPlanningContext::default())?;
    Ok((condition, schema))
}

/// The values of `time`.
pub(super) fn times(rows: &RecordBatch) -> Result<&[i64]> {
    rows.column_by_name(TIME_COLUMN)
        .and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>())
        .map(|c| c.values().as_ref())
        .ok_or_else(|| exec_datafusion_err!("rows without a time column"))
}

/// The parts of `series` whose times lie in `range`, neighbours joined.
pub(super) fn rows_in(
    times: &[i64],
    series: &[Range<usize>],
    range: TimeRange,
) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    if range.is_empty() {
        return found;
    }
    for span in series {
        let run = &times[span.clone()];
        let begin = span.start + run.partition_point(|t| *t < range.min_ns);
        let end = span.start + run.partition_point(|t| *t <= range.max_ns);
        match found.last_mut() {
            _ if begin == end => {}
            Some(last) if last.end == begin => last.end = end,
            _ => found.push(begin..end),
        }
    }
    found
}

/// `series` with neighbours joined.
pub(super) fn joined(series: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for span in series {
        match found.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            _ => found.push(span.clone()),
        }
    }
    found
}

/// `rows` with the columns of `schema`; those it does not have are null.
pub(super) fn project(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(schema, rows.schema_ref()) {
        return Ok(rows.clone());
    }
    let fields = rows.schema_ref().fields();
    // Both are mostly in the order of the table.
    let mut next = 0;
    let columns = schema.fields().iter().map(|wanted| {
        let is_wanted = |at: &usize| fields[*at].name() == wanted.name();
        match (next..fields.len()).chain(0..next).find(is_wanted) {
            Some(at) => {
                next = at + 1;
                Arc::clone(rows.column(at))
            }
            None => new_null_array(wanted.data_type(), rows.num_rows()),
        }
    });
    let columns = columns.collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The rows in `spans`, in order, in batches of at most `batch_rows`.
pub(super) fn cut(
    rows: &RecordBatch,
    spans: &[Range<usize>],
    batch_rows: usize,
) -> Result<Vec<RecordBatch>> {
    let total: usize = spans.iter().map(Range::len).sum();
    let slices = |rows: &RecordBatch, span: Range<usize>| {
        let rows = rows.clone();
        let end = span.end;
        span.step_by(batch_rows).map(move |at| rows.slice(at, batch_rows.min(end - at)))
    };
    if total == 0 || spans.len() == 1 || total / spans.len() >= ROWS_PER_SLICE_MIN {
        return Ok(spans.iter().flat_map(|span| slices(rows, span.clone())).collect());
    }
    if rows.num_columns() == 0 {
        // Only the number of rows counts, and there is nothing to take them from.
        return Ok(slices(rows, 0..total).collect());
    }
    let indices = spans.iter().flat_map(|span| span.start as u32..span.end as u32);
    let picked = take_record_batch(rows, &UInt32Array::from_iter_values(indices))?;
    Ok(slices(&picked, 0..total).collect())
}

/// So many rows of which nothing but the number matters; `schema` has no columns.
pub(super) fn rows_without_columns(rows: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), vec![], &options)?)
}
