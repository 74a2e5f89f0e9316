//! Writing: what is accepted is stored, as sent, and the next query sees it.

use crate::support::client::{Client, gzip, with_query};
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};

/// Posts `body`, expects 204, and compares all rows of table `m` in a database of its own.
#[track_caller]
fn check(client: &Client, path: &str, body: &str, expected: &Value) {
    let answer = client.post(path, body);
    assert_eq!((answer.status, answer.text().as_str()), (204, ""), "{path} {body:?}");
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let db = query.split('&').find_map(|p| p.strip_prefix("db=").or(p.strip_prefix("bucket=")));
    let rows = client.rows(db.expect("a database"), "SELECT * FROM m ORDER BY time");
    assert_eq!(rows, *expected, "{path} {body:?}");
}

#[test]
fn the_three_endpoints_store_rows() {
    let server = Server::memory();
    let client = &server.client;
    let at = "2023-11-14T22:13:20";
    check(
        client,
        "/api/v3/write_lp?db=v3&precision=s",
        "m,t=a f=1 1700000000",
        &json!([{"f": 1.0, "t": "a", "time": at}]),
    );
    let first = json!([{"f": 1.0, "time": "1970-01-01T00:00:00.000000001"}]);
    check(client, "/write?db=v1", "m f=1 1", &first);
    check(client, "/api/v2/write?bucket=v2", "m f=1 1", &first);
    check(
        client,
        "/api/v2/write?bucket=v2s&org=x&orgID=y&precision=s",
        "m f=1 1700000000",
        &json!([{"f": 1.0, "time": at}]),
    );
    assert_eq!(client.databases(), ["_internal", "v1", "v2", "v2s", "v3"]);
}

#[test]
fn precisions_scale_times() {
    let server = Server::memory();
    let cases = [
        ("s", "second", 1),
        ("ms", "millisecond", 1_000),
        ("us", "microsecond", 1_000_000),
        ("u", "us", 1_000_000),
        ("ns", "nanosecond", 1_000_000_000),
        ("n", "ns", 1_000_000_000),
    ];
    for (i, (short, long, per_second)) in cases.into_iter().enumerate() {
        for (j, precision) in [short, long].into_iter().enumerate() {
            let body = format!("m f=1 {}", 1_700_000_000_i64 * per_second);
            let expected = json!([{"f": 1.0, "time": "2023-11-14T22:13:20"}]);
            for endpoint in ["/api/v3/write_lp", "/write"] {
                let db = format!("p{i}{j}{}", endpoint.len());
                let path = with_query(endpoint, &[("db", &db), ("precision", precision)]);
                check(&server.client, &path, &body, &expected);
            }
        }
    }
}

/// Version 1 has units that the others have not, and an empty one is none.
#[test]
fn units_of_version_1() {
    let server = Server::memory();
    for (i, (precision, number)) in [
        ("h", 472_222),
        ("m", 28_333_320),
        ("u", 1_699_999_200_000_000),
        ("\u{b5}", 1_699_999_200_000_000),
        ("\u{3bc}", 1_699_999_200_000_000),
        ("n", 1_699_999_200_000_000_000),
        ("", 1_699_999_200_000_000_000_i64),
    ]
    .into_iter()
    .enumerate()
    {
        let path = with_query("/write", &[("db", &format!("u{i}")), ("precision", precision)]);
        let expected = json!([{"f": 1.0, "time": "2023-11-14T22:00:00"}]);
        check(&server.client, &path, &format!("m f=1 {number}"), &expected);
    }
}

#[test]
fn auto_precision_goes_by_the_size_of_the_number() {
    let server = Server::memory();
    let cases = [
        ("4999999999", "2128-06-11T08:53:19"),
        ("5000000000", "1970-02-27T20:53:20"),
        ("4999999999999", "2128-06-11T08:53:19.999"),
        ("5000000000000", "1970-02-27T20:53:20"),
        ("5000000000000000", "1970-02-27T20:53:20"),
        ("-1", "1969-12-31T23:59:59"),
    ];
    for (i, (number, time)) in cases.into_iter().enumerate() {
        let expected = json!([{"f": 1.0, "time": time}]);
        let body = format!("m f=1 {number}");
        check(&server.client, &format!("/api/v3/write_lp?db=a{i}"), &body, &expected);
    }
}

#[test]
fn a_missing_time_is_the_arrival_of_the_request() {
    let server = Server::memory();
    let answer = server.client.post("/api/v3/write_lp?db=d&precision=s", "m,k=1 f=1\nm,k=2 f=1");
    assert_eq!(answer.status, 204);
    let times = server.client.rows("d", "SELECT DISTINCT time FROM m");
    assert_eq!(times.as_array().map(Vec::len), Some(1), "{times}");
    assert!(!times[0]["time"].as_str().expect("a time").contains('.'), "{times}");
    let recent = "SELECT count(*) FROM m WHERE abs(date_part('epoch', now() - time)) < 120";
    assert_eq!(server.client.value("d", recent), 2);
}

