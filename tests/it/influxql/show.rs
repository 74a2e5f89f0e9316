//! Lists, faults, and the words of the language.

use super::{EMPTY, check};
use crate::support::client::with_query;
use crate::support::server::Server;

#[test]
fn show_measurements() {
    check(&[
        (
            "SHOW MEASUREMENTS",
            200,
            "iox::measurement,name\nmeasurements,m0\nmeasurements,m1\nmeasurements,m2",
        ),
        (
            "SHOW MEASUREMENTS WITH MEASUREMENT =~ /m[12]/ LIMIT 1",
            200,
            "iox::measurement,name\nmeasurements,m1",
        ),
        (
            "SHOW MEASUREMENTS WHERE tag0='val02'",
            200,
            "iox::measurement,name\nmeasurements,m0\nmeasurements,m1",
        ),
    ]);
}

#[test]
fn show_tag_values() {
    check(&[
        (
            "SHOW TAG VALUES WITH KEY = tag0",
            200,
            "iox::measurement,key,value\nm0,tag0,val00\nm0,tag0,val01\nm0,tag0,val02\n\
             m1,tag0,val00\nm1,tag0,val02\nm2,tag0,val00",
        ),
        (
            "SHOW TAG VALUES FROM m0 WITH KEY = tag0",
            200,
            "iox::measurement,key,value\nm0,tag0,val00\nm0,tag0,val01\nm0,tag0,val02",
        ),
        (
            "SHOW TAG VALUES FROM m0 WITH KEY = tag0 WHERE time > '2065-01-01' AND f64 > 15",
            200,
            "iox::measurement,key,value\nm0,tag0,val00\nm0,tag0,val01",
        ),
        (
            "SHOW TAG VALUES FROM m0 WITH KEY = tag0 WHERE time > '2065-01-01' LIMIT 1 OFFSET 1",
            200,
            "iox::measurement,key,value\nm0,tag0,val01",
        ),
        (
            "SHOW TAG VALUES WITH KEY =~ /tag/ WHERE time > '2065-01-01' AND tag0='val01'",
            200,
            "iox::measurement,key,value\nm0,tag0,val01\nm0,tag1,x\nm0,tag1,y",
        ),
    ]);
}

#[test]
fn words_and_comments() {
    check(&[
        (
            "select /* c */ F64, f64 as \"select\" from m1 limit 1 -- end",
            200,
            "iox::measurement,time,F64,select\nm1,17:00:00,,100.5",
        ),
        (
            "SELECT MEAN(f64) FROM m0",
            200,
            "iox::measurement,time,mean\nm0,1970-01-01T00:00:00,15.174999999999999",
        ),
        (
            "SELECT name FROM m0",
            400,
            "error in InfluxQL statement: parsing error: invalid SELECT statement, expected field at pos 7",
        ),
        ("SELECT \"name\" FROM m0", 200, EMPTY),
    ]);
}

/// What is known of the groups of a part of a table, and what has to be read for them.
#[test]
fn tags_and_series_of_all_parts_of_a_table() {
    let server = Server::memory();
    let write = |lines: &[String]| server.client.must_write("d", &lines.join("\n"));
    let first = 1_600_000_200;
    let line = |tags: &str, time: i64| format!("m{tags} v=1 {time}000000000");
    for hour in 0..4 {
        let start = first + hour * 3_600;
        write(&[
            line(",host=all", start),
            line(&format!(",host=h{hour}"), start + 60),
            // In the same chunk, later.
            line(&format!(",host=l{hour},rack=1"), start + 300),
            line("", start + 360),
        ]);
    }
    let texts = |q: &str, column: &str| -> Vec<String> {
        let path = with_query("/api/v3/query_influxql", &[("db", "d"), ("q", q)]);
        let answer = server.client.get(&path);
        assert_eq!(answer.status, 200, "{q}: {}", answer.text());
        let rows = answer.json().as_array().cloned().expect("rows");
        rows.iter().map(|row| row[column].to_string().replace('"', "")).collect()
    };
    let check = |late: &[&str]| {
        let mut all = vec!["all", "h0", "h1", "h2", "h3", "l0", "l1", "l2", "l3"];
        all.extend(late);
        all.sort_unstable();
        // Rows are sorted by the first of these.
        for _ in 0..3 {
            let hosts = "SHOW TAG VALUES WITH KEY = host WHERE time > 0";
            assert_eq!(texts(hosts, "value"), all);
            let cut = format!("{hosts} AND time >= {}s", first + 3 * 3_600 + 200);
            assert_eq!(texts(&cut, "value"), ["l3"]);
            let racks = "SHOW TAG VALUES WITH KEY = rack WHERE time > 0";
            assert_eq!(texts(racks, "value"), ["1"]);
            let of_some = "SHOW TAG VALUES WITH KEY = host WHERE time > 0 AND rack = '1'";
            assert_eq!(texts(of_some, "value"), ["l0", "l1", "l2", "l3"]);
            let count = vec![(all.len() + 1).to_string()];
            assert_eq!(texts("SHOW SERIES CARDINALITY", "count"), count);
            assert_eq!(texts("SHOW SERIES EXACT CARDINALITY", "count"), count);
            let series = texts("SHOW SERIES", "key");
            assert_eq!(series.len(), all.len() + 1);
            assert_eq!(series[..2], ["m", "m,host=all"]);
        }
    };
    check(&[]);
    write(&[line(",host=late", first + 30), line(",host=all", first + 7_200)]);
    check(&["late"]);
}

/// More than one thread has something to do with so many.
#[test]
fn many_values_come_in_order() {
    let server = Server::memory();
    let line = |at: usize| format!("m,k=v{:05},r=r{} f=1 {at}\n", at * 7_919 % 40_000, at % 3);
    server.client.must_write("d", &(0..40_000).map(line).collect::<String>());
    for form in ["SHOW TAG VALUES WITH KEY = k", "SHOW TAG VALUES FROM m WITH KEY =~ /k|r/"] {
        let q = format!("{form} WHERE time >= 0");
        let path = with_query("/api/v3/query_influxql", &[("db", "d"), ("q", &q)]);
        let rows = server.client.get(&path).json();
        let values = rows.as_array().expect("rows").iter().filter(|row| row["key"] == "k");
        let values: Vec<&str> = values.filter_map(|row| row["value"].as_str()).collect();
        assert_eq!(values.len(), 40_000, "{q}");
        assert!(values.is_sorted(), "{q}");
    }
}
