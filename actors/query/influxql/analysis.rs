//! Technical analysis: functions that traders make of the prices so far.
//!
//! They are those of InfluxDB 1.7 and Kapacitor, by the definitions that its documentation names:
//! <https://docs.influxdata.com/influxdb/v1/query_language/functions/#technical-analysis-functions>.
//! Where these leave something open (what comes before the first point, how a mean begins) they do
//! as version 1 does, so that dashboards show the same curves.

use super::faults::inconsistent;
use super::scalar::count_args;
use datafusion::error::Result;
use protocols::influxql::{Expr, Literal};
use std::collections::VecDeque;

/// How a mean goes on until it has seen as many points as its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Warmup {
    /// As an exponential mean of a shorter period.
    Exponential,
    /// As the mean of all points.
    Simple,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Exponential,
    Double,
    Triple,
    Derivative,
    Strength,
    /// Without a warm-up sums are compared, not means.
    Momentum {
        is_smooth: bool,
    },
    Efficiency,
    Adaptive,
}

/// A call of one of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Analysis {
    what: What,
    period: usize,
    /// How many points have no result.
    hold: usize,
    warmup: Warmup,
}

/// True for the names of the functions.
pub(super) fn is_analysis(name: &str) -> bool {
    what(name, false).is_some()
}

fn what(name: &str, is_smooth: bool) -> Option<What> {
    Some(match name {
        "exponential_moving_average" => What::Exponential,
        "double_exponential_moving_average" => What::Double,
        "triple_exponential_moving_average" => What::Triple,
        "triple_exponential_derivative" => What::Derivative,
        "relative_strength_index" => What::Strength,
        "chande_momentum_oscillator" => What::Momentum { is_smooth },
        "kaufmans_efficiency_ratio" => What::Efficiency,
        "kaufmans_adaptive_moving_average" => What::Adaptive,
        _ => return None,
    })
}

/// Limit: points that a period has. Each of them may have to be remembered.
const PERIOD_MAX: i64 = 1_000_000;

impl Analysis {
    /// Reads what a function is called with behind the field.
    ///
    /// # Errors
    /// When that makes no sense.
    pub(super) fn of(name: &str, args: &[Expr]) -> Result<Self> {
        let max = if name.starts_with("kaufmans_") { 3 } else { 4 };
        count_args(name, args, 2, max)?;
        let warmup = warmup(name, args.get(3))?;
        let Some(what) = what(name, warmup.is_some()) else {
            return Err(inconsistent(format!("unsupported function {name}()")));
        };
        let least = if matches!(what, What::Momentum { is_smooth: false }) { 2 } else { 1 };
        let period = match args.get(1) {
            Some(Expr::Literal(Literal::Integer(period))) if *period > PERIOD_MAX => {
                let text = format!("{name} period must not be above {PERIOD_MAX}, got {period}");
                return Err(inconsistent(text));
            }
            Some(Expr::Literal(Literal::Integer(period))) if *period >= least => *period as usize,
            Some(period @ (Expr::Literal(Literal::Integer(_)) | Expr::Negative(_))) => {
                let text = format!("{name} period must be greater than 1, got {period}");
                return Err(inconsistent(text));
            }
            Some(period) => {
                return Err(inconsistent(format!(
                    "{name} period must be an integer, got {period}"
                )));
            }
            None => return Err(inconsistent(format!("{name} needs a period"))),
        };
        let mut new = Self { what, period, hold: 0, warmup: warmup.unwrap_or(Warmup::Exponential) };
        new.hold = match hold(name, args.get(2))? {
            Some(hold) if hold == 0 && what == What::Derivative => {
                let text = format!("{name} hold period must be greater than or equal to 1");
                return Err(inconsistent(text));
            }
            Some(hold) => hold,
            None => new.own_hold(),
        };
        Ok(new)
    }

    /// How many points have no result where nothing is said about that: as many as the function
    /// needs to get going.
    fn own_hold(self) -> usize {
        let before = self.period - 1;
        let times = |several: usize| match self.warmup {
            Warmup::Exponential => before,
            Warmup::Simple => before * several,
        };
        match self.what {
            What::Exponential | What::Momentum { is_smooth: false } => before,
            What::Double => times(2),
            What::Triple => times(3),
            What::Derivative => times(3) + 1,
            What::Strength
            | What::Momentum { is_smooth: true }
            | What::Efficiency
            | What::Adaptive => self.period,
        }
    }

    /// The results of points in their order; missing ones take no part.
    pub(super) fn along(
        self,
        values: impl Iterator<Item = Option<f64>>,
    ) -> impl Iterator<Item = Option<f64>> {
        let mut curve = Curve::new(self);
        let mut seen = 0;
        values.map(move |value| {
            let result = curve.add(value?);
            seen += 1;
            let is_told = seen > self.hold
                && !(self.what == What::Derivative && result.is_infinite())
                && !result.is_nan();
            is_told.then_some(result)
        })
    }
}

