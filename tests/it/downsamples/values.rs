//! What is computed, and when it is computed anew.

use super::{DB, T0, WIDTH, create, direct, must_be_idle, must_keep_up, status, switch, write};
use crate::support::eventually;
use crate::support::server::Server;
use serde_json::{Value, json};

/// Rows of all types in many intervals, before 1970 as well; some tags and fields are missing.
fn varied() -> String {
    let mut lines = Vec::new();
    for n in 0_i64..400 {
        let time_ns = (n - 200) * 97 * 1_000_000_000 + n;
        let mut tags = String::new();
        if n % 3 > 0 {
            tags += &format!(r",host=a\ \\{}", n % 5);
        }
        if n % 4 > 0 {
            tags += ",x\\,\\=y=é";
        }
        let (float, text) = ((n % 17) as f64 * 0.25 - 2.0, n % 7);
        let mut fields = format!("f={float},i={}i,u={}u", n - 100, n * 3);
        if n % 2 == 0 {
            fields += &format!(",s=\"a \\\"{text}\",\"q\"={}", n % 3 == 0);
        }
        lines.push(format!("fi\\ ne{tags} {fields} {time_ns}"));
    }
    lines.join("\n")
}

#[test]
fn each_aggregate_is_what_a_query_says() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write(DB, &varied());
    let all = ["avg", "min", "max", "sum", "count", "median", "stddev", "first", "last"];
    let more = json!({"table": "fi ne", "to": "co,ar se", "aggregates": all, "backfill": true});
    create(client, &more);
    let mut asked = Vec::new();
    for (field, is_number) in
        [("f", true), ("i", true), ("u", true), ("s", false), ("\"q\"", false)]
    {
        let field = field.replace('"', "\"\"");
        for of in all {
            let value = match of {
                "avg" | "sum" | "min" | "max" if is_number => format!("{of}(\"{field}\")"),
                "median" | "stddev" if is_number => format!("{of}(\"{field}\"::double)"),
                "count" => format!("count(\"{field}\")"),
                "first" | "last" => format!("selector_{of}(\"{field}\", time)['value']"),
                _ => continue,
            };
            asked.push((format!("\"{field}_{of}\""), value));
        }
    }
    // The last bits of what is added up depend on the order.
    let rounded = |name: &str, value: &str| match name.contains("stddev") {
        true => format!("round({value}, 6) AS {name}"),
        false => format!("{value} AS {name}"),
    };
    let values: Vec<String> = asked.iter().map(|(name, value)| rounded(name, value)).collect();
    let names: Vec<String> = asked.iter().map(|(name, _)| rounded(name, name)).collect();
    let expected = client.rows(
        DB,
        &format!(
            "SELECT date_bin(INTERVAL '10 minutes', time) AS time, host, \"x,=y\", {} \
             FROM \"fi ne\" GROUP BY 1, 2, 3 ORDER BY time, host, \"x,=y\"",
            values.join(", ")
        ),
    );
    assert!(expected.as_array().expect("rows").len() > 200);
    let ask = format!(
        "SELECT time, host, \"x,=y\", {} FROM \"co,ar se\" ORDER BY time, host, \"x,=y\"",
        names.join(", ")
    );
    let mut shown = Value::Null;
    eventually("all is computed", || {
        let answer = client.sql(DB, &ask);
        shown = if answer.status == 200 { answer.json() } else { answer.text().into() };
        let percent = status(client)["backfill_percent"].as_f64();
        (percent == Some(100.0)).then_some(())
    });
    assert_eq!(client.rows(DB, &ask), expected);
    assert_eq!(status(client)["last_error"], Value::Null);
    // Text has no mean.
    let answer = client.sql(DB, "SELECT s_avg FROM \"co,ar se\"");
    assert!(answer.text().contains("s_avg"), "{}", answer.text());
    assert_eq!(answer.status, 400);
}

#[test]
fn late_rows_and_later_fields_make_their_intervals_be_computed_anew() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0)]);
    // What was there before is not wanted.
    create(client, &json!({}));
    write(client, &[("a", WIDTH, 1.0), ("b", WIDTH + 1, 2.0)]);
    eventually("new rows are computed", || (client.count(DB, "coarse") == 2).then_some(()));
    let rows = client.rows(DB, "SELECT DISTINCT time FROM coarse");
    assert_eq!(rows, json!([{"time": "2023-11-14T22:20:00"}]));
    // A row in the interval that was left out: it is computed of all its rows.
    write(client, &[("a", 1, 5.0), ("a", WIDTH + 2, 9.0), ("c", 7 * WIDTH, 1.0)]);
    must_keep_up(client);
    // The value of a row is corrected.
    write(client, &[("a", 0, 3.0)]);
    must_keep_up(client);
    client.must_write(DB, &format!("fine,host=a,rack=r w=4i {}", T0 * 1_000_000_000));
    eventually("a new field and a new tag are taken up", || {
        let answer = client.sql(DB, "SELECT w_avg FROM coarse WHERE rack = 'r'");
        (answer.status == 200 && answer.json() == json!([{"w_avg": 4.0}])).then_some(())
    });
    must_be_idle(client);
    let status = status(client);
    assert_eq!(status["backfill_percent"], Value::Null);
    assert!(status["rows_written"].as_u64() >= Some(6), "{status}");
}

