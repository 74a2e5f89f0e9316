//! The range of time of a statement, taken out of its condition.

use super::faults::{in_condition, meaningless};
use crate::query::functions::local_clock::LocalClock;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::error::Result;
use protocols::influxql::{Expr, Literal, Op};

/// The instants that rows may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TimeRange {
    /// The first one.
    pub(super) first_ns: Option<i64>,
    /// The last one.
    pub(super) last_ns: Option<i64>,
}

impl TimeRange {
    /// What is in both ranges.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            first_ns: self.first_ns.max(other.first_ns),
            last_ns: self.last_ns.into_iter().chain(other.last_ns).min(),
        }
    }

    pub(super) fn is_bounded(self) -> bool {
        self.first_ns.is_some() || self.last_ns.is_some()
    }

    pub(super) fn is_empty(self) -> bool {
        self.first_ns.zip(self.last_ns).is_some_and(|(first, last)| first > last)
    }
}

/// What times in a statement are relative to.
#[derive(Clone, Copy)]
pub(super) struct Clock<'a> {
    /// `now()`
    pub(super) now_ns: i64,
    /// The zone of times without one.
    pub(super) zone: Option<&'a str>,
}

/// A condition without its comparisons of time, and the range that these leave. They count
/// wherever they stand, also below OR.
pub(super) fn split(condition: &Expr, clock: Clock<'_>) -> Result<(Option<Expr>, TimeRange)> {
    let mut range = TimeRange::default();
    let rest = without_times(condition, clock, &mut range)?;
    Ok((rest, range))
}

fn without_times(
    condition: &Expr,
    clock: Clock<'_>,
    range: &mut TimeRange,
) -> Result<Option<Expr>> {
    match condition {
        Expr::Logical { logic, operands } => {
            let mut rest = Vec::with_capacity(operands.len());
            for operand in operands {
                rest.extend(without_times(operand, clock, range)?);
            }
            Ok(match rest.len() {
                0 => None,
                1 => rest.pop(),
                _ => Some(Expr::Logical { logic: *logic, operands: rest }),
            })
        }
        Expr::Binary { op, left, right } if op.is_comparison() => {
            let bound = match (is_time(left), is_time(right)) {
                (true, _) => self::bound(*op, right, clock)?,
                (false, true) => self::bound(swapped(*op), left, clock)?,
                (false, false) => return Ok(Some(condition.clone())),
            };
            *range = range.and(bound);
            Ok(None)
        }
        other => Ok(Some(other.clone())),
    }
}

/// True for the time of a row.
pub(super) fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Variable { name, .. } if name.eq_ignore_ascii_case("time"))
}

fn swapped(op: Op) -> Op {
    match op {
        Op::Less => Op::Greater,
        Op::LessEqual => Op::GreaterEqual,
        Op::Greater => Op::Less,
        Op::GreaterEqual => Op::LessEqual,
        op => op,
    }
}

fn bound(op: Op, value: &Expr, clock: Clock<'_>) -> Result<TimeRange> {
    let wrong = || in_condition(format!("invalid time comparison operator: {op}"));
    if !matches!(op, Op::Equal | Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual) {
        return Err(wrong());
    }
    let ns = instant(value, clock)?;
    Ok(match op {
        Op::Equal => TimeRange { first_ns: Some(clamped(ns)), last_ns: Some(clamped(ns)) },
        Op::Less => TimeRange { first_ns: None, last_ns: Some(clamped(ns - 1)) },
        Op::LessEqual => TimeRange { first_ns: None, last_ns: Some(clamped(ns)) },
        Op::Greater => TimeRange { first_ns: Some(clamped(ns + 1)), last_ns: None },
        Op::GreaterEqual => TimeRange { first_ns: Some(clamped(ns)), last_ns: None },
        _ => return Err(wrong()),
    })
}

