//! `date_bin_wallclock`: bins that are aligned to the clock of a time zone.

use super::local_clock::LocalClock;
use arrow::array::{ArrayRef, AsArray, TimestampNanosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalUnit, TimeUnit, TimestampNanosecondType};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::datetime::date_bin::DateBinFunc;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

const DAY_NS: i64 = 86_400_000_000_000;

/// `date_bin_wallclock(interval, time [, origin])`: like `date_bin`, but on the clock of the time
/// zone of `time`. The origin has no zone, it is a time on that clock.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateBinWallclock {
    bins: DateBinFunc,
    signature: Signature,
}

impl Default for DateBinWallclock {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { bins: DateBinFunc::new(), signature }
    }
}

impl ScalarUDFImpl for DateBinWallclock {
    fn name(&self) -> &str {
        "date_bin_wallclock"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let (stride, time, origin) = match args {
            [stride, time] => (stride, time, None),
            [stride, time, origin] => (stride, time, Some(origin)),
            _ => return plan_err!("{} requires 2 or 3 arguments, got {}", self.name(), args.len()),
        };
        let local = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let textual = |kind: &DataType| kind.is_string() || kind.is_null();
        if !matches!(stride, DataType::Interval(_)) && !textual(stride) {
            return plan_err!("{} requires an interval, got {stride}", self.name());
        }
        let mut coerced = vec![DataType::Interval(IntervalUnit::MonthDayNano)];
        coerced.push(match time {
            DataType::Timestamp(..) => time.clone(),
            text if textual(text) => local.clone(),
            other => return plan_err!("{} requires a timestamp, got {other}", self.name()),
        });
        match origin {
            None => {}
            Some(DataType::Timestamp(_, Some(_))) => {
                return plan_err!("{} requires an origin without a time zone", self.name());
            }
            Some(_) => coerced.push(local),
        }
        Ok(coerced)
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.bins.return_type(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Timestamp(_, Some(zone)) = args.return_type().clone() else {
            return self.bins.invoke_with_args(args);
        };
        let clock = LocalClock::new(&zone)?;
        let kind = args.return_type().clone();
        let one = matches!(args.args[1], ColumnarValue::Scalar(_));
        let rows = if one { 1 } else { args.number_rows };
        let times = args.args[1].to_array(rows)?;
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some(zone));
        let times = cast(&cast(&times, &nanos)?, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        let stride_ns = stride_ns(&args.args[0])?;

        let local = |ns: i64| ns.saturating_add(clock.offset_ns(ns));
        let local: TimestampNanosecondArray = times.unary(local);
        args.args[1] = ColumnarValue::Array(Arc::new(local));
        let bins = self.bins.invoke_with_args(args)?.into_array(rows)?;
        let bins = cast(&bins, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
        let bins = bins.as_primitive::<TimestampNanosecondType>().iter().zip(times);
        let start = |(bin, time): (Option<i64>, Option<i64>)| {
            Some(clock.bin_start_ns(bin?, clock.offset_ns(time?), stride_ns))
        };
        let starts: TimestampNanosecondArray = bins.map(start).collect();
        let starts: ArrayRef = cast(&starts.with_timezone("UTC"), &kind)?;
        Ok(if one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&starts, 0)?)
        } else {
            ColumnarValue::Array(starts)
        })
    }
}

/// The length of a bin, for comparison with the hour that comes twice.
fn stride_ns(stride: &ColumnarValue) -> Result<i64> {
    match stride {
        ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(stride))) => {
            if stride.months != 0 {
                return Ok(i64::MAX); // however short the month is, it is longer
            }
            let days = i64::from(stride.days).saturating_mul(DAY_NS);
            Ok(days.saturating_add(stride.nanoseconds).saturating_abs())
        }
        ColumnarValue::Scalar(null) if null.is_null() => Ok(0),
        _ => exec_err!("date_bin_wallclock requires the same interval for all rows"),
    }
}
