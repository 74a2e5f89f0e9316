//! Arguments of functions as numbers that tell how much a function will make of them.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

const DAY_NS: i128 = 86_400_000_000_000;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// How large the value is.
    Bytes,
    /// The value itself, a number.
    Count,
    /// How many elements a list has.
    Elements,
    /// Integers as they are; instants, days and intervals in nanoseconds.
    Position,
}

/// The measure of each row, or the one of all.
#[derive(Debug)]
pub(super) enum Measured {
    Each(Vec<Option<i128>>),
    All(Option<i128>),
}

impl Measured {
    /// Measures an argument.
    pub(super) fn of(arg: &ColumnarValue, measure: Measure) -> Result<Self> {
        Ok(match arg {
            ColumnarValue::Array(values) => Self::Each(each(values, measure)),
            ColumnarValue::Scalar(value) => {
                Self::All(each(&value.to_array()?, measure).first().copied().flatten())
            }
        })
    }

    /// The measure of a row, `None` if it is null.
    pub(super) fn at(&self, row: usize) -> Option<i128> {
        match self {
            Self::Each(values) => values.get(row).copied().flatten(),
            Self::All(value) => *value,
        }
    }
}

fn each(values: &ArrayRef, measure: Measure) -> Vec<Option<i128>> {
    match measure {
        Measure::Bytes => bytes(values),
        Measure::Count => numbers(values, &DataType::Int64),
        Measure::Elements => match values.data_type() {
            DataType::List(_) => list_lengths::<i32>(values),
            DataType::LargeList(_) => list_lengths::<i64>(values),
            _ => vec![Some(1); values.len()],
        },
        Measure::Position => positions(values),
    }
}

/// The values as integers of a type, nothing where they are none.
fn numbers(values: &ArrayRef, kind: &DataType) -> Vec<Option<i128>> {
    let integers = cast(values, kind).and_then(|values| cast(&values, &DataType::Int64));
    match integers {
        Ok(values) => {
            values.as_primitive::<Int64Type>().iter().map(|n| n.map(i128::from)).collect()
        }
        Err(_) => vec![None; values.len()],
    }
}

fn list_lengths<O: OffsetSizeTrait>(values: &ArrayRef) -> Vec<Option<i128>> {
    let lengths = values.as_list::<O>().offsets().lengths();
    lengths.map(|length| Some(length as i128)).collect()
}

/// The size of each value, of numbers that of eight bytes.
fn bytes(values: &ArrayRef) -> Vec<Option<i128>> {
    let lengths = |lengths: &mut dyn Iterator<Item = usize>| -> Vec<Option<i128>> {
        lengths.map(|length| Some(length as i128)).collect()
    };
    match values.data_type() {
        DataType::Utf8 => lengths(&mut values.as_string::<i32>().offsets().lengths()),
        DataType::LargeUtf8 => lengths(&mut values.as_string::<i64>().offsets().lengths()),
        DataType::Binary => lengths(&mut values.as_binary::<i32>().offsets().lengths()),
        DataType::LargeBinary => lengths(&mut values.as_binary::<i64>().offsets().lengths()),
        DataType::Utf8View => {
            lengths(&mut values.as_string_view().lengths().map(|length| length as usize))
        }
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            let tags = values.as_dictionary::<Int32Type>();
            let of_values = bytes(tags.values());
            tags.keys().iter().map(|key| *of_values.get(usize::try_from(key?).ok()?)?).collect()
        }
        kind if kind.is_primitive() => vec![Some(8); values.len()],
        _ => {
            let of_row = |row| values.slice(row, 1).to_data().get_slice_memory_size();
            (0..values.len()).map(|row| of_row(row).ok().map(|bytes| bytes as i128)).collect()
        }
    }
}

fn positions(values: &ArrayRef) -> Vec<Option<i128>> {
    match values.data_type() {
        DataType::Interval(_) => {
            let target = DataType::Interval(IntervalUnit::MonthDayNano);
            let Ok(steps) = cast(values, &target) else { return vec![None; values.len()] };
            let nanos = steps.as_primitive::<IntervalMonthDayNanoType>().iter().map(|step| {
                let step = step?;
                // As short as a month can be.
                let days = i128::from(step.months) * 28 + i128::from(step.days);
                Some(days * DAY_NS + i128::from(step.nanoseconds))
            });
            nanos.collect()
        }
        DataType::Date32 | DataType::Date64 => {
            let days = numbers(values, &DataType::Date32);
            days.into_iter().map(|day| Some(day? * DAY_NS)).collect()
        }
        DataType::Timestamp(_, _) => {
            numbers(values, &DataType::Timestamp(TimeUnit::Nanosecond, None))
        }
        _ => numbers(values, &DataType::Int64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, DictionaryArray, Int64Array, ListArray, StringArray};
    use std::sync::Arc;

    #[test]
    fn values_are_measured() {
        #[track_caller]
        fn check(values: impl Array + 'static, measure: Measure, want: &[Option<i128>]) {
            let values: ArrayRef = Arc::new(values);
            assert_eq!(each(&values, measure), want);
        }
        let texts = StringArray::from(vec![Some("abc"), Some(""), Some("ü")]);
        check(texts.slice(1, 2), Measure::Bytes, &[Some(0), Some(2)]);
        let tags: DictionaryArray<Int32Type> = [Some("abc"), None].into_iter().collect();
        check(tags, Measure::Bytes, &[Some(3), None]);
        check(Int64Array::from(vec![7]), Measure::Bytes, &[Some(8)]);
        check(Int64Array::from(vec![Some(-7), None]), Measure::Count, &[Some(-7), None]);
        check(Date32Array::from(vec![2]), Measure::Position, &[Some(2 * DAY_NS)]);
        let lists = [Some(vec![Some(1), None]), None];
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        check(lists, Measure::Elements, &[Some(2), Some(0)]);
        assert_eq!(
            Measured::of(&ColumnarValue::Scalar("ab".into()), Measure::Bytes).unwrap().at(9),
            Some(2)
        );
    }
}
