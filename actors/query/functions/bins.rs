//! `date_bin` of times that come in order: most lie in the bin of the one before.

use arrow::array::{Array, AsArray, TimestampNanosecondArray};
use arrow::datatypes::{IntervalMonthDayNanoType, TimestampNanosecondType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use std::sync::Arc;

const DAY_NS: i64 = 86_400_000_000_000;

/// The bins of a column of nanoseconds. `None` for anything unusual: months, other units, times at
/// the ends of what can be told.
pub(super) fn bins(args: &ScalarFunctionArgs) -> Option<ColumnarValue> {
    let (width, times, origin) = match args.args.as_slice() {
        [width, ColumnarValue::Array(times)] => (width, times, 0),
        [
            width,
            ColumnarValue::Array(times),
            ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(Some(origin), _)),
        ] => (width, times, *origin),
        _ => return None,
    };
    let width = width_ns(width)?;
    let times = times.as_primitive_opt::<TimestampNanosecondType>()?;
    let (mut start, mut end) = (0, 0);
    let mut starts = Vec::with_capacity(times.len());
    for time in times.values() {
        if *time < start || *time >= end {
            let into = time.checked_sub(origin)?.rem_euclid(width);
            start = time.checked_sub(into)?;
            end = start.checked_add(width)?;
        }
        starts.push(start);
    }
    let starts = TimestampNanosecondArray::new(starts.into(), times.nulls().cloned());
    Some(ColumnarValue::Array(Arc::new(starts.with_data_type(times.data_type().clone()))))
}

fn width_ns(width: &ColumnarValue) -> Option<i64> {
    let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(width))) = width else {
        return None;
    };
    let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(*width);
    let width = i64::from(days).checked_mul(DAY_NS)?.checked_add(nanos)?;
    (months == 0 && width > 0).then_some(width)
}
