//! `holt_winters`: what comes next, by exponential smoothing with a damped trend and seasons.
//!
//! The method is the multiplicative one of Holt and Winters with a damped trend
//! (<https://otexts.com/fpp2/holt-winters.html>). Its parameters are fitted by the simplex method of
//! Nelder and Mead, from the starting points that version 1 takes, and with its steps: another
//! optimizer would find other parameters, and so other forecasts.

use super::faults::{inconsistent, meaningless};
use super::scalar::count_args;
use super::simplex::least;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr as Engine, Signature, Volatility,
};
use protocols::influxql::{Expr, Literal};
use std::sync::Arc;

/// Limit: values that are forecast.
const VALUES_MAX: i64 = 100_000;
/// Limit: points of a season. Each of them is a parameter to be fitted.
const SEASON_MAX: i64 = 1_000;

/// Limit: windows without a value between two with one.
const MISSING_MAX: i64 = 10_000_000;

/// True for the names of the function.
pub(super) fn is_forecast(name: &str) -> bool {
    matches!(name, "holt_winters" | "holt_winters_with_fit")
}

/// What is forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Forecast {
    /// How many values.
    values: usize,
    /// How many points a season has; fewer than two mean that there are none.
    season: usize,
    /// True if the points that are known are shown as they were fitted.
    with_fit: bool,
    interval_ns: i64,
}

impl Forecast {
    fn of(name: &str, args: &[Expr], interval_ns: i64) -> Result<Self> {
        count_args(name, args, 3, 3)?;
        let number = |at: usize, word: &str| {
            match &args[at] {
                Expr::Literal(Literal::Integer(number)) => Ok(*number),
                Expr::Negative(operand) => match **operand {
                    Expr::Literal(Literal::Integer(number)) => Ok(-number),
                    _ => Err(()),
                },
                _ => Err(()),
            }
            .map_err(|()| {
                inconsistent(format!("expected integer argument as {word} arg in {name}"))
            })
        };
        let (values, season) = (number(1, "second")?, number(2, "third")?);
        if values <= 0 {
            let text = format!("second arg to {name} must be greater than 0, got {values}");
            return Err(inconsistent(text));
        }
        if season < 0 {
            let text = format!("third arg to {name} cannot be negative, got {season}");
            return Err(inconsistent(text));
        }
        if values > VALUES_MAX || season > SEASON_MAX {
            return Err(inconsistent(format!(
                "{name} forecasts up to {VALUES_MAX} values, with seasons of up to {SEASON_MAX} \
                 points"
            )));
        }
        let (values, season) = (values as usize, season as usize);
        Ok(Self { values, season, with_fit: name.ends_with("_fit"), interval_ns })
    }
}

/// Fails unless the function is called in a way that makes sense.
pub(super) fn check(name: &str, args: &[Expr]) -> Result<()> {
    Forecast::of(name, args, 1).map(drop)
}

/// A call that lists the known points and those to come, of values and their times.
///
/// # Errors
/// As [`check`].
pub(super) fn call(name: &str, args: &[Expr], interval_ns: i64, of: Vec<Engine>) -> Result<Engine> {
    let what = Forecast::of(name, args, interval_ns)?;
    let function = Arc::new(AggregateUDF::new_from_impl(Forecasting::new(what)));
    let all = AggregateFunction::new_udf(function, of, false, None, Vec::new(), None);
    Ok(Engine::AggregateFunction(all))
}

/// `forecasting(value, time)`: a list of times and values.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Forecasting {
    what: Forecast,
    signature: Signature,
}

impl Forecasting {
    fn new(what: Forecast) -> Self {
        Self { what, signature: Signature::any(2, Volatility::Immutable) }
    }
}

fn point_fields() -> Fields {
    Fields::from(vec![
        Field::new("time", DataType::Int64, true),
        Field::new("value", DataType::Float64, true),
    ])
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

impl AggregateUDFImpl for Forecasting {
    fn name(&self) -> &'static str {
        "influxql_holt_winters"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Struct(point_fields())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let state = |part: &str, item: DataType| {
            Arc::new(Field::new(format_state_name(args.name, part), list_of(item), true))
        };
        Ok(vec![state("times", DataType::Int64), state("values", DataType::Float64)])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Points { what: self.what, points: Vec::new() }))
    }
}

