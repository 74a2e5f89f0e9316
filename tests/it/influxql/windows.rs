//! `GROUP BY time(…)` and what windows without rows show.

use super::check;
use crate::support::client::with_query;
use crate::support::server::Server;

#[test]
fn windows() {
    check(&[
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(10s)",
            200,
            "iox::measurement,time,mean\nm0,17:00:00,14.166666666666666\nm0,17:00:10,15.2\n\
             m0,17:00:20,\nm0,17:00:30,18.9\nm0,17:00:40,\nm0,17:00:50,9.5\nm0,17:01:00,\n\
             m0,17:01:10,20.1\nm0,17:01:20,",
        ),
        (
            "SELECT mean(f64), count(i64) FROM m0 WHERE ‹T› GROUP BY time(30s), tag0",
            200,
            "iox::measurement,time,tag0,mean,count\n\
             m0,17:00:00,val00,10.649999999999999,2\nm0,17:00:30,val00,18.9,0\n\
             m0,17:01:00,val00,,0\nm0,17:00:00,val01,20.2,2\nm0,17:00:30,val01,,0\n\
             m0,17:01:00,val01,20.1,1\nm0,17:00:00,val02,11.2,1\nm0,17:00:30,val02,9.5,1\n\
             m0,17:01:00,val02,,0",
        ),
        (
            "SELECT count(*) FROM m0 WHERE ‹T› GROUP BY time(30s)",
            200,
            "iox::measurement,time,count_b,count_f64,count_i64,count_str,count_u64\n\
             m0,17:00:00,1,5,5,3,0\nm0,17:00:30,1,2,1,0,1\nm0,17:01:00,0,1,1,0,1",
        ),
    ]);
}

#[test]
fn fill_none() {
    check(&[(
        "SELECT mean(f64), count(i64), max(i64) FROM m0 WHERE ‹T› AND tag0='val00' GROUP BY time(10s) FILL(none)",
        200,
        "iox::measurement,time,mean,count,max\nm0,17:00:00,10.1,1,101\n\
             m0,17:00:10,11.2,1,392\nm0,17:00:30,18.9,0,",
    )]);
}

#[test]
fn fill_previous() {
    check(&[(
        "SELECT mean(f64), count(i64), max(i64) FROM m0 WHERE ‹T› AND tag0='val00' GROUP BY time(10s) FILL(previous)",
        200,
        "iox::measurement,time,mean,count,max\nm0,17:00:00,10.1,1,101\n\
             m0,17:00:10,11.2,1,392\nm0,17:00:20,11.2,1,392\nm0,17:00:30,18.9,0,392\n\
             m0,17:00:40,18.9,0,392\nm0,17:00:50,18.9,0,392\nm0,17:01:00,18.9,0,392\n\
             m0,17:01:10,18.9,0,392\nm0,17:01:20,18.9,0,392",
    )]);
}

#[test]
fn fill_linear() {
    check(&[
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(10s) FILL(linear)",
            200,
            "iox::measurement,time,mean\nm0,17:00:00,14.166666666666666\nm0,17:00:10,15.2\n\
             m0,17:00:20,17.049999999999997\nm0,17:00:30,18.9\nm0,17:00:40,14.2\n\
             m0,17:00:50,9.5\nm0,17:01:00,14.8\nm0,17:01:10,20.1\nm0,17:01:20,",
        ),
        (
            "SELECT max(i64), mean(f64) FROM m0 WHERE ‹T› AND tag0='val00' GROUP BY time(10s) FILL(linear)",
            200,
            "iox::measurement,time,max,mean\nm0,17:00:00,101,10.1\nm0,17:00:10,392,11.2\n\
             m0,17:00:20,,15.049999999999999\nm0,17:00:30,,18.9\nm0,17:00:40,,\n\
             m0,17:00:50,,\nm0,17:01:00,,\nm0,17:01:10,,\nm0,17:01:20,,",
        ),
    ]);
}

#[test]
fn fill_at_the_edges() {
    check(&[
        (
            "SELECT mean(f64) FROM m0 WHERE time >= '2065-01-07T16:59:40Z' AND time < '2065-01-07T17:00:20Z' GROUP BY time(10s) FILL(previous)",
            200,
            "iox::measurement,time,mean\nm0,16:59:40,\nm0,16:59:50,\n\
             m0,17:00:00,14.166666666666666\nm0,17:00:10,15.2",
        ),
        (
            "SELECT last(str) FROM m0 WHERE ‹T› GROUP BY time(30s) FILL(previous)",
            200,
            "iox::measurement,time,last\nm0,17:00:00,hi\nm0,17:00:30,hi\nm0,17:01:00,hi",
        ),
        (
            "SELECT f64 FROM m0 FILL(none)",
            400,
            "Error during planning: FILL(none) must be used with an aggregate or selector function",
        ),
        (
            "SELECT f64, u64 FROM m0 WHERE tag0='val00' FILL(9)",
            200,
            "iox::measurement,time,f64,u64\nm0,17:00:00,10.1,9\nm0,17:00:10,11.2,9\n\
             m0,17:00:30,18.9,5",
        ),
    ]);
}

