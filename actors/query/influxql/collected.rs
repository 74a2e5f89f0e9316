//! Aggregates that need all values of a group at once: `percentile`, `mode` and `integral`.

use super::faults::meaningless;
use crate::query::functions::selectors::row_type;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StructArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{
    SortColumn, SortOptions, cast, concat, filter, is_not_null, lexsort_to_indices, take,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use protocols::influxql::{Expr, Literal};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// What is made of the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The row at so many percent of the values in order; the bits of a float.
    Percentile(u64),
    /// The value that is there most often.
    Mode,
    /// The area below the line through the points, in units of time.
    Integral(i64),
}

/// `what(value, time [, other…])`: a struct of the value, the time and the other columns.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Collected {
    what: What,
    signature: Signature,
}

impl Collected {
    /// The function of a name with its parameter.
    pub(super) fn of(name: &str, parameter: Option<&Expr>) -> Result<Self> {
        let what = match (name, parameter) {
            ("percentile", Some(Expr::Literal(Literal::Integer(p)))) => {
                What::Percentile((*p as f64).to_bits())
            }
            ("percentile", Some(Expr::Literal(Literal::Float(p)))) => What::Percentile(p.to_bits()),
            ("mode", _) => What::Mode,
            ("integral", Some(Expr::Literal(Literal::Duration(ns)))) => What::Integral(*ns),
            ("integral", None) => What::Integral(1_000_000_000),
            _ => return Err(meaningless(format!("unsupported function {name}()"))),
        };
        Ok(Self { what, signature: Signature::variadic_any(Volatility::Immutable) })
    }
}

impl AggregateUDFImpl for Collected {
    fn name(&self) -> &str {
        match self.what {
            What::Percentile(_) => "influxql_percentile",
            What::Mode => "influxql_mode",
            What::Integral(_) => "influxql_integral",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let [value, time, others @ ..] = args else {
            return plan_err!("{} requires a value and a time", self.name());
        };
        let value = match self.what {
            What::Integral(_) => &DataType::Float64,
            _ => value,
        };
        Ok(row_type(value, time, others))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let state = |(at, field): (usize, &FieldRef)| {
            let item = Field::new_list_field(field.data_type().clone(), true);
            let name = format_state_name(args.name, &format!("part_{at}"));
            Arc::new(Field::new(name, DataType::List(Arc::new(item)), true))
        };
        Ok(args.input_fields.iter().enumerate().map(state).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return exec_err!("{} returns a struct", self.name());
        };
        let kinds = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        let rows = Rows { what: self.what, kinds, fields: fields.clone(), batches: Vec::new() };
        Ok(Box::new(rows))
    }
}

/// The rows of a group with a value.
#[derive(Debug)]
struct Rows {
    what: What,
    kinds: Vec<DataType>,
    fields: Fields,
    batches: Vec<Vec<ArrayRef>>,
}

impl Rows {
    /// The rows in one piece.
    fn whole(&mut self) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.kinds.len());
        for (at, kind) in self.kinds.iter().enumerate() {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|b| b[at].as_ref()).collect();
            columns.push(match parts.is_empty() {
                true => arrow::array::new_empty_array(kind),
                false => concat(&parts)?,
            });
        }
        self.batches = vec![columns.clone()];
        Ok(columns)
    }

    fn push(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(value) = columns.first() else { return Ok(()) };
        let kept = is_not_null(value)?;
        // Slices would keep alive what they were cut from.
        let columns = columns.iter().map(|column| filter(column, &kept));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        if columns.first().is_some_and(|column| !column.is_empty()) {
            self.batches.push(columns);
        }
        if self.batches.len() > PIECES_MAX {
            self.whole()?;
        }
        Ok(())
    }
}

/// How many pieces are kept before they are put together.
const PIECES_MAX: usize = 256;

