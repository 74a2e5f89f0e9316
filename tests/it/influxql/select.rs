//! Rows as they were written: names, conditions, limits.

use super::{EMPTY, check};
use crate::support::client::with_query;
use crate::support::server::Server;
use serde_json::{Value, json};

#[test]
fn a_field_is_needed() {
    check(&[
        ("SELECT tag0 FROM m0", 200, EMPTY),
        ("SELECT time FROM m0", 200, EMPTY),
        ("SELECT *::tag FROM m0", 200, EMPTY),
        ("SELECT nope FROM m0", 200, EMPTY),
        ("SELECT f64 FROM nope", 200, EMPTY),
    ]);
}

#[test]
fn all_null_rows_vanish() {
    check(&[(
        "SELECT u64, str FROM m0",
        200,
        "iox::measurement,time,u64,str\nm0,17:00:00,,hi\nm0,17:00:00,,lo\n\
             m0,17:00:10,,hi\nm0,17:00:30,5,\nm0,17:01:10,7,",
    )]);
}

#[test]
fn names() {
    check(&[
        (
            "SELECT f64, f64, i64 AS b, f64 + i64, i64 / 2, nope FROM m0 WHERE tag0 = 'val00' AND f64 < 11",
            200,
            "iox::measurement,time,f64,f64_1,b,f64_i64,i64,nope\n\
             m0,17:00:00,10.1,10.1,101,111.1,50.5,",
        ),
        (
            "SELECT f64, tag0, time FROM m0 WHERE tag0 = 'val02'",
            200,
            "iox::measurement,time,f64,tag0\nm0,17:00:00,11.2,val02\nm0,17:00:50,9.5,val02",
        ),
        (
            "SELECT time AS t, f64 FROM m0 WHERE f64 > 20 LIMIT 1",
            200,
            "iox::measurement,t,f64\nm0,17:00:00,21.2",
        ),
        (
            "SELECT /64/ FROM m0 WHERE tag0 = 'val02'",
            200,
            "iox::measurement,time,f64,i64,u64\nm0,17:00:00,11.2,191,\nm0,17:00:50,9.5,7,",
        ),
    ]);
}

#[test]
fn group_by_a_tag_limit_offset() {
    check(&[
        (
            "SELECT f64 FROM m0 GROUP BY tag0 LIMIT 1 OFFSET 1",
            200,
            "iox::measurement,time,tag0,f64\nm0,17:00:10,val00,11.2\n\
             m0,17:00:10,val01,19.2\nm0,17:00:50,val02,9.5",
        ),
        (
            "SELECT f64 FROM m0 LIMIT 2 OFFSET 6",
            200,
            "iox::measurement,time,f64\nm0,17:00:50,9.5\nm0,17:01:10,20.1",
        ),
        (
            "SELECT f64, tag0 FROM m0 GROUP BY tag0 LIMIT 1",
            200,
            "iox::measurement,time,f64,tag0\nm0,17:00:00,10.1,val00\n\
             m0,17:00:00,21.2,val01\nm0,17:00:00,11.2,val02",
        ),
    ]);
}

#[test]
fn group_by_all_tags_missing_tag_last() {
    check(&[
        (
            "SELECT f64 FROM m0 GROUP BY *",
            200,
            "iox::measurement,time,tag0,tag1,f64\nm0,17:00:00,val00,x,10.1\n\
             m0,17:00:10,val00,x,11.2\nm0,17:00:30,val00,y,18.9\nm0,17:00:00,val01,x,21.2\n\
             m0,17:01:10,val01,x,20.1\nm0,17:00:10,val01,y,19.2\nm0,17:00:00,val02,,11.2\n\
             m0,17:00:50,val02,,9.5",
        ),
        (
            "SELECT mean(i64) FROM m0 GROUP BY tag1",
            200,
            "iox::measurement,time,tag1,mean\nm0,1970-01-01T00:00:00,x,188.5\n\
             m0,1970-01-01T00:00:00,y,392.0\nm0,1970-01-01T00:00:00,,99.0",
        ),
    ]);
}

