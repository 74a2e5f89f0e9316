//! What plugins cost: the load with and without triggers, rows handed to Python, requests, queries
//! from inside, and how soon a trigger runs.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Bench;
use crate::generators::DataOptions;
use crate::http::{Connection, Target, ask_once};
use crate::latency::Percentiles;
use crate::load_options::LoadOptions;
use crate::loader;
use crate::lone_writer;
use crate::results::{Section, Table, median, number, ratio};
use crate::servers::Server;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_secs(300);
const CONNECTIONS: usize = 8;
/// Triggers that wait for requests, to see what they take.
const IDLE_TRIGGERS: u32 = 100;

const PLUGINS: [(&str, &str); 6] = [
    ("nothing.py", "def process_writes(l, tables, args=None): pass\n"),
    (
        "dicts.py",
        "def process_writes(l, tables, args=None):\n    for t in tables: len(t['rows'])\n",
    ),
    (
        "arrow.py",
        "def process_writes(l, tables, args=None):\n    for t in tables: t.arrow().num_rows\n",
    ),
    ("answers.py", "def process_request(l, q, h, b, args=None): return 'ok'\n"),
    (
        "asks.py",
        "import time\ndef process_request(l, q, h, b, args=None):\n    took = []\n    \
         for _ in range(int(q['n'])):\n        began = time.perf_counter()\n        \
         l.query(\"SELECT * FROM cpu WHERE hostname = 'host_1' ORDER BY time DESC LIMIT 1\")\n        \
         took.append(time.perf_counter() - began)\n    \
         return {'took': took}\n",
    ),
    (
        "starts.py",
        "import time\ndef process_writes(l, tables, args=None):\n    now = time.time_ns()\n    \
         for row in tables[0]['rows']:\n        \
         l.write(LineBuilder('started').int64_field('ns', now - row['time']).time_ns(row['time']))\n",
    ),
];

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let mut section = bench.section("plugins", "Plugins");
    ingest(bench, &mut section)?;
    let mut table = Table::new(["", "median", "p99"]);
    rows(bench, &mut table)?;
    requests(bench, &mut table)?;
    starts(bench, &mut table)?;
    section.add(&table.markdown());
    Ok(Some(section))
}

/// Starts a server with the plugins in its plugin directory.
fn start(bench: &Bench<'_>, options: &str) -> Result<Server> {
    let folder = bench.folder("plugins")?;
    for (name, text) in PLUGINS {
        std::fs::write(folder.join(name), text).context("a plugin cannot be written")?;
    }
    bench.start(&bench.launch().with(&plugin_dir(&folder)).with(options))
}

fn plugin_dir(folder: &Path) -> String {
    format!("--plugin-dir {}", folder.display())
}

fn trigger(server: &Server, name: &str, file: &str, spec: &str) -> Result<()> {
    let options = server.options();
    let body = json!({
        "db": options.db, "trigger_name": name, "plugin_filename": file,
        "trigger_specification": spec,
    });
    let path = "/api/v3/configure/processing_engine_trigger";
    ask_once(&options, &options.post_json(path, &body)).map(drop)
}

/// A database has to be there before its triggers.
fn first_row(server: &Server) -> Result<()> {
    let options = server.options();
    let path = Target::Influxdb3V3.write_path(&options.db);
    ask_once(&options, &options.post(&path, b"other v=1 1")).map(drop)
}

/// Loads with a trigger that does nothing, on this table, on another one, and without any.
fn ingest(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let cases =
        [("none", None), ("on another table", Some("other")), ("on this table", Some("cpu"))];
    let data = DataOptions::cpu_rows(bench.sizes.cpu_hosts, bench.sizes.cpu_rows);
    let mut seen: [Vec<[f64; 2]>; 3] = Default::default();
    for round in 0..bench.sizes.rounds {
        for turn in 0..cases.len() {
            // Which goes first changes.
            let which = (round + turn) % cases.len();
            let server = start(bench, "--wal-flush-interval 100ms")?;
            first_row(&server)?;
            if let Some(table) = cases[which].1 {
                trigger(&server, "t", "nothing.py", &format!("table:{table}"))?;
            }
            let load =
                loader::run(&LoadOptions::new(cases[which].0, server.options(), data.clone()))?;
            ensure!(load.errors == 0, "{} requests failed", load.errors);
            let p99 = load.latency.context("no request was sent")?.p99_ms;
            seen[which].push([load.rows_per_second, p99]);
        }
    }
    section.add(&format!(
        "**Ingest** of {} rows of cpu-only, {} hosts, closed loop, `--wal-flush-interval 100ms`, with \
         a trigger whose plugin does nothing. Median of {}.",
        number(data.row_count() as f64),
        data.hosts,
        bench.sizes.rounds
    ));
    let mut table = Table::new(["trigger", "rows/s", "ratio", "ack p99, ms"]);
    let middle = |which: usize, at: usize| median(seen[which].iter().map(|values| values[at]));
    for (which, (name, _)) in cases.into_iter().enumerate() {
        table.row([
            name.to_owned(),
            number(middle(which, 0)),
            ratio(middle(which, 0), middle(0, 0)),
            number(middle(which, 1)),
        ]);
    }
    section.add(&table.markdown());
    Ok(())
}

