//! Why a line is refused, in the words of the original server, and what to do about it.

use crate::limits::REFUSED_LINE_BYTES_MAX;
use crate::schema::ColumnKind;
use std::fmt::{self, Display, Formatter};

/// A rest of a line longer than this many bytes is cut when it is shown.
const SHOWN_BYTES_MAX: usize = 10;
/// How many characters of a cut rest are shown.
const SHOWN_CHARS: usize = 10;

/// The first thing that is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault<'a> {
    #[error("No fields were provided: {0}")]
    NoFields(Hint<'a>),
    #[error("Invalid measurement was provided")]
    Measurement,
    #[error("Tag set malformed: could not find equals sign in `{}`", Shown(.0))]
    NoEqualsSign(&'a str),
    #[error("Expected tag key, got {}", Got(.0))]
    TagKey(&'a str),
    #[error("Expected tag value, got {}", Got(.0))]
    TagValue(&'a str),
    #[error("Expected at least one space character, got {}{}", GotWhole(.0), Further(.1))]
    Space(&'a str, Option<Hint<'a>>),
    #[error(
        "Could not parse entire line. Found trailing content: `{}`{}",
        Shown(.0),
        Further(.1)
    )]
    Trailing(&'a str, Option<Hint<'a>>),
    #[error("Unable to parse integer value `{}`", Cut(.0))]
    Integer(&'a str),
    #[error("Unable to parse unsigned integer value `{}`", Cut(.0))]
    UInteger(&'a str),
    #[error("Unable to parse float value `{}`", Cut(.0))]
    Float(&'a str),
    #[error("Unable to parse timestamp value `{}`", Cut(.0))]
    Timestamp(&'a str),
    #[error("Measurements, tag keys and values, and field keys may not end with a backslash")]
    EndsWithBackslash,
    #[error("String is greater than 1MB")]
    TooLong,
    #[error(
        "invalid column type for column '{}', expected {expected}, got {} (table '{}')",
        Cut(.column),
        .got.plain_name(),
        Cut(.table)
    )]
    Type { table: String, column: String, expected: &'static str, got: ColumnKind },
    #[error("'{0}' is a reserved column")]
    Reserved(String),
    #[error("invalid line protocol - multiple instances of '{}' field found", Cut(.0))]
    RepeatedField(String),
    #[error("invalid line protocol - multiple instances of '{}' tag found", Cut(.0))]
    RepeatedTag(String),
    #[error(
        "Detected a new tag '{}' in write. The tag set is immutable on first write to the table.",
        Cut(.0)
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

/// What is wrong with which part of a line, and the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Hint<'a> {
    #[error(
        "\"{}\" is no value of field \"{}\" (text needs double quotes){}",
        Cut(.value),
        Cut(.key),
        if is_not_finite(.value) { "; numbers have to be finite" } else { "" }
    )]
    Value { key: &'a str, value: &'a str },
    #[error("field \"{}\" has no value", Cut(.0))]
    NoValue(&'a str),
    #[error("the text of field \"{}\" has no closing double quote", Cut(.0))]
    OpenText(&'a str),
    #[error(
        "\"{}\" is no field, which is name=value (a space or comma in a name or tag value needs a \
         backslash before it)",
        Cut(.0)
    )]
    NoEqualsSign(&'a str),
    #[error("\"{}\" is a field without a name", Cut(.0))]
    NoName(&'a str),
    #[error("the line ends before a field")]
    Nothing,
    #[error("\"{}\" ends with a backslash, which hides the space after it", Cut(.0))]
    HiddenSpace(&'a str),
}

impl<'a> Hint<'a> {
    /// The hint itself if it is about a value.
    pub(super) fn of_value(self) -> Option<Self> {
        matches!(self, Self::Value { .. } | Self::NoValue(_) | Self::OpenText(_)).then_some(self)
    }
}

/// Whether a float is meant that no line can hold.
fn is_not_finite(value: &str) -> bool {
    let word = value.trim_start_matches(['+', '-']);
    ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// A hint behind a text that says what was found.
struct Further<'a>(&'a Option<Hint<'a>>);

impl Display for Further<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

/// A part of a line, cut when nobody would read it all.
struct Cut<'a>(&'a str);

impl Display for Cut<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let end = self.0.floor_char_boundary(REFUSED_LINE_BYTES_MAX);
        f.write_str(self.0.get(..end).unwrap_or_default())?;
        if end < self.0.len() { f.write_str("...") } else { Ok(()) }
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

/// As [`Got`], cut only when it is very long.
struct GotWhole<'a>(&'a str);

impl Display for GotWhole<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("end of input");
        }
        write!(f, "`{}`", Cut(self.0))
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
            Fault::Space("\tf=1,and=more", None).to_string(),
            "Expected at least one space character, got `\tf=1,and=more`"
        );
        assert_eq!(
            Fault::Space("", None).to_string(),
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
        assert!(!Fault::NoFields(Hint::Nothing).is_limit());
        assert!(!Fault::TooLong.is_limit());
    }
}
