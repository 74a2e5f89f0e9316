//! Scalar functions that are added or differ: `to_timestamp`, `tz` and `version`.

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::DATAFUSION_VERSION;
use datafusion::common::{ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::datetime::to_timestamp::ToTimestampNanosFunc;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::str::FromStr;
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 3] {
    [
        Arc::new(ScalarUDF::new_from_impl(ToTimestamp::default())),
        Arc::new(ScalarUDF::new_from_impl(TimeZone::default())),
        Arc::new(ScalarUDF::new_from_impl(Version::default())),
    ]
}

/// `to_timestamp(x)`: integers count nanoseconds, where the engine's counts seconds.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct ToTimestamp(ToTimestampNanosFunc);

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        "to_timestamp"
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        if args.first().is_some_and(DataType::is_floating) {
            return plan_err!("to_timestamp does not take a float; cast it to an integer first");
        }
        self.0.return_type(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.0.invoke_with_args(args)
    }
}

/// `tz(time [, zone])`: the same instant, shown in a time zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeZone {
    signature: Signature,
}

impl Default for TimeZone {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

/// The zone that is meant without one.
const UTC: &str = "UTC";

impl ScalarUDFImpl for TimeZone {
    fn name(&self) -> &str {
        "tz"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of tz depends on the value of its argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let zone = match args.scalar_arguments {
            [_] => UTC,
            [_, zone] => match zone.map(ScalarValue::try_as_str) {
                Some(Some(Some(zone))) => zone,
                _ => {
                    return plan_err!(
                        "tz requires its second argument to be a timezone string, got None"
                    );
                }
            },
            other => return plan_err!("tz requires 1 or 2 arguments, got {}", other.len()),
        };
        if Tz::from_str(zone).is_err() {
            return plan_err!("TZ requires a valid timezone string, got {zone:?}");
        }
        let unit = match args.arg_fields[0].data_type() {
            DataType::Timestamp(unit, _) => *unit,
            kind if kind.is_string() || kind.is_null() => TimeUnit::Nanosecond,
            other => return plan_err!("tz requires a timestamp, got {other}"),
        };
        let kind = DataType::Timestamp(unit, Some(zone.into()));
        Ok(Arc::new(Field::new(self.name(), kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(time), DataType::Timestamp(unit, _)) = (args.args.first(), args.return_type())
        else {
            return exec_err!("tz requires 1 or 2 arguments");
        };
        // A time without a zone counts as UTC; cast straight to the zone it would be local time.
        let utc = DataType::Timestamp(*unit, Some(UTC.into()));
        time.cast_to(&utc, None)?.cast_to(args.return_type(), None)
    }
}

/// `version()`: product and engine.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Version {
    signature: Signature,
}

impl Default for Version {
    fn default() -> Self {
        Self { signature: Signature::nullary(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Version {
    fn name(&self) -> &str {
        "version"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let product = env!("CARGO_PKG_VERSION");
        let text = format!("influxdb3 {product}, Apache DataFusion {DATAFUSION_VERSION}");
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))))
    }
}