#[test]
fn limit_counts_per_field() {
    check(&[
        (
            "SELECT f64, u64 FROM m0 WHERE tag0 != 'val02' LIMIT 2",
            200,
            "iox::measurement,time,f64,u64\nm0,17:00:00,10.1,\nm0,17:00:00,21.2,\n\
             m0,17:00:30,,5\nm0,17:01:10,,7",
        ),
        (
            "SELECT *::field FROM m0 WHERE tag0 = 'val00' LIMIT 2",
            200,
            "iox::measurement,time,b,f64,i64,str,u64\nm0,17:00:00,,10.1,101,hi,\n\
             m0,17:00:10,,11.2,392,,\nm0,17:00:30,,,,,5",
        ),
        (
            "SELECT f64, i64 FROM m0 WHERE tag0 = 'val00' LIMIT 1 OFFSET 1",
            200,
            "iox::measurement,time,f64,i64\nm0,17:00:10,11.2,392",
        ),
    ]);
}

#[test]
fn missing_tags_in_conditions() {
    check(&[
        (
            "SELECT f64 FROM m0 WHERE tag1 = ''",
            200,
            "iox::measurement,time,f64\nm0,17:00:00,11.2\nm0,17:00:50,9.5",
        ),
        (
            "SELECT count(f64) FROM m0 WHERE tag1 != ''",
            200,
            "iox::measurement,time,count\nm0,1970-01-01T00:00:00,6",
        ),
        (
            "SELECT f64 FROM m0 WHERE tag1 !~ /x/",
            200,
            "iox::measurement,time,f64\nm0,17:00:00,11.2\nm0,17:00:10,19.2\n\
             m0,17:00:30,18.9\nm0,17:00:50,9.5",
        ),
        (
            "SELECT f64 FROM m0 WHERE tag1 =~ /^$/",
            200,
            "iox::measurement,time,f64\nm0,17:00:00,11.2\nm0,17:00:50,9.5",
        ),
    ]);
}

#[test]
fn regular_expressions_unknown_columns_quotes() {
    check(&[
        (
            "SELECT f64 FROM m0 WHERE tag0 =~ /(?i)VAL0[12]/ AND str =~ /^h/",
            200,
            "iox::measurement,time,f64\nm0,17:00:10,19.2",
        ),
        ("SELECT f64 FROM m0 WHERE nope != 'x'", 200, EMPTY),
        ("SELECT f64 FROM m0 WHERE tag0 = \"val00\"", 200, EMPTY),
        ("SELECT f64 FROM m0 WHERE f64 =~ /1/", 200, EMPTY),
        (
            "SELECT f64 FROM m0 WHERE 'val02' = tag0",
            200,
            "iox::measurement,time,f64\nm0,17:00:00,11.2\nm0,17:00:50,9.5",
        ),
        ("SELECT f64 FROM m0 WHERE b", 200, "iox::measurement,time,f64\nm0,17:00:00,11.2"),
        (
            "SELECT f64 FROM m0 WHERE (f64 > 20 OR i64 = 7) AND tag1 = 'x'",
            200,
            "iox::measurement,time,f64\nm0,17:00:00,21.2\nm0,17:01:10,20.1",
        ),
    ]);
}

/// Rows of one time are in the order of their tags, whether there are few of them or many.
#[test]
fn rows_are_in_the_order_of_time_and_tags() {
    let server = Server::memory();
    let mut lines = String::new();
    for time in 0..3_000 {
        for host in ["b", "a", ""] {
            let tags = if host.is_empty() { String::new() } else { format!(",host={host}") };
            let value = if time % 3 == 0 { "other=1" } else { "v=2" };
            lines.push_str(&format!("m{tags} {value} {}000000000\n", 1_600_000_000 + time));
        }
    }
    server.client.must_write("d", &lines);
    for (first, seconds, order) in [(0, 3_000, "ASC"), (0, 3_000, "DESC"), (10, 20, "ASC")] {
        let (from, until) = (1_600_000_000 + first, 1_600_000_000 + first + seconds);
        let q = format!(
            "SELECT v, host FROM m WHERE time >= {from}s AND time < {until}s ORDER BY time {order}"
        );
        let path = with_query("/query", &[("db", "d"), ("epoch", "s"), ("q", &q)]);
        let answer = server.client.get(&path).json();
        let rows = answer["results"][0]["series"][0]["values"].as_array().cloned().expect("rows");
        let mut times: Vec<i64> = (from..until).filter(|t| (t - 1_600_000_000) % 3 != 0).collect();
        if order == "DESC" {
            times.reverse();
        }
        let hosts = [json!("a"), json!("b"), Value::Null];
        let all = times.iter().flat_map(|t| hosts.iter().map(move |host| json!([t, 2, host])));
        assert_eq!(rows, all.collect::<Vec<Value>>(), "{q}");
    }
}
