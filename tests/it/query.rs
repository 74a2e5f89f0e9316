//! Queries over HTTP: formats, parameters, what statements see.

use crate::support::client::{Client, with_query};
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

const CPU: &str = "cpu,host=Bravo val=2i,load=55.0,ok=true 2998573260000000000\n\
                   cpu,host=Ünal load=1e21 2998573261500000000";

fn formatted(client: &Client, sql: &str, format: &str) -> (String, Vec<u8>) {
    let parameters = [("db", "d"), ("q", sql), ("format", format)];
    let answer = client.get(&with_query("/api/v3/query_sql", &parameters));
    assert_eq!(answer.status, 200, "{format}: {}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), "");
    (answer.header("content-type").to_owned(), answer.body)
}

/// One statement, its result in one format byte by byte.
#[track_caller]
fn check(client: &Client, sql: &str, format: &str, content_type: &str, body: &str) {
    let (found, bytes) = formatted(client, sql, format);
    assert_eq!(String::from_utf8_lossy(&bytes), body, "{format}");
    assert_eq!(found, content_type, "{format}");
}

/// As it stands in a file that an editor has begun with its mark.
#[test]
fn a_byte_order_mark_before_a_statement_is_skipped() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    let sql = "\u{feff}SELECT count(*) AS n FROM cpu";
    assert_eq!(server.client.rows("d", sql), json!([{"n": 2}]));
    let body = format!("\u{feff}{}", json!({"db": "d", "q": sql}));
    assert_eq!(server.client.post("/api/v3/query_sql", body).json(), json!([{"n": 2}]));
}

#[test]
fn formats_by_the_accept_header() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    let path =
        with_query("/api/v3/query_sql", &[("db", "d"), ("q", "SELECT val FROM cpu LIMIT 1")]);
    for (accept, content_type) in [
        ("application/csv", "text/csv"),
        ("text/csv;q=0.9, application/json;q=0.1", "text/csv"),
        ("Text/CSV; header=present", "text/csv"),
        ("*/*", "application/json"),
        ("image/png, */*;q=0.1", "application/json"),
        ("", "application/json"),
        ("application/x-ndjson", "application/jsonl"),
    ] {
        let answer = server.client.send("GET", &path, &[("accept", accept)], "");
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{accept}");
    }
    let answer = server.client.send("GET", &path, &[("accept", "image/png")], "");
    assert_eq!((answer.status, answer.text().as_str()), (400, "invalid mime type (image/png)"));
}

#[test]
fn text_formats() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    let check = |format: &str, content_type: &str, body: &str| {
        check(&server.client, "SELECT * FROM cpu ORDER BY time", format, content_type, body);
    };
    let lines = [
        r#"{"host":"Bravo","load":55.0,"ok":true,"time":"2065-01-07T17:01:00","val":2}"#,
        r#"{"host":"Ünal","load":1.0e21,"time":"2065-01-07T17:01:01.500"}"#,
    ];
    check("json", "application/json", &format!("[{},{}]", lines[0], lines[1]));
    let jsonl = format!("{}\n{}\n", lines[0], lines[1]);
    check("jsonl", "application/jsonl", &jsonl);
    check("json_lines", "application/jsonl", &jsonl);
    check(
        "csv",
        "text/csv",
        "host,load,ok,time,val\n\
         Bravo,55.0,true,2065-01-07T17:01:00,2\n\
         Ünal,1e21,,2065-01-07T17:01:01.500,\n",
    );
    check(
        "pretty",
        "text/plain; charset=utf-8",
        "+-------+------+------+-------------------------+-----+\n\
         | host  | load | ok   | time                    | val |\n\
         +-------+------+------+-------------------------+-----+\n\
         | Bravo | 55.0 | true | 2065-01-07T17:01:00     | 2   |\n\
         | Ünal  | 1e21 |      | 2065-01-07T17:01:01.500 |     |\n\
         +-------+------+------+-------------------------+-----+",
    );
}

