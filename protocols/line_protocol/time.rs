//! Timestamps: units, scaling to nanoseconds, and the time of lines that carry none.

use super::Precision;
use super::fault::Fault;

const HOUR_NS: i64 = 60 * MINUTE_NS;
const MINUTE_NS: i64 = 60 * SECOND_NS;
const SECOND_NS: i64 = 1_000_000_000;
const MILLISECOND_NS: i64 = 1_000_000;
const MICROSECOND_NS: i64 = 1_000;

impl Precision {
    /// Reads the `precision` parameter of the native write endpoint and of the command line.
    pub fn parse_v3(text: &str) -> Option<Self> {
        if text == "auto" { Some(Self::Auto) } else { Self::parse_unit(text) }
    }

    /// Reads the `precision` parameter of `/write`, which knows no `auto`.
    pub fn parse_v1(text: &str) -> Option<Self> {
        match text {
            "h" => Some(Self::Hour),
            "m" => Some(Self::Minute),
            // Both of the characters that stand for micro.
            "\u{b5}" | "\u{3bc}" => Some(Self::Microsecond),
            _ => Self::parse_v2(text),
        }
    }

    /// Reads the `precision` parameter of `/api/v2/write`. An empty one is the default.
    pub fn parse_v2(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::Nanosecond) } else { Self::parse_unit(text) }
    }

    fn parse_unit(text: &str) -> Option<Self> {
        match text {
            "s" | "second" => Some(Self::Second),
            "ms" | "millisecond" => Some(Self::Millisecond),
            "us" | "u" | "microsecond" => Some(Self::Microsecond),
            "ns" | "n" | "nanosecond" => Some(Self::Nanosecond),
            _ => None,
        }
    }

    /// Nanoseconds in one unit of `timestamp`.
    #[inline]
    fn unit_ns(self, timestamp: i64) -> i64 {
        match self {
            Self::Hour => HOUR_NS,
            Self::Minute => MINUTE_NS,
            Self::Second => SECOND_NS,
            Self::Millisecond => MILLISECOND_NS,
            Self::Microsecond => MICROSECOND_NS,
            Self::Nanosecond => 1,
            // The bounds lie so that the years 1970 to 2128 are understood in every unit.
            Self::Auto => match timestamp.unsigned_abs() / SECOND_NS.unsigned_abs() {
                0..5 => SECOND_NS,
                5..5_000 => MILLISECOND_NS,
                5_000..5_000_000 => MICROSECOND_NS,
                _ => 1,
            },
        }
    }

    /// `timestamp` in nanoseconds.
    #[inline]
    pub(super) fn to_ns<'a>(self, timestamp: i64) -> Result<i64, Fault<'a>> {
        timestamp.checked_mul(self.unit_ns(timestamp)).ok_or(Fault::OutOfRange(timestamp, self))
    }

    /// `instant_ns` without what this precision cannot express.
    pub(super) fn truncate_ns(self, instant_ns: i64) -> i64 {
        let unit = match self {
            Self::Auto => 1,
            fixed => fixed.unit_ns(0),
        };
        instant_ns.saturating_sub(instant_ns.rem_euclid(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let all = [
            (Precision::Second, ["s", "second"].as_slice()),
            (Precision::Millisecond, &["ms", "millisecond"]),
            (Precision::Microsecond, &["us", "u", "microsecond"]),
            (Precision::Nanosecond, &["ns", "n", "nanosecond"]),
        ];
        let parsers = [Precision::parse_v1, Precision::parse_v2, Precision::parse_v3];
        for (precision, spellings) in all {
            for text in spellings {
                assert_eq!(parsers.map(|parse| parse(text)), [Some(precision); 3], "{text}");
            }
        }
        let (hour, minute) = (Some(Precision::Hour), Some(Precision::Minute));
        let (micro, nano) = (Some(Precision::Microsecond), Some(Precision::Nanosecond));
        for (text, expected) in [
            ("auto", [None, None, Some(Precision::Auto)]),
            ("h", [hour, None, None]),
            ("m", [minute, None, None]),
            ("\u{b5}", [micro, None, None]),
            ("\u{3bc}", [micro, None, None]),
            ("", [nano, nano, None]),
            ("S", [None; 3]),
            ("Auto", [None; 3]),
            ("seconds", [None; 3]),
            ("fortnight", [None; 3]),
        ] {
            assert_eq!(parsers.map(|parse| parse(text)), expected, "{text}");
        }
    }

    #[test]
    fn auto_goes_by_magnitude() {
        let cases = [
            (123, 123 * SECOND_NS),
            (-123, -123 * SECOND_NS),
            (4_999_999_999, 4_999_999_999 * SECOND_NS),
            (5_000_000_000, 5_000_000_000 * MILLISECOND_NS),
            (4_999_999_999_999, 4_999_999_999_999 * MILLISECOND_NS),
            (5_000_000_000_000, 5_000_000_000_000 * MICROSECOND_NS),
            (4_999_999_999_999_999, 4_999_999_999_999_999 * MICROSECOND_NS),
            (5_000_000_000_000_000, 5_000_000_000_000_000),
            (-5_000_000_000, -5_000_000_000 * MILLISECOND_NS),
            (i64::MAX, i64::MAX),
            (i64::MIN, i64::MIN),
        ];
        for (timestamp, expected) in cases {
            assert_eq!(Precision::Auto.to_ns(timestamp), Ok(expected), "{timestamp}");
        }
    }

    #[test]
    fn scaling_is_checked() {
        assert_eq!(Precision::Nanosecond.to_ns(i64::MIN), Ok(i64::MIN));
        assert_eq!(Precision::Second.to_ns(-5), Ok(-5 * SECOND_NS));
        assert_eq!(Precision::Minute.to_ns(2), Ok(120 * SECOND_NS));
        assert_eq!(Precision::Hour.to_ns(-1), Ok(-3600 * SECOND_NS));
        let large = [Precision::Hour, Precision::Minute];
        for precision in large.into_iter().chain([
            Precision::Second,
            Precision::Millisecond,
            Precision::Microsecond,
        ]) {
            let text = precision.to_ns(i64::MAX).unwrap_err().to_string();
            assert_eq!(
                text,
                format!(
                    "timestamp, 9223372036854775807, out of range for precision: {precision:?}"
                )
            );
        }
    }

    #[test]
    fn receive_time_is_truncated() {
        let now = 1_700_000_000_123_456_789;
        assert_eq!(Precision::Auto.truncate_ns(now), now);
        assert_eq!(Precision::Nanosecond.truncate_ns(now), now);
        assert_eq!(Precision::Microsecond.truncate_ns(now), 1_700_000_000_123_456_000);
        assert_eq!(Precision::Millisecond.truncate_ns(now), 1_700_000_000_123_000_000);
        assert_eq!(Precision::Second.truncate_ns(now), 1_700_000_000_000_000_000);
    }
}