#[test]
fn an_interval_that_is_not_over_waits() {
    let server = Server::memory();
    let client = &server.client;
    let now = chrono::Utc::now().timestamp();
    write(client, &[("a", 0, 1.0)]);
    client.must_write(DB, &format!("fine,host=a v=1 {}", now * 1_000_000_000));
    create(client, &json!({"interval": "1d", "offset": "1d", "backfill": true}));
    eventually("what is over is computed", || (client.count(DB, "coarse") == 1).then_some(()));
    must_be_idle(client);
    assert_eq!(client.count(DB, "coarse"), 1);
    let sql = "SELECT complete_through <= now() - INTERVAL '1 day' FROM system.downsamples";
    assert_eq!(client.value(DB, sql), true);
}

#[test]
fn what_is_computed_again_changes_nothing() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0), ("b", 1, 2.0), ("a", 9 * WIDTH, 3.0)]);
    create(client, &json!({"backfill": true}));
    must_keep_up(client);
    switch(client, "DELETE", "", "fine_to_coarse");
    create(client, &json!({"backfill": true}));
    eventually("it is computed again", || {
        (status(client)["rows_written"].as_u64() >= Some(3)).then_some(())
    });
    must_keep_up(client);
    assert_eq!(client.count(DB, "coarse"), 3);
}

#[test]
fn history_is_taken_from_where_it_is_wanted() {
    let server = Server::memory();
    let client = &server.client;
    let later = [("a", WIDTH, 2.0), ("a", WIDTH + 5, 4.0), ("a", 2 * WIDTH, 7.0)];
    write(client, &[&[("a", 0, 1.0)], &later[..]].concat());
    // The interval is computed of all its rows.
    create(client, &json!({"from": (T0 + WIDTH + 1) * 1_000_000_000}));
    eventually("history is done", || (status(client)["backfill_percent"] == 100.0).then_some(()));
    let rows = client.rows(DB, "SELECT v_avg FROM coarse ORDER BY time");
    assert_eq!(rows, json!([{"v_avg": 3.0}, {"v_avg": 7.0}]));
}

#[test]
fn a_coarse_table_feeds_a_coarser_one() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0), ("a", WIDTH, 3.0), ("b", WIDTH, 5.0)]);
    create(client, &json!({"backfill": true}));
    must_keep_up(client);
    create(
        client,
        &json!({"table": "coarse", "to": "coarser", "interval": "1d", "aggregates": ["max"],
                "backfill": true}),
    );
    let asked = "SELECT host, v_avg_max FROM coarser ORDER BY host";
    let must_be = |expected: Value| {
        eventually("the coarser table keeps up", || {
            let answer = client.sql(DB, asked);
            (answer.status == 200 && answer.json() == expected).then_some(())
        });
    };
    must_be(json!([{"host": "a", "v_avg_max": 3.0}, {"host": "b", "v_avg_max": 5.0}]));
    write(client, &[("a", 1, 99.0)]);
    must_be(json!([{"host": "a", "v_avg_max": 50.0}, {"host": "b", "v_avg_max": 5.0}]));
}

#[test]
fn deleted_rows_do_not_count() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0), ("a", 60, 9.0), ("b", 60, 4.0), ("a", WIDTH, 2.0)]);
    create(client, &json!({"backfill": true}));
    must_keep_up(client);
    let delete = json!({
        "db": DB, "table": "fine", "min_time": (T0 + 30) * 1_000_000_000,
        "max_time": (T0 + 90) * 1_000_000_000,
    });
    assert_eq!(client.json("POST", "/api/v3/row_delete_requests", &delete).status, 201);
    let of_a = "SELECT v_avg FROM coarse WHERE host = 'a' ORDER BY time LIMIT 1";
    eventually("the interval is computed anew", || (client.value(DB, of_a) == 1.0).then_some(()));
    // Nothing is left of `b`, and nothing takes its row away.
    assert_eq!(client.count(DB, "coarse"), 3);
    let path = "/api/v3/row_delete_requests/1/abort";
    assert_eq!(client.json("POST", path, &json!({})).status, 200);
    must_keep_up(client);
}

#[test]
fn retention_of_the_fine_table_leaves_the_coarse_one_alone() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("long", "other f=1 1");
    let minutes_ago = |minutes: i64| {
        (chrono::Utc::now().timestamp() / WIDTH * WIDTH - minutes * 60) * 1_000_000_000
    };
    let (old, young) = (minutes_ago(240), minutes_ago(60));
    client.must_write(DB, &format!("fine,host=a v=1 {old}\nfine,host=a v=2 {}", old + 1));
    create(client, &json!({"to_db": "long", "backfill": true}));
    eventually("all is computed", || (client.count("long", "coarse") == 1).then_some(()));
    let period = json!({"db": DB, "retention_period": "2h"});
    let path = "/api/v3/configure/database";
    assert_eq!(client.json("PUT", path, &period).status, 200);
    assert_eq!(direct(client, DB), json!([]), "the rows are past their time");
    client.must_write(DB, &format!("fine,host=a v=7 {}\nfine,host=a v=8 {young}", old + 2));
    eventually("the young row is computed", || (client.count("long", "coarse") == 2).then_some(()));
    must_be_idle(client);
    let counts = client.rows("long", "SELECT v_count FROM coarse ORDER BY time");
    assert_eq!(counts, json!([{"v_count": 2}, {"v_count": 1}]));
    // What is kept for less than an interval cannot be computed.
    create(client, &json!({"to_db": "long", "to": "days", "interval": "1d", "name": "z"}));
    let sql = "SELECT state, last_error FROM system.downsamples WHERE name = 'z'";
    eventually("it says why it does nothing", || {
        let row = client.rows(DB, sql)[0].clone();
        let why = row["last_error"].as_str()?.contains("shorter than the interval");
        (why && row["state"] == "failing").then_some(())
    });
}
