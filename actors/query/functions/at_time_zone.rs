//! `AT TIME ZONE`: a time on the clock of a zone as the instant that it is; an instant as it is
//! shown there.
//!
//! The engine makes a cast of it. DataFusion 55 takes such a cast off a column that is compared,
//! without the shift (apache/datafusion#25095), and fails at local times that a change of the clock
//! repeats or leaves out (apache/datafusion#25084). Here the later of two such times is meant, and
//! one that was left out counts on from before the jump: what PostgreSQL does.

use super::local_clock::LocalClock;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, TimestampNanosecondArray};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit};
use datafusion::common::{ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// Its name as a function.
pub(in super::super) const NAME: &str = "at_time_zone";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(2, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(AtTimeZone { signature }))
});

/// The function.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// `time AT TIME ZONE 'zone'`
pub(in super::super) fn call(time: Expr, zone: &str) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function(), vec![time, lit(zone)]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The column is called as that of the time, as it is with the cast.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map_or_else(String::new, |time| time.schema_name().to_string()))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of AT TIME ZONE depends on the zone")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [_, Some(zone)] = args.scalar_arguments else {
            return plan_err!("AT TIME ZONE needs the name of a time zone");
        };
        let Some(Some(zone)) = zone.try_as_str() else {
            return plan_err!("AT TIME ZONE needs the name of a time zone");
        };
        if Tz::from_str(zone).is_err() {
            return plan_err!("there is no time zone {zone:?}");
        }
        let field = &args.arg_fields[0];
        match field.data_type() {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => {}
            kind if kind.is_string() || kind.is_integer() => {}
            other => return plan_err!("AT TIME ZONE needs a timestamp, got {other}"),
        }
        let kind = DataType::Timestamp(TimeUnit::Nanosecond, Some(zone.into()));
        Ok(Arc::new(Field::new(NAME, kind, field.is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(time), DataType::Timestamp(_, Some(zone))) =
            (args.args.first(), args.return_field.data_type())
        else {
            return internal_err!("AT TIME ZONE needs a time and a zone");
        };
        let kind = args.return_field.data_type();
        Ok(match time {
            ColumnarValue::Array(times) => ColumnarValue::Array(at(times, zone, kind)?),
            ColumnarValue::Scalar(time) => {
                let at = at(&time.to_array()?, zone, kind)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&at, 0)?)
            }
        })
    }
}

/// The times as instants of the type `kind`, which has the zone.
fn at(times: &ArrayRef, zone: &str, kind: &DataType) -> Result<ArrayRef> {
    let clock = LocalClock::new(zone)?;
    let instant = |local: i64| match clock.instant_ns(local) {
        Some(instant) => Ok(instant),
        None => exec_err!("a time is beyond what a timestamp can hold"),
    };
    let instants: TimestampNanosecondArray = match times.data_type() {
        DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => {
            let local = cast(times, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
            let local = cast(&local, &DataType::Int64)?;
            local.as_primitive::<Int64Type>().try_unary(instant)?
        }
        kind if kind.is_string() => {
            let texts = cast(times, &DataType::Utf8)?;
            let zone = Tz::from_str(zone)?;
            let texts = texts.as_string::<i32>().iter();
            let read = |text: &str| match string_to_datetime(&zone, text) {
                Ok(instant) => Ok(instant.timestamp_nanos_opt()),
                // A local time that there is twice or not at all, or no time.
                Err(_) => {
                    let utc = string_to_datetime(&chrono::Utc, text)?;
                    utc.timestamp_nanos_opt().map(instant).transpose()
                }
            };
            let read: Result<Vec<Option<i64>>> =
                texts.map(|text| text.map_or(Ok(None), read)).collect();
            read?.into()
        }
        _ => return Ok(cast(times, kind)?),
    };
    Ok(cast(&instants.with_timezone("UTC"), kind)?)
}
