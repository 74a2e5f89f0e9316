//! `/query`: requests and answers of version 1.

use super::server;
use crate::support::client::{Answer, Client, with_query};
use crate::support::server::Server;
use serde_json::{Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn ask(client: &Client, parameters: &[(&str, &str)]) -> Answer {
    client.get(&with_query("/query", parameters))
}

fn asked(client: &Client, q: &str) -> Value {
    let answer = ask(client, &[("db", "iq"), ("q", q)]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{q}");
    answer.json()
}

fn post(client: &Client, q: &str) -> Value {
    let answer =
        client.send("POST", "/query", &[FORM], with_query("", &[("q", q)])[1..].to_owned());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn series_by_tags_with_missing_ones_empty() {
    let server = server();
    assert_eq!(
        asked(&server.client, "SELECT f64 FROM m0 GROUP BY tag1 ORDER BY time DESC LIMIT 1"),
        json!({"results": [{"statement_id": 0, "series": [
            {"name": "m0", "tags": {"tag1": "x"}, "columns": ["time", "f64"],
             "values": [["2065-01-07T17:01:10Z", 20.1]]},
            {"name": "m0", "tags": {"tag1": "y"}, "columns": ["time", "f64"],
             "values": [["2065-01-07T17:00:30Z", 18.9]]},
            {"name": "m0", "tags": {"tag1": ""}, "columns": ["time", "f64"],
             "values": [["2065-01-07T17:00:50Z", 9.5]]},
        ]}]})
    );
    let nothing = json!({"results": [{"statement_id": 0}]});
    assert_eq!(asked(&server.client, "SELECT f64 FROM nope"), nothing);
    assert_eq!(asked(&server.client, ";"), json!({"results": []}));
}

#[test]
fn one_statement_fails_and_the_others_do_not() {
    let server = server();
    let answer = asked(
        &server.client,
        "SELECT f64 FROM m1 LIMIT 1; SELECT nope(f64) FROM m1; SELECT i64 FROM iq..m1 LIMIT 1",
    );
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results[0]["series"][0]["values"], json!([["2065-01-07T17:00:00Z", 100.5]]));
    let error = results[1]["error"].as_str().expect("an error");
    assert!(error.starts_with("datafusion error: rewriting statement\ncaused by\n"), "{error}");
    assert!(error.ends_with("Error during planning: unsupported function nope()"), "{error}");
    assert_eq!(results[2]["series"][0]["values"], json!([["2065-01-07T17:00:00Z", 1001]]));

    let answer = asked(&server.client, "SELECT f64 FROM m1; SELEC");
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), 1);
    let error = results[0]["error"].as_str().expect("an error");
    assert!(error.contains("parsing error: invalid InfluxQL statement at pos 20"), "{error}");
    let answer = ask(&server.client, &[("db", "nope"), ("q", "SELECT v FROM m")]).text();
    assert!(answer.contains("Cannot retrieve database: External error: database not found: nope"));
}

#[test]
fn times_in_units() {
    let server = server();
    let units = [
        ("ns", 2_998_573_200_000_000_000_i64),
        ("u", 2_998_573_200_000_000),
        ("µ", 2_998_573_200_000_000),
        ("ms", 2_998_573_200_000),
        ("s", 2_998_573_200),
        ("m", 49_976_220),
        ("h", 832_937),
        ("d", 34_705),
        ("w", 4_957),
    ];
    for (epoch, time) in units {
        let q = "SELECT f64 FROM m1 LIMIT 1 tz('Asia/Tokyo')";
        let answer = ask(&server.client, &[("db", "iq"), ("epoch", epoch), ("q", q)]).json();
        assert_eq!(answer["results"][0]["series"][0]["values"][0][0], json!(time), "{epoch}");
    }
    let zoned = asked(&server.client, "SELECT f64 FROM m1 LIMIT 1 tz('America/New_York')");
    let time = &zoned["results"][0]["series"][0]["values"][0][0];
    assert_eq!(time, &json!("2065-01-07T12:00:00-05:00"));
    let answer = ask(&server.client, &[("db", "iq"), ("epoch", "bogus"), ("q", "SELECT f FROM m")]);
    assert_eq!(answer.status, 400);
    let told = "error decoding params from url: unknown variant `bogus`";
    assert!(answer.json()["error"].as_str().is_some_and(|error| error.starts_with(told)));
}

