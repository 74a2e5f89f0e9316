//! Field values and timestamps, read at a position of a text.

use super::fault::Fault;
use crate::schema::{ColumnKind, FieldType};
use memchr::memchr2;
use std::borrow::Cow;
use std::ops::Range;

/// Limit: bytes of a name, a tag value or a string, as the original server has it.
pub(super) const ELEMENT_BYTES_MAX: usize = 1024 * 1024;

/// A field value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Float(f64),
    Integer(i64),
    UInteger(u64),
    String(Cow<'a, str>),
    Boolean(bool),
}

impl Value<'_> {
    /// The kind of column that holds such values.
    #[inline]
    pub(super) fn kind(&self) -> ColumnKind {
        ColumnKind::Field(match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::UInteger(_) => FieldType::UInteger,
            Self::String(_) => FieldType::String,
            Self::Boolean(_) => FieldType::Boolean,
        })
    }
}

/// What was read and the position after it; `None` when there is nothing of that form.
pub(super) type Read<'a, T> = Result<Option<(T, usize)>, Fault<'a>>;

/// Reads the field value at `pos`.
#[inline]
pub(super) fn value(text: &str, pos: usize) -> Read<'_, Value<'_>> {
    match text.as_bytes().get(pos) {
        Some(b'-' | b'+' | b'.' | b'0'..=b'9') => number(text, pos),
        Some(b'"') => string(text, pos),
        Some(b't' | b'T' | b'f' | b'F') => Ok(Some(boolean(text, pos))),
        _ => Ok(None),
    }
}

/// The powers of ten that a float holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Any number of so many digits is an exact float.
const EXACT_FLOAT_DIGITS: usize = 15;
/// Any number of so many digits fits 64 bits with a sign.
const EXACT_INTEGER_DIGITS: usize = 18;

/// Reads digits from `pos` on, added to those already in `sum`. The sum wraps when there are more
/// digits than it can hold.
#[inline]
fn digits(bytes: &[u8], mut pos: usize, mut sum: u64) -> (u64, usize) {
    while let Some(digit) = bytes.get(pos).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
        sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
        pos += 1;
    }
    (sum, pos)
}

#[inline]
fn number(text: &str, pos: usize) -> Read<'_, Value<'_>> {
    let bytes = text.as_bytes();
    let negative = bytes.get(pos) == Some(&b'-');
    let first = pos + usize::from(negative || bytes.get(pos) == Some(&b'+'));
    let (sum, end) = digits(bytes, first, 0);
    let count = end - first;
    if count == 0 && !is_fraction(bytes, end) {
        return Ok(None);
    }
    match bytes.get(end) {
        Some(b'i') if count <= EXACT_INTEGER_DIGITS => {
            let magnitude = sum as i64;
            let value = if negative { -magnitude } else { magnitude };
            Ok(Some((Value::Integer(value), end + 1)))
        }
        Some(b'i') => {
            let digits = text.get(pos..end).unwrap_or_default();
            let value = digits.parse().map_err(|_| Fault::Integer(digits))?;
            Ok(Some((Value::Integer(value), end + 1)))
        }
        Some(b'u') if !negative && count <= EXACT_INTEGER_DIGITS => {
            Ok(Some((Value::UInteger(sum), end + 1)))
        }
        Some(b'u') if !negative => {
            let digits = text.get(pos..end).unwrap_or_default();
            let value = digits.parse().map_err(|_| Fault::UInteger(digits))?;
            Ok(Some((Value::UInteger(value), end + 1)))
        }
        _ => float(text, first..end, negative, sum),
    }
}

/// Whether a point and a digit stand at `pos`.
fn is_fraction(bytes: &[u8], pos: usize) -> bool {
    bytes.get(pos) == Some(&b'.') && bytes.get(pos + 1).is_some_and(u8::is_ascii_digit)
}