#[test]
fn times_of_any_age_are_stored() {
    let server = Server::memory();
    let body = "m f=1 -9223372036854775000\nm f=2 -1\nm f=3 631152000000000000\n\
                m f=4 9223372036854775000";
    server.client.must_write("d", body);
    let rows = server.client.rows("d", "SELECT f, time FROM m ORDER BY time");
    let expected = json!([
        {"f": 1.0, "time": "1677-09-21T00:12:43.145225"},
        {"f": 2.0, "time": "1969-12-31T23:59:59.999999999"},
        {"f": 3.0, "time": "1990-01-01T00:00:00"},
        {"f": 4.0, "time": "2262-04-11T23:47:16.854775"},
    ]);
    let times = |rows: &Value| -> Vec<String> {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| row["time"].as_str().expect("a time").chars().take(19).collect()).collect()
    };
    assert_eq!(times(&rows), times(&expected));
    assert_eq!(rows[1], expected[1]);
}

#[test]
fn gzip_bodies_are_decoded() {
    let server = Server::memory();
    let post = |body: Vec<u8>, encoding: &str| {
        let headers = [("content-encoding", encoding)];
        server.client.send("POST", "/api/v3/write_lp?db=d&precision=ns", &headers, body).status
    };
    assert_eq!(post(gzip(b"m,k=1 f=1 1"), "gzip"), 204);
    let members = [gzip(b"m,k=2 f=1 1\n"), gzip(b""), gzip(b"m,k=3 f=1 1")].concat();
    assert_eq!(post(members, "gzip"), 204);
    assert_eq!(post(b"m,k=4 f=1 1".to_vec(), "identity"), 204);
    assert_eq!(post(gzip(b"m,k=5 f=1 1"), "x-gzip"), 204);
    assert_eq!(server.client.count("d", "m"), 5);
}

#[test]
fn retention_policies_of_v1_are_databases() {
    let server = Server::memory();
    let cases =
        [("", "d"), ("autogen", "d"), ("default", "d"), ("''", "d"), ("Weekly", "d/weekly")];
    for (i, (rp, db)) in cases.into_iter().enumerate() {
        let path = with_query("/write", &[("db", "d"), ("rp", rp)]);
        assert_eq!(server.client.post(&path, format!("m{i} f=1 1")).status, 204, "{rp}");
        assert_eq!(server.client.count(db, &format!("m{i}")), 1, "{rp}");
    }
    assert_eq!(server.client.databases(), ["_internal", "d", "d/weekly"]);
}

#[test]
fn the_same_point_again_merges_field_by_field() {
    let server = Server::memory();
    for lines in ["m,t=a f=1 1", "m,t=a g=2 1", "m,t=a f=3 1", "m,t=b f=9 1\nm,t=b f=8 1"] {
        server.client.must_write("d", lines);
    }
    let rows = server.client.rows("d", "SELECT t, f, g FROM m ORDER BY t");
    assert_eq!(rows, json!([{"t": "a", "f": 3.0, "g": 2.0}, {"t": "b", "f": 8.0}]));
    assert_eq!(server.client.count("d", "m"), 2);
}

#[test]
fn every_acknowledged_row_is_seen_by_the_next_query() {
    let server = Server::disk();
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let client = server.client.clone();
            std::thread::spawn(move || {
                for n in 1..=50_u64 {
                    client.must_write("d", &format!("m,w={writer} n={n}i {n}"));
                    let sql = format!("SELECT count(*) AS n FROM m WHERE w = '{writer}'");
                    assert_eq!(client.value("d", &sql), n, "writer {writer}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no row is missing");
    }
    assert_eq!(server.client.count("d", "m"), 800);
}

#[test]
fn no_sync_writes_turn_up_and_are_still_validated() {
    let server = Server::disk();
    let post = |body: &str| server.client.post("/api/v3/write_lp?db=d&no_sync=true", body);
    assert_eq!(post("m f=1 1").status, 204);
    eventually("the row is visible", || (server.client.count("d", "m") == 1).then_some(()));
    let refused = post("m f=1 2\nm f= 3");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["data"][0]["line_number"], 2);
    eventually("the good row is visible", || (server.client.count("d", "m") == 2).then_some(()));
}

#[test]
fn lines_are_counted() {
    let server = Server::memory();
    assert_eq!(server.client.write("d", "m f=1 1\nbad").status, 400);
    let metric = |name: &str| server.client.metric(name, &["db=\"d\""]);
    assert_eq!(metric("influxdb3_write_lines_total"), Some(1.0));
    assert_eq!(metric("influxdb3_write_lines_rejected_total"), Some(1.0));
    assert_eq!(metric("influxdb3_write_bytes_total").map(|bytes| bytes > 6.0), Some(true));
    assert_eq!(server.client.delete("/api/v3/configure/database?db=d").status, 200);
    assert_eq!(metric("influxdb3_write_lines_total"), None, "deleted names do not pile up");
}

#[test]
fn an_option_refuses_new_tags_on_old_tables() {
    let lines = ["m,a=1 f=1 1", "m,a=1,b=2 f=1 2"];
    let server = Server::memory();
    for line in lines {
        server.client.must_write("d", line);
    }
    let rows = server.client.rows("d", "SELECT a, b FROM m ORDER BY time");
    assert_eq!(rows, json!([{"a": "1"}, {"a": "1", "b": "2"}]));

    let strict = Setup::memory().with(&["--immutable-tags"]).start();
    strict.client.must_write("d", lines[0]);
    let refused = strict.client.write("d", lines[1]);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(strict.client.count("d", "m"), 1);
}