#[test]
fn parts_of_a_chunked_answer() {
    let server = server();
    let chunked = |q: &str, rows: &str| {
        let parameters = [("db", "iq"), ("chunked", "true"), ("chunk_size", rows), ("q", q)];
        ask(&server.client, &parameters).text()
    };
    assert_eq!(
        chunked("SELECT f64 FROM m1", "2"),
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m1\",\"columns\":[\"time\",\
         \"f64\"],\"values\":[[\"2065-01-07T17:00:00Z\",100.5],[\"2065-01-07T17:00:10Z\",200.6]],\
         \"partial\":true}],\"partial\":true}]}\n{\"results\":[{\"statement_id\":0,\"series\":[{\
         \"name\":\"m1\",\"columns\":[\"time\",\"f64\"],\"values\":[[\"2065-01-07T17:00:20Z\",\
         101.7]]}]}]}"
    );
    assert_eq!(chunked("SELECT f64 FROM nope", "2"), "");
    let by_series = chunked("SELECT f64 FROM m0 GROUP BY tag0 LIMIT 1", "0");
    assert_eq!(by_series.matches("{\"results\":").count(), 3);
    assert_eq!(by_series.matches("\"partial\":true").count(), 2);
}

#[test]
fn other_forms_of_an_answer() {
    let server = server();
    let as_form = |accept: &str, q: &str| {
        let path = with_query("/query", &[("db", "iq"), ("q", q)]);
        server.client.send("GET", &path, &[("accept", accept)], "")
    };
    let csv = as_form(
        "application/csv",
        "SELECT f64 FROM m0 WHERE tag0 != 'val00' GROUP BY tag0,tag1; SELECT mean(i64) FROM m0",
    );
    assert_eq!(csv.header("content-type"), "application/csv");
    assert_eq!(
        csv.text(),
        "name,tags,time,f64\n\
         m0,\"tag0=val01,tag1=x\",2998573200000000000,21.2\n\
         m0,\"tag0=val01,tag1=x\",2998573270000000000,20.1\n\
         m0,\"tag0=val01,tag1=y\",2998573210000000000,19.2\n\
         m0,\"tag0=val02,tag1=\",2998573200000000000,11.2\n\
         m0,\"tag0=val02,tag1=\",2998573250000000000,9.5\n\n\
         name,tags,time,mean\nm0,,0,192"
    );
    assert_eq!(as_form("text/csv", "SELECT nope(f64) FROM m0").status, 400);
    let packed = as_form("application/x-msgpack", "SELECT f64 FROM m1 WHERE tag0 = 'val02'");
    assert_eq!(packed.header("content-type"), "application/x-msgpack");
    let mut expected = b"\x81\xa7results\x91\x82\xacstatement_id\x00\xa6series\x91\x83\xa4name\
                         \xa2m1\xa7columns\x92\xa4time\xa3f64\xa6values\x91\x92\xc7\x0c\x05"
        .to_vec();
    expected.extend_from_slice(&2_998_573_220_i64.to_be_bytes());
    expected.extend_from_slice(&[0, 0, 0, 0, 0xcb]);
    expected.extend_from_slice(&101.7_f64.to_be_bytes());
    assert_eq!(packed.body, expected);
    let refused = as_form("text/plain", "SELECT f64 FROM m1");
    assert_eq!(refused.text(), "{\"error\":\"invalid mime type (text/plain)\"}");
    let listed = as_form("application/json, text/plain, */*", "SELECT f64 FROM m1");
    assert_eq!(listed.status, 200);
}

/// What has to be complete before it leaves is put aside in pieces: all of them arrive, in one piece and
/// in several, with a rest and without.
#[test]
fn packed_answers_of_any_size_are_whole() {
    const ROWS: usize = 60_000;
    let server = Server::memory();
    let lines = (0..ROWS).map(|row| format!("m f={row}.5 {row}\n"));
    server.client.must_write("d", &lines.collect::<String>());
    // 25 bytes a row.
    for rows in [1_000, 20_000, 20_480, 21_504, 22_528, 30_000, 41_000, 42_000, 43_008, ROWS] {
        let q = format!("SELECT f FROM m LIMIT {rows}");
        let path = with_query("/query", &[("db", "d"), ("q", &q)]);
        let accept = [("accept", "application/x-msgpack")];
        let packed = server.client.send("GET", &path, &accept, "").body;
        let one = b"\xdd\0\0\0\x01";
        let mut expected = [
            b"\x81\xa7results".as_slice(),
            one,
            b"\x82\xacstatement_id\0\xa6series",
            one,
            b"\x83\xa4name\xa1m\xa7columns\x92\xa4time\xa1f\xa6values\xdd",
            &(rows as u32).to_be_bytes(),
        ]
        .concat();
        for row in 0..rows {
            expected.extend_from_slice(b"\x92\xc7\x0c\x05\0\0\0\0\0\0\0\0");
            expected.extend_from_slice(&(row as u32).to_be_bytes());
            expected.push(0xcb);
            expected.extend_from_slice(&(row as f64 + 0.5).to_be_bytes());
        }
        assert!(packed == expected, "{rows} rows: {} bytes of {}", packed.len(), expected.len());
    }
}

