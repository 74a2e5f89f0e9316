//! The clock of a time zone: from instants to local times and back.

use arrow::array::timezone::Tz;
use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use datafusion::error::Result;
use std::str::FromStr;

const DAY_NS: i64 = 86_400_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// The clock of one time zone. Local times are counted like instants: nanoseconds since
/// 1970-01-01T00:00 on this clock.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct LocalClock(Tz);

impl LocalClock {
    /// The clock of an IANA zone or an offset.
    ///
    /// # Errors
    /// When there is no such zone.
    pub(in crate::query) fn new(zone: &str) -> Result<Self> {
        Ok(Self(Tz::from_str(zone)?))
    }

    /// How far the clock is ahead of UTC at an instant.
    pub(in crate::query) fn offset_ns(&self, instant_ns: i64) -> i64 {
        nanos(&self.0.offset_from_utc_datetime(&naive(instant_ns)))
    }

    /// The instant at which the clock shows a local time. Of two such instants it is the later one;
    /// where the clock jumps over the time it is as if it had not, as in PostgreSQL.
    pub(super) fn instant_ns(&self, local_ns: i64) -> Option<i64> {
        let offset = match self.0.offset_from_local_datetime(&naive(local_ns)) {
            LocalResult::Single(offset) => nanos(&offset),
            LocalResult::Ambiguous(a, b) => nanos(&a).min(nanos(&b)),
            LocalResult::None => self.offset_before_ns(local_ns),
        };
        local_ns.checked_sub(offset)
    }

    /// How far the clock was ahead of UTC before it jumped over a local time. No jump is longer
    /// than a day, so a day earlier it has not happened.
    fn offset_before_ns(&self, local_ns: i64) -> i64 {
        self.offset_ns(local_ns.saturating_sub(DAY_NS))
    }

    /// The first instant of a bin that starts at a local time, for a row whose clock is
    /// `row_offset_ns` ahead of UTC.
    pub(in crate::query) fn bin_start_ns(
        &self,
        local_ns: i64,
        row_offset_ns: i64,
        stride_ns: i64,
    ) -> i64 {
        let offset = match self.0.offset_from_local_datetime(&naive(local_ns)) {
            LocalResult::Single(offset) => nanos(&offset),
            LocalResult::Ambiguous(a, b) => {
                let (early, late) = (nanos(&a).max(nanos(&b)), nanos(&a).min(nanos(&b)));
                // Bins that fit into the hour that comes twice come twice too.
                if stride_ns > early - late || row_offset_ns == early { early } else { late }
            }
            // The clock jumps over this time: count on as if it had not.
            LocalResult::None => self.offset_before_ns(local_ns),
        };
        local_ns.saturating_sub(offset)
    }

    /// The first instant after `from_ns` and not after `to_ns` at which the clock is ahead by
    /// something else than at `from_ns`, if it is so at `to_ns`.
    pub(in crate::query) fn first_change_ns(&self, from_ns: i64, to_ns: i64) -> Option<i64> {
        let before = self.offset_ns(from_ns);
        if self.offset_ns(to_ns) == before {
            return None;
        }
        let (mut same, mut changed) = (from_ns, to_ns);
        while i128::from(changed) - i128::from(same) > 1 {
            let middle = i64::midpoint(same, changed);
            if self.offset_ns(middle) == before {
                same = middle;
            } else {
                changed = middle;
            }
        }
        Some(changed)
    }
}

fn naive(ns: i64) -> NaiveDateTime {
    DateTime::from_timestamp_nanos(ns).naive_utc()
}

fn nanos(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * SECOND_NS
}
