//! Window functions that go along the points of a series, one after the other.

use super::analysis::Analysis;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, UInt64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};
use datafusion::physical_plan::PhysicalExpr;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is made of a point and those before it. Missing values take no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The change since the point before.
    Difference {
        /// Falling values have no result.
        non_negative: bool,
    },
    /// The change since the point before for each `unit_ns`.
    Derivative { unit_ns: i64, non_negative: bool },
    /// The sum of all points so far.
    CumulativeSum,
    /// The mean of so many points.
    MovingAverage(usize),
    /// What traders make of it.
    Analysis(Analysis),
    /// The time since the point before, in units; zero for the first.
    Elapsed { unit_ns: i64, counts_nulls: bool },
    /// The area below the line through the points, of each point what lies in its window next to
    /// it: back to the point before, and on to the end of the window if no point follows there.
    Area { unit_ns: i64, interval_ns: i64 },
}

/// `step(value, time [, window])`
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    step: Step,
    signature: Signature,
}

impl Running {
    pub(super) fn new(step: Step) -> Self {
        Self { step, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl WindowUDFImpl for Running {
    fn name(&self) -> &str {
        match self.step {
            Step::Difference { .. } => "influxql_difference",
            Step::Derivative { .. } => "influxql_derivative",
            Step::CumulativeSum => "influxql_cumulative_sum",
            Step::MovingAverage(_) => "influxql_moving_average",
            Step::Analysis(_) => "influxql_analysis",
            Step::Elapsed { .. } => "influxql_elapsed",
            Step::Area { .. } => "influxql_area",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let Some(value) = args.input_fields().first() else {
            return plan_err!("{} requires a value and a time", self.name());
        };
        let kind = match self.step {
            Step::Derivative { .. }
            | Step::MovingAverage(_)
            | Step::Analysis(_)
            | Step::Area { .. } => DataType::Float64,
            Step::Elapsed { .. } => DataType::Int64,
            Step::Difference { .. } | Step::CumulativeSum => match value.data_type() {
                kind @ (DataType::Int64 | DataType::UInt64) => kind.clone(),
                _ => DataType::Float64,
            },
        };
        Ok(Arc::new(Field::new(args.name(), kind, true)))
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator(self.step)))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        // Rows behind a limit change nothing in front of it.
        LimitEffect::None
    }
}

#[derive(Debug)]
struct Evaluator(Step);

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let [value, time, rest @ ..] = values else {
            return exec_err!("a value and a time are needed");
        };
        let times = cast(time, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>().values();
        match self.0 {
            Step::Elapsed { unit_ns, counts_nulls } => {
                Ok(elapsed(value, times, unit_ns, counts_nulls))
            }
            Step::Derivative { unit_ns, non_negative } => {
                let slope = |before: (i64, f64), now: (i64, f64)| {
                    let since = (i128::from(now.0) - i128::from(before.0)) as f64;
                    (now.1 - before.1) / (since / unit_ns as f64)
                };
                let mut last: Option<(i64, f64)> = None;
                let values = floats(value)?;
                let slopes = values.iter().zip(times).map(|(value, time)| {
                    let now = (*time, value?);
                    let slope = slope(last.replace(now)?, now);
                    (!(non_negative && slope < 0.0)).then_some(slope)
                });
                Ok(Arc::new(slopes.collect::<Float64Array>()))
            }
            Step::Analysis(analysis) => {
                let values = floats(value)?;
                Ok(Arc::new(analysis.along(values.iter()).collect::<Float64Array>()))
            }
            Step::MovingAverage(count) => Ok(moving_average(&floats(value)?, count)),
            Step::Difference { non_negative } => differences(value, non_negative),
            Step::CumulativeSum => sums(value),
            Step::Area { unit_ns, interval_ns } => {
                let [bins] = rest else { return exec_err!("an area needs a window") };
                let bins = cast(bins, &DataType::Int64)?;
                let bins = bins.as_primitive::<Int64Type>().values();
                let values = floats(value)?;
                let points = values.iter().zip(times).zip(bins);
                let points = points.map(|((value, time), bin)| (value, *time, *bin));
                Ok(areas(&points.collect::<Vec<_>>(), unit_ns, interval_ns))
            }
        }
    }
}

fn floats(value: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(value, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn elapsed(value: &ArrayRef, times: &[i64], unit_ns: i64, counts_nulls: bool) -> ArrayRef {
    let nulls = if counts_nulls { None } else { value.logical_nulls() };
    let mut last = None;
    let units = times.iter().enumerate().map(|(row, time)| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let before: i64 = last.replace(*time).unwrap_or(*time);
        Some(time.saturating_sub(before) / unit_ns)
    });
    Arc::new(units.collect::<Int64Array>())
}

/// See [`Step::Area`]; of each point its value, its time and the start of its window.
fn areas(points: &[(Option<f64>, i64, i64)], unit_ns: i64, interval_ns: i64) -> ArrayRef {
    let since = |from: i64, to: i64| (i128::from(to) - i128::from(from)) as f64;
    let there: Vec<(usize, f64, i64, i64)> = points
        .iter()
        .enumerate()
        .filter_map(|(row, (value, time, bin))| Some((row, (*value)?, *time, *bin)))
        .collect();
    let mut areas: Vec<Option<f64>> = points.iter().map(|(value, ..)| value.map(|_| 0.0)).collect();
    let mut add = |row: usize, from: (f64, i64), to: (f64, i64)| {
        let area = 0.5 * (from.0 + to.0) * since(from.1, to.1) / unit_ns as f64;
        if let Some(Some(sum)) = areas.get_mut(row) {
            *sum += area;
        }
    };
    for pair in there.windows(2) {
        let ((row, v0, t0, b0), (next, v1, t1, b1)) = (pair[0], pair[1]);
        if b0 == b1 {
            add(next, (v0, t0), (v1, t1));
            continue;
        }
        let on_line = |at: i64| v0 + (v1 - v0) * since(t0, at) / since(t0, t1);
        let end = b0.saturating_add(interval_ns);
        add(row, (v0, t0), (on_line(end), end));
        add(next, (on_line(b1), b1), (v1, t1));
    }
    Arc::new(Float64Array::from(areas))
}

fn moving_average(values: &Float64Array, count: usize) -> ArrayRef {
    let mut last: VecDeque<f64> = VecDeque::new();
    let means = values.iter().map(|value| {
        if last.len() == count {
            last.pop_front();
        }
        last.push_back(value?);
        (last.len() == count).then(|| last.iter().sum::<f64>() / count as f64)
    });
    Arc::new(means.collect::<Float64Array>())
}

fn differences(value: &ArrayRef, non_negative: bool) -> Result<ArrayRef> {
    Ok(match value.data_type() {
        DataType::Int64 => {
            let values = value.as_primitive::<Int64Type>().iter();
            let minus = |before: i64, now: i64| now.wrapping_sub(before);
            let keep = |change: &i64| !(non_negative && *change < 0);
            Arc::new(changes(values, minus).map(|c| c.filter(keep)).collect::<Int64Array>())
        }
        DataType::UInt64 => {
            let values = value.as_primitive::<UInt64Type>().iter();
            let minus = |before: u64, now: u64| {
                let falls = now < before;
                (!(non_negative && falls)).then(|| now.wrapping_sub(before))
            };
            Arc::new(changes(values, minus).map(Option::flatten).collect::<UInt64Array>())
        }
        _ => {
            let values = floats(value)?;
            let keep = |change: &f64| !(non_negative && *change < 0.0);
            let changed = changes(values.iter(), |before, now| now - before);
            Arc::new(changed.map(|c| c.filter(keep)).collect::<Float64Array>())
        }
    })
}

fn changes<T: Copy, R>(
    values: impl Iterator<Item = Option<T>>,
    change: impl Fn(T, T) -> R,
) -> impl Iterator<Item = Option<R>> {
    let mut last = None;
    values.map(move |value| {
        let value = value?;
        last.replace(value).map(|last| change(last, value))
    })
}

fn sums(value: &ArrayRef) -> Result<ArrayRef> {
    Ok(match value.data_type() {
        DataType::Int64 => {
            let values = value.as_primitive::<Int64Type>().iter();
            Arc::new(running(values, 0, i64::wrapping_add).collect::<Int64Array>())
        }
        DataType::UInt64 => {
            let values = value.as_primitive::<UInt64Type>().iter();
            Arc::new(running(values, 0, u64::wrapping_add).collect::<UInt64Array>())
        }
        _ => {
            let values = floats(value)?;
            Arc::new(running(values.iter(), 0.0, |a, b| a + b).collect::<Float64Array>())
        }
    })
}

fn running<T: Copy>(
    values: impl Iterator<Item = Option<T>>,
    start: T,
    add: impl Fn(T, T) -> T,
) -> impl Iterator<Item = Option<T>> {
    let mut sum = start;
    values.map(move |value| {
        sum = add(sum, value?);
        Some(sum)
    })
}