#[test]
fn numbers_that_json_does_not_have() {
    let server = server();
    let answer = asked(&server.client, "SELECT acos(f64), f64 FROM m1 LIMIT 1");
    let values = &answer["results"][0]["series"][0]["values"];
    assert_eq!(values, &json!([["2065-01-07T17:00:00Z", null, 100.5]]));
    let answer = asked(&server.client, "SELECT exp(f64 * 1000) FROM m1 LIMIT 1");
    assert_eq!(answer, json!({"error": "json: unsupported value: +Inf"}));
}

#[test]
fn what_dashboards_ask_first() {
    let server = server();
    let series = |q: &str| asked(&server.client, q)["results"][0]["series"].clone();
    assert_eq!(
        series("SHOW TAG KEYS"),
        json!([
            {"name": "m0", "columns": ["tagKey"], "values": [["tag0"], ["tag1"]]},
            {"name": "m1", "columns": ["tagKey"], "values": [["tag0"]]},
            {"name": "m2", "columns": ["tagKey"], "values": [["tag0"]]},
        ])
    );
    assert_eq!(
        series("SHOW RETENTION POLICIES on \"iq\""),
        json!([{"name": "retention_policies", "columns": ["name", "duration", "default"],
                "values": [["iq", "0s", true]]}])
    );
    assert_eq!(
        series("SHOW TAG VALUES FROM \"autogen\".\"m0\" WITH KEY = \"tag0\""),
        json!([{"name": "m0", "columns": ["key", "value"],
                "values": [["tag0", "val00"], ["tag0", "val01"], ["tag0", "val02"]]}])
    );
    assert_eq!(
        series("SHOW SERIES FROM m0"),
        json!([{"columns": ["key"], "values": [
            ["m0,tag0=val00,tag1=x"], ["m0,tag0=val00,tag1=y"], ["m0,tag0=val01,tag1=x"],
            ["m0,tag0=val01,tag1=y"], ["m0,tag0=val02"]
        ]}])
    );
    assert_eq!(
        series("SHOW SERIES CARDINALITY"),
        json!([{"columns": ["cardinality estimation"], "values": [[8]]}])
    );
    assert_eq!(
        series("SHOW SERIES EXACT CARDINALITY"),
        json!([
            {"name": "m0", "columns": ["count"], "values": [[5]]},
            {"name": "m1", "columns": ["count"], "values": [[2]]},
            {"name": "m2", "columns": ["count"], "values": [[1]]},
        ])
    );
    let databases = series("SHOW DATABASES");
    assert_eq!(databases[0]["name"], json!("databases"));
    assert_eq!(databases[0]["values"], json!([["_internal"], ["iq"]]));
    let answer = ask(&server.client, &[("q", "SHOW DATABASES")]);
    assert_eq!(answer.header("x-influxdb-version"), "3.10.0");
    assert_eq!(answer.header("x-influxdb-build"), "Core");
}

#[test]
fn requests_in_forms_and_texts() {
    let server = server();
    let count = json!([["1970-01-01T00:00:00Z", 3]]);
    let values = |answer: &Answer| answer.json()["results"][0]["series"][0]["values"].clone();
    let url = "/query?db=iq&q=SELECT+f64+FROM+m0";
    let form = "q=SELECT+count(f64)+FROM+m1";
    assert_eq!(values(&server.client.send("POST", url, &[FORM], form)), count);
    let bare = server.client.post("/query?db=iq", "SELECT count(f64) FROM m1");
    assert_eq!(values(&bare), count);
    let parameters = [
        ("db", "iq"),
        ("q", "SELECT count(f64) FROM m0 WHERE tag0 = $t AND f64 > $v"),
        ("params", "{\"t\":\"val00\",\"v\":1.5}"),
    ];
    assert_eq!(values(&ask(&server.client, &parameters)), count);
    let pretty = ask(&server.client, &[("db", "iq"), ("pretty", "true"), ("q", "SELECT x FROM y")]);
    let lines = "{\n  \"results\": [\n    {\n      \"statement_id\": 0\n    }\n  ]\n}";
    assert_eq!(pretty.text(), lines);
    let refused = [
        ("/query", "missing query parameters 'db' and 'q'"),
        ("/query?db=iq", "expected a query to be provided in the query string or body"),
        (
            "/query?db=iq&q=x&chunked=x",
            "error decoding params from url: provided string was not `true` or `false`",
        ),
    ];
    for (path, error) in refused {
        let answer = server.client.get(path);
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": error })), "{path}");
    }
}