/// How many rows a second a plugin is handed, by what the server tells of its runs.
fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    for (name, file) in [("dicts", "dicts.py"), ("Arrow", "arrow.py")] {
        let environment = match (name, bench.options.peers.python.as_deref()) {
            // It has pyarrow.
            ("Arrow", Some(python)) => match python.parent().and_then(Path::parent) {
                Some(folder) => format!("--virtual-env-location {}", folder.display()),
                None => continue,
            },
            ("Arrow", None) => continue,
            _ => String::new(),
        };
        // Rows gather for longer than the load lasts, so that it does not take the cores from the runs.
        let server = start(bench, &format!("--wal-flush-interval 1s {environment}"))?;
        first_row(&server)?;
        trigger(&server, "t", file, "table:cpu")?;
        // The first run imports what the plugin needs.
        loader::run(&LoadOptions::new(name, server.options(), DataOptions::cpu_rows(1, 1)))?;
        await_idle(&server)?;
        let data = DataOptions::cpu_rows(bench.sizes.cpu_hosts, bench.sizes.cpu_rows / 4);
        for _ in 0..4 {
            let load = loader::run(&LoadOptions::new(name, server.options(), data.clone()))?;
            ensure!(load.errors == 0, "{} requests failed", load.errors);
            await_idle(&server)?;
        }
        let failed =
            "SELECT count(*) AS n FROM system.processing_engine_runs WHERE error IS NOT NULL";
        ensure!(server.count(failed)? == 0, "runs of {file} have failed");
        let rate = "SELECT CAST(sum(rows_in) * 1e9 / sum(duration_ns) AS BIGINT) AS n \
                    FROM system.processing_engine_runs WHERE run_number > 1";
        let rate =
            bench.figure(&format!("rows as {name}"), server.count(rate)? as f64, "rows/s")?;
        table.row([format!("rows/s to a plugin as {name}, 10 fields"), number(rate), "–".into()]);
    }
    Ok(())
}

/// Waits until no event waits or runs.
fn await_idle(server: &Server) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    // What was written in the last flush interval comes to the trigger after it.
    thread::sleep(Duration::from_millis(1500));
    while server.metric("trigger_lag_seconds")? > 0.0 {
        ensure!(Instant::now() < deadline, "a trigger is not idle after {TIMEOUT:?}");
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn requests(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let server = start(bench, "")?;
    let data = DataOptions::cpu_rows(10, 10_000);
    loader::run(&LoadOptions::new("influxdb3", server.options(), data))?;
    for (name, file) in [("answers", "answers.py"), ("asks", "asks.py")] {
        trigger(&server, name, file, &format!("request:{name}"))?;
    }
    let count = bench.sizes.lone_requests as usize;
    let answered = times(&server, "/api/v3/engine/answers", count)?;
    let answered = Percentiles::of(answered).context("no request was sent")?;
    table.row(["a request plugin, ms".into(), number(answered.p50_ms), number(answered.p99_ms)]);

    let began = Instant::now();
    let each = count.div_ceil(CONNECTIONS);
    let ask = || times(&server, "/api/v3/engine/answers", each);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(ask)).collect();
        workers.into_iter().try_for_each(|w| w.join().expect("a client does not panic").map(drop))
    })?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    table.row([format!("requests a second, {CONNECTIONS} connections"), number(rate), "–".into()]);

    let options = server.options();
    let body = ask_once(&options, &options.get(&format!("/api/v3/engine/asks?n={count}")))?;
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    let took = body["took"].as_array().context("no times")?.iter().filter_map(|s| s.as_f64());
    let took = Percentiles::of(took.map(Duration::from_secs_f64).collect()).context("no query")?;
    table.row([
        "a query of one row from inside, ms".into(),
        number(took.p50_ms),
        number(took.p99_ms),
    ]);
    idle_triggers(&server, table)
}

