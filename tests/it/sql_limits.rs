//! Statements that are long, and limits that no waiting moves.

use crate::support::client::Client;
use crate::support::server::Server;
use serde_json::json;

fn server() -> Server {
    let server = Server::memory();
    server.client.must_write("d", "m,t=a v=1i,f=1.5 1\nm,t=b v=2i,f=2.5 2\nm,t=c v=3i 3");
    server
}

/// The one column of the answer, a value a line.
#[track_caller]
fn values(client: &Client, sql: &str) -> String {
    let body = json!({"db": "d", "q": sql, "format": "csv"}).to_string();
    let answer = client.post("/api/v3/query_sql", body);
    let begin: String = sql.chars().take(60).collect();
    assert_eq!(answer.status, 200, "{begin}: {}", answer.text());
    let text = answer.text();
    text.lines().skip(1).collect::<Vec<_>>().join(" ")
}

fn many(count: usize, separator: &str, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect::<Vec<_>>().join(separator)
}

#[test]
fn ten_thousand_terms_are_a_statement_like_any_other() {
    let server = server();
    let client = &server.client;
    let n = 10_000;
    let wheres = [
        (many(n, " OR ", |i| format!("v = {}", i + 2)), "b c"),
        (many(n, " OR ", |i| format!("t = 'x{i}'")) + " OR t = 'c'", "c"),
        (many(n, " OR ", |i| format!("(v = {i} AND t = 'b')")), "b"),
        (format!("v IN ({})", many(n, ", ", |i| (i + 3).to_string())), "c"),
        (format!("t NOT IN ({})", many(n, ", ", |i| format!("'{i}'"))), "a b c"),
        (format!("v = ANY(ARRAY[{}])", many(n, ", ", |i| (i + 2).to_string())), "b c"),
        (format!("CASE {} END > 2", many(n, " ", |i| format!("WHEN v = {i} THEN {i}"))), "c"),
        (many(1_000, " AND ", |i| format!("v <> {}", i + 3)), "a b"),
    ];
    for (condition, want) in wheres {
        let sql = format!("SELECT t FROM m WHERE {condition} ORDER BY t");
        assert_eq!(values(client, &sql), want, "{:.60}", condition);
    }
    let arms = many(n, " ", |i| format!("WHEN {i} THEN 'v{i}'"));
    let sql = format!("SELECT CASE v {arms} END AS c FROM m ORDER BY c");
    assert_eq!(values(client, &sql), "v1 v2 v3");
}

#[test]
fn long_sums_are_planned() {
    let server = server();
    let client = &server.client;
    let sql = format!("SELECT v + {} AS c FROM m ORDER BY c", many(200, " + ", |_| "1".to_owned()));
    assert_eq!(values(client, &sql), "201 202 203");
    let sql = format!("SELECT t || {} = 'a' AS c FROM m", many(200, " || ", |_| "''".to_owned()));
    assert_eq!(values(client, &sql), "true false false");
}

#[test]
fn a_limit_that_nothing_moves_is_422_and_named() {
    let server = server();
    let nested = |open: &str, close: &str, n: usize| {
        format!("SELECT {}1{}", open.repeat(n), close.repeat(n))
    };
    for (sql, name) in [
        (nested("(", ")", 1_000), "nested too deeply"),
        (nested("(", ")", 120), "nested too deeply"),
        (nested("cast(", " AS int)", 40), "nested too deeply"),
        (format!("SELECT 1{}", "+1".repeat(5_000)), "an expression may have"),
        (format!("SELECT 1{}", "+1".repeat(100_000)), "nested too deeply"),
        (format!("SELECT 1 WHERE 1=1{}", " OR 1=1".repeat(60_000)), "50000 ANDs and ORs"),
        (format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(2_000)), "1000 set operations"),
        (format!("SELECT 1 FROM m{}", " CROSS JOIN m".repeat(200)), "100 joined tables"),
        (format!("SELECT {}", many(6_000, ",", |i| format!("1 AS c{i}"))), "5000 items"),
    ] {
        let body = json!({"db": "d", "q": sql}).to_string();
        let answer = server.client.post("/api/v3/query_sql", body);
        let text = answer.text();
        assert_eq!(answer.status, 422, "{sql:.60}: {text}");
        assert!(text.contains(name) && text.contains("limit is fixed"), "{sql:.60}: {text}");
        assert_eq!(answer.header("retry-after"), "", "{sql:.60}");
    }
    assert_eq!(server.client.count("d", "m"), 3);
}
