//! LIMIT, OFFSET, SLIMIT and SOFFSET: which rows are shown of which series.

use super::check;
use crate::support::client::with_query;
use crate::support::server::Server;
use serde_json::Value;

#[test]
fn each_field_is_cut_on_its_own() {
    check(&[
        (
            "SELECT f64, u64 FROM m0 LIMIT 2",
            200,
            "iox::measurement,time,f64,u64\nm0,17:00:00,10.1,\nm0,17:00:00,21.2,\n\
             m0,17:00:30,,5\nm0,17:01:10,,7",
        ),
        (
            "SELECT f64, u64 FROM m0 GROUP BY tag0 ORDER BY time DESC LIMIT 1",
            200,
            "iox::measurement,time,tag0,f64,u64\nm0,17:00:30,val00,18.9,5\n\
             m0,17:01:10,val01,20.1,7\nm0,17:00:50,val02,9.5,",
        ),
        (
            "SELECT f64, i64 FROM m0 GROUP BY tag0 LIMIT 1 OFFSET 1",
            200,
            "iox::measurement,time,tag0,f64,i64\nm0,17:00:10,val00,11.2,392\n\
             m0,17:00:10,val01,19.2,392\nm0,17:00:50,val02,9.5,7",
        ),
        (
            "SELECT f64, str FROM m0 GROUP BY tag0 OFFSET 2",
            200,
            "iox::measurement,time,tag0,f64,str\nm0,17:00:30,val00,18.9,\nm0,17:01:10,val01,20.1,",
        ),
        ("SELECT f64, i64 FROM m0 GROUP BY tag0 LIMIT 0", 200, super::EMPTY),
    ]);
}

#[test]
fn series_are_cut_in_their_order() {
    check(&[
        (
            "SELECT f64 FROM m0 GROUP BY tag0 LIMIT 1 SLIMIT 2",
            200,
            "iox::measurement,time,tag0,f64\nm0,17:00:00,val00,10.1\nm0,17:00:00,val01,21.2",
        ),
        (
            "SELECT f64, b FROM m0 GROUP BY tag0 ORDER BY time DESC SLIMIT 1 SOFFSET 2",
            200,
            "iox::measurement,time,tag0,f64,b\nm0,17:00:50,val02,9.5,false\n\
             m0,17:00:00,val02,11.2,true",
        ),
        // A series counts if one of the fields is there.
        (
            "SELECT u64 FROM m0 GROUP BY tag0 SLIMIT 1 SOFFSET 1",
            200,
            "iox::measurement,time,tag0,u64\nm0,17:01:10,val01,7",
        ),
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(30s), tag0 LIMIT 1 OFFSET 1 SLIMIT 2",
            200,
            "iox::measurement,time,tag0,mean\nm0,17:00:30,val00,18.9\nm0,17:00:30,val01,",
        ),
        (
            "SELECT f64 FROM m0 GROUP BY tag1 LIMIT 1 SOFFSET 1",
            200,
            "iox::measurement,time,tag1,f64\nm0,17:00:10,y,19.2\nm0,17:00:00,,11.2",
        ),
    ]);
}

/// What stops early answers as what reads everything.
#[test]
fn the_newest_rows_are_those_of_all_rows() {
    let server = Server::memory();
    let mut lines = String::new();
    // Hours apart, so that they are in parts of their own; some hosts fall silent, some fields are
    // rare, and the last hour is written first.
    for hour in [5_i64, 0, 1, 2, 3, 4] {
        for host in 0..9_i64 {
            for step in 0..4_i64 {
                if host + hour > 11 || (host == 7 && hour > 0) {
                    continue;
                }
                let time = (1_600_000_000 + hour * 3_600 + step * 60 + host) * 1_000_000_000;
                let rare = if (hour + step * host) % 5 == 0 {
                    format!(",b={step}i")
                } else {
                    String::new()
                };
                lines.push_str(&format!(
                    "m,host=h{host},zone=z{} a={hour}.{step}{rare} {time}\n",
                    host % 2
                ));
            }
        }
    }
    server.client.must_write("d", &lines);
    let rows = |q: &str| {
        let path = with_query("/api/v3/query_influxql", &[("db", "d"), ("q", q)]);
        let answer = server.client.get(&path);
        assert_eq!(answer.status, 200, "{q}: {}", answer.text());
        answer.json().as_array().cloned().expect("rows")
    };
    for fields in ["a", "a, b", "*", "b"] {
        for group in ["host", "zone", "host, zone"] {
            for (order, condition) in [
                ("DESC", ""),
                ("ASC", ""),
                ("DESC", " WHERE a < 3"),
                ("DESC", " WHERE host != 'h3' AND time < 1600012000s"),
            ] {
                for (limit, offset) in [(1, 0), (3, 0), (2, 1)] {
                    let all = format!("SELECT {fields} FROM m{condition} GROUP BY {group}");
                    let cut = format!("{all} ORDER BY time {order} LIMIT {limit} OFFSET {offset}");
                    let expected = cut_by_hand(rows(&all), group, order == "DESC", limit, offset);
                    assert_eq!(rows(&cut), expected, "{cut}");
                }
            }
        }
    }
}

/// Of rows in order of time what LIMIT shows, by its definition.
fn cut_by_hand(
    rows: Vec<Value>,
    group: &str,
    newest_first: bool,
    limit: usize,
    offset: usize,
) -> Vec<Value> {
    let tags: Vec<&str> = group.split(", ").collect();
    let fields = ["a", "b"];
    let mut series: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for row in rows {
        let name: Vec<Value> = tags.iter().map(|tag| row[*tag].clone()).collect();
        match series.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(row),
            None => series.push((name, vec![row])),
        }
    }
    let mut shown = Vec::new();
    for (_, mut rows) in series {
        if newest_first {
            rows.reverse();
        }
        let mut seen = [0; 2];
        for mut row in rows {
            let mut is_shown = false;
            for (field, seen) in fields.iter().zip(&mut seen) {
                if row.get(field).is_none_or(Value::is_null) {
                    continue;
                }
                *seen += 1;
                match *seen > offset && *seen <= offset + limit {
                    true => is_shown = true,
                    false => drop(row.as_object_mut().and_then(|row| row.remove(*field))),
                }
            }
            if is_shown {
                shown.push(row);
            }
        }
    }
    shown
}