/// The points of a series.
#[derive(Debug)]
struct Points {
    what: Forecast,
    points: Vec<(i64, f64)>,
}

impl Points {
    fn push(&mut self, times: &ArrayRef, values: &ArrayRef) -> Result<()> {
        let times = cast(times, &DataType::Int64)?;
        let values = cast(values, &DataType::Float64)?;
        let times = times.as_primitive::<Int64Type>();
        let values = values.as_primitive::<Float64Type>();
        let there = times.iter().zip(values.iter());
        self.points.extend(there.filter_map(|(time, value)| Some((time?, value?))));
        Ok(())
    }
}

fn list(items: ArrayRef) -> Result<ScalarValue> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([items.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, items, None)?)))
}

impl Accumulator for Points {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [value, time] = values else { return exec_err!("a value and a time are needed") };
        self.push(time, value)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [times, values] = states else { return exec_err!("a state has two lists") };
        let (Some(times), Some(values)) = (times.as_list_opt::<i32>(), values.as_list_opt::<i32>())
        else {
            return exec_err!("a state is a list");
        };
        for row in 0..times.len() {
            self.push(&times.value(row), &values.value(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (times, values): (Vec<i64>, Vec<f64>) = self.points.iter().copied().unzip();
        Ok(vec![
            list(Arc::new(Int64Array::from(times)))?,
            list(Arc::new(Float64Array::from(values)))?,
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.points.sort_by_key(|(time, _)| *time);
        let points = forecast_of(self.what, &self.points)?;
        let (times, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(times)), Arc::new(Float64Array::from(values))];
        list(Arc::new(StructArray::try_new(point_fields(), columns, None)?))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.points.capacity() * size_of::<(i64, f64)>()
    }
}

/// The points that are shown of a series with these points, in order of time.
fn forecast_of(what: Forecast, points: &[(i64, f64)]) -> Result<Vec<(i64, f64)>> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(Vec::new()) };
    let has_season = what.season >= 2;
    if points.len() < 2 || (has_season && points.len() < what.season) {
        return Ok(Vec::new());
    }
    let known = spaced(what, points)?;
    if known.len() < 2.max(what.season) {
        return Ok(Vec::new());
    }
    let season = if has_season { what.season } else { 0 };
    let mut fitted = fit(&known, season)?;
    let values = smoothed(&known, season, what.values, &mut fitted);
    let at = |start: i64, steps: usize| {
        start.saturating_add(what.interval_ns.saturating_mul(steps as i64))
    };
    let is_number = |(_, value): &(i64, f64)| !value.is_nan();
    Ok(match what.with_fit {
        true => {
            let values = values.into_iter().enumerate();
            values.map(|(step, value)| (at(first.0, step), value)).filter(is_number).collect()
        }
        false => {
            let values = values.into_iter().skip(known.len()).enumerate();
            values.map(|(step, value)| (at(last.0, step + 1), value)).filter(is_number).collect()
        }
    })
}

/// The values of points at equal distances, NaN where there is none.
fn spaced(what: Forecast, points: &[(i64, f64)]) -> Result<Vec<f64>> {
    let interval = what.interval_ns;
    let rounded = |time: i64| match time % interval > interval / 2 {
        true => (time / interval + 1) * interval,
        false => (time / interval) * interval,
    };
    let mut known = Vec::with_capacity(points.len());
    let mut at = None;
    for (time, value) in points {
        let time = rounded(*time);
        match at {
            None => {}
            Some(at) if time <= at => continue,
            Some(at) => {
                let missing = (time - at) / interval - 1;
                if missing > MISSING_MAX {
                    let text = format!("holt_winters cannot close a gap of {missing} windows");
                    return Err(meaningless(text));
                }
                known.extend((0..missing).map(|_| f64::NAN));
            }
        }
        known.push(*value);
        at = Some(time);
    }
    Ok(known)
}

/// The parameters with which the known values are met best: four weights, the level, the trend and
/// the values of a season.
fn fit(known: &[f64], season: usize) -> Result<Vec<f64>> {
    let mut start = vec![0.0; 6 + season];
    (start[4], start[5]) = match season {
        0 => {
            let trend = if known[1].is_nan() { 0.0 } else { 0.5 * (known[1] - known[0]) };
            (0.5 * known[0], trend)
        }
        _ => {
            let share = 1.0 / season as f64;
            let level = known.iter().take(season).filter(|value| !value.is_nan());
            let level = level.fold(0.0, |sum, value| sum + share * value);
            let pairs = known.iter().zip(known.iter().skip(season)).take(season);
            let trend = pairs.filter(|(a, b)| !a.is_nan() && !b.is_nan());
            let share = 1.0 / (season * season) as f64;
            (level, trend.fold(0.0, |sum, (a, b)| sum + share * (b - a)))
        }
    };
    for at in 0..season {
        start[6 + at] = if known[at].is_nan() { 0.0 } else { known[at] / start[4] };
    }
    // What each of the four weights is tried with first.
    let guesses: Vec<f64> = [0.3, 0.3 + 0.4].into();
    let mut best: Option<(f64, Vec<f64>)> = None;
    for alpha in &guesses {
        for beta in &guesses {
            for gamma in &guesses {
                for phi in &guesses {
                    start[..4].copy_from_slice(&[*alpha, *beta, *gamma, *phi]);
                    let error = |at: &mut [f64]| error(known, season, at);
                    let found = least(error, &start)?;
                    if best.as_ref().is_none_or(|(least, _)| found.0 < *least) {
                        best = Some(found);
                    }
                }
            }
        }
    }
    Ok(best.map_or(start, |(_, parameters)| parameters))
}

/// How far the smoothed values are from the known ones, squared.
fn error(known: &[f64], season: usize, parameters: &mut [f64]) -> f64 {
    let mut sum = 0.0;
    for (value, known) in smoothed(known, season, 0, parameters).iter().zip(known) {
        if known.is_nan() {
            continue;
        }
        if value.is_nan() {
            return f64::INFINITY;
        }
        sum += (value - known) * (value - known);
    }
    sum
}

/// The values that follow from the first one and the parameters, as many as are known and `more`.
/// The parameters come out with their weights between zero and one, and the last season.
fn smoothed(known: &[f64], season: usize, more: usize, parameters: &mut [f64]) -> Vec<f64> {
    let (weights, seasons) = parameters.split_at_mut(6);
    for weight in &mut weights[..4] {
        *weight = weight.clamp(0.0, 1.0);
    }
    let [alpha, beta, gamma, phi, mut level, mut trend] = *weights else { return Vec::new() };
    let mut value = known[0];
    let mut damping = phi;
    let mut values = Vec::with_capacity(known.len() + more);
    values.push(value);
    let mut offset = season.saturating_sub(1);
    for step in 1..known.len() + more {
        let (mut factor, mut factor_ahead) = (1.0, 1.0);
        if season > 0 {
            // Indices of a ring; the offset has gone on by one with each step.
            factor = seasons[(step + offset) % season];
            factor_ahead = seasons[(step + step % season + offset) % season];
        }
        let before = level + phi * trend;
        let next_level = alpha * (value / factor) + (1.0 - alpha) * before;
        let next_trend = beta * (next_level - level) + (1.0 - beta) * phi * trend;
        let next_factor = gamma * (value / before) + (1.0 - gamma) * factor;
        value = (next_level + damping * next_trend) * factor_ahead;
        (level, trend) = (next_level, next_trend);
        damping += phi.powi(step as i32);
        if season > 0 {
            seasons[(step + offset) % season] = next_factor;
            offset += 1;
        }
        values.push(value);
    }
    values
}
