//! Refused queries: what status, what text; and none takes the server down.

use crate::support::client::{Client, with_query};
use crate::support::server::Server;
use serde_json::json;

/// A GET with these parameters, its status and a part of its text.
#[track_caller]
fn check(client: &Client, parameters: &[(&str, &str)], status: u16, part: &str) {
    let answer = client.get(&with_query("/api/v3/query_sql", parameters));
    let text = answer.text();
    assert_eq!(answer.status, status, "{parameters:?}: {text}");
    assert!(text.contains(part), "{parameters:?}: {text}");
}

#[test]
fn parameters_are_checked() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m f=1 1");
    let none = client.get("/api/v3/query_sql");
    assert_eq!((none.status, none.text().as_str()), (400, "missing query parameters 'db' and 'q'"));
    check(client, &[("db", "d")], 400, "serde error: missing field `q`");
    check(client, &[("q", "SELECT 1")], 400, "serde error: missing field `db`");
    check(
        client,
        &[("db", "d"), ("q", "SELECT 1"), ("format", "bogus")],
        400,
        "serde error: unknown variant `bogus`, expected one of \
         `parquet`, `csv`, `pretty`, `json`, `json_lines`, `jsonl`",
    );
    let unknown = client.sql("nope", "SELECT 1");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json(), json!({"error": "query error: database not found: nope"}));

    for (body, text) in [
        ("", "serde json error: EOF while parsing a value at line 1 column 0"),
        ("x", "serde json error: expected value at line 1 column 1"),
        (r#"{"db":"foo"}"#, "serde json error: missing field `q` at line 1 column 12"),
        (r#"{"db":"d","q":"SELECT 1","params":"x"}"#, "expected a map"),
        (
            r#"{"db":"d","q":"SELECT 1","params":{"a":[1]}}"#,
            "JSON arrays are not supported as query parameters",
        ),
        (
            r#"{"db":"d","q":"SELECT 1","params":{"a":{}}}"#,
            "JSON objects are not supported as query parameters",
        ),
        (r#"{"db":"d","q":"SELECT 1","format":"bogus"}"#, "unknown variant `bogus`"),
    ] {
        let answer = client.post("/api/v3/query_sql", body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.text().contains(text), "{body}: {}", answer.text());
    }
    let broken = [("db", "d"), ("q", "SELECT $a"), ("params", "{")];
    check(client, &broken, 400, "serde json error: ");
    let missing = "No value found for placeholder with name $a";
    check(client, &[("db", "d"), ("q", "SELECT $a")], 400, missing);
}

#[test]
fn statements_at_fault_are_400() {
    let server = Server::memory();
    server.client.must_write("d", "m,t=a f=1,s=\"x\" 1");
    let check = |sql: &str, status: u16, part: &str| {
        check(&server.client, &[("db", "d"), ("q", sql)], status, part);
    };
    check("SELEC 1", 400, "syntax error at line 1, column 1: expected an SQL statement");
    check("", 400, "No SQL statements were provided in the query string");
    let single = "The context currently only supports a single SQL statement";
    check("SELECT 1; SELECT 2", 405, single);
    check("SELECT * FROM nope", 400, "table 'public.iox.nope' not found");
    check("SELECT nope FROM m", 400, "No field named nope");
    check("SELECT nosuch(f) FROM m", 400, "Invalid function 'nosuch'");
    check("DROP TABLE m", 400, "Error during planning: DDL not supported: DropTable");
    check("CREATE TABLE x AS SELECT 1", 400, "DDL not supported: CreateMemoryTable");
    check("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc'", 400, "DDL not supported");
    check("INSERT INTO m SELECT * FROM m", 400, "DML not supported: Insert");
    check("DELETE FROM m", 400, "DML not supported: Delete");
    check("COPY m TO '/tmp/x.csv'", 400, "DML not supported: COPY");
    check("SET a = 1", 400, "Statement not supported: SetVariable");
    check("SELECT * FROM m WHERE time > 'yesterday'", 400, "Error parsing timestamp");
    check("SELECT 1/0", 400, "Divide by zero");
    check("SELECT CAST(s AS BIGINT) FROM m", 400, "Cannot cast");
    check("SELECT * FROM '/etc/passwd'", 400, "not found");
    assert_eq!(server.client.count("d", "m"), 1);
}

#[test]
fn hostile_statements_are_refused_and_the_server_goes_on() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    let nested = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    let sums = |count: usize| format!("SELECT 1{}", "+1".repeat(count));
    let ors = |count: usize| format!("SELECT f FROM m WHERE f = 0{}", " OR f = 1".repeat(count));
    for statement in [nested(1_000), nested(100_000), sums(20_000), sums(200_000), ors(50_000)] {
        let body = json!({"db": "d", "q": statement}).to_string();
        let answer = server.client.post("/api/v3/query_sql", body);
        let begin = &statement[..20];
        // A deep statement may be planned or refused, but neither crash nor fail inside.
        assert!(answer.status < 500, "{begin}: {} {}", answer.status, answer.text());
        assert_eq!(server.client.count("d", "m"), 1, "after {begin}");
    }
}

#[test]
fn a_client_that_leaves_cancels_its_query() {
    use std::io::Write;
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    let endless = "SELECT count(*) FROM generate_series(1, 100000) a, \
                   generate_series(1, 100000) b, generate_series(1, 1000) c";
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", endless)]);
    let address = server.client.base().trim_start_matches("http://");
    for _ in 0..4 {
        let mut socket = std::net::TcpStream::connect(address).expect("a connection");
        write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    }
    // More of them than there are cores, so that any that stayed would be in the way.
    for _ in 0..20 {
        assert_eq!(server.client.count("d", "m"), 1);
    }
}
