//! Plans that are used again.

use crate::support::client::with_query;
use crate::support::server::Server;
use serde_json::Value;
use std::collections::BTreeMap;

/// Statements that differ in their values share a plan, whatever rows there are by then.
#[test]
fn plans_are_used_again() {
    let server = Server::memory();
    let line = |n: i64| format!("m,host=h{} v={n}i {}\n", n % 3, n * 20_000_000_000);
    server.client.must_write("d", &(0..300).map(line).collect::<String>());
    let known = || {
        let known = server.client.metric("query_plans_total", &["known=\"physical\""]);
        known.unwrap_or(0.0)
    };
    let minutes = |from: i64| format!("time >= {}s AND time < {}s", from * 60, from * 60 + 1_200);
    let span = |from: i64| {
        let at = |minute: i64| format!("'1970-01-01T00:{minute:02}:00Z'");
        format!("time >= {} AND time < {}", at(from), at(from + 20))
    };
    let sql = |text: &str| server.client.rows("d", text);
    let influxql = |text: &str| {
        let parameters = [("db", "d"), ("q", text)];
        server.client.get(&with_query("/api/v3/query_influxql", &parameters)).json()
    };
    let check = |ask: &dyn Fn(i64) -> Value, expected: &dyn Fn(i64) -> Value| {
        let before = known();
        for from in [0, 7, 30, 1, 25] {
            assert_eq!(ask(from), expected(from), "{from}");
        }
        assert_eq!(known() - before, 3.0, "the last three of five of a shape");
    };
    let at = |from: i64| 3 * from..3 * (from + 20);
    let of = |host: i64, from: i64| at(from).filter(move |n| n % 3 == host);
    let host = |from: i64| from % 3;
    for late in [false, true] {
        if late {
            // Rows of the same keys, in reverse: what was in order has to be merged.
            let again = (0..300).rev().map(line).collect::<String>();
            server.client.must_write("d", &again);
        }
        check(
            &|from| {
                let shape = if late { "late" } else { "n" };
                sql(&format!(
                    "SELECT date_bin(INTERVAL '10 minutes', time) AS t, max(v) AS {shape} FROM m \
                     WHERE host = 'h{}' AND {} GROUP BY t ORDER BY {shape}",
                    host(from),
                    span(from)
                ))
                .as_array()
                .map(|rows| rows.iter().map(|row| row[shape].clone()).collect())
                .unwrap_or_default()
            },
            &|from| {
                let mut of_bins = BTreeMap::new();
                for n in of(host(from), from) {
                    of_bins.insert(n / 30, n);
                }
                of_bins.into_values().collect()
            },
        );
        check(
            &|from| {
                let shape = if late { "late" } else { "n" };
                influxql(&format!(
                    "SELECT sum(v) AS {shape} FROM m WHERE host = 'h{}' AND {} GROUP BY time(5m)",
                    host(from),
                    minutes(from)
                ))
                .as_array()
                .map(|rows| rows.iter().filter_map(|row| row[shape].as_i64()).sum::<i64>())
                .into()
            },
            &|from| of(host(from), from).sum::<i64>().into(),
        );
    }
}

/// What is left out because there is nothing to limit is there when there is something.
#[test]
fn plans_made_for_no_rows_do_for_many() {
    let server = Server::memory();
    let line = |n: i64| format!("m,host=h{} v={n}i {}\n", n % 3, n * 20_000_000_000);
    server.client.must_write("d", &(0..300).map(line).collect::<String>());
    let at = |seconds: i64| format!("'1970-01-01T00:{:02}:{:02}Z'", seconds / 60, seconds % 60);
    for shape in ["SELECT v / 100 AS n, count(*) FROM m", "SELECT v AS n, max(v) FROM m"] {
        // Nothing of the host, nothing between two rows, and then a lot.
        for (host, from, until) in [
            ("nowhere", 0, 3_000),
            ("nowhere", 0, 3_000),
            ("h1", 0, 3_000),
            ("h0", 62, 78),
            ("h0", 62, 78),
            ("h2", 0, 3_000),
        ] {
            let text = format!(
                "{shape} WHERE host = '{host}' AND time >= {} AND time < {} GROUP BY n LIMIT 1",
                at(from),
                at(until)
            );
            let rows = server.client.rows("d", &text).as_array().map(Vec::len);
            assert_eq!(rows, Some(usize::from(until == 3_000 && host != "nowhere")), "{text}");
        }
    }
}
