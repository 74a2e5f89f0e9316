//! The simplex method of Nelder and Mead: where a function of several numbers is least.
//!
//! <https://en.wikipedia.org/wiki/Nelder%E2%80%93Mead_method>, with the coefficients and the order
//! of steps of version 1 of the database.

use super::super::scope;
use datafusion::error::Result;

const ITERATIONS_MAX: usize = 1_000;
const REFLECTION: f64 = 1.0;
const CONTRACTION: f64 = 0.5;
const EXPANSION: f64 = 2.0;
/// It is enough when the values at the corners differ by less.
const PRECISION: f64 = 1.0e-4;

/// The least value that is found from `start` on, and where. The function may move the place that it
/// is given to one that is allowed.
///
/// # Errors
/// When the query has to end.
pub(super) fn least(of: impl Fn(&mut [f64]) -> f64, start: &[f64]) -> Result<(f64, Vec<f64>)> {
    let size = start.len();
    let mut corners = corners(start);
    let mut values: Vec<f64> = corners.iter_mut().map(|corner| of(corner)).collect();
    for _ in 0..ITERATIONS_MAX {
        scope::check()?;
        let (worst, best) = ends(&values);
        let mut next_worst = best;
        for at in 0..=size {
            if values[at] > values[next_worst] && values[at] < values[worst] {
                next_worst = at;
            }
        }
        let middle = middle(&corners, worst);
        let away = |from: &[f64], times: f64| -> Vec<f64> {
            middle.iter().zip(from).map(|(m, x)| m + times * (m - x)).collect()
        };
        let mut reflected = away(&corners[worst], REFLECTION);
        let value = of(&mut reflected);
        if value < values[next_worst] && value >= values[best] {
            (corners[worst], values[worst]) = (reflected.clone(), value);
        }
        if value < values[best] {
            let expanded = middle.iter().zip(&reflected).map(|(m, x)| m + EXPANSION * (x - m));
            let mut expanded: Vec<f64> = expanded.collect();
            let further = of(&mut expanded);
            (corners[worst], values[worst]) = match further < value {
                true => (expanded, further),
                false => (reflected.clone(), value),
            };
        }
        if value >= values[next_worst] {
            let mut nearer: Vec<f64> = match value < values[worst] {
                true => {
                    let outside = middle.iter().zip(&reflected);
                    outside.map(|(m, x)| m + CONTRACTION * (x - m)).collect()
                }
                false => away(&corners[worst], -CONTRACTION),
            };
            let near = of(&mut nearer);
            if near < values[worst] {
                (corners[worst], values[worst]) = (nearer, near);
            } else {
                shrink(&mut corners, best);
                values[worst] = of(&mut corners[worst]);
                values[next_worst] = of(&mut corners[next_worst]);
            }
        }
        if spread(&values) < PRECISION {
            break;
        }
    }
    let (_, best) = ends(&values);
    let found = corners[best].clone();
    Ok((of(&mut corners[best]), found))
}

/// The corners of the first simplex.
fn corners(start: &[f64]) -> Vec<Vec<f64>> {
    let size = start.len() as f64;
    let far = ((size + 1.0).sqrt() - 1.0 + size) / (size * 2.0_f64.sqrt());
    let near = ((size + 1.0).sqrt() - 1.0) / (size * 2.0_f64.sqrt());
    let corner = |moved: usize| -> Vec<f64> {
        let at = |(at, x): (usize, &f64)| if at == moved { far + x } else { near + x };
        start.iter().enumerate().map(at).collect()
    };
    std::iter::once(start.to_vec()).chain((0..start.len()).map(corner)).collect()
}

/// Where the largest and the smallest value are.
fn ends(values: &[f64]) -> (usize, usize) {
    let (mut worst, mut best) = (0, 0);
    for (at, value) in values.iter().enumerate() {
        if *value > values[worst] {
            worst = at;
        }
        if *value < values[best] {
            best = at;
        }
    }
    (worst, best)
}

/// The middle of all corners but one.
fn middle(corners: &[Vec<f64>], without: usize) -> Vec<f64> {
    let size = corners.len() - 1;
    let others = || corners.iter().enumerate().filter(|(at, _)| *at != without);
    let middle = |at: usize| others().fold(0.0, |sum, (_, corner)| sum + corner[at]) / size as f64;
    (0..size).map(middle).collect()
}

/// Halves the distance of all corners from the best.
fn shrink(corners: &mut [Vec<f64>], best: usize) {
    let centre = corners[best].clone();
    for (_, corner) in corners.iter_mut().enumerate().filter(|(at, _)| *at != best) {
        for (x, c) in corner.iter_mut().zip(&centre) {
            *x = c + (*x - c) / 2.0;
        }
    }
}

/// How far values are apart.
fn spread(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let size = (values.len() - 1) as f64;
    values.iter().fold(0.0, |sum, value| sum + (value - mean).powi(2) / size).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valley_is_found() {
        let banana = |x: &mut [f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2);
        let (value, at) = least(banana, &[-1.2, 1.0]).expect("no query that has to end");
        assert!(value < 1e-3, "{value}");
        assert!((at[0] - 1.0).abs() < 0.05 && (at[1] - 1.0).abs() < 0.1, "{at:?}");
    }
}