/// Reads the rest of a float, the digits of whose whole part are those at `whole` and make `sum`.
/// There may be none of them before a point, or none after it.
#[inline]
fn float(text: &str, whole: Range<usize>, negative: bool, mut sum: u64) -> Read<'_, Value<'_>> {
    let bytes = text.as_bytes();
    let Range { start, mut end } = whole;
    let mut count = end - start;
    let mut decimals = 0;
    if bytes.get(end) == Some(&b'.') {
        let (with_fraction, after) = digits(bytes, end + 1, sum);
        decimals = after - end - 1;
        (sum, end) = (with_fraction, after);
        count += decimals;
    }
    let exponent_end = exponent(bytes, end);
    if exponent_end.is_none()
        && count <= EXACT_FLOAT_DIGITS
        && let Some(power) = EXACT_POWERS.get(decimals)
    {
        // Both are exact, so their quotient is the nearest float.
        let magnitude = sum as f64 / power;
        return Ok(Some((Value::Float(if negative { -magnitude } else { magnitude }), end)));
    }
    let end = exponent_end.unwrap_or(end);
    let number = text.get(start..end).unwrap_or_default();
    let magnitude: f64 = match fast_float2::parse(number) {
        Ok(magnitude) => magnitude,
        Err(_) => return Ok(None),
    };
    if magnitude.is_infinite() {
        return Err(Fault::Float(number));
    }
    Ok(Some((Value::Float(if negative { -magnitude } else { magnitude }), end)))
}

/// The end of the exponent at `pos`, if there is a whole one.
#[inline]
fn exponent(bytes: &[u8], pos: usize) -> Option<usize> {
    if !matches!(bytes.get(pos), Some(b'e' | b'E')) {
        return None;
    }
    let signed = matches!(bytes.get(pos + 1), Some(b'+' | b'-'));
    let first = pos + 1 + usize::from(signed);
    let (_, end) = digits(bytes, first, 0);
    (end > first).then_some(end)
}

/// Reads the boolean at `pos`, where one of its letters stands. Of two forms that fit the longer
/// is meant.
fn boolean<'a>(text: &str, pos: usize) -> (Value<'a>, usize) {
    let rest = text.as_bytes().get(pos..).unwrap_or_default();
    let yes = rest.starts_with(b"t") || rest.starts_with(b"T");
    let words: [&[u8]; 3] =
        if yes { [b"true", b"True", b"TRUE"] } else { [b"false", b"False", b"FALSE"] };
    let word = words.iter().find(|word| rest.starts_with(word));
    (Value::Boolean(yes), pos + word.map_or(1, |word| word.len()))
}

/// Reads the string at `pos`, where its opening quote stands.
fn string(text: &str, pos: usize) -> Read<'_, Value<'_>> {
    let bytes = text.as_bytes();
    let first = pos + 1;
    let mut end = first;
    let mut escaped = false;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        let Some(found) = memchr2(b'"', b'\\', rest) else { return Ok(None) };
        end += found;
        if bytes.get(end) == Some(&b'"') {
            break;
        }
        escaped = true;
        end += 2;
    }
    let raw = text.get(first..end).unwrap_or_default();
    let value = if escaped { Cow::Owned(unescape(raw, b"\"\\")) } else { Cow::Borrowed(raw) };
    if value.len() > ELEMENT_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    Ok(Some((Value::String(value), end + 1)))
}

/// Drops the backslash before each of the `escapable` characters; before any other it stays.
pub(super) fn unescape(raw: &str, escapable: &[u8]) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some(c) => {
                if !u8::try_from(c).is_ok_and(|c| escapable.contains(&c)) {
                    plain.push('\\');
                }
                plain.push(c);
            }
            None => plain.push('\\'),
        }
        rest = chars.as_str();
    }
    plain.push_str(rest);
    plain
}

