//! `GROUP BY time(…)`: which window a row is in, and windows without rows.

use super::faults::meaningless;
use super::kind::Kind;
use super::outline::Outline;
use super::planner::Planner;
use super::stage::{BIN, Gathered, fill_value};
use super::time_range::{TimeRange, Windows};
use crate::query::functions::gapfill::{Filling, FillsOf, fill};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Engine, LogicalPlan, cast, lit};
use protocols::influxql::{Fill, format_duration};
use protocols::schema::time_type;
use std::sync::Arc;

/// Times on the clock of a zone.
pub(super) fn zoned(time: Engine, zone: &str) -> Engine {
    let of = |zone: &str| DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from(zone)));
    cast(cast(time, of("UTC")), of(zone))
}

/// The start of the window of each row.
pub(super) fn bin(
    planner: &Planner<'_>,
    windows: &Windows,
    zone: Option<&str>,
    time: Engine,
) -> Result<Engine> {
    let interval = lit(ScalarValue::new_interval_mdn(0, 0, windows.interval_ns));
    let origin = lit(ScalarValue::TimestampNanosecond(Some(windows.origin_ns), None));
    match zone {
        None => planner.scalar("date_bin", vec![interval, time, origin]),
        Some(zone) => {
            let args = vec![interval, zoned(time, zone), origin];
            let start = planner.scalar("date_bin_wallclock", args)?;
            Ok(cast(cast(start, DataType::Int64), time_type()))
        }
    }
}

/// Adds the windows without rows, unless they are left out.
pub(super) fn filled(
    plan: LogicalPlan,
    windows: &Windows,
    outline: &Outline,
    gathered: &[Gathered],
) -> Result<LogicalPlan> {
    if outline.fill == Fill::None {
        return Ok(plan);
    }
    check_count(windows.interval_ns, outline.frame.read)?;
    let mut columns = vec![FillsOf::Series; outline.tags.len()];
    columns.push(FillsOf::Bin);
    for one in gathered {
        columns.push(role(outline.fill, one)?);
    }
    debug_assert!(plan.schema().has_column_with_unqualified_name(BIN));
    let filling = Filling {
        stride_ns: windows.interval_ns,
        origin_ns: windows.origin_ns,
        zone: outline.frame.zone.clone(),
        first_ns: outline.frame.read.first_ns,
        last_ns: outline.frame.read.last_ns.unwrap_or(i64::MAX),
        columns,
        open: match outline.frame.is_open() {
            true => outline.frame.reads().into_iter().flatten().collect(),
            false => Vec::new(),
        },
    };
    fill(plan, filling)
}

/// Limit: windows of a series that are shown whether there are rows in them or not.
pub(super) const WINDOWS_MAX: i128 = 10_000_000;

/// How many windows a range of time has, if it has two ends.
pub(super) fn count_of(interval_ns: i64, range: TimeRange) -> Option<i128> {
    let (first, last) = (i128::from(range.first_ns?), i128::from(range.last_ns?));
    Some((last - first) / i128::from(interval_ns.max(1)))
}

fn check_count(interval_ns: i64, range: TimeRange) -> Result<()> {
    let Some(count) = count_of(interval_ns, range) else { return Ok(()) };
    match count > WINDOWS_MAX {
        false => Ok(()),
        true => Err(meaningless(format!(
            "GROUP BY time({}) makes {count} windows of each series, more than {WINDOWS_MAX}: take \
             longer ones, a shorter range of time, or FILL(none)",
            format_duration(interval_ns)
        ))),
    }
}

fn role(fill: Fill, one: &Gathered) -> Result<FillsOf> {
    let null = || match one.name.starts_with('a') || one.kind != Kind::Null {
        true => Ok(FillsOf::Value(one.kind.null_value())),
        false => Ok(FillsOf::Value(ScalarValue::TimestampNanosecond(None, None))),
    };
    match fill {
        Fill::Previous => Ok(FillsOf::Previous),
        Fill::Linear if one.kind.is_number() && !one.is_brought => Ok(FillsOf::Linear),
        Fill::Integer(_) | Fill::Float(_) if !one.is_brought => match fill_value(fill, one.kind)? {
            Some(value) => Ok(FillsOf::Value(value)),
            None => null(),
        },
        Fill::Null if one.is_count => Ok(FillsOf::Value(ScalarValue::Int64(Some(0)))),
        _ => null(),
    }
}
