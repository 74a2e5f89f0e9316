//! The first query of each type after a start, with no memory for files.

use anyhow::{Context, Result};

use super::{Bench, COLD, OURS, Seen};
use crate::generators::DataOptions;
use crate::generators::random::Random;
use crate::latency::Percentiles;
use crate::queries::Backend;
use crate::queries::http_backends::SqlOverHttp;
use crate::queries::kinds::KINDS;
use crate::queries::measure::QueryTimes;
use crate::report::Record;
use crate::servers::Server;

/// Starts the server again and again over the rows that it has in files.
pub(super) fn measure(
    bench: &Bench<'_>,
    seen: &mut Seen,
    server: Server,
    data: &DataOptions,
) -> Result<()> {
    let folder = server.directory.clone();
    server.stop()?;
    let launch = bench.launch().with("--disable-parquet-mem-cache");
    let mut random = Random::new(data.seed);
    let mut samples = KINDS.map(|_| Vec::new());
    let mut rows = KINDS.map(|_| 0);
    for _ in 0..bench.sizes.rounds {
        let server = launch.start(&folder)?;
        let mut backend = SqlOverHttp::new(OURS, &server.options())?;
        for (kind, (samples, rows)) in KINDS.iter().zip(samples.iter_mut().zip(&mut rows)) {
            let asked = backend.ask(&kind.draw(data, &mut random), true)?;
            samples.push(asked.took);
            *rows = asked.answer.context("an answer was not decoded")?.row_count();
        }
        server.stop()?;
    }
    for ((kind, samples), rows) in KINDS.iter().zip(samples).zip(rows) {
        let latency = Percentiles::of(samples).context("no query was timed")?;
        let (system, state) = (OURS.to_owned(), COLD.to_owned());
        let times = QueryTimes { system, state, kind: kind.name(), latency, rows };
        bench.record(&Record::QueryTimes(times.clone()))?;
        seen.times.push(times);
    }
    Ok(())
}