#[test]
fn parquet_keeps_types() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    let sql = "SELECT * FROM cpu ORDER BY time";
    let (content_type, bytes) = formatted(&server.client, sql, "parquet");
    assert_eq!(content_type, "application/vnd.apache.parquet");
    let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).expect("a file");
    let schema = Arc::clone(file.schema());
    let batches: Vec<_> =
        file.build().expect("a reader").map(|batch| batch.expect("a batch")).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
    let host = schema.field_with_name("host").expect("a tag");
    assert!(matches!(host.data_type(), DataType::Dictionary(_, _)), "{host:?}");
    let kind = host.metadata().get("iox::column::type").map(String::as_str);
    assert_eq!(kind, Some("iox::column_type::tag"));
    assert!(!schema.field_with_name("time").expect("time").is_nullable());
    let load = batches[0].column_by_name("load").expect("a field");
    let load = load.as_primitive::<arrow::datatypes::Float64Type>();
    assert_eq!(load.value(0), 55.0);
    assert_eq!(load.null_count(), 0);
}

#[test]
fn an_empty_result_has_no_rows_in_any_format() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    for format in ["json", "jsonl", "csv", "pretty", "parquet"] {
        let (_, bytes) = formatted(&server.client, "SELECT * FROM cpu WHERE val = 99", format);
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("Bravo"), "{format}: {text}");
        if format == "json" {
            assert_eq!(text, "[]");
        }
    }
}

#[test]
fn the_accept_header_chooses_when_no_format_is_given() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    for (accept, content_type) in [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/jsonl", "application/jsonl"),
    ] {
        let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", "SELECT 1 AS a")]);
        let answer = server.client.send("GET", &path, &[("accept", accept)], "");
        assert_eq!(answer.status, 200, "{accept}: {}", answer.text());
        assert_eq!(answer.header("content-type"), content_type, "{accept}");
    }
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", "SELECT 1 AS a")]);
    let refused = server.client.send("GET", &path, &[("accept", "image/png")], "");
    assert_eq!((refused.status, refused.text().as_str()), (400, "invalid mime type (image/png)"));
    let path = format!("{path}&format=csv");
    let told = server.client.send("GET", &path, &[("accept", "image/png")], "");
    assert_eq!((told.status, told.text().as_str()), (200, "a\n1"));
}

#[test]
fn a_post_is_json_whatever_it_calls_itself() {
    let server = Server::memory();
    server.client.must_write("d", CPU);
    let body =
        json!({"db": "d", "q": "SELECT val FROM cpu WHERE host = $h", "params": {"h": "Bravo"}});
    for content_type in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
        let headers = [("content-type", content_type)];
        let answer = server.client.send("POST", "/api/v3/query_sql", &headers, body.to_string());
        assert_eq!((answer.status, answer.json()), (200, json!([{"val": 2}])), "{content_type}");
    }
}

