//! InfluxQL over `/api/v3/query_influxql`.

use crate::support::client::{Client, with_query};
use crate::support::server::Server;

/// Rows of several types and times, some of them missing.
pub(crate) const LINES: &str = "\
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

/// What a statement is answered, as CSV. Times of the day of the data are written short.
fn asked(client: &Client, q: &str) -> (u16, String) {
    let path = with_query("/api/v3/query_influxql", &[("db", "iq"), ("q", q), ("format", "csv")]);
    let answer = client.get(&path);
    (answer.status, answer.text().replace("2065-01-07T", ""))
}

#[track_caller]
fn check(client: &Client, q: &str, rows: &str) {
    let q = q.replace("‹T›", "time >= '2065-01-07T17:00:00Z' AND time < '2065-01-07T17:01:30Z'");
    let (status, text) = asked(client, &q);
    assert_eq!((status, text.as_str()), (200, rows), "{q}");
}

#[test]
fn fields_of_rows_by_time_and_tag() {
    let server = Server::memory();
    server.client.must_write("iq", LINES);
    check(
        &server.client,
        "SELECT f64, tag0 FROM m0 WHERE tag0 = 'val02' AND time < '2065-01-07T17:00:30Z'",
        "iox::measurement,time,f64,tag0\nm0,17:00:00,11.2,val02",
    );
    check(
        &server.client,
        "SELECT u64, str FROM m0",
        "iox::measurement,time,u64,str\nm0,17:00:00,,hi\nm0,17:00:00,,lo\nm0,17:00:10,,hi\n\
         m0,17:00:30,5,\nm0,17:01:10,7,",
    );
    assert_eq!(asked(&server.client, "SELECT f64 FROM nope").0, 200);
}
