//! `difference`, `derivative` and the `non_negative_` forms: window functions that compare a value
//! with the one before.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit, UInt64Type,
};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_plan::PhysicalExpr;
use std::sync::Arc;

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;

/// The functions of this file.
pub(super) fn all() -> impl Iterator<Item = Arc<WindowUDF>> {
    let kinds = [
        ("difference", Measure::Difference, false),
        ("non_negative_difference", Measure::Difference, true),
        ("derivative", Measure::Derivative, false),
        ("non_negative_derivative", Measure::Derivative, true),
    ];
    kinds.into_iter().map(|(name, measure, non_negative)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        let function = Change { name, measure, non_negative, signature };
        Arc::new(WindowUDF::new_from_impl(function))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measure {
    Difference,
    Derivative,
}

/// `difference(x)` and `derivative(x, time [, interval])`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Change {
    name: &'static str,
    measure: Measure,
    /// True if falling values have no result.
    non_negative: bool,
    signature: Signature,
}

impl WindowUDFImpl for Change {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let (x, rest) = match (self.measure, args) {
            (Measure::Difference, [x]) => (x, &[][..]),
            (Measure::Derivative, [x, rest @ ..]) if matches!(rest.len(), 1 | 2) => (x, rest),
            (Measure::Difference, _) => {
                return plan_err!("{} requires 1 argument, got {}", self.name, args.len());
            }
            (Measure::Derivative, _) => {
                return plan_err!("{} requires 2 or 3 arguments, got {}", self.name, args.len());
            }
        };
        let mut coerced = vec![match x {
            DataType::UInt64 => DataType::UInt64,
            kind if kind.is_integer() => DataType::Int64,
            kind if kind.is_numeric() || kind.is_null() => DataType::Float64,
            other => return plan_err!("{} requires a number, got {other}", self.name),
        }];
        if let Some(time) = rest.first() {
            coerced.push(match time {
                DataType::Timestamp(_, zone) => {
                    DataType::Timestamp(TimeUnit::Nanosecond, zone.clone())
                }
                other => return plan_err!("{} requires a timestamp, got {other}", self.name),
            });
        }
        if let Some(unit) = rest.get(1) {
            if !matches!(unit, DataType::Interval(_)) && !unit.is_string() {
                return plan_err!("{} requires an interval, got {unit}", self.name);
            }
            coerced.push(DataType::Interval(IntervalUnit::MonthDayNano));
        }
        Ok(coerced)
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let x = args.input_fields().first().map(|field| field.data_type());
        let kind = match (self.measure, x) {
            // The difference of unsigned values has a sign.
            (Measure::Difference, Some(DataType::Int64 | DataType::UInt64)) => DataType::Int64,
            _ => DataType::Float64,
        };
        Ok(Arc::new(Field::new(args.name(), kind, true)))
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let Self { name, measure, non_negative, .. } = *self;
        Ok(Box::new(Evaluator { name, measure, non_negative }))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        // Rows behind a limit change nothing in front of it.
        LimitEffect::None
    }
}

#[derive(Debug)]
struct Evaluator {
    name: &'static str,
    measure: Measure,
    non_negative: bool,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let Some(x) = values.first() else {
            return exec_err!("{} requires a value", self.name);
        };
        if self.measure == Measure::Derivative {
            return self.derivative(x, &values[1..]);
        }
        let keep = |n: &i64| !(self.non_negative && *n < 0);
        Ok(match x.data_type() {
            DataType::Int64 => {
                let x = x.as_primitive::<Int64Type>().iter();
                Arc::new(changes(x, |from, to| to.checked_sub(from).filter(keep)))
            }
            DataType::UInt64 => {
                let x = x.as_primitive::<UInt64Type>().iter();
                let minus = |from: u64, to: u64| to.checked_signed_diff(from).filter(keep);
                Arc::new(changes(x, minus))
            }
            _ => {
                let keep = |n: &f64| !(self.non_negative && *n < 0.0);
                let minus = |from: f64, to: f64| Some(to - from).filter(keep);
                let x = x.as_primitive::<Float64Type>().iter();
                Arc::new(float_changes(x, minus))
            }
        })
    }
}

impl Evaluator {
    fn derivative(&self, x: &ArrayRef, rest: &[ArrayRef]) -> Result<ArrayRef> {
        let Some(times) = rest.first() else {
            return exec_err!("{} requires a time", self.name);
        };
        let unit_ns = match rest.get(1) {
            Some(unit) => unit_ns(self.name, unit)?,
            None => SECOND_NS,
        };
        let x = cast(x, &DataType::Float64)?;
        let times = cast(times, &DataType::Int64)?;
        let points = x.as_primitive::<Float64Type>().iter().zip(times.as_primitive::<Int64Type>());
        let slope = |(t0, x0): (i64, f64), (t1, x1): (i64, f64)| {
            let elapsed = (i128::from(t1) - i128::from(t0)) as f64;
            let slope = (x1 - x0) / (elapsed / unit_ns as f64);
            Some(slope).filter(|slope| !(self.non_negative && *slope < 0.0))
        };
        let points = points.map(|(x, t)| Some((t?, x?)));
        Ok(Arc::new(float_changes(points, slope)))
    }
}

/// The length of the interval that a derivative is per.
fn unit_ns(name: &str, units: &ArrayRef) -> Result<i64> {
    let units = units.as_primitive::<IntervalMonthDayNanoType>();
    let Some(unit) = units.iter().flatten().next() else {
        return Ok(SECOND_NS);
    };
    if unit.months != 0 {
        return exec_err!("{name} does not support month intervals");
    }
    let days = i64::from(unit.days).checked_mul(DAY_NS);
    match days.and_then(|days| days.checked_add(unit.nanoseconds)) {
        Some(ns) if ns > 0 => Ok(ns),
        _ => exec_err!("{name} requires an interval above zero"),
    }
}

fn changes<T: Copy>(
    values: impl Iterator<Item = Option<T>>,
    change: impl Fn(T, T) -> Option<i64>,
) -> Int64Array {
    compared(values, change).collect()
}

fn float_changes<T: Copy>(
    values: impl Iterator<Item = Option<T>>,
    change: impl Fn(T, T) -> Option<f64>,
) -> Float64Array {
    compared(values, change).collect()
}

/// Each value compared with the one before that is not null.
fn compared<T: Copy, R>(
    values: impl Iterator<Item = Option<T>>,
    change: impl Fn(T, T) -> Option<R>,
) -> impl Iterator<Item = Option<R>> {
    let mut last = None;
    values.map(move |value| {
        let value = value?;
        last.replace(value).and_then(|last| change(last, value))
    })
}
