//! What one token may ask for at once, and what is left for the others.

use super::{client_with, server_with_operator, setup};
use crate::support::client::{Client, with_query};
use crate::support::eventually;
use std::io::{BufRead, BufReader, Read, Write};
use std::thread;

/// Works until it is told to stop.
const ENDLESS: &str =
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r";

fn ask(client: &Client, sql: &str) -> crate::support::client::Answer {
    client.get(&with_query("/api/v3/query_sql", &[("db", "d"), ("q", sql)]))
}

/// So many queries that do not end, and whose answers are their status.
fn flood(client: &Client, count: usize) -> Vec<thread::JoinHandle<u16>> {
    let one = |_| {
        let client = client.clone();
        thread::spawn(move || ask(&client, ENDLESS).status)
    };
    (0..count).map(one).collect()
}

/// Queries that run.
fn running(operator: &Client) -> usize {
    let sql =
        "SELECT count(*) AS n FROM system.queries WHERE running AND query_text LIKE 'WITH R%'";
    usize::try_from(operator.rows("d", sql)[0]["n"].as_u64().expect("a count")).expect("few")
}

#[test]
fn one_token_leaves_room_for_the_queries_of_others() {
    let options = ["--max-concurrent-queries", "10"];
    let (_server, operator) = server_with_operator(&setup().with(&options));
    operator.must_write("d", "m f=1 1");
    let flooder = client_with(&operator, "flooder", &["db:d:read"]);
    let other = client_with(&operator, "other", &["db:d:read"]);
    let floods = flood(&flooder, 30);
    eventually("the flood is as high as it gets", || (running(&operator) == 8).then_some(()));
    let refused = ask(&flooder, "SELECT 1");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.text());
    assert!(refused.text().contains("kept for others"), "{}", refused.text());
    for _ in 0..10 {
        let answer = ask(&other, "SELECT 1 AS one");
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"[{"one":1}]"#));
    }
    // What runs ends with the token.
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=flooder").status, 200);
    let mut ends: Vec<u16> = floods.into_iter().map(|flood| flood.join().expect("ends")).collect();
    ends.sort_unstable();
    assert_eq!(ends, [vec![401; 8], vec![429; 22]].concat());
}

#[test]
fn a_token_runs_as_many_queries_as_it_may() {
    let options = ["--token-max-queries", "2", "--query-timeout", "10s"];
    let (_server, operator) = server_with_operator(&setup().with(&options));
    operator.must_write("d", "m f=1 1");
    let user = client_with(&operator, "user", &["db:d:read"]);
    let floods = flood(&user, 2);
    eventually("both run", || (running(&operator) == 2).then_some(()));
    for path in ["/api/v3/query_sql", "/query"] {
        let q = if path == "/query" { "SELECT f FROM m" } else { "SELECT 1" };
        let refused = user.get(&with_query(path, &[("db", "d"), ("q", q)]));
        assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{path}");
        assert!(refused.text().contains("--token-max-queries"), "{}", refused.text());
    }
    assert_eq!(ask(&operator, "SELECT 1").status, 200, "another token");
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=user").status, 200);
    floods.into_iter().for_each(|flood| drop(flood.join()));
}

#[test]
fn a_token_has_as_many_requests_under_way_as_it_may() {
    let options = ["--token-max-requests", "2"];
    let (_server, operator) = server_with_operator(&setup().with(&options));
    operator.must_write("d", "m f=1 1");
    let user = client_with(&operator, "user", &["db:d:read,write"]);
    let floods = flood(&user, 2);
    eventually("both run", || (running(&operator) == 2).then_some(()));
    let refused = user.write("d", "m f=1 1");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.text());
    assert!(refused.text().contains("--token-max-requests"), "{}", refused.text());
    operator.must_write("d", "m f=1 1");
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=user").status, 200);
    floods.into_iter().for_each(|flood| drop(flood.join()));
    let next = client_with(&operator, "next", &["db:d:read,write"]);
    for _ in 0..10 {
        next.must_write("d", "m f=1 1");
    }
}

#[test]
fn a_token_writes_as_much_as_it_may() {
    let options = ["--token-write-bytes-per-second", "100"];
    let (_server, operator) = server_with_operator(&setup().with(&options));
    operator.must_write("d", "m f=1 1");
    let user = client_with(&operator, "user", &["db:d:write"]);
    let lines = |count: i32| (0..count).map(|n| format!("m f=1 {n}\n")).collect::<String>();
    // Larger than what is left, which is waited for afterwards.
    user.must_write("d", &lines(1_000));
    for (path, form) in [
        ("/api/v3/write_lp?db=d", "{\"error\":"),
        ("/write?db=d", "{\"error\":"),
        ("/api/v2/write?bucket=d", "{\"code\":\"too many requests\""),
    ] {
        let refused = user.post(path, "m f=1 1");
        assert_eq!(refused.status, 429, "{path}: {}", refused.text());
        assert!(refused.text().starts_with(form), "{path}: {}", refused.text());
        let after: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((10..200).contains(&after), "{path}: {after}");
    }
    operator.must_write("d", "m f=1 1");
    let body = crate::support::client::gzip(lines(1_000).as_bytes());
    let third = client_with(&operator, "third", &["db:d:write"]);
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(third.send("POST", "/write?db=d", &gzip, body).status, 204);
    assert_eq!(third.write("d", "m f=1 1").status, 429, "it counts decompressed");
}

/// A refusal costs both sides little: its connection is used again.
#[test]
fn whoever_is_refused_keeps_the_connection() {
    let (server, operator) = server_with_operator(&setup());
    let reader = super::limited(&operator, "reader", &["db:d:read"]);
    let address = server.client.base().strip_prefix("http://").expect("a URL").to_owned();
    let mut connection = std::net::TcpStream::connect(&address).expect("connected");
    let mut answers = BufReader::new(connection.try_clone().expect("a second handle"));
    for (path, token, status) in [
        ("/api/v3/write_lp?db=d", reader.as_str(), 403),
        ("/write?db=d", reader.as_str(), 403),
        ("/api/v2/write?bucket=d", "apiv3_unknown", 401),
        ("/api/v3/configure/token/named_admin", reader.as_str(), 403),
        ("/api/v3/configure/database", "apiv3_unknown", 401),
        ("/api/v3/write_lp?db=d", reader.as_str(), 403),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-length: 7\r\n\r\nm f=1 1"
        );
        connection.write_all(request.as_bytes()).expect("sent");
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.is_empty()) {
            let mut line = String::new();
            assert!(answers.read_line(&mut line).expect("an answer") > 0, "{path}: it has ended");
            lines.push(line.trim_end().to_ascii_lowercase());
        }
        assert!(lines[0].starts_with(&format!("http/1.1 {status} ")), "{path}: {lines:?}");
        assert!(!lines.contains(&"connection: close".to_owned()), "{path}: {lines:?}");
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").parse().expect("a number");
        answers.read_exact(&mut vec![0; length]).expect("a body");
    }
}
