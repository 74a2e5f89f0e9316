//! InfluxQL over `/api/v3/query_influxql` and `/query`.

mod aggregates;
mod grafana;
mod limits;
mod select;
mod show;
mod technical;
mod transformations;
mod version1;
mod windows;

use crate::support::client::with_query;
use crate::support::server::Server;

/// Rows of several types and times, some of them missing.
const LINES: &str = "\
m0,tag0=val00,tag1=x f64=10.1,i64=101i,str=\"hi\" 2998573200000000000
m0,tag0=val01,tag1=x f64=21.2,i64=211i 2998573200000000000
m0,tag0=val02 f64=11.2,i64=191i,str=\"lo\",b=true 2998573200000000000
m0,tag0=val00,tag1=x f64=11.2,i64=392i 2998573210000000000
m0,tag0=val01,tag1=y f64=19.2,i64=392i,str=\"hi\" 2998573210000000000
m0,tag0=val00,tag1=y f64=18.9,u64=5u 2998573230000000000
m0,tag0=val02 f64=9.5,i64=7i,b=false 2998573250000000000
m0,tag0=val01,tag1=x f64=20.1,i64=50i,u64=7u 2998573270000000000
m1,tag0=val00 f64=100.5,i64=1001i 2998573200000000000
m1,tag0=val00 f64=200.6,i64=2001i 2998573210000000000
m1,tag0=val02 f64=101.7,i64=2001i 2998573220000000000
m2,tag0=val00 i64=1.5,f64=3i,other=\"o\" 2998573205000000000";

/// What a result without rows is told as.
const EMPTY: &str = "";

/// A server with the rows in database `iq`.
fn server() -> Server {
    let server = Server::memory();
    server.client.must_write("iq", LINES);
    server
}

/// Statements in which the time of the rows is written short, with status and answer: CSV whose
/// numbers need not agree in the last digits, or a part of an error's text.
#[track_caller]
fn check(cases: &[(&str, u16, &str)]) {
    let server = server();
    for (q, status, expected) in cases {
        let range = "time >= '2065-01-07T17:00:00Z' AND time < '2065-01-07T17:01:30Z'";
        let q = q.replace("‹T›", range);
        let parameters = [("db", "iq"), ("q", q.as_str()), ("format", "csv")];
        let answer = server.client.get(&with_query("/api/v3/query_influxql", &parameters));
        let text = answer.text().replace("2065-01-07T", "");
        assert_eq!(answer.status, *status, "{q}: {text}");
        match *expected {
            EMPTY => assert!(text.lines().count() <= 1, "{q}: {text}"),
            part if *status != 200 => assert!(text.contains(part), "{q}: {text}"),
            rows => assert!(same_rows(rows, &text), "{q}:\n{text}\nexpected:\n{rows}"),
        }
    }
}

fn same_rows(expected: &str, found: &str) -> bool {
    let same_cell = |(a, b): (&str, &str)| {
        a == b
            || a.parse::<f64>()
                .ok()
                .zip(b.parse::<f64>().ok())
                .is_some_and(|(a, b)| (a - b).abs() <= a.abs() * 1e-9 && found.contains('.'))
    };
    let same_row = |(a, b): (&str, &str)| {
        a.split(',').count() == b.split(',').count()
            && a.split(',').zip(b.split(',')).all(same_cell)
    };
    expected.lines().count() == found.lines().count()
        && expected.lines().zip(found.lines()).all(same_row)
}

#[test]
fn databases_are_named_by_the_request_or_the_text() {
    let server = server();
    let ask = |parameters: &[(&str, &str)]| {
        let answer = server.client.get(&with_query("/api/v3/query_influxql", parameters));
        (answer.status, answer.text())
    };
    let one = "SELECT count(f64) FROM iq.autogen.m0";
    let rows = "[{\"iox::measurement\":\"m0\",\"time\":\"1970-01-01T00:00:00\",\"count\":8}]";
    assert_eq!(ask(&[("q", one)]), (200, rows.to_owned()));
    assert_eq!(ask(&[("db", "iq"), ("q", "SELECT count(f64) FROM iq..m0")]).0, 200);
    let (status, text) = ask(&[("db", "servers"), ("q", one)]);
    assert_eq!(status, 400);
    assert!(text.starts_with("provided a database in both the parameters (servers)"), "{text}");
    let (status, text) = ask(&[("q", "SHOW MEASUREMENTS")]);
    let missing = "must specify a 'db' parameter, or provide the database in the InfluxQL query";
    assert_eq!((status, text.as_str()), (400, missing));
    let (status, text) = ask(&[("db", "nope"), ("q", "SELECT v FROM m")]);
    let missing = "{\"error\":\"query error: database not found: nope\"}";
    assert_eq!((status, text.as_str()), (404, missing));
    for q in ["", "SELECT f64 FROM m0; SELECT i64 FROM m0"] {
        let told = "must provide only one InfluxQl statement per query".to_owned();
        assert_eq!(ask(&[("db", "iq"), ("q", q)]), (400, told));
    }
}

#[test]
fn what_is_far_too_much_is_refused_in_words() {
    let deep = format!("SELECT {}f64{} FROM m0", "(".repeat(2_000), ")".repeat(2_000));
    let long = (0..2_000).map(|n| format!("i64 = {n}")).collect::<Vec<_>>().join(" OR ");
    let long = format!("SELECT i64 FROM m0 WHERE {long}");
    let divided = format!("SELECT f64{} FROM m1 LIMIT 1", " / 1".repeat(200));
    check(&[
        (
            "SELECT mean(f64) FROM m0 WHERE time >= '2065-01-01' AND time < '2066-01-01' \
             GROUP BY time(1ns)",
            400,
            "makes 31535999999999999 windows of each series",
        ),
        (&deep, 400, "parsing error"),
        (
            &long,
            200,
            "iox::measurement,time,i64\nm0,17:00:00,101\nm0,17:00:00,211\n\
                      m0,17:00:00,191\nm0,17:00:10,392\nm0,17:00:10,392\nm0,17:00:50,7\n\
                      m0,17:01:10,50",
        ),
        (&divided, 200, "iox::measurement,time,f64\nm1,17:00:00,100.5"),
    ]);
}
