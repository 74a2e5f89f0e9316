//! Values that were taken out of a statement, and what they become in a plan.

use arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config,
};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use protocols::messages::query::ParamValue;

/// Integers up to here are floating point numbers, too.
const EXACT_FLOAT_MAX: u64 = 1 << 53;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::query) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    /// Nanoseconds since 1970.
    Instant(i64),
}

impl Value {
    /// The number that digits stand for, as the engine's parser reads them.
    pub(super) fn number(digits: &str, is_negative: bool) -> Option<Self> {
        if digits.contains(['.', 'e', 'E']) {
            let number: f64 = digits.parse().ok()?;
            return number.is_finite().then_some(Self::Float(if is_negative {
                -number
            } else {
                number
            }));
        }
        let number: i64 = digits.parse().ok()?;
        Some(Self::Integer(if is_negative { -number } else { number }))
    }

    /// The value of a placeholder, of a kind that may also be written out.
    pub(super) fn of_param(param: &ParamValue) -> Option<Self> {
        match param {
            ParamValue::UInteger(number) => Some(Self::Integer(i64::try_from(*number).ok()?)),
            ParamValue::Integer(number) => Some(Self::Integer(*number)),
            ParamValue::Float(number) => number.is_finite().then_some(Self::Float(*number)),
            ParamValue::String(text) => Some(Self::Text(text.clone())),
            ParamValue::Null | ParamValue::Boolean(_) => None,
        }
    }

    /// The instant that a text is as a timestamp.
    pub(super) fn instant(text: &str) -> Option<Self> {
        let text = ScalarValue::Utf8(Some(text.to_owned()));
        match text.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, None)).ok()? {
            ScalarValue::TimestampNanosecond(Some(ns), _) => Some(Self::Instant(ns)),
            _ => None,
        }
    }

    /// An instant before or after this one by an interval, as the engine reads that.
    pub(super) fn moved(&self, interval: &str, is_back: bool) -> Option<Self> {
        let Self::Instant(ns) = self else { return None };
        let config = IntervalParseConfig::new(IntervalUnit::Second);
        let interval = parse_interval_month_day_nano_config(interval, config).ok()?;
        let interval = ScalarValue::IntervalMonthDayNano(Some(interval));
        let instant = ScalarValue::TimestampNanosecond(Some(*ns), Some("+00:00".into()));
        let moved = match is_back {
            true => instant.sub_checked(&interval),
            false => instant.add_checked(&interval),
        };
        match moved.ok()? {
            ScalarValue::TimestampNanosecond(Some(ns), _) => Some(Self::Instant(ns)),
            _ => None,
        }
    }

    /// A letter for the kind of value.
    pub(super) fn kind_letter(&self) -> char {
        match self {
            Self::Text(_) => 't',
            Self::Integer(_) => 'i',
            Self::Float(_) => 'f',
            Self::Instant(_) => 'n',
        }
    }

    /// True if values of this kind are compared in the type `wanted`. A single one may be beyond
    /// what the type holds.
    pub(super) fn fits(&self, wanted: &DataType) -> bool {
        match (self, wanted) {
            (Self::Text(_), DataType::Dictionary(_, values)) => **values == DataType::Utf8,
            (Self::Text(_), DataType::Utf8 | DataType::Timestamp(_, _)) => true,
            (Self::Integer(_), DataType::Int64 | DataType::UInt64 | DataType::Float64) => true,
            (Self::Float(_), DataType::Float64) => true,
            (Self::Instant(_), DataType::Timestamp(TimeUnit::Nanosecond, None)) => true,
            _ => false,
        }
    }

    /// The value in the type of what it is compared with, if that is the same as the engine would
    /// make of it.
    pub(super) fn in_type(&self, wanted: &DataType) -> Option<ScalarValue> {
        match (self, wanted) {
            (Self::Text(text), DataType::Utf8) => Some(ScalarValue::Utf8(Some(text.clone()))),
            (Self::Text(text), DataType::Dictionary(keys, values))
                if **values == DataType::Utf8 =>
            {
                let text = ScalarValue::Utf8(Some(text.clone()));
                Some(ScalarValue::Dictionary(keys.clone(), Box::new(text)))
            }
            (Self::Text(text), DataType::Timestamp(_, _)) => {
                let time = ScalarValue::Utf8(Some(text.clone())).cast_to(wanted).ok()?;
                (!time.is_null()).then_some(time)
            }
            (Self::Integer(number), DataType::Int64) => Some(ScalarValue::Int64(Some(*number))),
            (Self::Integer(number), DataType::UInt64) => {
                Some(ScalarValue::UInt64(Some(u64::try_from(*number).ok()?)))
            }
            (Self::Integer(number), DataType::Float64) => {
                let exact = number.unsigned_abs() <= EXACT_FLOAT_MAX;
                exact.then_some(ScalarValue::Float64(Some(*number as f64)))
            }
            (Self::Float(number), DataType::Float64) => Some(ScalarValue::Float64(Some(*number))),
            (Self::Instant(ns), DataType::Timestamp(TimeUnit::Nanosecond, None)) => {
                Some(ScalarValue::TimestampNanosecond(Some(*ns), None))
            }
            _ => None,
        }
    }
}