impl Accumulator for Rows {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.push(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |state| state.len());
        for row in 0..rows {
            let mut columns = Vec::with_capacity(states.len());
            for state in states {
                let lists = state.as_list_opt::<i32>();
                let Some(lists) = lists else { return exec_err!("a state is a list") };
                columns.push(lists.value(row));
            }
            self.push(&columns)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |column: ArrayRef| {
            let field = Arc::new(Field::new_list_field(column.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([column.len()]);
            Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, column, None)?)))
        };
        self.whole()?.into_iter().map(list).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let columns = self.whole()?;
        let [value, time, ..] = columns.as_slice() else {
            return exec_err!("a value and a time are needed");
        };
        let chosen = match self.what {
            What::Percentile(p) => percentile(value, time, f64::from_bits(p))?,
            What::Mode => mode(value, time)?,
            What::Integral(unit_ns) => {
                let area = integral(value, &columns[1..], unit_ns)?;
                let area: ArrayRef = Arc::new(Float64Array::from(vec![area]));
                let rest = self.fields.iter().skip(1);
                let rest = rest.map(|field| arrow::array::new_null_array(field.data_type(), 1));
                let parts = std::iter::once(area).chain(rest).collect();
                let row = StructArray::try_new(self.fields.clone(), parts, None)?;
                return Ok(ScalarValue::Struct(Arc::new(row)));
            }
        };
        let chosen = UInt64Array::from(vec![chosen]);
        let parts = columns.iter().map(|column| take(column, &chosen, None));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let row = StructArray::try_new(self.fields.clone(), parts, None)?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }

    fn size(&self) -> usize {
        let columns = self.batches.iter().flatten();
        size_of_val(self) + columns.map(|column| column.get_array_memory_size()).sum::<usize>()
    }
}

/// The places of rows in the order of some columns.
fn ordered(columns: &[ArrayRef]) -> Result<Vec<u64>> {
    let by = |column: &ArrayRef| SortColumn {
        values: Arc::clone(column),
        options: Some(SortOptions { descending: false, nulls_first: false }),
    };
    let columns: Vec<SortColumn> = columns.iter().map(by).collect();
    let places = lexsort_to_indices(&columns, None)?;
    Ok(places.values().iter().map(|place| u64::from(*place)).collect())
}

/// The row at so many percent, counted from one; none before the first and after the last.
fn percentile(value: &ArrayRef, time: &ArrayRef, p: f64) -> Result<Option<u64>> {
    let rows = value.len();
    let place = (rows as f64 * p / 100.0 + 0.5).floor();
    if place < 1.0 || place > rows as f64 {
        return Ok(None);
    }
    let order = ordered(&[Arc::clone(value), Arc::clone(time)])?;
    Ok(order.get(place as usize - 1).copied())
}

/// A row of the value that is there most often. Of several such values the larger counts, unless it
/// came up first when the smaller one had come up for the last time: as version 1 has it. Of booleans
/// it is always the larger.
fn mode(value: &ArrayRef, time: &ArrayRef) -> Result<Option<u64>> {
    let places = ordered(&[Arc::clone(value), Arc::clone(time)])?;
    let in_order = take(value, &UInt64Array::from(places.clone()), None)?;
    let times = cast(time, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>().values();
    let at = |place: usize| places.get(place).map_or(0, |row| times[*row as usize]);
    let is_boolean = *value.data_type() == DataType::Boolean;
    let mut best: Option<Range<usize>> = None;
    for run in arrow::compute::partition(&[in_order])?.ranges() {
        let beats = |best: &Range<usize>| match run.len().cmp(&best.len()) {
            Ordering::Equal => is_boolean || (run.len() > 1 && at(run.start) <= at(best.end - 1)),
            longer => longer.is_gt(),
        };
        if best.as_ref().is_none_or(beats) {
            best = Some(run);
        }
    }
    Ok(best.and_then(|run| places.get(run.start).copied()))
}

/// The area below the line through the points, in the order of their times and what follows these.
fn integral(value: &ArrayRef, order: &[ArrayRef], unit_ns: i64) -> Result<Option<f64>> {
    let (Some(time), false) = (order.first(), value.is_empty()) else { return Ok(None) };
    let value = cast(value, &DataType::Float64)?;
    let time = cast(time, &DataType::Int64)?;
    let values = value.as_primitive::<Float64Type>().values();
    let times = time.as_primitive::<Int64Type>().values();
    let point = |place: u64| (times[place as usize], values[place as usize]);
    let points: Vec<(i64, f64)> = ordered(order)?.into_iter().map(point).collect();
    let area = points.windows(2).map(|pair| {
        let since = (i128::from(pair[1].0) - i128::from(pair[0].0)) as f64 / unit_ns as f64;
        0.5 * (pair[0].1 + pair[1].1) * since
    });
    Ok(Some(area.fold(0.0, |sum, part| sum + part)))
}