#[test]
fn parameters_are_typed_literals() {
    let server = Server::memory();
    server.client.must_write("d", "cpu,host=a v=1 1\ncpu,host=b v=2 2");
    let ask = |sql: &str, params: &str| {
        let parameters = [("db", "d"), ("q", sql), ("params", params)];
        let answer = server.client.get(&with_query("/api/v3/query_sql", &parameters));
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.json()
    };
    assert_eq!(
        ask(
            "SELECT $a AS a, $b AS b, $c AS c, $d AS d, $e AS e",
            r#"{"a":1,"b":-1,"c":1.5,"d":"x","e":null}"#
        ),
        json!([{"a": 1, "b": -1, "c": 1.5, "d": "x"}])
    );
    let by_host = "SELECT v FROM cpu WHERE host = $h";
    assert_eq!(ask(by_host, r#"{"h":"a","unused":true}"#), json!([{"v": 1.0}]));
    assert_eq!(ask(by_host, r#"{"h":"x' OR 1=1 --"}"#), json!([]));
    assert_eq!(ask("SELECT v FROM cpu WHERE v > $1", r#"{"1":1.5}"#), json!([{"v": 2.0}]));
    let limited = ask("SELECT v FROM cpu ORDER BY v LIMIT $n", r#"{"n":1}"#);
    assert_eq!(limited, json!([{"v": 1.0}]));
}

#[test]
fn columns_tables_and_types_are_listed() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m,z=1,a=2 y=1,b=2i,u=1u,s=\"x\",t=true 1\nempty f=1 1");
    let (_, csv) = formatted(client, "SELECT * FROM m", "csv");
    let header = String::from_utf8_lossy(&csv).lines().next().map(str::to_owned);
    assert_eq!(header.as_deref(), Some("a,b,s,t,time,u,y,z"));

    let columns = client.rows(
        "d",
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
         WHERE table_name = 'm' ORDER BY ordinal_position",
    );
    let types: Vec<(String, String, String)> = columns
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().expect("a text").to_owned();
            (text("column_name"), text("data_type"), text("is_nullable"))
        })
        .collect();
    let tag = "Dictionary(Int32, Utf8)";
    let expected = [
        ("a", tag, "YES"),
        ("b", "Int64", "YES"),
        ("s", "Utf8", "YES"),
        ("t", "Boolean", "YES"),
        ("time", "Timestamp(ns)", "NO"),
        ("u", "UInt64", "YES"),
        ("y", "Float64", "YES"),
        ("z", tag, "YES"),
    ]
    .map(|(name, kind, nullable)| (name.to_owned(), kind.to_owned(), nullable.to_owned()));
    assert_eq!(types, expected);

    let tables = client.rows("d", "SHOW TABLES");
    let tables: Vec<String> = tables
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().expect("a text");
            format!("{}.{} {}", text("table_schema"), text("table_name"), text("table_type"))
        })
        .collect();
    assert_eq!(tables[..2], ["iox.empty BASE TABLE", "iox.m BASE TABLE"]);
    for view in ["tables", "views", "columns", "df_settings", "schemata"] {
        assert!(tables.contains(&format!("information_schema.{view} VIEW")), "{tables:?}");
    }
}

#[test]
fn names_are_case_sensitive_in_quotes() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1\nM f=\"x\",G=2 1");
    let check = |sql: &str, expected: Value| {
        assert_eq!(server.client.rows("d", sql), expected, "{sql}");
    };
    check("SELECT f FROM m", json!([{"f": 1.0}]));
    check("SELECT F FROM M", json!([{"f": 1.0}]));
    check("SELECT f, \"G\" FROM \"M\"", json!([{"f": "x", "G": 2.0}]));
    check("SELECT f FROM iox.m", json!([{"f": 1.0}]));
    check("SELECT f FROM public.iox.m", json!([{"f": 1.0}]));
}

#[test]
fn statements_of_all_kinds() {
    let server = Server::memory();
    let lines: Vec<String> =
        (0..60).map(|i| format!("cpu,host=h{} v={i} {}", i % 3, i * 60_000_000_000_i64)).collect();
    server.client.must_write("d", &lines.join("\n"));
    let check = |sql: &str, expected: Value| {
        assert_eq!(server.client.rows("d", sql), expected, "{sql}");
    };
    check("SELECT count(*) AS n, sum(v) AS s FROM cpu", json!([{"n": 60, "s": 1770.0}]));
    check(
        "SELECT host, max(v) AS v FROM cpu GROUP BY host ORDER BY host",
        json!([{"host": "h0", "v": 57.0}, {"host": "h1", "v": 58.0}, {"host": "h2", "v": 59.0}]),
    );
    check("SELECT v FROM cpu ORDER BY time DESC LIMIT 2", json!([{"v": 59.0}, {"v": 58.0}]));
    check(
        "SELECT count(*) AS n FROM cpu WHERE time >= '1970-01-01T00:10:00Z' \
         AND time < '1970-01-01T00:20:00Z'",
        json!([{"n": 10}]),
    );
    check(
        "SELECT count(*) AS n FROM cpu WHERE host = 'h1' AND time > '1970-01-01T00:10:00Z'",
        json!([{"n": 16}]),
    );
    check(
        "WITH a AS (SELECT host, v FROM cpu WHERE v < 3) \
         SELECT a.host FROM a JOIN cpu b ON a.v = b.v ORDER BY a.v",
        json!([{"host": "h0"}, {"host": "h1"}, {"host": "h2"}]),
    );
    check(
        "SELECT date_bin(INTERVAL '30 minutes', time) AS t, count(*) AS n FROM cpu GROUP BY 1 ORDER BY 1",
        json!([{"t": "1970-01-01T00:00:00", "n": 30}, {"t": "1970-01-01T00:30:00", "n": 30}]),
    );
    check("SELECT DISTINCT host FROM cpu ORDER BY host LIMIT 1", json!([{"host": "h0"}]));
    check("SELECT v FROM cpu WHERE v = 7;", json!([{"v": 7.0}]));
    let plan = server.client.rows("d", "EXPLAIN SELECT v FROM cpu");
    assert_eq!(plan[0]["plan_type"], "logical_plan");
}