fn times(server: &Server, path: &str, count: usize) -> Result<Vec<Duration>> {
    let request = server.options().get(path);
    let mut connection = Connection::open(server.address).context("cannot connect")?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let answer = connection.exchange(&request)?;
        times.push(began.elapsed());
        ensure!(answer.is_success(), "a request failed with {}", answer.describe());
    }
    Ok(times)
}

/// What the process of plugins takes with many triggers that have run once.
fn idle_triggers(server: &Server, table: &mut Table) -> Result<()> {
    for number in 0..IDLE_TRIGGERS {
        let name = format!("idle{number}");
        trigger(server, &name, "answers.py", &format!("request:{name}"))?;
        times(server, &format!("/api/v3/engine/{name}"), 1)?;
    }
    // The server looks at it several times a second.
    thread::sleep(Duration::from_millis(500));
    let mib = server.metric("plugin_host_memory_bytes")? / f64::from(1 << 20);
    let name = format!("memory of Python with {IDLE_TRIGGERS} idle triggers, MiB");
    table.row([name, number(mib), "–".into()]);
    Ok(())
}

/// From a write to the start of its run, less what the flush interval lets expect; and writers beside
/// a plugin that never ends.
fn starts(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let interval = Duration::from_millis(100);
    let server = start(bench, "--wal-flush-interval 100ms")?;
    first_row(&server)?;
    trigger(&server, "t", "starts.py", "table:written")?;
    let options = server.options();
    let path = Target::Influxdb3V3.write_path(&options.db);
    let count = bench.sizes.lone_requests.min(200);
    for number in 0..count {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
        let line = format!("written n={number}i {}", now.as_nanos());
        ask_once(&options, &options.post(&path, line.as_bytes()))?;
        // A step that walks through the interval.
        thread::sleep(interval.mul_f64(1.0 + 0.037 * f64::from(number % 27)));
    }
    await_idle(&server)?;
    let deadline = Instant::now() + TIMEOUT;
    while !server.count("SELECT count(*) AS n FROM started").is_ok_and(|n| n >= u64::from(count)) {
        ensure!(Instant::now() < deadline, "not all runs have written");
        thread::sleep(POLL_INTERVAL);
    }
    let share = |share: f64| {
        let sql =
            format!("SELECT CAST(approx_percentile_cont(ns, {share}) AS BIGINT) AS n FROM started");
        server.count(&sql).map(|ns| ns as f64 / 1e6)
    };
    let (p50, p99) = (share(0.5)?, share(0.99)?);
    let (half, whole) = (interval.as_secs_f64() * 500.0, interval.as_secs_f64() * 1000.0);
    let name = "write to run, ms beyond half (p99: all) of the flush interval".to_owned();
    table.row([name, number(p50 - half), number(p99 - whole)]);
    writers_beside_a_loop(bench, table)
}

fn writers_beside_a_loop(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    for (name, loops) in [("alone", false), ("beside a plugin that never ends", true)] {
        let server = start(bench, "--wal-flush-interval 100ms")?;
        first_row(&server)?;
        if loops {
            let folder = bench.scratch.join("plugins");
            let text = "def process_writes(l, tables, args=None):\n    while True: pass\n";
            std::fs::write(folder.join("loops.py"), text).context("a plugin cannot be written")?;
            trigger(&server, "t", "loops.py", "table:other")?;
            first_row(&server)?;
            let deadline = Instant::now() + TIMEOUT;
            while server.metric("trigger_lag_seconds")? < 1.0 {
                ensure!(Instant::now() < deadline, "the plugin does not run");
                thread::sleep(POLL_INTERVAL);
            }
        }
        let (options, requests) = (server.options(), bench.sizes.lone_requests);
        let writes = lone_writer::time_writes(&options, Target::Influxdb3V3, requests)?;
        let writes = Percentiles::of(writes).context("no request was sent")?;
        let name = format!("a write's acknowledgement {name}, ms");
        table.row([name, number(writes.p50_ms), number(writes.p99_ms)]);
    }
    Ok(())
}
