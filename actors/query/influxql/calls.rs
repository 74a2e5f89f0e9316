//! What the calls of a SELECT list are, all together.

use super::analysis::{Analysis, is_analysis};
use super::expand::Item;
use super::faults::{inconsistent, missing};
use super::forecast;
use super::scalar::{count_args, is_scalar};
use datafusion::error::Result;
use protocols::influxql::{Expr, Literal, format_duration};

/// What a function makes of the rows of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// One value of many.
    Aggregate,
    /// One row of many.
    Selector,
    /// Several rows of many.
    Several,
    /// Each value once.
    Distinct,
    /// A value for each row, which depends on those before.
    Transformation,
    /// Values that are to be expected after those of a series.
    Forecast,
    /// A value for each row.
    Scalar,
}

/// What a function is.
pub(super) fn class(name: &str) -> Result<Class> {
    Ok(match name {
        "count" | "sum" | "mean" | "median" | "mode" | "spread" | "stddev" | "integral" => {
            Class::Aggregate
        }
        "first" | "last" | "min" | "max" | "percentile" => Class::Selector,
        "top" | "bottom" | "sample" => Class::Several,
        "distinct" => Class::Distinct,
        "difference"
        | "non_negative_difference"
        | "derivative"
        | "non_negative_derivative"
        | "cumulative_sum"
        | "moving_average"
        | "elapsed" => Class::Transformation,
        name if is_analysis(name) => Class::Transformation,
        name if forecast::is_forecast(name) => Class::Forecast,
        name if is_scalar(name) || name == "date_part" => Class::Scalar,
        "count_hll" => return Err(missing("count_hll")),
        name => return Err(inconsistent(format!("unsupported function {name}()"))),
    })
}

/// What the calls of a SELECT list are, all together.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Aggregates and selectors, each once.
    pub(super) aggregates: Vec<Expr>,
    /// How many of these are selectors.
    pub(super) selectors: usize,
    /// `top`, `bottom` or `sample`.
    pub(super) several: Option<Expr>,
    /// What `distinct` is called with.
    pub(super) distinct: Option<Expr>,
    /// A call that forecasts.
    pub(super) forecast: Option<Expr>,
    /// True if there are transformations.
    pub(super) transforms: bool,
    /// True if a column stands outside of all calls but scalar ones.
    pub(super) plain: bool,
    /// How many windows in front of the range have to be read.
    pub(super) windows_before: i64,
    /// How many calls there are that make one row of many.
    counted: usize,
    /// How many of these are there once more.
    repeated: usize,
    /// How many of these only stand inside of calls that forecast.
    forecasts: usize,
}

/// Looks at all columns of the result. `of_windows` says whether there is GROUP BY time.
pub(super) fn calls(items: &[Item], of_windows: bool) -> Result<Calls> {
    let mut calls = Calls::default();
    for item in items {
        calls.gather(&item.expr, of_windows)?;
        if !has_variable(&item.expr) {
            return Err(inconsistent("field must contain at least one variable"));
        }
    }
    if let Some(Expr::Call { name, .. }) = &calls.several
        && (calls.counted > 1 || calls.transforms || calls.distinct.is_some())
    {
        let text = format!("selector function {name}() cannot be combined with other functions");
        return Err(inconsistent(text));
    }
    if let Some(Expr::Call { name, .. }) = &calls.forecast
        && (calls.counted > calls.forecasts || calls.transforms || calls.plain)
    {
        let text = format!("{name}() cannot be combined with other functions or fields");
        return Err(inconsistent(text));
    }
    if calls.distinct.is_some() && (items.len() > 1 || calls.counted > 1) {
        let text = "aggregate function distinct() cannot be combined with other functions or \
                    fields";
        return Err(inconsistent(text));
    }
    if calls.plain && (calls.transforms || !calls.aggregates.is_empty()) {
        if calls.transforms || calls.aggregates.len() > calls.selectors {
            let text = "mixing aggregate and non-aggregate columns is not supported";
            return Err(inconsistent(text));
        }
        if calls.counted > 1 {
            let text = "mixing multiple selector functions with tags or fields is not supported";
            return Err(inconsistent(text));
        }
    }
    Ok(calls)
}