#[test]
fn retention_hides_rows_at_once() {
    let server = Server::memory();
    let client = &server.client;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_nanos()).expect("before 2262");
    let old = now - 2 * 3_600_000_000_000;
    client.must_write("r", &format!("m f=1 {old}\nm f=2 {now}"));
    assert_eq!(client.count("r", "m"), 2);
    let set = |body: Value| client.json("PUT", "/api/v3/configure/database", &body).status;
    assert_eq!(set(json!({"db": "r", "retention_period": "1h"})), 200);
    assert_eq!(client.rows("r", "SELECT f FROM m"), json!([{"f": 2.0}]));
    client.must_write("r", &format!("m f=3 {}", old + 1));
    assert_eq!(client.count("r", "m"), 1);
    assert_eq!(set(json!({"db": "r", "retention_period": null})), 200);
    assert_eq!(client.count("r", "m"), 3);
}

#[test]
fn the_retention_period_of_a_table_counts_before_that_of_its_database() {
    let server = Server::disk();
    let client = &server.client;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_nanos()).expect("before 2262");
    let old = now - 2 * 3_600_000_000_000;
    for table in ["a", "b"] {
        client.must_write("r", &format!("{table} f=1 {old}\n{table} f=2 {now}"));
    }
    let path = "/api/v3/enterprise/configure/table/retention_period";
    let set = |table: &str, duration: &str| {
        client.post(&format!("{path}?db=r&table={table}&duration={duration}"), b"").status
    };
    let of_database = |period: Value| {
        let body = json!({"db": "r", "retention_period": period});
        assert_eq!(client.json("PUT", "/api/v3/configure/database", &body).status, 200);
    };
    let counts = || (client.count("r", "a"), client.count("r", "b"));
    assert_eq!(set("a", "1h"), 204);
    assert_eq!(counts(), (1, 2));
    of_database(json!("90m"));
    assert_eq!(set("a", "3h"), 204);
    assert_eq!(counts(), (2, 1));
    let own = "SELECT * FROM system.table_retention";
    let expected = json!([{
        "database_name": "r", "table_name": "a", "retention_period_ns": 10_800_000_000_000_u64
    }]);
    assert_eq!(client.rows("_internal", own), expected);
    let restarted = server.killed_and_restarted();
    let client = &restarted.client;
    assert_eq!(client.rows("_internal", own), expected);
    assert_eq!((client.count("r", "a"), client.count("r", "b")), (2, 1));
    assert_eq!(client.delete(&format!("{path}?db=r&table=a")).status, 204);
    assert_eq!((client.count("r", "a"), client.count("r", "b")), (1, 1));
    assert_eq!(client.rows("_internal", own), json!([]));
    for (query, status) in [
        ("db=r&table=nope&duration=1h", 404),
        ("db=nope&table=a&duration=1h", 404),
        ("db=_internal&table=a&duration=1h", 500),
        ("db=r&table=a&duration=soon", 400),
        ("db=r&table=a", 400),
    ] {
        assert_eq!(client.post(&format!("{path}?{query}"), b"").status, status, "{query}");
    }
}