#[test]
fn old_tools_make_databases_and_policies() {
    let server = Server::memory();
    let done = json!({"results": [{"statement_id": 0}]});
    assert_eq!(post(&server.client, "CREATE DATABASE foo WITH DURATION 7d"), done);
    assert_eq!(post(&server.client, "CREATE DATABASE foo"), done);
    assert_eq!(
        post(&server.client, "CREATE RETENTION POLICY bar ON foo DURATION 90d REPLICATION 1"),
        done
    );
    server.client.must_write("foo", "m v=1");
    server.client.must_write("foo/bar", "m v=2\nn v=3");
    let value = |parameters: &[(&str, &str)]| {
        let answer = ask(&server.client, parameters).json();
        answer["results"][0]["series"][0]["values"][0][1].clone()
    };
    let one = "SELECT last(v) FROM m";
    assert_eq!(value(&[("db", "foo"), ("q", one)]), json!(1));
    assert_eq!(value(&[("db", "foo"), ("rp", "autogen"), ("q", one)]), json!(1));
    assert_eq!(value(&[("db", "foo"), ("rp", "bar"), ("q", one)]), json!(2));
    assert_eq!(value(&[("q", "SELECT last(v) FROM foo.bar.m")]), json!(2));
    let policies = ask(&server.client, &[("db", "foo/bar"), ("q", "SHOW RETENTION POLICIES")]);
    let policies = policies.json()["results"][0]["series"][0]["values"].clone();
    assert_eq!(policies, json!([["foo/bar", "2160h0m0s", true]]));

    let answer = server.client.send("POST", "/query?db=foo/bar&q=DROP+MEASUREMENT+m", &[], "");
    assert_eq!(answer.json(), done);
    let left = ask(&server.client, &[("db", "foo/bar"), ("q", "SHOW MEASUREMENTS")]).json();
    assert_eq!(left["results"][0]["series"][0]["values"], json!([["n"]]));
    assert_eq!(post(&server.client, "DROP RETENTION POLICY bar ON foo"), done);
    assert_eq!(post(&server.client, "DROP DATABASE foo"), done);
    let left = post(&server.client, "SHOW DATABASES");
    assert_eq!(left["results"][0]["series"][0]["values"], json!([["_internal"]]));

    // A link that is followed must not change anything.
    let answer = ask(&server.client, &[("q", "CREATE DATABASE foo")]).text();
    assert!(answer.contains("send it with POST"), "{answer}");
    let either = "DELETE FROM m WHERE a = 'x' OR a = 'y'";
    let answer = post(&server.client, either).to_string();
    assert!(answer.contains("DELETE") || answer.contains("must specify"), "{answer}");
    let deleted = server.client.get(&with_query(
        "/api/v3/query_influxql",
        &[("db", "_internal"), ("q", "DROP MEASUREMENT m")],
    ));
    assert_eq!(deleted.status, 405, "{}", deleted.text());
}

#[test]
fn rows_are_deleted_by_times_and_equal_tags() {
    let server = Server::memory();
    let client = &server.client;
    let lines = "m,host=a f=1 1\nm,host=a f=2 2\nm,host=b f=3 3\nm,host=b f=4 4\nn,host=a f=5 5";
    client.must_write("foo", lines);
    let post = |q: &str| {
        let path = with_query("/query", &[("db", "foo"), ("q", q)]);
        client.post(&path, "").json()
    };
    let done = json!({"results": [{"statement_id": 0}]});
    assert_eq!(post("DELETE FROM m WHERE time >= 2 AND host = 'a'"), done);
    assert_eq!(client.value("foo", "SELECT sum(f) FROM m"), 8.0);
    assert_eq!(post("DROP SERIES FROM m, n WHERE host = 'a'"), done);
    assert_eq!(client.value("foo", "SELECT sum(f) FROM m"), 7.0);
    assert_eq!(client.count("foo", "n"), 0);
    assert_eq!(post("DELETE FROM nosuch"), done, "as in version 1");
    assert_eq!(post("DELETE FROM m WHERE time > 9 AND time < 3"), done);
    for refused in ["DELETE FROM m WHERE f = 3", "DELETE FROM /m/", "DELETE WHERE host = 'b'"] {
        let answer = post(refused).to_string();
        assert!(answer.contains("This feature is not implemented: DELETE"), "{refused}: {answer}");
    }
    assert_eq!(client.count("foo", "m"), 2);
    client.must_write("foo", "m,host=a f=9 1");
    assert_eq!(post("DELETE FROM m"), done);
    assert_eq!(client.count("foo", "m"), 0);
}
