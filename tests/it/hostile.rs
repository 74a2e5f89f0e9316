//! No statement hurts the others: not by what it takes, not by how long it works, not when nobody
//! wants it any more.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::support::client::{Client, with_query};
use super::support::eventually;
use super::support::server::{Server, Setup};

/// Rows of the large table.
const ROWS: usize = 60_000;
/// Memory for queries, and what the process may have beside it, in MiB.
const POOL_MIB: usize = 200;
const BESIDE_MIB: usize = 300;
/// How long a query may run here.
const TIME: Duration = Duration::from_secs(2);
/// Until an answer at the latest: far more than it takes, far less than the statements would.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// What half of the answers to another client take at most. A hundredth of a second is more like
/// it; builds for tests are slow, and other tests run beside this one.
const OTHERS_TIME: Duration = Duration::from_secs(2);

/// Two tables: one with three rows, and one whose rows have a number and a text.
fn start(pool_mib: usize, options: &[&str]) -> Server {
    let pool = format!("{pool_mib}mb");
    let server = Setup::memory().with(&["--exec-mem-pool-bytes", &pool]).with(options).start();
    server.client.must_write("d", "small f=1 1\nsmall f=2 2\nsmall f=3 3");
    for part in 0..10 {
        let rows = (0..ROWS / 10).map(|row| {
            let n = part * (ROWS / 10) + row;
            let time = 1_700_000_000_000_000_000_usize + 1_000_000 * n;
            format!("m n={n}i,msg=\"message {n:040}\" {time}")
        });
        server.client.must_write("d", &rows.collect::<Vec<_>>().join("\n"));
    }
    server
}

fn with_deadline() -> Server {
    start(POOL_MIB, &["--query-timeout", &format!("{}s", TIME.as_secs())])
}

/// Each works for minutes, and takes next to no memory.
const ENDLESS: [&str; 6] = [
    "SELECT count(*) FROM m a JOIN m b ON a.n + b.n < 0",
    "SELECT count(*) FROM m a JOIN m b ON a.n + b.n < 0 JOIN m c ON b.n + c.n < 0",
    "SELECT count(*) FROM m a, m b, m c WHERE a.n + b.n + c.n < 0",
    "SELECT count(*) FROM m a LEFT JOIN m b ON a.n * b.n < 0",
    "SELECT count(*) FROM m a FULL JOIN m b ON a.n * 0 = b.n * 0 AND a.n * b.n < 0",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
];

/// Each would take all memory there is, or do so for a part of its time.
const LARGE: [&str; 19] = [
    "SELECT array_agg(n) OVER () FROM m",
    "SELECT array_agg(n) OVER () FROM m WHERE n < 20000 LIMIT 1",
    "SELECT array_agg(n) FILTER (WHERE n > 5) OVER () FROM m",
    "SELECT array_agg(msg) OVER (ORDER BY n) FROM m LIMIT 5",
    "SELECT unnest(range(0, n)) FROM m ORDER BY 1",
    "SELECT array_agg(a.msg || b.msg) FROM m a, m b",
    "SELECT count(*) FROM (SELECT a.n * 1000000 + b.n AS k FROM m a, m b GROUP BY k)",
    "SELECT a.msg FROM m a, m b ORDER BY a.n * b.n",
    "SELECT count(DISTINCT a.msg || b.msg) FROM m a, m b",
    "WITH RECURSIVE r AS (SELECT n FROM m UNION ALL SELECT n FROM r) SELECT max(n) FROM r",
    "SELECT max(length(msg || (SELECT string_agg(msg, ',') FROM m))) FROM m",
    "SELECT max(msg || repeat('x', 1000000)) OVER () FROM m",
    "SELECT max(length(msg || repeat('x', 1000000))) OVER (ORDER BY n ROWS 9999 PRECEDING) FROM m",
    "SELECT max(length(msg || repeat('x', 1000000))) FROM m",
    "SELECT msg FROM m ORDER BY msg || repeat('x', 1000000)",
    "SELECT msg FROM m ORDER BY CASE WHEN n > 5 THEN repeat('x', 1000000) ELSE msg END",
    "SELECT count(*) FROM m a JOIN m b ON length(a.msg || repeat('x', 1000000)) < b.n - a.n",
    "SELECT count(*) FROM m a JOIN m b ON a.msg || repeat('x', 1000000) = b.msg",
    "SELECT count(*) FROM m a, (SELECT string_agg(msg, ',') AS t FROM m) b WHERE a.msg > b.t",
];

