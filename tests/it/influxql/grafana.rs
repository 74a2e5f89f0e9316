//! What Grafana asks: its queries of panels, with `$__interval` and `$timeFilter` expanded, of
//! variables, annotations and the editor.

use crate::support::client::{Client, with_query};
use crate::support::server::Server;
use serde_json::{Value, json};

const LINES: &str = "\
cpu,host=a.b,region=x usage=10.5,n=0i 1600000000000000000
cpu,host=c/d,region=y usage=20.5 1600000005000000000
cpu,host=a.b,region=x usage=11.5,n=1i 1600000060000000000
cpu,host=c/d,region=y usage=21.5 1600000065000000000
cpu,host=a.b,region=x usage=13.5,n=2i 1600000180000000000
events,host=a.b title=\"deploy 1\",text=\"it's done\" 1600000000000000000
events,host=a.b title=\"deploy 2\",text=\"it's done\" 1600000060000000000";

fn asked(client: &Client, q: &str, more: &[(&str, &str)]) -> Value {
    let parameters = [&[("db", "metrics"), ("epoch", "ms"), ("q", q)], more].concat();
    let answer = client.get(&with_query("/query", &parameters));
    assert_eq!(answer.status, 200, "{q}: {}", answer.text());
    answer.json()["results"][0]["series"].clone()
}

fn server() -> Server {
    let server = Server::memory();
    server.client.must_write("metrics", LINES);
    server
}

#[test]
fn panels() {
    let server = server();
    let between = "time >= 1600000000000ms and time <= 1600000200000ms";
    let q = format!(
        "SELECT mean(\"usage\") FROM \"cpu\" WHERE (\"host\"::tag =~ /^(a\\.b|c\\/d)$/) AND \
         {between} GROUP BY time(1m), \"host\"::tag fill(null) ORDER BY time ASC"
    );
    let windows = |values: [Value; 5]| {
        let starts = [1_599_999_960_000_i64, 1_600_000_020_000, 1_600_000_080_000];
        let starts = starts.into_iter().chain([1_600_000_140_000, 1_600_000_200_000]);
        starts.zip(values).map(|(start, value)| json!([start, value])).collect::<Vec<_>>()
    };
    let (a, c) = ("a.b", "c/d");
    let none = Value::Null;
    let of = |host: &str, values: [Value; 5]| {
        json!({"name": "cpu", "tags": {"host": host}, "columns": ["time", "mean"],
               "values": windows(values)})
    };
    let expected = json!([
        of(a, [json!(10.5), json!(11.5), none.clone(), json!(13.5), none.clone()]),
        of(c, [json!(20.5), json!(21.5), none.clone(), none.clone(), none.clone()]),
    ]);
    assert_eq!(asked(&server.client, &q, &[]), expected);
    // The same in pieces: each is a line of its own.
    let parameters = [("db", "metrics"), ("epoch", "ms"), ("chunked", "true"), ("q", q.as_str())];
    let pieces = server.client.get(&with_query("/query", &parameters)).text();
    let series: Vec<Value> = pieces
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|piece| piece["results"][0]["series"][0].clone())
        .collect();
    assert_eq!(json!(series), expected);

    let q = format!(
        "SELECT mean(\"usage\") AS \"as named\", last(\"n\") FROM \"autogen\".\"cpu\" WHERE \
         (\"region\" = 'x') AND {between} GROUP BY time(2m) fill(previous)"
    );
    assert_eq!(
        asked(&server.client, &q, &[]),
        json!([{"name": "cpu", "columns": ["time", "as named", "last"], "values": [
            [1_599_999_960_000_i64, 11, 1], [1_600_000_080_000_i64, 13.5, 2],
            [1_600_000_200_000_i64, 13.5, 2]]}])
    );
    let q = format!(
        "SELECT non_negative_derivative(mean(\"usage\"), 1m) / 2 FROM \"cpu\" WHERE \"host\" = \
         'a.b' AND {between} GROUP BY time(1m) fill(none)"
    );
    assert_eq!(
        asked(&server.client, &q, &[])[0]["values"],
        json!([[1_600_000_020_000_i64, 0.5], [1_600_000_140_000_i64, 0.5]])
    );
    let q = format!("SELECT top(\"usage\", 1), \"host\" FROM \"cpu\" WHERE {between}");
    assert_eq!(
        asked(&server.client, &q, &[])[0]["values"],
        json!([[1_600_000_065_000_i64, 21.5, c]])
    );
}

#[test]
fn panels_with_several_queries_and_forms() {
    let server = server();
    let q = "SELECT count(\"n\") FROM \"cpu\" WHERE time >= 1600000000000ms and time <= \
             1600000200000ms;SELECT \"usage\" FROM \"cpu\" WHERE time > now() - 1h";
    let form = with_query("", &[("q", q)])[1..].to_owned();
    let path = with_query("/query", &[("db", "metrics"), ("epoch", "ms")]);
    let header = ("content-type", "application/x-www-form-urlencoded");
    let answer = server.client.send("POST", &path, &[header], form);
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["series"][0]["values"], json!([[1_600_000_000_000_i64, 3]]));
    assert_eq!(results[1], json!({"statement_id": 1}));
}

#[test]
fn variables_and_the_editor() {
    let server = server();
    let listed = |q: &str| {
        let series = asked(&server.client, q, &[]);
        let rows = series.as_array().into_iter().flatten();
        let rows = rows.flat_map(|series| series["values"].as_array().cloned().unwrap_or_default());
        rows.map(|row| row.as_array().and_then(|row| row.last().cloned())).collect::<Vec<_>>()
    };
    let all = |names: &[&str]| names.iter().map(|name| Some(json!(name))).collect::<Vec<_>>();
    for (q, expected) in [
        ("SHOW MEASUREMENTS LIMIT 100", &["cpu", "events"][..]),
        ("SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)CP/ LIMIT 100", &["cpu"]),
        ("SHOW TAG KEYS FROM \"cpu\"", &["host", "region"]),
        ("SHOW TAG KEYS FROM \"autogen\".\"cpu\"", &["host", "region"]),
        ("SHOW FIELD KEYS FROM \"cpu\"", &["integer", "float"]),
        (
            "SHOW TAG VALUES FROM \"cpu\" WITH KEY = \"host\" WHERE \"region\"::tag =~ /^x$/ AND \
             time > 0",
            &["a.b"],
        ),
        (
            "SHOW TAG VALUES WITH KEY IN (\"host\", \"region\") WHERE time > 0",
            &["a.b", "c/d", "x", "y", "a.b"],
        ),
        ("SHOW TAG VALUES FROM \"cpu\" WITH KEY = \"nope\" WHERE time > 0", &[]),
    ] {
        assert_eq!(listed(q), all(expected), "{q}");
    }
    let policies = asked(&server.client, "SHOW RETENTION POLICIES on \"metrics\"", &[]);
    assert_eq!(policies[0]["values"][0][0], json!("metrics"));
}

#[test]
fn annotations() {
    let server = server();
    let q = "SELECT \"title\", \"text\", \"host\" FROM \"events\" WHERE time >= 1600000000000ms and \
             time <= 1600000200000ms ORDER BY time DESC LIMIT 100";
    assert_eq!(
        asked(&server.client, q, &[])[0]["values"],
        json!([
            [1_600_000_060_000_i64, "deploy 2", "it's done", "a.b"],
            [1_600_000_000_000_i64, "deploy 1", "it's done", "a.b"]
        ])
    );
}