fn warmup(name: &str, arg: Option<&Expr>) -> Result<Option<Warmup>> {
    let is_momentum = name == "chande_momentum_oscillator";
    match arg {
        None if is_momentum => Ok(None),
        None => Ok(Some(Warmup::Exponential)),
        Some(Expr::Literal(Literal::String(word))) => match word.as_str() {
            "exponential" => Ok(Some(Warmup::Exponential)),
            "simple" => Ok(Some(Warmup::Simple)),
            "none" if is_momentum => Ok(None),
            word => {
                let none = if is_momentum { "'none', " } else { "" };
                Err(inconsistent(format!(
                    "{name} warmup type must be one of: {none}'exponential', 'simple', got {word}"
                )))
            }
        },
        Some(_) => Err(inconsistent(format!("{name} warmup type must be a string"))),
    }
}

fn hold(name: &str, arg: Option<&Expr>) -> Result<Option<usize>> {
    let own = Expr::Literal(Literal::Integer(1));
    match arg {
        None => Ok(None),
        Some(Expr::Negative(operand)) if **operand == own => Ok(None),
        Some(Expr::Literal(Literal::Integer(-1))) => Ok(None),
        Some(Expr::Literal(Literal::Integer(hold))) if *hold >= 0 => {
            Ok(Some(usize::try_from(*hold).unwrap_or(usize::MAX)))
        }
        Some(Expr::Literal(Literal::Integer(_)) | Expr::Negative(_)) => {
            Err(inconsistent(format!("{name} hold period must be greater than or equal to 0")))
        }
        Some(_) => Err(inconsistent(format!("{name} hold period must be an integer"))),
    }
}

/// A function on its way along the points of a series.
enum Curve {
    Exponential([Mean; 1]),
    Double([Mean; 2]),
    Triple([Mean; 3]),
    Derivative { means: [Mean; 3], last: f64 },
    Changes { up: Mean, down: Mean, last: f64, is_strength: bool },
    Momentum(Momentum),
    Efficiency(Efficiency),
    Adaptive { ratio: Efficiency, mean: f64 },
}

impl Curve {
    fn new(of: Analysis) -> Self {
        let period = of.period;
        let mean = || Mean::new(period, 2.0 / (period as f64 + 1.0), of.warmup);
        let smooth = || Mean::new(period + 1, 1.0 / period as f64, of.warmup);
        match of.what {
            What::Exponential => Self::Exponential([mean()]),
            What::Double => Self::Double([mean(), mean()]),
            What::Triple => Self::Triple([mean(), mean(), mean()]),
            What::Derivative => Self::Derivative { means: [mean(), mean(), mean()], last: 0.0 },
            What::Strength | What::Momentum { is_smooth: true } => Self::Changes {
                up: smooth(),
                down: smooth(),
                last: 0.0,
                is_strength: of.what == What::Strength,
            },
            What::Momentum { is_smooth: false } => Self::Momentum(Momentum::new(period)),
            What::Efficiency => Self::Efficiency(Efficiency::new(period)),
            What::Adaptive => Self::Adaptive { ratio: Efficiency::new(period), mean: 0.0 },
        }
    }

    fn add(&mut self, value: f64) -> f64 {
        match self {
            Self::Exponential([mean]) => mean.add(value),
            Self::Double([first, second]) => {
                let one = first.add(value);
                let two = first.pass_on(second, one);
                2.0 * one - two
            }
            Self::Triple([first, second, third]) => {
                let one = first.add(value);
                let two = first.pass_on(second, one);
                let three = second.pass_on(third, two);
                3.0 * one - 3.0 * two + three
            }
            Self::Derivative { means: [first, second, third], last } => {
                let mut mean = first.add(value);
                if first.counts() {
                    mean = second.add(mean);
                    if second.counts() {
                        mean = third.add(mean);
                    }
                }
                let rate = ((mean / *last) - 1.0) * 100.0;
                *last = mean;
                rate
            }
            Self::Changes { up, down, last, is_strength } => {
                let change = value - *last;
                *last = value;
                let (up, down) = (up.add(change.max(0.0)), down.add((-change).max(0.0)));
                match is_strength {
                    true => 100.0 - (100.0 / (1.0 + up / down)),
                    false => 100.0 * ((up - down) / (up + down)),
                }
            }
            Self::Momentum(momentum) => momentum.add(value),
            Self::Efficiency(ratio) => ratio.add(value),
            Self::Adaptive { ratio, mean } => {
                if ratio.seen <= ratio.period {
                    *mean = ratio.last;
                }
                let efficiency = ratio.add(value);
                let (fast, slow) = (2.0 / (2.0 + 1.0), 2.0 / (30.0 + 1.0));
                let smoothing = (efficiency * (fast - slow) + slow).powi(2);
                *mean += smoothing * (value - *mean);
                *mean
            }
        }
    }
}

