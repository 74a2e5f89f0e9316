//! The trace that a request belongs to, as its headers say.

use std::fmt;

/// Headers that name a trace, the newest convention first: W3C's, Jaeger's, InfluxDB's own of the
/// same form, Zipkin's.
const HEADERS: [&str; 4] = ["traceparent", "uber-trace-id", "influx-trace-id", "x-b3-traceid"];

/// Limit: digits of an id.
const DIGITS_MAX: usize = 32;

/// Name of a trace: hexadecimal digits in lower case, as many as the client wrote, so that it is
/// found by the text that other systems show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId(Box<str>);

impl TraceId {
    /// The trace that the headers of a request name; `header` knows their values. A header that is
    /// malformed counts as absent: what only helps to look on must not make a request fail.
    pub fn from_headers<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        HEADERS.into_iter().find_map(|name| {
            let value = header(name)?.trim();
            match name {
                // version - trace - parent - flags
                "traceparent" => {
                    let id = value.split('-').nth(1)?;
                    (id.len() == DIGITS_MAX).then(|| Self::of_digits(id))?
                }
                // trace : span : parent : flags, the colons perhaps escaped
                _ => Self::of_digits(value.split([':', '%']).next()?),
            }
        })
    }

    fn of_digits(digits: &str) -> Option<Self> {
        let fits = (1..=DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            && digits.bytes().any(|digit| digit != b'0');
        fits.then(|| Self(digits.to_ascii_lowercase().into_boxed_str()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Option<&str>) {
        let found = TraceId::from_headers(|name| {
            headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        });
        assert_eq!(found.as_ref().map(TraceId::as_str), expected, "{headers:?}");
    }

    #[test]
    fn every_convention_is_understood() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{id}-00f067aa0ba902b7-01");
        check(&[("traceparent", &parent)], Some(id));
        check(&[("traceparent", &parent), ("uber-trace-id", "1:2:0:1")], Some(id));
        check(&[("uber-trace-id", "4459495:30434:0:1")], Some("4459495"));
        check(&[("uber-trace-id", "AB12%3A1%3A0%3A1")], Some("ab12"));
        check(&[("influx-trace-id", "00ff:1:0:1")], Some("00ff"));
        check(&[("x-b3-traceid", "463ac35c9f6413ad")], Some("463ac35c9f6413ad"));
    }

    #[test]
    fn what_names_no_trace_is_passed_over() {
        check(&[], None);
        let malformed = ["", "00", "00-", "00-12-34-01", "00-ü-1-1", "xyz"];
        for value in malformed {
            check(&[("traceparent", value)], None);
            check(&[("traceparent", value), ("x-b3-traceid", "7")], Some("7"));
        }
        let nothing = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        check(&[("traceparent", &nothing)], None);
        for value in ["", ":", "0:1:0:1", "not hex:1:0:1", &"1".repeat(33)] {
            check(&[("uber-trace-id", value)], None);
        }
    }
}
