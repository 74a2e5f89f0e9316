//! Functions whose result can be far larger than their arguments, kept from making more than a
//! bounded amount of it at once. The engine counts memory by operators and not inside of
//! functions, and one that is asked for a billion values would take it before anybody counts.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Int64Type, IntervalMonthDayNanoType, TimeUnit,
    TimestampNanosecondType,
};
use datafusion::common::{Result, resources_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use std::sync::Arc;

/// Limit: bytes that one call may make, for all rows of a batch.
const RESULT_BYTES_MAX: u128 = 128 * 1024 * 1024;
/// Size of a value in a list.
const VALUE_BYTES: u128 = 8;
const DAY_NS: i128 = 86_400_000_000_000;

/// How many bytes the result for a row will have, at least roughly.
type Estimate = fn(args: &[ArrayRef], row: usize) -> u128;

/// The functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let bounds: [(&str, Estimate); 8] = [
        ("array_repeat", |args, row| value_bytes(args, 0, row) * count(args, 1, row)),
        ("array_resize", |args, row| VALUE_BYTES * count(args, 1, row)),
        ("generate_series", series_bytes),
        ("lpad", padded_bytes),
        ("range", series_bytes),
        ("repeat", |args, row| value_bytes(args, 0, row) * count(args, 1, row)),
        ("replace", replaced_bytes),
        ("rpad", padded_bytes),
    ];
    let engine = SessionStateDefaults::default_scalar_functions();
    let bound = |(name, estimate): (&str, Estimate)| {
        let inner = engine.iter().find(|f| f.name() == name)?;
        let bounded = Bounded { inner: Arc::clone(inner), estimate: Measure(estimate) };
        Some(Arc::new(ScalarUDF::new_from_impl(bounded)))
    };
    bounds.into_iter().filter_map(bound).collect()
}

/// An [`Estimate`]; two of the same function are the same.
#[derive(Clone, Copy, Debug)]
struct Measure(Estimate);

/// A function of the engine with a bound.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    estimate: Measure,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl std::hash::Hash for Bounded {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = match args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_))) {
            true => args.number_rows,
            false => 1,
        };
        let arrays: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let mut bytes = 0_u128;
        for row in 0..rows {
            bytes = bytes.saturating_add((self.estimate.0)(&arrays, row));
            if bytes > RESULT_BYTES_MAX {
                let name = self.name();
                return resources_err!("{name} would make more than {RESULT_BYTES_MAX} bytes");
            }
        }
        self.inner.invoke_with_args(args)
    }
}

/// The argument as a number of things, none where it is null or negative.
fn count(args: &[ArrayRef], arg: usize, row: usize) -> u128 {
    u128::try_from(integer(args, arg, row).unwrap_or(0)).unwrap_or(0)
}

fn integer(args: &[ArrayRef], arg: usize, row: usize) -> Option<i128> {
    let values = args.get(arg)?.slice(row, 1);
    let value = cast(&values, &DataType::Int64).ok()?;
    let value = value.as_primitive::<Int64Type>();
    value.is_valid(0).then(|| i128::from(value.value(0)))
}

/// The size of a value, at least that of a number.
fn value_bytes(args: &[ArrayRef], arg: usize, row: usize) -> u128 {
    let Some(values) = args.get(arg) else { return VALUE_BYTES };
    let value = values.slice(row, 1);
    let bytes = match text(&value) {
        Some(text) => text.value(0).len(),
        None => value.to_data().get_slice_memory_size().unwrap_or(0),
    };
    (bytes as u128).max(1)
}

fn text(value: &ArrayRef) -> Option<StringArray> {
    let is_text = match value.data_type() {
        DataType::Dictionary(_, values) => values.is_string(),
        data_type => data_type.is_string(),
    };
    let value = is_text.then(|| cast(value, &DataType::Utf8).ok()).flatten()?;
    Some(value.as_string::<i32>().clone())
}

/// `lpad(text, length [, fill])`: characters of up to four bytes.
fn padded_bytes(args: &[ArrayRef], row: usize) -> u128 {
    count(args, 1, row)
}

/// `replace(text, from, to)`
fn replaced_bytes(args: &[ArrayRef], row: usize) -> u128 {
    let [text, from, to] = [0, 1, 2].map(|arg| value_bytes(args, arg, row));
    text.saturating_add(text / from * to)
}

/// `range(start, stop [, step])` and `range(stop)`
fn series_bytes(args: &[ArrayRef], row: usize) -> u128 {
    let at = |arg: usize| args.get(arg).and_then(|values| position(&values.slice(row, 1)));
    let (start, stop, step) = match args.len() {
        1 => (Some(0), at(0), Some(1)),
        2 => (at(0), at(1), Some(1)),
        _ => (at(0), at(1), at(2)),
    };
    let (Some(start), Some(stop), Some(step)) = (start, stop, step) else { return 0 };
    // No step at all and one away from the end are the function's to refuse or to answer.
    let steps = (stop - start).checked_div(step).unwrap_or(0);
    u128::try_from(steps).unwrap_or(0).saturating_mul(VALUE_BYTES)
}

/// Integers as they are; instants, days and intervals in nanoseconds.
fn position(value: &ArrayRef) -> Option<i128> {
    if value.is_null(0) {
        return None;
    }
    match value.data_type() {
        DataType::Interval(_) => {
            let target = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
            let value = cast(value, &target).ok()?;
            let step = value.as_primitive::<IntervalMonthDayNanoType>().value(0);
            let days = i128::from(step.months) * 28 + i128::from(step.days);
            Some(days * DAY_NS + i128::from(step.nanoseconds))
        }
        DataType::Date32 => Some(i128::from(value.as_primitive::<Date32Type>().value(0)) * DAY_NS),
        DataType::Timestamp(_, _) => {
            let target = DataType::Timestamp(TimeUnit::Nanosecond, None);
            let value = cast(value, &target).ok()?;
            Some(i128::from(value.as_primitive::<TimestampNanosecondType>().value(0)))
        }
        _ => integer(&[Arc::clone(value)], 0, 0),
    }
}