#[test]
fn answers_are_compressed_only_on_demand() {
    let server = Server::memory();
    server.client.must_write("d", &"m f=1 1\n".repeat(3));
    let rows = "SELECT 'xxxxxxxxxxxxxxxxxxxxxxxx' AS a FROM generate_series(1, 1000)";
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", rows)]);
    let plain = server.client.get(&path);
    assert_eq!(plain.header("content-encoding"), "");
    let small = server.client.send("GET", &path, &[("accept-encoding", "gzip")], "");
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.body.len() * 10 < plain.body.len());
}

#[test]
fn the_query_timeout_is_an_option() {
    let server = Setup::memory().with(&["--query-timeout", "200ms"]).start();
    server.client.must_write("d", "m f=1 1");
    let endless = "SELECT count(*) FROM generate_series(1, 100000) a, \
                   generate_series(1, 100000) b, generate_series(1, 1000) c";
    let answer = server.client.sql("d", endless);
    assert!(answer.status >= 400, "{}", answer.text());
    assert_eq!(server.client.count("d", "m"), 1);
}

/// Nothing is handed on in such a join, and it takes hours.
#[test]
fn queries_that_never_pause_end_at_their_deadline_and_hold_up_nobody() {
    let server =
        Setup::memory().with(&["--query-timeout", "2s", "--num-datafusion-threads", "1"]).start();
    let client = &server.client;
    client.must_write("d", "m f=1 1");
    let numbers = "generate_series(1, 3000000)";
    let never =
        format!("SELECT count(*) FROM {numbers} a JOIN {numbers} b ON a.value + b.value < 0");
    std::thread::scope(|scope| {
        let stuck: Vec<_> = (0..2).map(|_| scope.spawn(|| client.sql("d", &never))).collect();
        while !stuck.iter().all(|query| query.is_finished()) {
            assert_eq!(client.count("d", "m"), 1);
        }
        for query in stuck {
            let answer = query.join().expect("an answer");
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.text().contains("ran longer than 2s"), "{}", answer.text());
        }
    });
    assert_eq!(client.count("d", "m"), 1);
}

#[test]
fn a_query_ends_when_its_reader_takes_nothing() {
    let server = Setup::memory().with(&["--query-idle-timeout", "200ms"]).start();
    let client = &server.client;
    client.must_write("d", "m f=1 1");
    let many = "SELECT value, repeat('x', 1000) FROM generate_series(1, 1000000)";
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", many)]);
    let mut reader =
        TcpStream::connect(client.base().trim_start_matches("http://")).expect("a connection");
    write!(reader, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let phase = "SELECT phase FROM system.queries WHERE query_text LIKE '%generate_series%' \
                 AND query_text NOT LIKE '%phase%'";
    eventually("the query has ended", || {
        (client.rows("d", phase) == json!([{"phase": "fail"}])).then_some(())
    });
    let mut taken = Vec::new();
    reader.read_to_end(&mut taken).ok();
    assert!(taken.starts_with(b"HTTP/1.1 200") && !taken.ends_with(b"]"), "it was cut short");
}

#[test]
fn the_newest_rows_by_a_tag_that_older_rows_do_not_know() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m,a=x f=1 1");
    let by_a = "SELECT DISTINCT ON (a) f FROM m ORDER BY a, time DESC";
    assert_eq!(client.rows("d", by_a), json!([{"f": 1.0}])); // these rows are sorted now
    client.must_write("d", "m,a=y,b=z f=2 100000000000000");
    let by_b = "SELECT DISTINCT ON (b) f FROM m ORDER BY b, time DESC";
    for _ in 0..2 {
        assert_eq!(client.rows("d", by_b), json!([{"f": 2.0}, {"f": 1.0}]));
    }
}
