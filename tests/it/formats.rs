//! Values of all kinds as clients get them, and plans.

use crate::support::client::{Client, with_query};
use crate::support::server::Server;
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn formatted(client: &Client, sql: &str, format: &str) -> (u16, Vec<u8>) {
    let parameters = [("db", "d"), ("q", sql), ("format", format)];
    let answer = client.get(&with_query("/api/v3/query_sql", &parameters));
    (answer.status, answer.body)
}

#[track_caller]
fn check(client: &Client, sql: &str, format: &str, expected: &str) {
    let (status, body) = formatted(client, sql, format);
    assert_eq!((status, String::from_utf8_lossy(&body).as_ref()), (200, expected), "{sql}");
}

const TYPES: &str = "\
ty,tag\\ one=a\\,b\\=c,t2=x i=9223372036854775807i,u=18446744073709551615u,f=1.0,b=true,s=\"he said \\\"hi\\\", ok\" 2998573200000000000
ty,tag\\ one=ü,t2=x i=-9223372036854775808i,u=0u,f=1e21,b=false,s=\"line1
line2\" 2998573201123456789
ty,t2=y f=-0.000001234,s=\"\" 2998573202500000000
ty f=100,i=5i 2998573203000001000";

/// Before the query runs, and by the name of the column.
#[test]
fn parquet_has_no_intervals() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    for sql in [
        "SELECT f, INTERVAL '1 month 2 days' AS i FROM m",
        "SELECT f, INTERVAL '1 day' AS i FROM m WHERE f > 9",
        "SELECT [INTERVAL '1 day'] AS i FROM m",
    ] {
        let (status, body) = formatted(&server.client, sql, "parquet");
        let text = "This feature is not implemented: Parquet has no type for column 'i', an \
                    interval of months, days and nanoseconds; cast it to text or ask for another \
                    format";
        assert_eq!((status, String::from_utf8_lossy(&body).as_ref()), (405, text), "{sql}");
    }
    let sql = "SELECT CAST(INTERVAL '1 month 2 days' AS STRING) AS i FROM m";
    assert_eq!(formatted(&server.client, sql, "parquet").0, 200);
}

/// Loaders that append files take the names of the columns from the first.
#[test]
fn empty_results_keep_their_header() {
    let server = Server::memory();
    server.client.must_write("d", "m,t=a f=1 1");
    for sql in
        ["SELECT * FROM m WHERE f > 5", "SELECT * FROM m LIMIT 0", "SELECT * FROM m WHERE false"]
    {
        check(&server.client, sql, "csv", "f,t,time\n");
        let table = "+---+---+------+\n| f | t | time |\n+---+---+------+\n+---+---+------+";
        check(&server.client, sql, "pretty", table);
        check(&server.client, sql, "json", "[]");
    }
    check(&server.client, "SELECT count(*) AS \"a,b\" FROM m HAVING false", "csv", "\"a,b\"\n");
}

#[test]
fn json_refuses_two_columns_of_one_name() {
    let server = Server::memory();
    server.client.must_write("d", "m,t=a f=1 1\nn,t=a g=2 1");
    let both = "SELECT m.time, n.time, f FROM m JOIN n ON m.t = n.t";
    for format in ["json", "jsonl"] {
        let (status, body) = formatted(&server.client, both, format);
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("two columns named 'time'") && text.contains("AS"), "{text}");
    }
    let time = "1970-01-01T00:00:00.000000001";
    check(&server.client, both, "csv", &format!("time,time,f\n{time},{time},1.0\n"));
    let apart = "SELECT m.time AS a, n.time AS b, f FROM m JOIN n ON m.t = n.t";
    let row = format!("[{{\"a\":\"{time}\",\"b\":\"{time}\",\"f\":1.0}}]");
    check(&server.client, apart, "json", &row);
}

#[test]
fn times_in_parquet_are_times_to_every_reader() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1700000000000000000");
    let sql = "SELECT arrow_cast(time, 'Timestamp(Second, None)') AS s, \
               arrow_cast(time, 'Date64') AS d, arrow_cast(time, 'Time32(Second)') AS t, \
               make_array(arrow_cast(time, 'Timestamp(Second, None)')) AS l, time FROM m";
    let (status, file) = formatted(&server.client, sql, "parquet");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&file));
    let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).expect("a file");
    for column in file.parquet_schema().columns() {
        assert!(column.logical_type_ref().is_some(), "{}", column.path());
    }
    let rows = file.build().expect("a reader").next().expect("a batch").expect("rows");
    let shown = pretty_format_batches(&[rows]).expect("text").to_string();
    assert_eq!(shown.matches("2023-11-14T22:13:20").count(), 4, "{shown}");
    assert!(shown.contains("2023-11-14T") && shown.contains("| 22:13:20"), "{shown}");
}