fn clamped(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// Nanoseconds since 1970, or those of a duration.
pub(super) fn instant(value: &Expr, clock: Clock<'_>) -> Result<i128> {
    let invalid = || in_condition(format!("invalid time expression \"{value}\""));
    Ok(match value {
        Expr::Literal(Literal::Integer(ns)) => i128::from(*ns),
        Expr::Literal(Literal::Unsigned(ns)) => i128::from(*ns),
        Expr::Literal(Literal::Duration(ns)) => i128::from(*ns),
        Expr::Literal(Literal::Float(ns)) => *ns as i128,
        Expr::Literal(Literal::String(text)) => match timestamp(text, clock.zone) {
            Some(ns) => i128::from(ns),
            None => {
                let text =
                    format!("invalid expression \"{value}\": '{text}' is not a valid timestamp");
                return Err(in_condition(text));
            }
        },
        Expr::Call { name, args } if name == "now" && args.is_empty() => i128::from(clock.now_ns),
        Expr::Negative(operand) => -instant(operand, clock)?,
        Expr::Binary { op: Op::Add, left, right } => {
            instant(left, clock)?.checked_add(instant(right, clock)?).ok_or_else(invalid)?
        }
        Expr::Binary { op: Op::Subtract, left, right } => {
            instant(left, clock)?.checked_sub(instant(right, clock)?).ok_or_else(invalid)?
        }
        _ => return Err(invalid()),
    })
}

/// Reads an instant. Without an offset it is a time on the clock of the zone, the earlier one if
/// there are two.
fn timestamp(text: &str, zone: Option<&str>) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return instant.timestamp_nanos_opt();
    }
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let local_ns = local.or_else(day)?.and_utc().timestamp_nanos_opt()?;
    match zone.map(LocalClock::new) {
        None => Some(local_ns),
        Some(clock) => {
            let clock = clock.ok()?;
            let offset = clock.offset_ns(local_ns);
            Some(clock.bin_start_ns(local_ns, offset, i64::MAX))
        }
    }
}

/// The windows of `GROUP BY time(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// The length of one, above zero.
    pub(super) interval_ns: i64,
    /// Where one starts: an instant, or a time on the clock of the zone.
    pub(super) origin_ns: i64,
}

impl Windows {
    /// Reads what stands in the parentheses.
    pub(super) fn read(interval: &Expr, offset: Option<&Expr>, clock: Clock<'_>) -> Result<Self> {
        let Expr::Literal(Literal::Duration(interval_ns)) = interval else {
            let text = format!(
                "found literal '{interval}', expected duration, float, integer, or timestamp string"
            );
            return Err(meaningless(text).context("find interval offset"));
        };
        let interval_ns = *interval_ns;
        if interval_ns <= 0 {
            return Err(meaningless("DATE_BIN stride must be non-zero"));
        }
        let origin = match offset {
            None => 0,
            Some(offset) => {
                instant(offset, clock).map_err(|error| error.context("find interval offset"))?
            }
        };
        let origin_ns = clamped(origin.rem_euclid(i128::from(interval_ns)));
        Ok(Self { interval_ns, origin_ns })
    }

    /// The start of the window of an instant.
    pub(super) fn start(&self, ns: i64, zone: Option<&str>) -> Result<i64> {
        let start = |ns: i64| {
            let since = (i128::from(ns) - i128::from(self.origin_ns))
                .rem_euclid(i128::from(self.interval_ns));
            clamped(i128::from(ns) - since)
        };
        let Some(zone) = zone else { return Ok(start(ns)) };
        let clock = LocalClock::new(zone)?;
        let offset = clock.offset_ns(ns);
        let local = start(ns.saturating_add(offset));
        Ok(clock.bin_start_ns(local, offset, self.interval_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> std::result::Result<(i64, i64), String> {
        let text = format!("SELECT v FROM m WHERE {text}");
        let parsed = protocols::influxql::parse(&text, |_| true).map_err(|e| e.to_string())?;
        let protocols::influxql::Statement::Select(select) = &parsed[0].statement else {
            return Err("no SELECT".to_owned());
        };
        let clock = Clock { now_ns: 1_000_000_000_000, zone: Some("Asia/Kolkata") };
        let condition = select.condition.as_ref().ok_or("no condition")?;
        let (_, range) = split(condition, clock).map_err(|e| e.strip_backtrace())?;
        Ok((range.first_ns.unwrap_or(-1), range.last_ns.unwrap_or(-1)))
    }

    #[test]
    fn bounds() {
        assert_eq!(range("time >= 5 AND time < 9"), Ok((5, 8)));
        assert_eq!(range("5 <= time OR v = 1"), Ok((5, -1)));
        assert_eq!(range("TIME > now() - 1s AND \"time\" = 7"), Ok((999_000_000_001, 7)));
        assert_eq!(range("time = '1970-01-02'"), Ok((66_600_000_000_000, 66_600_000_000_000)));
        assert!(range("time > '1970-01-01T00:00:00Z' + 1us - 1ns").is_err());
        assert_eq!(range("time > '1970-01-01T00:00:00Z' + 1u - 1ns"), Ok((1000, -1)));
        let error = range("time > 'junk'").expect_err("no time");
        assert!(error.ends_with("invalid expression \"'junk'\": 'junk' is not a valid timestamp"));
        assert!(range("time > '1970-01-02T00:00:00'").is_err());
        let error = range("time != 5").expect_err("no range");
        assert!(error.ends_with("invalid time comparison operator: !="), "{error}");
    }
}
