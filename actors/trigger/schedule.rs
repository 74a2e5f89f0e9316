//! The instants of schedules.

use chrono::DateTime;
use cron::Schedule;
use protocols::plugins::TriggerSpec;
use std::str::FromStr;

const SECOND_NS: i64 = 1_000_000_000;

/// Says what is wrong with a cron expression: six fields, seconds first, and possibly a year.
///
/// # Errors
/// When it is none.
pub fn check_cron(expression: &str) -> Result<(), String> {
    Schedule::from_str(expression).map(drop).map_err(|error| error.to_string())
}

/// When something is due: instants in nanoseconds since 1970.
#[derive(Debug)]
pub(crate) enum Instants {
    /// At the multiples of so many nanoseconds.
    Every(i64),
    /// As a cron expression says, in UTC.
    Cron(Box<Schedule>),
}

impl Instants {
    /// Those of a trigger, if it has any.
    pub(crate) fn of(spec: &TriggerSpec) -> Option<Self> {
        match spec {
            TriggerSpec::Every(every) => {
                i64::try_from(every.as_nanos()).ok().filter(|ns| *ns > 0).map(Self::Every)
            }
            TriggerSpec::Cron(expression) => Self::cron(expression).ok(),
            _ => None,
        }
    }

    /// Those of a cron expression.
    ///
    /// # Errors
    /// When it is none; says why.
    pub(crate) fn cron(expression: &str) -> Result<Self, String> {
        let schedule = Schedule::from_str(expression).map_err(|error| error.to_string())?;
        Ok(Self::Cron(Box::new(schedule)))
    }

    /// The first instant after another one; nothing when there is none any more.
    pub(crate) fn after(&self, instant_ns: i64) -> Option<i64> {
        match self {
            Self::Every(every) => instant_ns.div_euclid(*every).checked_add(1)?.checked_mul(*every),
            Self::Cron(schedule) => {
                let instant = DateTime::from_timestamp_nanos(instant_ns);
                let next = schedule.after(&instant).next()?;
                next.timestamp().checked_mul(SECOND_NS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn multiples_since_1970() {
        let instants = Instants::of(&TriggerSpec::Every(Duration::from_secs(10))).unwrap();
        assert_eq!(instants.after(0), Some(10 * SECOND_NS));
        assert_eq!(instants.after(9_999_999_999), Some(10 * SECOND_NS));
        assert_eq!(instants.after(10 * SECOND_NS), Some(20 * SECOND_NS));
        assert_eq!(instants.after(i64::MAX), None);
    }

    #[test]
    fn cron_with_seconds_in_utc() {
        let check = |expression: &str, after_s: i64, expected_s: i64| {
            let instants = Instants::cron(expression).unwrap();
            let next = instants.after(after_s * SECOND_NS + 1);
            assert_eq!(next, Some(expected_s * SECOND_NS), "{expression}");
        };
        check("0 30 12 * * *", 1_700_000_000, 1_700_051_400);
        check("*/5 * * * * *", 1_700_000_000, 1_700_000_005);
        check("* * * * * *", 1_700_000_000, 1_700_000_001);
        let over = Instants::cron("0 0 0 1 1 * 2020").unwrap();
        assert_eq!(over.after(1_700_000_000 * SECOND_NS), None);
        assert!(check_cron("* * *").is_err());
    }
}