fn statements() -> Vec<String> {
    let mut all: Vec<String> = ENDLESS.into_iter().chain(LARGE).map(str::to_owned).collect();
    for kind in ["RIGHT", "FULL"] {
        all.push(format!("SELECT count(*) FROM m a {kind} JOIN m b ON a.n * b.n < 0"));
    }
    for is_there in ["EXISTS", "NOT EXISTS"] {
        let pairs = "SELECT 1 FROM m b WHERE a.n * b.n < 0";
        all.push(format!("SELECT count(*) FROM m a WHERE {is_there} ({pairs})"));
    }
    let frames = ["", "ORDER BY n"];
    let calls = ["string_agg(msg, ',')", "median(n)", "count(DISTINCT msg)", "array_agg(msg)"];
    for call in calls {
        all.extend(frames.map(|frame| format!("SELECT {call} OVER ({frame}) FROM m")));
    }
    let sliding = "ORDER BY n ROWS BETWEEN 9999 PRECEDING AND 9999 FOLLOWING";
    all.push(format!("SELECT array_agg(msg) OVER ({sliding}) FROM m"));
    let columns = |count: usize, call: &str| {
        let columns = (0..count).map(|i| call.replace('#', &i.to_string()));
        format!("SELECT {} FROM m ORDER BY 1 LIMIT 1", columns.collect::<Vec<_>>().join(", "))
    };
    all.push(columns(20, "levenshtein(repeat(msg, 40), repeat(msg, 4#))"));
    all.push(columns(40, "md5(repeat(msg, 10000 + #))"));
    all.push(columns(20, "btrim(repeat(msg, 100), repeat(msg, 100 + #))"));
    all.push(columns(300, "n * # + 1, n * # + 2, n * # + 3, n * # + 4, n * # + 5"));
    all.push(columns(500, "'#' || msg || '#'"));
    all.push(format!("SELECT max(length({})) FROM m", ["msg"; 900].join(" || ")));
    all
}

fn check_answer(statement: &str, client: &Client) {
    let begun = Instant::now();
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", statement)]);
    let answer = client.try_send("GET", &path, &[], Vec::new());
    let took = begun.elapsed();
    assert!(took < ANSWER_TIME, "{statement:.90}: answered after {took:?}");
    let answer = match answer {
        Ok(answer) => answer,
        // The time was up when rows were already on their way: they are cut, not made complete.
        Err(error) => {
            assert!(error.is_body() || error.is_decode(), "{statement:.90}: {error:?}");
            assert_eq!(client.count("d", "small"), 3);
            return;
        }
    };
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]).into_owned();
    match answer.status {
        200 => {}
        422 => {
            let own = ["--query-memory-share", "would make more than"];
            assert!(own.iter().any(|part| text.contains(part)), "{statement:.90}: {text}");
        }
        503 => {
            assert!(!answer.header("retry-after").is_empty(), "{statement:.90}: {text}");
            let own = ["ran longer", "--exec-mem-pool-bytes"];
            assert!(own.iter().any(|part| text.contains(part)), "{statement:.90}: {text}");
        }
        status => panic!("{statement:.90}: {status} {text}"),
    }
}

/// The most memory that the process had at a time, but for the pages of the binary.
#[cfg(target_os = "linux")]
fn check_memory(server: &Server, after: &str) {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let kib = |name: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
    };
    let mib = kib("VmHWM").saturating_sub(kib("RssFile")) / 1024;
    assert!(mib <= POOL_MIB + BESIDE_MIB, "{after:.90}: {mib} MiB");
}

#[cfg(not(target_os = "linux"))]
fn check_memory(_: &Server, _: &str) {}

