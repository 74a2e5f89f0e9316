//! Percentiles of measured durations: exact, by nearest rank, since all samples are kept.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is told of a set of durations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) count: usize,
    pub(crate) p10_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Percentiles {
    /// None for no samples.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        let max = samples.last()?;
        Some(Self {
            count: samples.len(),
            p10_ms: milliseconds(nearest_rank(&samples, 100)),
            p50_ms: milliseconds(nearest_rank(&samples, 500)),
            p90_ms: milliseconds(nearest_rank(&samples, 900)),
            p99_ms: milliseconds(nearest_rank(&samples, 990)),
            p999_ms: milliseconds(nearest_rank(&samples, 999)),
            max_ms: milliseconds(*max),
        })
    }

    /// Each percentile under its name.
    pub(crate) fn columns(&self) -> [(&'static str, f64); 5] {
        [
            ("p50", self.p50_ms),
            ("p90", self.p90_ms),
            ("p99", self.p99_ms),
            ("p99.9", self.p999_ms),
            ("max", self.max_ms),
        ]
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.columns() {
            write!(out, "{name} {value:.3} ms  ")?;
        }
        write!(out, "({} samples)", self.count)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The smallest sample that at least `per_mille` of all samples do not exceed.
fn nearest_rank(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_milliseconds(samples: impl IntoIterator<Item = u64>) -> Percentiles {
        Percentiles::of(samples.into_iter().map(Duration::from_millis).collect()).unwrap()
    }

    #[test]
    fn a_thousand_samples_in_any_order() {
        let seen = of_milliseconds((1..=1000).rev());
        let expected = Percentiles {
            count: 1000,
            p10_ms: 100.0,
            p50_ms: 500.0,
            p90_ms: 900.0,
            p99_ms: 990.0,
            p999_ms: 999.0,
            max_ms: 1000.0,
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn few_samples_round_up_to_a_sample() {
        let seen = of_milliseconds([10, 20, 30]);
        assert_eq!(seen.columns().map(|(_, value)| value), [20.0, 30.0, 30.0, 30.0, 30.0]);
        let seen = of_milliseconds([7]);
        assert_eq!(seen.columns().map(|(_, value)| value), [7.0; 5]);
    }

    #[test]
    fn no_samples_have_no_percentiles() {
        assert_eq!(Percentiles::of(Vec::new()), None);
    }
}