/// A mean in which each point counts for less than the next.
struct Mean {
    period: usize,
    weight: f64,
    warmup: Warmup,
    seen: usize,
    last: f64,
}

impl Mean {
    fn new(period: usize, weight: f64, warmup: Warmup) -> Self {
        Self { period, weight, warmup, seen: 0, last: 0.0 }
    }

    fn add(&mut self, value: f64) -> f64 {
        let (seen, last) = (self.seen as f64, self.last);
        self.last = match () {
            () if self.seen == 0 => value,
            () if self.seen >= self.period => (value - last) * self.weight + last,
            () => match self.warmup {
                Warmup::Simple => (last * seen + value) / (seen + 1.0),
                Warmup::Exponential => (value - last) * (2.0 / (seen + 2.0)) + last,
            },
        };
        self.seen = self.period.min(self.seen + 1);
        self.last
    }

    /// True if a mean of this one can be made by now.
    fn counts(&self) -> bool {
        self.warmup == Warmup::Exponential || self.seen >= self.period
    }

    /// The mean of this one's means, the last of which is `mean`.
    fn pass_on(&self, next: &mut Self, mean: f64) -> f64 {
        if self.counts() { next.add(mean) } else { mean }
    }
}

/// How far rises outweigh falls among the last points.
struct Momentum {
    /// The changes that count, as many as there will be at most from the beginning on.
    changes: VecDeque<f64>,
    last: Option<f64>,
    up: f64,
    down: f64,
}

impl Momentum {
    fn new(period: usize) -> Self {
        Self { changes: vec![0.0; period - 1].into(), last: None, up: 0.0, down: 0.0 }
    }

    fn add(&mut self, value: f64) -> f64 {
        let change = self.last.replace(value).map_or(0.0, |last| value - last);
        if change > 0.0 {
            self.up += change;
        } else if change < 0.0 {
            self.down -= change;
        }
        let result = match self.up != 0.0 || self.down != 0.0 {
            true => 100.0 * ((self.up - self.down) / (self.up + self.down)),
            false => 0.0,
        };
        let oldest = self.changes.pop_front().unwrap_or(0.0);
        if oldest > 0.0 {
            self.up -= oldest;
        } else if oldest < 0.0 {
            self.down += oldest;
        }
        self.changes.push_back(change);
        result
    }
}

/// How straight the way was that the last points went.
struct Efficiency {
    period: usize,
    /// Each with its distance from the one before.
    points: VecDeque<(f64, f64)>,
    seen: usize,
    last: f64,
    way: f64,
}

impl Efficiency {
    fn new(period: usize) -> Self {
        let points = vec![(0.0, 0.0); period].into();
        Self { period, points, seen: 0, last: 0.0, way: 0.0 }
    }

    fn add(&mut self, value: f64) -> f64 {
        let (oldest, its_way) = self.points.pop_front().unwrap_or((0.0, 0.0));
        let distance = (value - oldest).abs();
        let change = (value - self.last).abs();
        self.way -= its_way;
        self.way += change;
        self.points.push_back((value, change));
        self.last = value;
        self.seen = self.seen.saturating_add(1);
        if distance == 0.0 || self.way == 0.0 { 0.0 } else { distance / self.way }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, args: &[Literal], values: &[f64]) -> Vec<Option<f64>> {
        let field = Expr::Variable { name: "v".to_owned(), cast: None };
        let rest = args.iter().cloned().map(Expr::Literal);
        let args: Vec<Expr> = std::iter::once(field).chain(rest).collect();
        let analysis = Analysis::of(name, &args).expect("a call");
        let rounded = |value: f64| (value * 1e6).round() / 1e6;
        analysis.along(values.iter().copied().map(Some)).map(|v| v.map(rounded)).collect()
    }

    #[test]
    fn curves_are_those_of_version_1() {
        let values = [1.0, 5.0, 2.0, 4.0];
        let period = [Literal::Integer(2)];
        let check = |name: &str, expected: [Option<f64>; 4]| {
            assert_eq!(curve(name, &period, &values), expected, "{name}");
        };
        let some = |value: f64| Some(value);
        check("exponential_moving_average", [None, some(3.666667), some(2.555556), some(3.518519)]);
        check("chande_momentum_oscillator", [None, some(100.0), some(14.285714), some(-20.0)]);
        check("relative_strength_index", [None, None, some(50.0), some(70.0)]);
        check("triple_exponential_derivative", [None, None, some(13.559322), some(19.900498)]);
        check("kaufmans_adaptive_moving_average", [None, None, some(4.932015), some(4.900136)]);
        let simple =
            [Literal::Integer(2), Literal::Integer(1), Literal::String("simple".to_owned())];
        let found = curve("exponential_moving_average", &simple, &values);
        assert_eq!(found, [None, some(3.0), some(2.333333), some(3.444444)]);
    }
}