/// How long a small query takes for somebody else, at the median, until `done`.
fn latency_of_others(client: &Client, done: &AtomicBool) -> Duration {
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        assert_eq!(client.count("d", "small"), 3);
        took.push(begun.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    took.sort();
    took[took.len() / 2]
}

#[test]
fn statements_end_in_time_and_take_no_more_than_their_share() {
    let server = with_deadline();
    for statement in statements() {
        check_answer(&statement, &server.client);
        check_memory(&server, &statement);
    }
}

#[test]
fn others_are_answered_while_two_statements_work() {
    let server = with_deadline();
    let (all, done) = (statements(), AtomicBool::new(false));
    let median = thread::scope(|scope| {
        let others = scope.spawn(|| latency_of_others(&server.client, &done));
        let failed: Vec<_> = all[..16].chunks(2).filter(|pair| !answers(&server, pair)).collect();
        done.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{failed:?}");
        others.join().expect("answered")
    });
    check_memory(&server, "statements side by side");
    assert!(median < OTHERS_TIME, "others wait for {median:?}");
}

/// Asks for all at once. Whether the answers are as they should be.
fn answers(server: &Server, statements: &[String]) -> bool {
    thread::scope(|scope| {
        let ask = |statement| {
            let client = Client::new(server.client.base().trim_start_matches("http://"));
            move || check_answer(statement, &client)
        };
        let asked: Vec<_> = statements.iter().map(|text| scope.spawn(ask(text))).collect();
        asked.into_iter().filter_map(|asked| asked.join().err()).count() == 0
    })
}

/// Clock ticks of the processors that the process has used.
#[cfg(target_os = "linux")]
fn ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[cfg(target_os = "linux")]
#[test]
fn threads_are_free_when_the_client_is_gone() {
    let server = start(POOL_MIB, &[]);
    for statement in ENDLESS {
        let address = server.client.base().trim_start_matches("http://");
        let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", statement)]);
        let mut connection = TcpStream::connect(address).expect("the server listens");
        write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("a request");
        let is_running = || {
            let log = "SELECT query_text FROM system.queries WHERE running";
            let rows = server.client.rows("d", log);
            rows.as_array().expect("rows").iter().any(|row| row["query_text"] == statement)
        };
        eventually("the query runs", || is_running().then_some(()));
        drop(connection);
        eventually("the query has ended", || (!is_running()).then_some(()));
        eventually("its threads rest", || {
            let before = ticks(&server);
            thread::sleep(Duration::from_millis(200));
            // Twenty would be a thread that works.
            (ticks(&server) - before < 10).then_some(())
        });
        check_memory(&server, statement);
    }
}

/// Numbers take eight bytes, whatever they are cut from.
#[test]
fn what_is_small_is_not_refused() {
    let server = start(40, &[]);
    let joined = "SELECT count(*) AS n FROM m a JOIN m b ON a.n = b.n";
    assert_eq!(server.client.value("d", joined), ROWS);
    let shown = "SELECT max_memory FROM system.queries WHERE query_text LIKE '%JOIN%' \
                 AND success ORDER BY issue_time LIMIT 1";
    let bytes = server.client.value("d", shown).as_u64().expect("a number");
    assert!((500_000..20 << 20).contains(&bytes), "{bytes} bytes");
}

#[test]
fn what_is_too_large_for_memory_is_sorted_and_grouped_on_disk() {
    let pool = ["--exec-mem-pool-bytes", "100mb", "--num-datafusion-threads", "2"];
    let setup = Setup::disk().with(&pool);
    let large =
        "SELECT repeat('x', 100) || value::text AS t, value FROM generate_series(1, 500000)";
    let sorted = format!(
        "SELECT max(r) AS r FROM (SELECT row_number() OVER (ORDER BY t DESC) AS r \
                          FROM ({large}))"
    );
    let grouped =
        format!("SELECT count(*) AS n FROM (SELECT t, min(value) FROM ({large}) GROUP BY t)");
    let server = setup.start();
    server.client.must_write("d", "m f=1");
    assert_eq!(server.client.value("d", &sorted), 500_000);
    assert_eq!(server.client.value("d", &grouped), 500_000);
    let spilled = setup.data_dir().join(".spill");
    assert!(spilled.exists());
    drop(server.stopped());
    assert!(!fs::read_dir(&spilled).is_ok_and(|mut left| left.next().is_some()));

    for options in [["--query-spill-bytes", "0"], ["--query-spill-bytes", "1mb"]] {
        let server = setup.clone().with(&options).start();
        let answer = server.client.sql("d", &sorted);
        assert_eq!(answer.status, 422, "{}", answer.text());
        let option = if options[1] == "0" { "--query-memory-share" } else { options[0] };
        assert!(answer.text().contains(option), "{}", answer.text());
    }
}
