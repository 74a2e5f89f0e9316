//! What both servers are known to answer differently, and why.
//!
//! Each kind tells of which statements it is: when the answers to one of these differ they are not
//! looked at any further. Most are differences between version 1 and the release of version 3 whose
//! answers this server gives; a few are faults of version 1.

use super::answers::{Told, same, same_in_any_order};
use super::data::CLOCK_CHANGES;

/// A kind of difference.
struct Difference {
    name: &'static str,
    /// True for statements that it may be about.
    is_about: fn(&Asked<'_>) -> bool,
}

/// A statement and its answers.
struct Asked<'a> {
    text: &'a str,
    /// What stands between SELECT and FROM.
    fields: &'a str,
    ours: &'a Told,
    theirs: &'a Told,
}

impl Asked<'_> {
    fn has(&self, part: &str) -> bool {
        self.text.contains(part)
    }

    fn has_any(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.has(part))
    }

    fn has_windows(&self) -> bool {
        self.has("GROUP BY time(")
    }

    /// True for a function that goes along the points.
    fn goes_along(&self) -> bool {
        self.has_any(&["difference(", "derivative(", "_sum(", "average(", "elapsed("])
            || self.analyses()
    }

    fn analyses(&self) -> bool {
        self.has_any(&["exponential_", "_index(", "_oscillator(", "kaufmans_"])
    }
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        // Version 3 counts the values of each field, or of each key; version 1 counts rows.
        name: "what LIMIT counts",
        is_about: |asked| {
            let has_several = asked.fields.contains([',', '*', '/', '(', '+', '-']);
            asked.has_any(&[" LIMIT ", " OFFSET "]) && (has_several || asked.has("SHOW TAG VALUES"))
        },
    },
    Difference {
        // Series without a tag come first in version 1 and last in version 3, series without rows
        // are counted there; with DESC the series of version 1 are in descending order, too.
        name: "which series SLIMIT shows",
        is_about: |asked| {
            let has_all = asked.has(" != ''") && !asked.has("time ");
            asked.has_any(&[" SLIMIT ", " SOFFSET "]) && (asked.has(" DESC") || !has_all)
        },
    },
    Difference {
        // Version 1 goes along points and windows in the order in which they are shown.
        name: "what depends on the order, newest first",
        is_about: |asked| {
            let depends = asked.goes_along() || asked.has_any(&["fill(previous)", "mode("]);
            depends && asked.has(" DESC")
        },
    },
    Difference {
        // The first point has a zero in version 3, and so have windows without a value.
        name: "elapsed",
        is_about: |asked| asked.has("elapsed("),
    },
    Difference {
        // Version 1 loses windows where there are several series. Of integrals it counts what lies
        // between distant windows to the later one, and shows nothing of calls beside this one; how
        // the fit of a forecast goes on depends on the last digits of its numbers.
        name: "windows of several series",
        is_about: |asked| {
            asked.has_any(&["integral(", "holt_winters"])
                || (asked.has("FROM (SELECT") && asked.has("region fill("))
        },
    },
    Difference {
        // The hour that comes twice begins windows of its own in version 1, and so does the one that
        // is left out. What fills empty windows from others then leaves out the last of these.
        name: "windows at a change of the clock",
        is_about: |asked| {
            const AROUND_NS: i64 = 12 * 3_600_000_000_000;
            let same_elsewhere = |change_s: i64| {
                let change_ns = change_s * 1_000_000_000;
                let [ours, theirs] = [asked.ours, asked.theirs].map(|told| {
                    told.without_times(change_ns - AROUND_NS, change_ns + AROUND_NS)
                        .without_empty_rows(&[3.0])
                });
                same(&ours, &theirs)
                    || (asked.has_any(&["fill(linear)", "fill(previous)"])
                        && same(&ours.at_times_of(&theirs), &theirs.at_times_of(&ours)))
            };
            asked.has(" tz(") && CLOCK_CHANGES.iter().any(|change| same_elsewhere(change.2))
        },
    },
    Difference {
        // Version 3 reads as many windows before the range as the mean has, version 1 one; what
        // stands beside the function is gathered of all that was read, in version 1 only of the
        // range. Other functions show windows before the range in version 1.
        name: "windows before the range",
        is_about: |asked| {
            let is_beside = asked.goes_along() && asked.fields.contains("), ");
            asked.has_windows() && (asked.has("moving_average(") || asked.analyses() || is_beside)
        },
    },
    Difference {
        // A window, or a series, with rows but without a value of the field is shown in version 3,
        // and counts as zero; what fills windows fills these nulls, too, or goes on from the zeros.
        // Version 1 shows rows in which an expression has no value.
        name: "rows without a value",
        is_about: |asked| {
            let mut fills = Vec::new();
            fills.extend(asked.has("fill(3)").then_some(3.0));
            fills.extend((asked.has("fill(3)") && asked.fields.contains("* 2")).then_some(6.0));
            fills.extend(asked.has("count(").then_some(0.0));
            let [ours, theirs] =
                [asked.ours, asked.theirs].map(|told| told.without_empty_rows(&fills));
            let goes_on = asked.goes_along()
                || asked.has_any(&["fill(", "FROM (SELECT"])
                || asked.fields.contains('+');
            let has_zeros = asked.has_any(&["count(", "stddev("]);
            same(&ours, &theirs)
                || (goes_on && has_zeros)
                || (asked.goes_along() && asked.has("fill(3)"))
        },
    },
    Difference {
        // In version 3 it is an integer.
        name: "the median of integers",
        is_about: |asked| {
            let is_of_n = asked.has_any(&["FROM n", "m, n", "/^[mn]"]);
            asked.has("median(i)") || (is_of_n && asked.has("median(f)"))
        },
    },
    Difference {
        // Of equal values version 1 takes whichever its sorting has left there.
        name: "which of equal values counts",
        is_about: |asked| asked.has_any(&["percentile(", "mode("]),
    },
    Difference {
        // A tag that is shown already gets a number in version 3.
        name: "names of tags beside top and bottom",
        is_about: |asked| {
            asked.has_any(&["top(", "bottom("]) && asked.has_any(&[", host,", ", region,"])
        },
    },
    Difference {
        // In version 1 an unknown name is a tag that no series has, and conditions outside of a
        // subquery know the tags of its series.
        name: "unknown names",
        is_about: |asked| {
            let outside = asked.text.rsplit_once(") WHERE ").map_or("", |(_, outside)| outside);
            asked.has("nope") || outside.contains("host") || outside.contains("region")
        },
    },
    Difference {
        // Version 3 refuses a number for what is no number; version 1 puts nothing there.
        name: "fill(3) of texts and booleans",
        is_about: |asked| {
            asked.has("fill(3)") && matches!(asked.ours, Told::Error(_)) && asked.has_windows()
        },
    },
    Difference {
        // In version 1 the largest boolean of a window is null.
        name: "the largest and smallest of all fields",
        is_about: |asked| asked.has_any(&["max(*)", "first(*)"]),
    },
    Difference {
        // Of a range of time that ends before it begins nothing is read: neither does anybody see
        // what is wrong with the types, nor the window before it.
        name: "ranges of time without an instant",
        is_about: |asked| {
            let complains = matches!(asked.theirs, Told::Error(error) if error.contains("type"));
            !asked.ours.has_rows() && (complains || asked.goes_along())
        },
    },
    Difference {
        // Version 1 leaves them in the order of the series.
        name: "the order of rows of a subquery",
        is_about: |asked| asked.has("FROM (SELECT") && same_in_any_order(asked.ours, asked.theirs),
    },
    Difference {
        // In windows without rows the tag is null in version 1. Two calls of one selector have the
        // time of the row there.
        name: "what stands beside a selector",
        is_about: |asked| {
            let calls = asked.fields.split_once(", ");
            asked.fields.contains(", host")
                || calls.is_some_and(|(one, other)| one.trim_end_matches(" * 2") == other)
        },
    },
];

/// The kind of difference that two answers to a statement are, if it is known.
pub(super) fn find(text: &str, ours: &Told, theirs: &Told) -> Option<&'static str> {
    let fields = text.strip_prefix("SELECT ").unwrap_or_default();
    let fields = fields.split_once(" FROM ").map_or(fields, |(fields, _)| fields);
    let asked = Asked { text, fields, ours, theirs };
    DIFFERENCES.iter().find(|difference| (difference.is_about)(&asked)).map(|found| found.name)
}
