//! Which of a row's values stands for which placeholder of a statement.

use super::wire_types::wire_type;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use chrono::{DateTime, SecondsFormat};
use protocols::messages::query::ParamValue;

/// The values of `row` for the placeholders, whose names come without the `$`, numbers first.
///
/// Drivers that know no names call their columns "0", "1" and so on, so such a name says nothing:
/// `$2` is the second value. Names count when one of them is that of a placeholder, `host` for
/// `$host`, or has the `$` of one.
///
/// # Errors
/// When there are more or fewer values than placeholders, or one cannot be bound.
pub(super) fn values(
    row: &RecordBatch,
    placeholders: &[&str],
) -> Result<Vec<(String, ParamValue)>, String> {
    let schema = row.schema();
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let (positions, count) = match by_name(&columns, placeholders)? {
        Some(positions) => (positions, placeholders.len()),
        None => by_number(placeholders),
    };
    if columns.len() != count {
        let given = columns.len();
        return Err(format!("the statement takes {count} values, and {given} are given"));
    }
    let bound = placeholders.iter().zip(positions).map(|(name, at)| {
        let column = row.columns().get(at);
        let column = column.ok_or_else(|| format!("there is no value for placeholder ${name}"))?;
        let value = value(column).map_err(|e| format!("placeholder ${name}: {e}"))?;
        Ok(((*name).to_owned(), value))
    });
    bound.collect()
}

/// The columns of the placeholders by their names, if the columns have names at all.
fn by_name(columns: &[&str], placeholders: &[&str]) -> Result<Option<Vec<usize>>, String> {
    let is_named = |column: &str, name: &str| match column.strip_prefix('$') {
        Some(column) => column == name,
        None => column == name && number(name).is_none(),
    };
    let any = |column: &&str| placeholders.iter().any(|name| is_named(column, name));
    if !columns.iter().any(any) {
        return Ok(None);
    }
    let position = |name: &&str| {
        let mut found = columns.iter().enumerate().filter(|(_, column)| is_named(column, name));
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(format!("there is no value for placeholder ${name}")),
            (Some(_), Some(_)) => Err(format!("there are two values for placeholder ${name}")),
        }
    };
    placeholders.iter().map(position).collect::<Result<_, _>>().map(Some)
}

/// The columns of the placeholders by their numbers, those that have none behind the others, and
/// how many columns there have to be.
fn by_number(placeholders: &[&str]) -> (Vec<usize>, usize) {
    let mut next = placeholders.iter().filter_map(|name| number(name)).max().unwrap_or(0);
    let mut position = |name: &&str| match number(name) {
        Some(number) => number - 1,
        None => {
            next = next.saturating_add(1);
            next - 1
        }
    };
    let positions = placeholders.iter().map(&mut position).collect();
    (positions, next)
}

fn number(name: &str) -> Option<usize> {
    name.parse().ok().filter(|number| *number > 0)
}