/// Reads the timestamp at `pos`, in whatever unit it is.
#[inline]
pub(super) fn timestamp(text: &str, pos: usize) -> Read<'_, i64> {
    let bytes = text.as_bytes();
    let negative = bytes.get(pos) == Some(&b'-');
    let first = pos + usize::from(negative);
    let rest = bytes.get(first..).unwrap_or_default();
    if !rest.first().is_some_and(u8::is_ascii_digit) {
        return Ok(None);
    }
    if let Ok((magnitude, len)) = atoi_simd::parse_prefix_pos::<u64, false>(rest)
        && let Ok(magnitude) = i64::try_from(magnitude)
        && !rest.get(len).is_some_and(u8::is_ascii_digit)
    {
        return Ok(Some((if negative { -magnitude } else { magnitude }, first + len)));
    }
    // The smallest instant, leading zeros, or out of range.
    let (_, end) = digits(bytes, first, 0);
    let number = text.get(pos..end).unwrap_or_default();
    let value = number.parse().map_err(|_| Fault::Timestamp(number))?;
    Ok(Some((value, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The value and what is left after it.
    fn read(text: &str) -> Result<Option<(Value<'_>, &str)>, Fault<'_>> {
        Ok(value(text, 0)?.map(|(value, end)| (value, &text[end..])))
    }

    #[test]
    fn numbers_take_as_much_as_fits() {
        let cases = [
            ("1", Value::Float(1.0), ""),
            ("-1.5,", Value::Float(-1.5), ","),
            ("1e5", Value::Float(1e5), ""),
            ("1E5", Value::Float(1e5), ""),
            ("1.5e-3 9", Value::Float(1.5e-3), " 9"),
            ("1e+5", Value::Float(1e5), ""),
            ("0001.50", Value::Float(1.5), ""),
            ("1.7976931348623157e308", Value::Float(f64::MAX), ""),
            ("1e-400", Value::Float(0.0), ""),
            ("1.", Value::Float(1.0), ""),
            ("-5.,", Value::Float(-5.0), ","),
            ("1.e5", Value::Float(1e5), ""),
            (".5", Value::Float(0.5), ""),
            ("-.5", Value::Float(-0.5), ""),
            ("+.25e1 ", Value::Float(2.5), " "),
            (".1234567890123456789", Value::Float(0.123_456_789_012_345_68), ""),
            ("+1", Value::Float(1.0), ""),
            ("+1e2", Value::Float(100.0), ""),
            ("1..5", Value::Float(1.0), ".5"),
            ("+7i", Value::Integer(7), ""),
            ("+9223372036854775807i", Value::Integer(i64::MAX), ""),
            ("+7u", Value::UInteger(7), ""),
            ("+18446744073709551615u", Value::UInteger(u64::MAX), ""),
            ("1.i", Value::Float(1.0), "i"),
            ("1.5e", Value::Float(1.5), "e"),
            ("1.5e+", Value::Float(1.5), "e+"),
            ("1_000", Value::Float(1.0), "_000"),
            ("0x10", Value::Float(0.0), "x10"),
            ("1f", Value::Float(1.0), "f"),
            ("1e5i", Value::Float(1e5), "i"),
            ("1.0i", Value::Float(1.0), "i"),
            ("-1u", Value::Float(-1.0), "u"),
            ("123456789012345678901234567890", Value::Float(1.234_567_890_123_456_8e29), ""),
            ("0.1234567890123456789", Value::Float(0.123_456_789_012_345_68), ""),
            ("007i", Value::Integer(7), ""),
            ("-0i", Value::Integer(0), ""),
            ("1i5", Value::Integer(1), "5"),
            ("9223372036854775807i", Value::Integer(i64::MAX), ""),
            ("-9223372036854775808i", Value::Integer(i64::MIN), ""),
            ("000000000000000000000000005i", Value::Integer(5), ""),
            ("18446744073709551615u", Value::UInteger(u64::MAX), ""),
            ("42u", Value::UInteger(42), ""),
        ];
        for (text, expected, left) in cases {
            assert_eq!(read(text), Ok(Some((expected, left))), "{text}");
        }
        for text in ["+", ".", "-.", "+-1", "-", "-i", ".i", "", "NaN", "inf", "+inf", "'a'", "hi"]
        {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn minus_zero_keeps_its_sign() {
        for text in ["-0", "-0.0", "-0e5"] {
            let Ok(Some((Value::Float(value), ""))) = read(text) else { panic!("{text}") };
            assert!(value == 0.0 && value.is_sign_negative(), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_faults() {
        assert_eq!(read("1e400"), Err(Fault::Float("1e400")));
        assert_eq!(read("-1.e309,"), Err(Fault::Float("1.e309")));
        let long = "9".repeat(310);
        assert_eq!(read(&long), Err(Fault::Float(&long)));

        assert_eq!(read("9223372036854775808i"), Err(Fault::Integer("9223372036854775808")));
        assert_eq!(read("-9223372036854775809i"), Err(Fault::Integer("-9223372036854775809")));
        assert_eq!(read("18446744073709551616u"), Err(Fault::UInteger("18446744073709551616")));
    }

    #[test]
    fn booleans_in_every_spelling() {
        for text in ["t", "T", "true", "True", "TRUE"] {
            assert_eq!(read(text), Ok(Some((Value::Boolean(true), ""))), "{text}");
        }
        for text in ["f", "F", "false", "False", "FALSE"] {
            assert_eq!(read(text), Ok(Some((Value::Boolean(false), ""))), "{text}");
        }
        assert_eq!(read("tRue"), Ok(Some((Value::Boolean(true), "Rue"))));
        assert_eq!(read("fals"), Ok(Some((Value::Boolean(false), "als"))));
    }

    #[test]
    fn strings_end_at_the_first_bare_quote() {
        let cases = [
            (r#""""#, "", ""),
            (r#""a" x"#, "a", " x"),
            (r#""a\"b\\c""#, r#"a"b\c"#, ""),
            (r#""a\nb""#, r"a\nb", ""),
            (r#""\é""#, r"\é", ""),
            ("\"a\nb\tc\0\"", "a\nb\tc\0", ""),
        ];
        for (text, expected, left) in cases {
            assert_eq!(read(text), Ok(Some((Value::String(expected.into()), left))), "{text}");
        }
        for text in ["\"", "\"abc", "\"abc\\", "\"abc\\\""] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_string_may_hold_a_mebibyte() {
        let fits = format!("\"{}\"", "x".repeat(ELEMENT_BYTES_MAX));
        assert!(matches!(read(&fits), Ok(Some(_))));
        let long = format!("\"{}\"", "x".repeat(ELEMENT_BYTES_MAX + 1));
        assert_eq!(read(&long), Err(Fault::TooLong));
    }

    #[test]
    fn timestamps_are_signed_and_bounded() {
        let read = |text| timestamp(text, 0);
        assert_eq!(read("5x"), Ok(Some((5, 1))));
        assert_eq!(read("-5"), Ok(Some((-5, 2))));
        assert_eq!(read("9223372036854775807"), Ok(Some((i64::MAX, 19))));
        assert_eq!(read("-9223372036854775808"), Ok(Some((i64::MIN, 20))));
        assert_eq!(read("0000000000000000000000000007 "), Ok(Some((7, 28))));
        assert_eq!(read("9223372036854775808"), Err(Fault::Timestamp("9223372036854775808")));
        assert_eq!(read("99999999999999999999"), Err(Fault::Timestamp("99999999999999999999")));
        for text in ["", "-", "+5", "x"] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn floats_are_the_nearest(
            text in "[-+]?([0-9]{1,20}(\\.[0-9]{0,25})?|\\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?"
        ) {
            let expected: f64 = text.parse().unwrap();
            let read = value(&text, 0);
            if expected.is_infinite() {
                prop_assert!(matches!(read, Err(Fault::Float(_))), "{}", text);
                return Ok(());
            }
            let Ok(Some((Value::Float(value), end))) = read else { panic!("{text} is a float") };
            prop_assert_eq!(value.to_bits(), expected.to_bits());
            prop_assert_eq!(end, text.len());
        }

        #[test]
        fn timestamps_agree_with_the_standard_library(number in any::<i64>()) {
            let text = number.to_string();
            prop_assert_eq!(timestamp(&text, 0), Ok(Some((number, text.len()))));
        }
    }
}
