//! `selector_first`, `selector_last`, `selector_min` and `selector_max`: aggregates that return a
//! row instead of a value.

use arrow::array::{Array, ArrayRef, AsArray, StructArray, make_comparator, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [Choice::First, Choice::Last, Choice::Min, Choice::Max]
        .into_iter()
        .map(|choice| Arc::new(AggregateUDF::new_from_impl(Selector::new(choice))))
}

/// Which row is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Choice {
    First,
    Last,
    Min,
    Max,
}

/// The struct of a value, its time, and what else is of the same row.
pub(in crate::query) fn row_type(
    value: &DataType,
    time: &DataType,
    others: &[DataType],
) -> DataType {
    let other =
        |(i, kind): (usize, &DataType)| Field::new(format!("other_{}", i + 1), kind.clone(), true);
    let row = [Field::new("value", value.clone(), true), Field::new("time", time.clone(), true)];
    DataType::Struct(row.into_iter().chain(others.iter().enumerate().map(other)).collect())
}

/// `selector_*(value, time [, other…])`: a struct of the chosen row among those with a value.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Selector {
    choice: Choice,
    signature: Signature,
}

impl Selector {
    fn new(choice: Choice) -> Self {
        Self { choice, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Selector {
    fn name(&self) -> &str {
        match self.choice {
            Choice::First => "selector_first",
            Choice::Last => "selector_last",
            Choice::Min => "selector_min",
            Choice::Max => "selector_max",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let name = self.name();
        let [value, time, others @ ..] = args else {
            return plan_err!("{name} requires at least 2 arguments, got {}", args.len());
        };
        if !matches!(time, DataType::Timestamp(..)) {
            return plan_err!("{name} second argument must be a timestamp, but got {time}");
        }
        Ok(row_type(value, time, others))
    }

    /// The state is the chosen row, so that merging states is choosing among them.
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let DataType::Struct(fields) = args.return_type() else {
            return exec_err!("{} returns a struct", self.name());
        };
        let state = |field: &FieldRef| {
            let name = format_state_name(args.name, field.name());
            Arc::new(Field::new(name, field.data_type().clone(), true))
        };
        Ok(fields.iter().map(state).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return exec_err!("{} returns a struct", self.name());
        };
        Ok(Box::new(ChosenRow { choice: self.choice, fields: fields.clone(), best: None }))
    }
}

/// The best row so far.
#[derive(Debug)]
struct ChosenRow {
    choice: Choice,
    fields: Fields,
    /// Its parts, and its time again as a number.
    best: Option<(Vec<ScalarValue>, i64)>,
}

impl ChosenRow {
    /// The best row of a batch: of equally good ones the first, as `beats` has it among batches.
    fn choose(&self, value: &ArrayRef, times: &[i64], nulls: &Nulls) -> Result<Option<usize>> {
        let rows = (0..times.len()).filter(|row| nulls.has_both(*row));
        Ok(match self.choice {
            Choice::First => rows.min_by_key(|row| times[*row]),
            Choice::Last => rows.min_by_key(|row| Reverse(times[*row])),
            Choice::Min | Choice::Max => {
                let options =
                    SortOptions { descending: self.choice == Choice::Max, nulls_first: false };
                let compare = make_comparator(value, value, options)?;
                rows.min_by(|a, b| compare(*a, *b).then_with(|| times[*a].cmp(&times[*b])))
            }
        })
    }

    /// True if a row is chosen over the best one so far.
    fn beats(&self, value: &ScalarValue, time: i64) -> bool {
        let Some((best, best_time)) = &self.best else {
            return true;
        };
        let by_value = || best.first().and_then(|b| value.partial_cmp(b));
        let order = match self.choice {
            Choice::First => time.cmp(best_time),
            Choice::Last => best_time.cmp(&time),
            Choice::Min => by_value().unwrap_or(Ordering::Equal).then(time.cmp(best_time)),
            Choice::Max => {
                by_value().unwrap_or(Ordering::Equal).reverse().then(time.cmp(best_time))
            }
        };
        order.is_lt()
    }
}

/// Where value or time is missing.
struct Nulls {
    value: Option<NullBuffer>,
    time: Option<NullBuffer>,
}

impl Nulls {
    fn has_both(&self, row: usize) -> bool {
        self.value.as_ref().is_none_or(|n| n.is_valid(row))
            && self.time.as_ref().is_none_or(|n| n.is_valid(row))
    }
}

impl Accumulator for ChosenRow {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [value, time, ..] = values else {
            return exec_err!("a selector takes a value and a time");
        };
        let nulls = Nulls { value: value.logical_nulls(), time: time.logical_nulls() };
        let times = cast(time, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>().values();
        let Some(row) = self.choose(value, times, &nulls)? else {
            return Ok(());
        };
        if self.beats(&ScalarValue::try_from_array(value, row)?, times[row]) {
            let parts: Result<_> =
                values.iter().map(|part| ScalarValue::try_from_array(part, row)).collect();
            self.best = Some((parts?, times[row]));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        match &self.best {
            Some((parts, _)) => Ok(parts.clone()),
            None => self.fields.iter().map(|f| ScalarValue::try_from(f.data_type())).collect(),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let parts: Vec<ArrayRef> = match &self.best {
            Some((parts, _)) => parts.iter().map(ScalarValue::to_array).collect::<Result<_>>()?,
            None => self.fields.iter().map(|f| new_null_array(f.data_type(), 1)).collect(),
        };
        let row = StructArray::try_new(self.fields.clone(), parts, None)?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }

    fn size(&self) -> usize {
        let parts = self.best.iter().flat_map(|(parts, _)| parts);
        size_of_val(self) + parts.map(ScalarValue::size).sum::<usize>()
    }
}
