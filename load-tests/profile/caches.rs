//! Last-value and distinct-value caches: queries at rest and while rows are written, and what the
//! caches cost the writers.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::generators::DataOptions;
use crate::generators::random::Random;
use crate::http::Connection;
use crate::latency::Percentiles;
use crate::load_options::LoadOptions;
use crate::loader::{self, Load, Prepared};
use crate::queries::http_backends::SqlOverHttp;
use crate::report::Record;
use crate::results::{Section, Table, median, number, ratio};
use crate::servers::Server;

/// Instants that each host has before the caches are asked.
const INSTANTS: u64 = 3;
const HISTORY_SECONDS: u64 = 3600;
const WRITING_LINES: u32 = 1000;
const FILL_TIMEOUT: Duration = Duration::from_secs(60);

/// What is asked: its name, the statement for a host, and how many rows the answer has.
type Question = (&'static str, fn(u32) -> String, fn(u32) -> u64);

const QUESTIONS: [Question; 3] = [
    (
        "last value of one key",
        |host| format!("SELECT * FROM last_cache('cpu', 'last') WHERE hostname = 'host_{host}'"),
        |_| 1,
    ),
    ("last values of all keys", |_| "SELECT * FROM last_cache('cpu', 'last')".to_owned(), all),
    (
        "distinct values of all keys",
        |_| "SELECT hostname FROM distinct_cache('cpu', 'distinct')".to_owned(),
        all,
    ),
];

fn all(hosts: u32) -> u64 {
    u64::from(hosts)
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("caches", "Caches");
    if !queries(bench, &mut section)? {
        return Ok(None);
    }
    ingest(bench, &mut section)?;
    Ok(Some(section))
}

/// Rows of some instants up to now: caches forget old ones.
fn recent(hosts: u32, rows: u64) -> Result<DataOptions> {
    let data = DataOptions::cpu_rows(hosts, rows);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
    Ok(DataOptions { start: now.as_secs() - data.span_seconds(), ..data })
}

/// Declares both caches. False if the server has none.
fn declare(server: &Server, cardinality: u32) -> Result<bool> {
    let options = server.options();
    let last = serde_json::json!({
        "db": options.db, "table": "cpu", "name": "last", "key_columns": ["hostname"],
    });
    let distinct = serde_json::json!({
        "db": options.db, "table": "cpu", "name": "distinct", "columns": ["hostname"],
        "max_cardinality": cardinality,
    });
    let mut connection = Connection::open(server.address).context("cannot connect")?;
    for (kind, body) in [("last_cache", last), ("distinct_cache", distinct)] {
        let path = format!("/api/v3/configure/{kind}");
        let answer = connection.exchange(&options.post_json(&path, &body))?;
        if answer.status == 404 && !String::from_utf8_lossy(&answer.body).contains("table") {
            return Ok(false);
        }
        ensure!(answer.is_success(), "{kind} was refused with {}", answer.describe());
    }
    Ok(true)
}

/// Waits until the caches have every key.
fn await_filled(server: &Server, hosts: u32) -> Result<()> {
    let deadline = Instant::now() + FILL_TIMEOUT;
    for statement in [
        "SELECT count(*) AS n FROM last_cache('cpu', 'last')",
        "SELECT count(*) AS n FROM distinct_cache('cpu', 'distinct')",
    ] {
        while server.count(statement)? != u64::from(hosts) {
            ensure!(Instant::now() < deadline, "a cache does not fill: {statement}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// What a client saw, and how long the server says that a request took it on average.
struct Asked {
    seen: Percentiles,
    server_ms: f64,
}

/// Asks for the number of times that the profile says, and then for as long as `goes_on`.
fn ask(
    bench: &Bench<'_>,
    server: &Server,
    backend: &mut SqlOverHttp,
    state: &str,
    question: &Question,
    goes_on: &dyn Fn() -> bool,
) -> Result<Asked> {
    let (name, statement, rows) = question;
    let hosts = bench.sizes.cache_hosts;
    let mut random = Random::new(1);
    let mut next = || statement(random.below(u64::from(hosts)) as u32);
    let first = backend.ask_sql(&next(), true)?.answer.context("not decoded")?;
    let (found, wanted) = (first.row_count() as u64, rows(hosts));
    ensure!(found == wanted, "{name} answers {found} rows, not {wanted}");
    let in_server = |server: &Server| {
        let [sum, count] = ["sum", "count"]
            .map(|part| server.metric(&format!("http_request_duration_seconds_{part}")));
        anyhow::Ok((sum?, count?))
    };
    let before = in_server(server)?;
    let mut samples = Vec::new();
    while samples.len() < bench.sizes.cache_requests || goes_on() {
        samples.push(backend.ask_sql(&next(), false)?.took);
    }
    let seen = Percentiles::of(samples).context("nothing was asked")?;
    bench.figure(&format!("{name}, {state}, p50"), seen.p50_ms, "ms")?;
    bench.figure(&format!("{name}, {state}, p99"), seen.p99_ms, "ms")?;
    let after = in_server(server)?;
    let server_ms = (after.0 - before.0) / (after.1 - before.1) * 1e3;
    bench.figure(&format!("{name}, {state}, mean in the server"), server_ms, "ms")?;
    Ok(Asked { seen, server_ms })
}

fn queries(bench: &Bench<'_>, section: &mut Section) -> Result<bool> {
    let sizes = &bench.sizes;
    let (hosts, rate) = (sizes.cache_hosts, sizes.cache_rate);
    let server = bench.start(&bench.launch())?;
    let mut data = recent(hosts, u64::from(hosts) * INSTANTS)?;
    // What is written later is newer.
    data.start -= HISTORY_SECONDS;
    loader::run(&LoadOptions::new("influxdb3", server.options(), data))?;
    if !declare(&server, hosts * 2)? {
        return Ok(false);
    }
    await_filled(&server, hosts)?;

    let mut backend = SqlOverHttp::new("influxdb3", &server.options())?;
    let mut at_rest = Vec::new();
    let mut meanwhile = Vec::new();
    let mut acks_ms: Vec<f64> = Vec::new();
    for question in &QUESTIONS {
        at_rest.push(ask(bench, &server, &mut backend, "at rest", question, &|| false)?);
    }
    for question in &QUESTIONS {
        let data = recent(hosts, rate * sizes.cache_seconds)?;
        let mut options = LoadOptions::new("beside cache queries", server.options(), data);
        options.rate = Some(rate);
        options.lines_per_request = WRITING_LINES;
        let prepared = Prepared::new(&options)?;
        let (asked, load) = thread::scope(|scope| {
            let writer = scope.spawn(|| prepared.send());
            let writes = || !writer.is_finished();
            let asked = ask(bench, &server, &mut backend, "while written", question, &writes);
            (asked, writer.join())
        });
        let load = load.ok().context("the writer panicked")??;
        ensure!(load.errors == 0, "{} requests failed", load.errors);
        acks_ms.extend(load.latency.as_ref().map(|latency| latency.p99_ms));
        bench.record(&Record::Load(load))?;
        meanwhile.push(asked?);
    }
    add_queries(bench, section, (&at_rest, &meanwhile), acks_ms.into_iter().reduce(f64::max));
    Ok(true)
}

fn add_queries(
    bench: &Bench<'_>,
    section: &mut Section,
    (at_rest, meanwhile): (&[Asked], &[Asked]),
    ack_ms: Option<f64>,
) {
    section.add(&format!(
        "**Queries**: {} hosts, one last-value and one distinct-value cache by `hostname`, JSON over \
         one connection; at rest, and while {} rows/s are written to the same table (an open loop, \
         {WRITING_LINES} lines a request; its slowest ack p99 was {} ms).",
        number(f64::from(bench.sizes.cache_hosts)),
        number(bench.sizes.cache_rate as f64),
        number(ack_ms),
    ));
    let mut table = Table::new([
        "ms",
        "p50",
        "p99",
        "mean in the server",
        "p50 while written",
        "p99 while written",
    ]);
    for ((name, ..), (rest, written)) in QUESTIONS.iter().zip(at_rest.iter().zip(meanwhile)) {
        let (seen, meanwhile) = (&rest.seen, &written.seen);
        let values = [seen.p50_ms, seen.p99_ms, rest.server_ms, meanwhile.p50_ms, meanwhile.p99_ms];
        table.row([(*name).to_owned()].into_iter().chain(values.map(number)));
    }
    section.add(&table.markdown());
}

/// Instants that are loaded after the first.
const LATER_INSTANTS: u64 = 20;

/// The first row of each series, which the caches have to make room for, and the rows after it.
struct Loads {
    first: Load,
    later: Load,
}

impl Loads {
    fn seconds(&self) -> f64 {
        self.first.seconds + self.later.seconds
    }

    fn cpu_seconds(load: &Load) -> Option<f64> {
        load.rows_per_cpu_second.map(|rate| load.rows as f64 / rate)
    }

    fn rows(&self) -> f64 {
        (self.first.rows + self.later.rows) as f64
    }
}

fn ingest(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let series = bench.sizes.cache_series;
    let mut loads: [Vec<Loads>; 2] = [Vec::new(), Vec::new()];
    for round in 0..bench.sizes.cache_rounds {
        for which in [round % 2, (round + 1) % 2] {
            loads[which].push(ingest_once(bench, series, which == 1)?);
        }
    }
    section.add(&format!(
        "**Ingest** of {} series with both caches by `hostname`, and without: the first row of \
         each, which a cache makes room for, and then {LATER_INSTANTS} rows of each. Median of {}.",
        number(f64::from(series)),
        bench.sizes.cache_rounds
    ));
    let mut table = Table::new(["", "without", "with", "ratio"]);
    type Value = fn(&Loads) -> Option<f64>;
    let values: [(&str, Value); 6] = [
        ("rows/s, first rows", |l| Some(l.first.rows_per_second)),
        ("rows/s, later rows", |l| Some(l.later.rows_per_second)),
        ("rows/s, all", |l| Some(l.rows() / l.seconds())),
        ("rows per CPU-second, first rows", |l| l.first.rows_per_cpu_second),
        ("rows per CPU-second, later rows", |l| l.later.rows_per_cpu_second),
        ("rows per CPU-second, all", |l| {
            Some(l.rows() / (Loads::cpu_seconds(&l.first)? + Loads::cpu_seconds(&l.later)?))
        }),
    ];
    for (name, value) in values {
        let [without, with] = [&loads[0], &loads[1]].map(|l| median(l.iter().filter_map(value)));
        table.row([name.to_owned(), number(without), number(with), ratio(with, without)]);
    }
    section.add(&table.markdown());
    Ok(())
}

/// Starts a server, with caches or without, and loads both parts.
fn ingest_once(bench: &Bench<'_>, series: u32, with_caches: bool) -> Result<Loads> {
    let server = bench.start(&bench.launch())?;
    let all = recent(series, u64::from(series) * (1 + LATER_INSTANTS))?;
    let first = DataOptions { rows: Some(u64::from(series)), ..all.clone() };
    let later = DataOptions {
        rows: Some(u64::from(series) * LATER_INSTANTS),
        start: all.start + all.interval,
        ..all.clone()
    };
    // A table must be there before its caches.
    let row = DataOptions { rows: Some(1), ..all };
    loader::run(&LoadOptions::new("influxdb3", server.options(), row))?;
    if with_caches {
        declare(&server, series * 2)?;
    }
    let label = if with_caches { "with caches" } else { "without caches" };
    let load = |data: DataOptions| {
        let mut options = LoadOptions::new(label, server.options(), data);
        options.pid = Some(server.pid());
        let load = loader::run(&options)?;
        bench.record(&Record::Load(load.clone()))?;
        ensure!(load.errors == 0, "{} requests failed", load.errors);
        Ok(load)
    };
    let loads = Loads { first: load(first)?, later: load(later)? };
    if with_caches {
        await_filled(&server, series)?;
    }
    Ok(loads)
}