#[test]
fn stored_types() {
    let server = Server::memory();
    server.client.must_write("d", TYPES);
    check(
        &server.client,
        "SELECT * FROM ty ORDER BY time",
        "json",
        "[{\"b\":true,\"f\":1.0,\"i\":9223372036854775807,\"s\":\"he said \\\"hi\\\", ok\",\
         \"t2\":\"x\",\"tag one\":\"a,b=c\",\"time\":\"2065-01-07T17:00:00\",\
         \"u\":18446744073709551615},\
         {\"b\":false,\"f\":1.0e21,\"i\":-9223372036854775808,\"s\":\"line1\\nline2\",\
         \"t2\":\"x\",\"tag one\":\"ü\",\"time\":\"2065-01-07T17:00:01.123456789\",\"u\":0},\
         {\"f\":-1.234e-6,\"s\":\"\",\"t2\":\"y\",\"time\":\"2065-01-07T17:00:02.500\"},\
         {\"f\":100.0,\"i\":5,\"time\":\"2065-01-07T17:00:03.000001\"}]",
    );
    check(
        &server.client,
        "SELECT b, f, i, s, t2, time, u FROM ty ORDER BY time",
        "csv",
        "b,f,i,s,t2,time,u\n\
         true,1.0,9223372036854775807,\"he said \"\"hi\"\", ok\",x,2065-01-07T17:00:00,\
         18446744073709551615\n\
         false,1e21,-9223372036854775808,\"line1\nline2\",x,2065-01-07T17:00:01.123456789,0\n\
         ,-1.234e-6,,,y,2065-01-07T17:00:02.500,\n\
         ,100.0,5,,,2065-01-07T17:00:03.000001,\n",
    );
}

#[test]
fn computed_types() {
    let server = Server::memory();
    server.client.must_write("d", TYPES);
    let sql = "SELECT DATE '2024-02-29' AS d, INTERVAL '1 day 2 hours' AS iv, \
               arrow_cast(90061000000000,'Duration(Nanosecond)') AS du, make_array(1,2) AS ar, \
               named_struct('a',1,'b','x') AS st, X'00ff' AS bi, CAST(1.10 AS DECIMAL(10,2)) AS de, \
               tz(TIMESTAMP '2024-01-01T00:00:00','America/New_York') AS tz, NULL AS n, \
               1e300*1e300 AS inf";
    check(
        &server.client,
        sql,
        "json",
        "[{\"d\":\"2024-02-29\",\"iv\":\"1 days 2 hours\",\"du\":\"PT90061S\",\"ar\":[1,2],\
         \"st\":{\"a\":1,\"b\":\"x\"},\"bi\":\"00ff\",\"de\":1.10,\
         \"tz\":\"2023-12-31T19:00:00-05:00\",\"inf\":null}]",
    );
    check(
        &server.client,
        sql,
        "csv",
        "d,iv,du,ar,st,bi,de,tz,n,inf\n\
         2024-02-29,1 days 2 hours,PT90061S,\"[1, 2]\",\"{a: 1, b: x}\",00ff,1.10,\
         2023-12-31T19:00:00-05:00,,inf\n",
    );
    check(&server.client, "SELECT NULL AS n", "csv", "n\n\"\"\n");
    check(&server.client, "SELECT NULL AS n", "jsonl", "{}\n");
    let without_interval = sql.replace("INTERVAL '1 day 2 hours'", "'x'");
    let (status, file) = formatted(&server.client, &without_interval, "parquet");
    assert_eq!(status, 200);
    let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).expect("a file");
    assert_eq!(file.schema().fields().len(), 10);
    assert_eq!(
        file.build().expect("a reader").map(|b| b.expect("rows").num_rows()).sum::<usize>(),
        1
    );
}

#[test]
fn plans_are_shown() {
    let server = Server::memory();
    server.client.must_write("d", TYPES);
    let client = &server.client;
    let plan = client.rows("d", "EXPLAIN SELECT f FROM ty WHERE t2 = 'x'");
    let types: Vec<&str> =
        plan.as_array().expect("rows").iter().filter_map(|row| row["plan_type"].as_str()).collect();
    assert_eq!(types, ["logical_plan", "physical_plan"]);
    let plan = client.rows("d", "EXPLAIN ANALYZE SELECT count(*) FROM ty");
    assert_eq!(plan.as_array().map(Vec::len), Some(1), "{plan}");
    assert_eq!(plan[0]["plan_type"], "Plan with Metrics");
    assert!(plan[0]["plan"].as_str().is_some_and(|text| text.contains("metrics=[")), "{plan}");
    let plan = client.rows("d", "EXPLAIN VERBOSE SELECT f FROM ty");
    assert!(plan.as_array().is_some_and(|rows| rows.len() > 10), "{plan}");
    let plan = client.rows("d", "EXPLAIN FORMAT TREE SELECT f FROM ty ORDER BY f");
    assert!(plan.as_array().is_some_and(|rows| !rows.is_empty()), "{plan}");
}

/// A result of many batches is one document, whatever the format.
#[test]
fn long_results_are_whole() {
    let server = Server::memory();
    server.client.must_write("d", TYPES);
    let sql = "SELECT value, value * 0.5 AS half FROM generate_series(1, 100000) ORDER BY value";
    let (_, json) = formatted(&server.client, sql, "json");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((rows.len(), rows[99_999]["half"].as_f64()), (100_000, Some(50_000.0)));
    let (_, csv) = formatted(&server.client, sql, "csv");
    let csv = String::from_utf8(csv).expect("UTF-8");
    assert_eq!(csv.lines().count(), 100_001);
    assert!(csv.starts_with("value,half\n1,0.5\n") && csv.ends_with("\n100000,50000.0\n"));
    let (_, jsonl) = formatted(&server.client, sql, "jsonl");
    let jsonl = String::from_utf8(jsonl).expect("UTF-8");
    assert_eq!(jsonl.lines().count(), 100_000);
    assert_eq!(jsonl.lines().last(), Some(r#"{"value":100000,"half":50000.0}"#));
}