/// The first value of a column.
fn value(column: &ArrayRef) -> Result<ParamValue, String> {
    let plain = wire_type(column.data_type());
    if column.is_null(0) || plain == DataType::Null {
        return Ok(ParamValue::Null);
    }
    let as_type = |data_type: &DataType| cast(column, data_type).map_err(|e| e.to_string());
    Ok(match plain {
        DataType::Boolean => ParamValue::Boolean(as_type(&plain)?.as_boolean().value(0)),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            ParamValue::Integer(as_type(&DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            ParamValue::UInteger(as_type(&DataType::UInt64)?.as_primitive::<UInt64Type>().value(0))
        }
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => {
            let column = as_type(&DataType::Float64)?;
            ParamValue::Float(column.as_primitive::<Float64Type>().value(0))
        }
        DataType::Timestamp(unit, _) => {
            let count = as_type(&DataType::Int64)?.as_primitive::<Int64Type>().value(0);
            ParamValue::String(time(count, unit).ok_or("the time is out of range")?)
        }
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_) => {
            ParamValue::String(as_type(&DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        other => return Err(format!("values of type {other} cannot be bound")),
    })
}

/// A time as text. It is compared with times as such.
fn time(count: i64, unit: TimeUnit) -> Option<String> {
    let per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let time = DateTime::from_timestamp_nanos(count.checked_mul(per_unit)?);
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, DictionaryArray, Float32Array, Int32Array, StringArray,
        TimestampMicrosecondArray, UInt8Array,
    };
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    /// Binds 10, 20 and so on, and tells what each placeholder gets.
    fn bound(columns: &[&str], placeholders: &[&str]) -> Result<Vec<i64>, String> {
        let column = |(i, name): (i32, &&str)| {
            let value: ArrayRef = Arc::new(Int32Array::from(vec![10 * i]));
            ((*name).to_owned(), value, true)
        };
        let row = RecordBatch::try_from_iter_with_nullable((1..).zip(columns).map(column));
        let values = values(&row.unwrap(), placeholders)?;
        assert!(values.iter().map(|(name, _)| name).eq(placeholders));
        let integer = |(_, value)| match value {
            ParamValue::Integer(value) => value,
            other => panic!("{other:?}"),
        };
        Ok(values.into_iter().map(integer).collect())
    }

    #[test]
    fn by_position_unless_there_are_names() {
        let check = |columns: &[&str], placeholders: &[&str], expected: &[i64]| {
            assert_eq!(bound(columns, placeholders).as_deref(), Ok(expected), "{columns:?}");
        };
        check(&["0", "1"], &["1", "2"], &[10, 20]);
        check(&["1", "2"], &["1", "2"], &[10, 20]);
        check(&["2", "1"], &["1", "2"], &[10, 20]);
        check(&["0", "1"], &["2"], &[20]);
        check(&["0", "1", "2"], &["1", "3"], &[10, 30]);
        check(&["a", "b"], &["1", "2"], &[10, 20]);
        check(&["", ""], &["1", "2"], &[10, 20]);
        check(&["$2", "$1"], &["1", "2"], &[20, 10]);
        check(&["b", "a"], &["a", "b"], &[20, 10]);
        check(&["$b", "a"], &["a", "b"], &[20, 10]);
        check(&["0", "1"], &["a", "b"], &[10, 20]);
        check(&["0", "1"], &["1", "a"], &[10, 20]);
        check(&["a", "$1"], &["1", "a"], &[20, 10]);
    }

    #[test]
    fn a_wrong_number_of_values_is_told() {
        let check = |columns: &[&str], placeholders: &[&str], expected: &str| {
            assert_eq!(bound(columns, placeholders), Err(expected.to_owned()), "{columns:?}");
        };
        check(&["0", "1"], &["1"], "the statement takes 1 values, and 2 are given");
        check(&["0"], &["1", "2"], "the statement takes 2 values, and 1 are given");
        check(&["0"], &["2"], "the statement takes 2 values, and 1 are given");
        check(&["0"], &[], "the statement takes 0 values, and 1 are given");
        check(&["a", "c"], &["a", "b"], "there is no value for placeholder $b");
        check(&["a", "$a"], &["a"], "there are two values for placeholder $a");
        check(&["a", "c"], &["a"], "the statement takes 1 values, and 2 are given");
        let far = usize::MAX.to_string();
        let text = format!("the statement takes {far} values, and 1 are given");
        check(&["0"], &[&far], &text);
    }

    #[test]
    fn types_of_values() {
        let check = |column: ArrayRef, expected: ParamValue| {
            assert_eq!(value(&column), Ok(expected));
        };
        check(Arc::new(UInt8Array::from(vec![7])), ParamValue::UInteger(7));
        check(Arc::new(Float32Array::from(vec![0.5])), ParamValue::Float(0.5));
        check(Arc::new(StringArray::from(vec![None::<&str>])), ParamValue::Null);
        let tag: DictionaryArray<Int32Type> = ["a"].into_iter().collect();
        check(Arc::new(tag), ParamValue::String("a".to_owned()));
        let time = TimestampMicrosecondArray::from(vec![1_700_000_000_000_001]);
        let text = "2023-11-14T22:13:20.000001Z".to_owned();
        check(
            Arc::new(time.clone().with_timezone("Europe/Paris")),
            ParamValue::String(text.clone()),
        );
        check(Arc::new(time), ParamValue::String(text));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"x".as_slice()]));
        assert_eq!(value(&bytes), Err("values of type Binary cannot be bound".to_owned()));
    }
}