#[test]
fn window_offsets_and_bounds() {
    check(&[
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(30s, 10s)",
            200,
            "iox::measurement,time,mean\nm0,16:59:40,14.166666666666666\n\
             m0,17:00:10,16.433333333333334\nm0,17:00:40,9.5\nm0,17:01:10,20.1",
        ),
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(30s, -5s)",
            200,
            "iox::measurement,time,mean\nm0,16:59:55,14.580000000000002\nm0,17:00:25,14.2\n\
             m0,17:00:55,20.1\nm0,17:01:25,",
        ),
        (
            "SELECT mean(f64) FROM m0 WHERE time > '2065-01-07T16:59:40Z' AND time <= '2065-01-07T17:00:20Z' GROUP BY time(20s)",
            200,
            "iox::measurement,time,mean\nm0,16:59:40,\nm0,17:00:00,14.580000000000002\n\
             m0,17:00:20,",
        ),
        (
            "SELECT f64 FROM m0 WHERE ‹T› GROUP BY time(30s)",
            400,
            "Error during planning: GROUP BY requires at least one aggregate function",
        ),
    ]);
}

#[test]
fn order_and_limit_of_windows() {
    check(&[
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› AND tag0='val01' GROUP BY time(10s) FILL(previous) ORDER BY time DESC",
            200,
            "iox::measurement,time,mean\nm0,17:01:20,20.1\nm0,17:01:10,20.1\n\
             m0,17:01:00,19.2\nm0,17:00:50,19.2\nm0,17:00:40,19.2\nm0,17:00:30,19.2\n\
             m0,17:00:20,19.2\nm0,17:00:10,19.2\nm0,17:00:00,21.2",
        ),
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(10s) LIMIT 2 OFFSET 2",
            200,
            "iox::measurement,time,mean\nm0,17:00:20,\nm0,17:00:30,18.9",
        ),
        (
            "SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(30s), tag0 FILL(none) LIMIT 1",
            200,
            "iox::measurement,time,tag0,mean\nm0,17:00:00,val00,10.649999999999999\n\
             m0,17:00:00,val01,20.2\nm0,17:00:00,val02,11.2",
        ),
    ]);
}

#[test]
fn time_zone() {
    check(&[
        (
            "SELECT f64 FROM m0 WHERE time = '2065-01-07T17:00:30Z' tz('Asia/Tokyo')",
            200,
            "iox::measurement,time,f64\nm0,2065-01-08T02:00:30+09:00,18.9",
        ),
        (
            "SELECT mean(f64) AS m FROM m0 WHERE ‹T› GROUP BY time(1d) tz('America/New_York')",
            200,
            "iox::measurement,time,m\nm0,00:00:00-05:00,15.175",
        ),
        (
            "SELECT mean(f64) AS m FROM m0 WHERE ‹T› GROUP BY time(1h) tz('Asia/Kolkata')",
            200,
            "iox::measurement,time,m\nm0,22:00:00+05:30,15.175",
        ),
        (
            "SELECT count(f64) FROM m0 WHERE time >= '2065-01-07 22:30:00' AND time < '2065-01-07 22:31:00' tz('Asia/Kolkata')",
            200,
            "iox::measurement,time,count\nm0,22:30:00+05:30,7",
        ),
        (
            "SELECT f64 FROM m0 tz('Nope/Zone')",
            400,
            "error in InfluxQL statement: parsing error: unable to find timezone at pos 33",
        ),
    ]);
}

/// Far more windows than a batch has rows: nothing that is done to these at once on several threads
/// may change their order.
#[test]
fn many_windows_stay_in_order() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 3600000000000000\nm f=2 363596400000000000");
    for end in ["", " tz('Asia/Kolkata')", " ORDER BY time DESC tz('Asia/Kolkata')"] {
        let q = format!(
            "SELECT mean(f) FROM m WHERE time >= 1000h AND time < 101000h GROUP BY time(1h){end}"
        );
        let path = with_query("/query", &[("db", "d"), ("epoch", "h"), ("q", &q)]);
        let answer = server.client.get(&path).json();
        let rows = answer["results"][0]["series"][0]["values"].as_array().expect("rows").clone();
        let mut hours: Vec<i64> = rows.iter().filter_map(|row| row[0].as_i64()).collect();
        if end.contains("DESC") {
            hours.reverse();
        }
        // A zone of half hours has one window more.
        assert!(hours.len() >= 100_000, "{q}: {} windows", hours.len());
        assert!(hours.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{q}: out of order");
    }
}
