//! Runs the standard queries against several systems and compares what they answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Backend;
use super::kinds::{Kind, Query};
use crate::generators::DataOptions;
use crate::generators::random::Random;
use crate::latency::Percentiles;

/// How long and how often.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Queries of a type, if there is time.
    pub(crate) runs_max: usize,
    /// At least so many, however long they take.
    pub(crate) runs_min: usize,
    /// No run begins later than this after the first.
    pub(crate) time_max: Duration,
    /// So many answers of each type are compared.
    pub(crate) compared: usize,
}

/// How one system did on one type of query.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QueryTimes {
    pub(crate) system: String,
    /// What the data was like, for instance in memory or in files.
    pub(crate) state: String,
    pub(crate) kind: String,
    pub(crate) latency: Percentiles,
    /// Rows of the first answer.
    pub(crate) rows: usize,
}

/// Times a type of query; every system that is given the same seed gets the same queries.
pub(crate) fn time_kind(
    backend: &mut dyn Backend,
    state: &str,
    kind: Kind,
    data: &DataOptions,
    plan: &Plan,
) -> Result<QueryTimes> {
    let mut random = Random::new(data.seed);
    // The first run is not timed: it pays for what later ones find ready.
    let first = backend.ask(&kind.draw(data, &mut random), true)?;
    let rows = first.answer.context("an answer was not decoded")?.row_count();
    let began = Instant::now();
    let mut samples = Vec::with_capacity(plan.runs_max);
    while samples.len() < plan.runs_max
        && (samples.len() < plan.runs_min || began.elapsed() < plan.time_max)
    {
        samples.push(backend.ask(&kind.draw(data, &mut random), false)?.took);
    }
    let latency = Percentiles::of(samples).context("no query was timed")?;
    let (system, state) = (backend.name().to_owned(), state.to_owned());
    Ok(QueryTimes { system, state, kind: kind.name(), latency, rows })
}

/// Asks the first system and all others the same, and tells where they disagree.
pub(crate) fn compare(
    backends: &mut [Box<dyn Backend>],
    kind: Kind,
    data: &DataOptions,
    count: usize,
) -> Result<Vec<String>> {
    let mut random = Random::new(data.seed ^ 0xc0ffee);
    let mut differences = Vec::new();
    for _ in 0..count {
        let query: Query = kind.draw(data, &mut random);
        let mut first = None;
        for backend in backends.iter_mut() {
            let answer = backend.ask(&query, true)?.answer.context("an answer was not decoded")?;
            let Some((name, expected)) = &first else {
                first = Some((backend.name().to_owned(), answer));
                continue;
            };
            let difference = answer.difference(expected);
            differences.extend(difference.map(|difference| {
                format!("{}: {} and {name}: {difference} ({query:?})", kind.name(), backend.name())
            }));
        }
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::DataSet;
    use crate::queries::Asked;
    use crate::queries::answer::Answer;

    struct Fixed(&'static str, usize);

    impl Backend for Fixed {
        fn name(&self) -> &str {
            "fixed"
        }

        fn ask(&mut self, _: &Query, decode: bool) -> Result<Asked> {
            self.1 += 1;
            let answer = decode.then(|| Answer::of_objects(self.0.as_bytes())).transpose()?;
            Ok(Asked { took: Duration::from_millis(self.1 as u64), answer })
        }
    }

    #[test]
    fn runs_have_a_least_and_a_most_number() {
        let data = DataOptions::new(DataSet::CpuOnly, 5, 3600);
        let plan = Plan { runs_max: 20, runs_min: 3, time_max: Duration::ZERO, compared: 1 };
        let mut backend = Fixed(r#"[{"a":1}]"#, 0);
        let times = time_kind(&mut backend, "memory", Kind::LastPoint, &data, &plan).unwrap();
        assert_eq!((times.latency.count, times.rows), (3, 1));
        let plan = Plan { time_max: Duration::from_secs(60), ..plan };
        let times = time_kind(&mut backend, "memory", Kind::LastPoint, &data, &plan).unwrap();
        assert_eq!(times.latency.count, 20);
    }

    #[test]
    fn systems_that_disagree_are_told() {
        let data = DataOptions::new(DataSet::CpuOnly, 5, 3600);
        let backends = |texts: [&'static str; 2]| -> Vec<Box<dyn Backend>> {
            texts.map(|text| Box::new(Fixed(text, 0)) as Box<dyn Backend>).into()
        };
        let mut same = backends([r#"[{"a":1}]"#, r#"[{"a":1.0}]"#]);
        assert!(compare(&mut same, Kind::LastPoint, &data, 2).unwrap().is_empty());
        let mut other = backends([r#"[{"a":1}]"#, r#"[{"a":2}]"#]);
        assert_eq!(compare(&mut other, Kind::LastPoint, &data, 2).unwrap().len(), 2);
    }
}
