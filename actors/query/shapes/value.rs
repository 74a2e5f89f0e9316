//! Values that were taken out of a statement, and what they become in a plan.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

/// Integers up to here are floating point numbers, too.
const EXACT_FLOAT_MAX: u64 = 1 << 53;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::query) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
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

    /// A letter for the kind of value.
    pub(super) fn kind_letter(&self) -> char {
        match self {
            Self::Text(_) => 't',
            Self::Integer(_) => 'i',
            Self::Float(_) => 'f',
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
            _ => false,
        }
    }

    /// The value in the type of what it is compared with, if that is the same as the engine would
    /// make of it.
    pub(super) fn in_type(&self, wanted: &DataType) -> Option<ScalarValue> {
        match (self, wanted) {
            (Self::Text(text), DataType::Utf8) => Some(ScalarValue::Utf8(Some(text.clone()))),
            (Self::Text(text), DataType::Dictionary(_, values)) if **values == DataType::Utf8 => {
                ScalarValue::Utf8(Some(text.clone())).cast_to(wanted).ok()
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
            _ => None,
        }
    }
}
