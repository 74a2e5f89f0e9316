//! Why a line is refused, in the words of the original server.

use crate::schema::ColumnKind;
use std::fmt::{self, Display, Formatter};

/// A rest of a line longer than this many bytes is cut when it is shown.
const SHOWN_BYTES_MAX: usize = 10;
/// How many characters of a cut rest are shown.
const SHOWN_CHARS: usize = 10;
/// What the `time` column is called in type clashes.
pub(super) const TIMESTAMP_KIND: &str = "iox::column_type::timestamp";

/// The first thing that is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault<'a> {
    #[error("No fields were provided")]
    NoFields,
    #[error("Invalid measurement was provided")]
    Measurement,
    #[error("Tag set malformed: could not find equals sign in `{}`", Shown(.0))]
    NoEqualsSign(&'a str),
    #[error("Expected tag key, got {}", Got(.0))]
    TagKey(&'a str),
    #[error("Expected tag value, got {}", Got(.0))]
    TagValue(&'a str),
    #[error("Expected at least one space character, got {}", GotWhole(.0))]
    Space(&'a str),
    #[error("Could not parse entire line. Found trailing content: `{}`", Shown(.0))]
    Trailing(&'a str),
    #[error("Unable to parse integer value `{0}`")]
    Integer(&'a str),
    #[error("Unable to parse unsigned integer value `{0}`")]
    UInteger(&'a str),
    #[error("Unable to parse timestamp value `{0}`")]
    Timestamp(&'a str),
    #[error("Measurements, tag keys and values, and field keys may not end with a backslash")]
    EndsWithBackslash,
    #[error("String is greater than 1MB")]
    TooLong,
    #[error(
        "invalid column type for column '{column}', expected {expected}, got {}",
        .got.influx_name()
    )]
    Type { column: String, expected: &'static str, got: ColumnKind },
    #[error("'{0}' is a reserved column")]
    Reserved(String),
    #[error("invalid line protocol - multiple instances of '{0}' field found")]
    RepeatedField(String),
    #[error("invalid line protocol - multiple instances of '{0}' tag found")]
    RepeatedTag(String),
    #[error(
        "Detected a new tag '{0}' in write. The tag set is immutable on first write to the table."
    )]
    NewTag(String),
    #[error("timestamp, {0}, out of range for precision: {1:?}")]
    OutOfRange(i64, super::Precision),
    #[error("line contained a date that was {}", Older(*.window_s))]
    TooOld { window_s: i64 },
    #[error(
        "Update to schema would exceed number of tables limit: attempted to create table but \
         already have {live} table(s) (limit: {limit})"
    )]
    Tables { live: usize, limit: usize },
    #[error("Update to schema would exceed number of columns per table limit of {0} columns")]
    Columns(usize),
    #[error("Update to schema would exceed number of tag columns per table limit of {0} columns")]
    TagColumns(usize),
}

impl Fault<'_> {
    /// True when a configured limit refuses the line, not the line itself.
    pub(super) fn is_limit(&self) -> bool {
        matches!(self, Self::Tables { .. } | Self::Columns(_) | Self::TagColumns(_))
    }
}

/// The rest of a line, cut when it is long.
struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.len() <= SHOWN_BYTES_MAX {
            return f.write_str(self.0);
        }
        self.0.chars().take(SHOWN_CHARS).try_for_each(|c| write!(f, "{c}"))?;
        f.write_str("...")
    }
}

/// The rest of a line in backticks and cut, or the remark that nothing is left.
struct Got<'a>(&'a str);

impl Display for Got<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("end of input");
        }
        write!(f, "`{}`", Shown(self.0))
    }
}

/// As [`Got`], never cut.
struct GotWhole<'a>(&'a str);

impl Display for GotWhole<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("end of input");
        }
        write!(f, "`{}`", self.0)
    }
}

/// How far back the window of accepted times reaches, in seconds, put into words.
struct Older(i64);

impl Display for Older {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        match self.0 {
            window if window == 3 * DAY => f.write_str("more than 3 days ago"),
            window if window > 0 && window % DAY == 0 => write!(f, "older than {}d", window / DAY),
            window if window > 0 && window % HOUR == 0 => {
                write!(f, "older than {}h", window / HOUR)
            }
            window if window > 0 && window % MINUTE == 0 => {
                write!(f, "older than {}m", window / MINUTE)
            }
            window => write!(f, "older than {window}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_rest_is_cut_to_ten_characters() {
        assert_eq!(Shown("0123456789").to_string(), "0123456789");
        assert_eq!(Shown("0123456789a").to_string(), "0123456789...");
        // Eleven bytes, but only ten characters: the mark is added all the same.
        assert_eq!(Shown("012345678é").to_string(), "012345678é...");
    }

    #[test]
    fn the_space_message_shows_the_whole_rest() {
        assert_eq!(
            Fault::Space("\tf=1,and=more").to_string(),
            "Expected at least one space character, got `\tf=1,and=more`"
        );
        assert_eq!(
            Fault::Space("").to_string(),
            "Expected at least one space character, got end of input"
        );
    }

    #[test]
    fn the_window_is_named() {
        let text = |window_s| Fault::TooOld { window_s }.to_string();
        assert_eq!(text(259_200), "line contained a date that was more than 3 days ago");
        assert_eq!(text(7200), "line contained a date that was older than 2h");
        assert_eq!(text(604_800), "line contained a date that was older than 7d");
        assert_eq!(text(90), "line contained a date that was older than 90s");
    }

    #[test]
    fn only_limits_are_limits() {
        assert!(Fault::Columns(500).is_limit());
        assert!(Fault::Tables { live: 3, limit: 3 }.is_limit());
        assert!(!Fault::NoFields.is_limit());
        assert!(!Fault::TooLong.is_limit());
    }
}
