//! How single values are written, for the formats that are text: the types that tables are made of
//! directly, all others by the formatters of the Arrow library.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use arrow::error::ArrowError;
use lexical_core::FormattedSize;
use std::ops::Range;

/// Bytes that are copied at once.
const STEP: usize = 16;

const SECOND_NS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// The values of a column of a table.
pub(super) enum Values<'a> {
    Float(&'a [f64]),
    Integer(&'a [i64]),
    UInteger(&'a [u64]),
    Boolean(&'a BooleanArray),
    Text(&'a StringArray),
    Tag {
        keys: &'a [i32],
        texts: &'a StringArray,
    },
    /// Nanoseconds since 1970, without a zone.
    Instant(&'a [i64]),
}

impl<'a> Values<'a> {
    /// The values of `column`, `None` if no table has such columns.
    pub(super) fn of(column: &'a dyn Array) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>().values()),
            DataType::Int64 => Self::Integer(column.as_primitive::<Int64Type>().values()),
            DataType::UInt64 => Self::UInteger(column.as_primitive::<UInt64Type>().values()),
            DataType::Boolean => Self::Boolean(column.as_boolean()),
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Timestamp(TimeUnit::Nanosecond, None) => {
                Self::Instant(column.as_primitive::<TimestampNanosecondType>().values())
            }
            DataType::Dictionary(keys, values)
                if **keys == DataType::Int32 && **values == DataType::Utf8 =>
            {
                let tags = column.as_dictionary::<Int32Type>();
                Self::Tag { keys: tags.keys().values(), texts: tags.values().as_string() }
            }
            _ => return None,
        })
    }
}

/// Where a column has no value.
pub(super) fn nulls(column: &dyn Array) -> Option<NullBuffer> {
    column.logical_nulls().filter(|nulls| nulls.null_count() > 0)
}

/// A column whose type the formatters know, with the same values.
///
/// # Errors
/// When the values are too large for it.
pub(super) fn known(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Utf8View => cast(column, &DataType::Utf8),
        DataType::BinaryView => cast(column, &DataType::Binary),
        _ => Ok(ArrayRef::clone(column)),
    }
}

/// Writes a number, shortest form that reads back the same, with digits as the Arrow library sets
/// them: `1.0`, `1.0e21`.
pub(super) fn write_number<N: lexical_core::ToLexical + FormattedSize>(
    number: N,
    out: &mut Vec<u8>,
) {
    let mut digits = [0; 64]; // more than any number of 64 bits takes
    let length = lexical_core::write(number, &mut digits).len();
    write_part(&digits, 0..length, out);
}

/// Writes a whole number as [`write_number`] does. Percentages and counts of a few things are
/// frequent, and are digits at once.
pub(super) fn write_integer(number: i64, out: &mut Vec<u8>) {
    let digit = |number: i64| b'0' + number as u8;
    match number {
        0..=9 => out.push(digit(number)),
        10..=99 => out.extend_from_slice(&[digit(number / 10), digit(number % 10)]),
        _ => write_number(number, out),
    }
}

/// A few bytes that are written often.
pub(super) struct Piece {
    /// The bytes, filled up to whole steps.
    steps: Vec<[u8; STEP]>,
    length: usize,
}

impl Piece {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let step = |part: &[u8]| {
            let mut step = [0; STEP];
            step[..part.len()].copy_from_slice(part);
            step
        };
        Self { steps: bytes.chunks(STEP).map(step).collect(), length: bytes.len() }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.length;
        self.steps.iter().for_each(|step| out.extend_from_slice(step));
        out.truncate(end);
    }
}

/// Writes a part of `bytes`. Copying steps of fixed length and cutting off what is too much costs a
/// third of a copy whose length is not known before, and most values are short.
#[inline]
pub(super) fn write_part(bytes: &[u8], part: Range<usize>, out: &mut Vec<u8>) {
    match bytes[part.start..].first_chunk::<{ 2 * STEP }>() {
        Some(steps) if part.len() <= 2 * STEP => {
            let end = out.len() + part.len();
            out.extend_from_slice(steps);
            out.truncate(end);
        }
        _ => out.extend_from_slice(&bytes[part]),
    }
}

/// Writes an instant as `2065-01-07T17:00:00`, with 3, 6 or 9 digits of a fraction if it has one.
pub(super) fn write_instant(ns: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (ns.div_euclid(SECOND_NS), ns.rem_euclid(SECOND_NS));
    let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (year, month, day) = date(day);
    let mut text = *b"0000-00-00T00:00:00.000000000";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], second / 3_600);
    digits(&mut text[14..16], second / 60 % 60);
    digits(&mut text[17..19], second % 60);
    let length = if fraction == 0 {
        19
    } else {
        digits(&mut text[20..29], fraction);
        match (fraction % 1_000_000, fraction % 1_000) {
            (0, _) => 23,
            (_, 0) => 26,
            _ => 29,
        }
    };
    out.extend_from_slice(&text[..length]);
}

/// Fills `place` with the last digits of a number.
fn digits(place: &mut [u8], number: i64) {
    let mut rest = number.unsigned_abs();
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Year, month and day of the so many-eth day after 1970-01-01, for years between 0 and 9999.
/// Counted in eras of 400 years that begin with March, so that leap days come last. By hand, because
/// an answer may have millions of instants: a library's calendar would be asked for each part.
fn date(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampNanosecondArray;
    use arrow::util::display::array_value_to_string;

    #[test]
    fn integers_are_written_as_numbers_are() {
        for number in (-120..120).chain([i64::MIN, i64::MAX, 1_000]) {
            let mut text = Vec::new();
            write_integer(number, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), number.to_string());
        }
    }

    #[test]
    fn parts_of_any_length_are_written_whole() {
        let bytes: Vec<u8> = (0..100).collect();
        for (start, end) in (0..=100).flat_map(|start| (start..=100).map(move |end| (start, end))) {
            let (mut part, mut piece) = (vec![7], vec![7]);
            write_part(&bytes, start..end, &mut part);
            Piece::new(&bytes[start..end]).write(&mut piece);
            assert!(part[1..] == bytes[start..end] && part == piece, "{start}..{end}");
        }
    }

    /// All instants print as the Arrow library prints them.
    #[test]
    fn instants_print_as_the_library_prints_them() {
        let day = DAY_SECONDS * SECOND_NS;
        let mut instants = vec![i64::MIN, i64::MAX, 0, -1, 1, SECOND_NS, -SECOND_NS, day - 1];
        instants.extend((-106_000..106_000).step_by(29).map(|d| d * day + d * 7_919_000_001));
        instants.extend([500_000_000, 500_000, 500].map(|ns| 2_998_573_200 * SECOND_NS + ns));
        // Around the leap days of 1900, which is none, 2000 and 2024.
        for first in [-25_509, 11_015, 19_781] {
            instants.extend((0..4).map(|d| (first + d) * day));
        }
        let array = TimestampNanosecondArray::from(instants.clone());
        for (row, ns) in instants.iter().enumerate() {
            let mut text = Vec::new();
            write_instant(*ns, &mut text);
            let expected = array_value_to_string(&array, row).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{ns}");
        }
    }
}