fn has_variable(expr: &Expr) -> bool {
    let mut found = Vec::new();
    super::expand::variables(expr, &mut found);
    !found.is_empty() || matches!(expr, Expr::Call { name, .. } if name == "date_part")
}

impl Calls {
    /// True if rows are neither gathered nor compared.
    pub(super) fn is_raw(&self) -> bool {
        self.aggregates.is_empty()
            && self.several.is_none()
            && self.distinct.is_none()
            && !self.transforms
    }

    /// True if there is exactly one call that chooses a row, maybe several times: its time is then that
    /// of the result.
    pub(super) fn is_one_selector(&self) -> bool {
        self.counted - self.repeated == 1 && self.selectors == 1
    }

    fn gather(&mut self, expr: &Expr, of_windows: bool) -> Result<()> {
        match expr {
            Expr::Variable { .. } => self.plain = true,
            Expr::Negative(operand) => self.gather(operand, of_windows)?,
            Expr::Binary { left, right, .. } => {
                self.gather(left, of_windows)?;
                self.gather(right, of_windows)?;
            }
            Expr::Distinct(name) => {
                self.counted += 1;
                self.distinct = Some(Expr::Variable { name: name.clone(), cast: None });
            }
            Expr::Call { name, args } => self.call(expr, name, args, of_windows)?,
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, call: &Expr, name: &str, args: &[Expr], of_windows: bool) -> Result<()> {
        match class(name)? {
            Class::Scalar if name == "date_part" => count_args(name, args, 2, 2)?,
            Class::Scalar => {
                for arg in args {
                    self.gather(arg, of_windows)?;
                }
            }
            Class::Transformation => self.transformation(name, args, of_windows)?,
            Class::Forecast => self.forecast(call, name, args, of_windows)?,
            Class::Distinct => {
                count_args(name, args, 1, 1)?;
                check_column(name, &args[0])?;
                self.counted += 1;
                self.distinct = args.first().cloned();
            }
            Class::Several => {
                check_several(name, args)?;
                self.counted += 1;
                self.several = Some(call.clone());
            }
            class @ (Class::Aggregate | Class::Selector) => {
                self.counted += 1;
                check_aggregate(name, args)?;
                if self.aggregates.contains(call) {
                    self.repeated += 1;
                } else {
                    self.aggregates.push(call.clone());
                    self.selectors += usize::from(class == Class::Selector);
                }
            }
        }
        Ok(())
    }

    fn forecast(&mut self, call: &Expr, name: &str, args: &[Expr], of_windows: bool) -> Result<()> {
        forecast::check(name, args)?;
        let mut inner = Self::default();
        inner.gather(&args[0], of_windows)?;
        let is_one = inner.aggregates.len() == 1 && inner.aggregates.first() == args.first();
        if !is_one || inner.transforms || inner.forecast.is_some() {
            return Err(inconsistent(format!("must use aggregate function with {name}")));
        }
        if !of_windows {
            return Err(inconsistent(format!("{name} aggregate requires a GROUP BY interval")));
        }
        if self.forecast.replace(call.clone()).is_some_and(|other| other != *call) {
            return Err(inconsistent(format!("{name}() cannot be combined with another forecast")));
        }
        self.forecasts += 1;
        self.counted += inner.counted;
        self.selectors += inner.selectors;
        self.aggregates = inner.aggregates;
        Ok(())
    }

    fn transformation(&mut self, name: &str, args: &[Expr], of_windows: bool) -> Result<()> {
        check_transformation(name, args)?;
        self.transforms = true;
        let mut inner = Self::default();
        inner.gather(&args[0], of_windows)?;
        let before = match (name, args.get(1)) {
            ("moving_average", Some(Expr::Literal(Literal::Integer(n)))) => *n,
            ("cumulative_sum", _) => 0,
            _ => 1,
        };
        self.windows_before = self.windows_before.max(inner.windows_before.saturating_add(before));
        let gathers = !inner.aggregates.is_empty();
        if inner.several.is_some() || inner.distinct.is_some() || inner.forecast.is_some() {
            let text = format!("{name} cannot be called with several values of a series");
            return Err(inconsistent(text));
        }
        if of_windows && !gathers {
            let text = format!("aggregate function required inside the call to {name}");
            return Err(inconsistent(text));
        }
        if !of_windows && gathers {
            return Err(inconsistent(format!("{name} aggregate requires a GROUP BY interval")));
        }
        for call in inner.aggregates {
            if !self.aggregates.contains(&call) {
                self.aggregates.push(call);
            }
        }
        self.selectors += inner.selectors;
        self.counted += inner.counted;
        Ok(())
    }
}

fn check_column(name: &str, arg: &Expr) -> Result<()> {
    match arg {
        Expr::Variable { .. } => Ok(()),
        other => Err(inconsistent(format!("expected field argument in {name}(), got {other}"))),
    }
}

fn check_aggregate(name: &str, args: &[Expr]) -> Result<()> {
    let (min, max) = match name {
        "percentile" => (2, 2),
        "integral" => (1, 2),
        _ => (1, 1),
    };
    count_args(name, args, min, max)?;
    match (name, args.get(1)) {
        ("percentile", Some(Expr::Literal(Literal::Integer(_) | Literal::Float(_)))) => {}
        ("percentile", Some(other)) => {
            let text = format!("expected number for percentile(), got {other}");
            return Err(inconsistent(text));
        }
        (_, Some(unit)) => check_unit(name, unit)?,
        _ => {}
    }
    match &args[0] {
        Expr::Distinct(_) if name == "count" => Ok(()),
        Expr::Call { name: inner, args } if name == "count" && inner == "distinct" => {
            count_args(inner, args, 1, 1)?;
            check_column(inner, &args[0])
        }
        other => check_column(name, other),
    }
}

fn check_several(name: &str, args: &[Expr]) -> Result<()> {
    let max = if name == "sample" { 2 } else { usize::MAX };
    count_args(name, args, 2, max)?;
    check_column(name, &args[0])?;
    let Some((limit, tags)) = args[1..].split_last() else { return Ok(()) };
    for tag in tags {
        if !matches!(tag, Expr::Variable { .. }) {
            let text = format!("only fields or tags are allowed in {name}(), found {tag}");
            return Err(inconsistent(text));
        }
    }
    match limit {
        Expr::Literal(Literal::Integer(limit)) if *limit > 0 => Ok(()),
        Expr::Literal(Literal::Integer(_)) | Expr::Negative(_) => {
            let text = format!("limit ({limit}) for {name} must be greater than 0");
            Err(inconsistent(text))
        }
        other => {
            let text = format!("expected integer as last argument in {name}(), found {other}");
            Err(inconsistent(text))
        }
    }
}

fn check_transformation(name: &str, args: &[Expr]) -> Result<()> {
    if is_analysis(name) {
        return Analysis::of(name, args).map(drop);
    }
    let (min, max) = match name {
        "moving_average" => (2, 2),
        "derivative" | "non_negative_derivative" | "elapsed" => (1, 2),
        _ => (1, 1),
    };
    count_args(name, args, min, max)?;
    match (name, args.get(1)) {
        (_, None) => Ok(()),
        ("moving_average", Some(Expr::Literal(Literal::Integer(n)))) if *n > 1 => Ok(()),
        ("moving_average", Some(n)) => {
            let text = format!("moving_average window must be greater than 1, got {n}");
            Err(inconsistent(text))
        }
        (_, Some(unit)) => check_unit(name, unit),
    }
}

fn check_unit(name: &str, unit: &Expr) -> Result<()> {
    match unit {
        Expr::Literal(Literal::Duration(ns)) if *ns > 0 => Ok(()),
        Expr::Literal(Literal::Duration(ns)) => {
            let got = format_duration(*ns);
            Err(inconsistent(format!("duration argument must be positive, got {got}")))
        }
        other => {
            let text = format!("argument 2 to {name} must be a duration, got {other}");
            Err(inconsistent(text))
        }
    }
}
