//! One value of many, and one row of many.

use super::{EMPTY, check};

#[test]
fn time_of_an_aggregate() {
    check(&[
        (
            "SELECT mean(f64) FROM m0",
            200,
            "iox::measurement,time,mean\nm0,1970-01-01T00:00:00,15.174999999999999",
        ),
        ("SELECT count(f64) FROM m0 WHERE ‹T›", 200, "iox::measurement,time,count\nm0,17:00:00,8"),
        (
            "SELECT count(f64) FROM m0 WHERE time > '2065-01-07T17:00:00Z'",
            200,
            "iox::measurement,time,count\nm0,17:00:00.000000001,5",
        ),
        (
            "SELECT count(f64) AS c FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,c\nm0,1970-01-01T00:00:00,val00,3\n\
             m0,1970-01-01T00:00:00,val01,3\nm0,1970-01-01T00:00:00,val02,2",
        ),
        ("SELECT count(f64) FROM m0 WHERE tag0 = 'zzz'", 200, EMPTY),
    ]);
}

#[test]
fn aggregates_over_wildcards() {
    check(&[
        (
            "SELECT count(*) FROM m0",
            200,
            "iox::measurement,time,count_b,count_f64,count_i64,count_str,count_u64\n\
             m0,1970-01-01T00:00:00,2,8,7,3,2",
        ),
        (
            "SELECT mean(*) FROM m0",
            200,
            "iox::measurement,time,mean_f64,mean_i64,mean_u64\n\
             m0,1970-01-01T00:00:00,15.174999999999999,192.0,6.0",
        ),
        (
            "SELECT max(*) FROM m0",
            200,
            "iox::measurement,time,max_b,max_f64,max_i64,max_u64\n\
             m0,1970-01-01T00:00:00,true,21.2,392,7",
        ),
        (
            "SELECT first(*) FROM m0 WHERE tag0 = 'val00'",
            200,
            "iox::measurement,time,first_b,first_f64,first_i64,first_str,first_u64\n\
             m0,1970-01-01T00:00:00,,10.1,101,hi,5",
        ),
        (
            "SELECT spread(/64/) FROM m0",
            200,
            "iox::measurement,time,spread_f64,spread_i64,spread_u64\n\
             m0,1970-01-01T00:00:00,11.7,385,2",
        ),
    ]);
}

#[test]
fn time_of_selectors() {
    check(&[
        ("SELECT max(f64) FROM m0", 200, "iox::measurement,time,max\nm0,17:00:00,21.2"),
        (
            "SELECT max(f64) FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,max\nm0,17:00:30,val00,18.9\n\
             m0,17:00:00,val01,21.2\nm0,17:00:00,val02,11.2",
        ),
        (
            "SELECT first(f64), last(f64) FROM m0 WHERE tag0 = 'val01'",
            200,
            "iox::measurement,time,first,last\nm0,1970-01-01T00:00:00,21.2,20.1",
        ),
        (
            "SELECT max(f64), min(i64) FROM m0 WHERE time >= '2065-01-07T17:00:05Z'",
            200,
            "iox::measurement,time,max,min\nm0,17:00:05,20.1,7",
        ),
        ("SELECT last(b) FROM m0", 200, "iox::measurement,time,last\nm0,17:00:50,false"),
        ("SELECT max(f64) + 1 FROM m0", 200, "iox::measurement,time,max\nm0,17:00:00,22.2"),
        // One call, though it is there twice.
        (
            "SELECT max(f64) + max(f64) FROM m0",
            200,
            "iox::measurement,time,max_max\nm0,17:00:00,42.4",
        ),
    ]);
}

#[test]
fn top_and_bottom() {
    check(&[
        (
            "SELECT top(f64,2) FROM m0",
            200,
            "iox::measurement,time,top\nm0,17:00:00,21.2\nm0,17:01:10,20.1",
        ),
        (
            "SELECT bottom(f64,2) FROM m0",
            200,
            "iox::measurement,time,bottom\nm0,17:00:00,10.1\nm0,17:00:50,9.5",
        ),
        (
            "SELECT top(f64,tag0,2) FROM m0",
            200,
            "iox::measurement,time,top,tag0\nm0,17:00:00,21.2,val01\nm0,17:00:30,18.9,val00",
        ),
        (
            "SELECT top(f64,3), tag0, i64 FROM m0",
            200,
            "iox::measurement,time,top,tag0,i64\nm0,17:00:00,21.2,val01,211\n\
             m0,17:00:10,19.2,val01,392\nm0,17:01:10,20.1,val01,50",
        ),
        (
            "SELECT top(f64,2) FROM m0 WHERE ‹T› GROUP BY time(30s)",
            200,
            "iox::measurement,time,top\nm0,17:00:00,21.2\nm0,17:00:10,19.2\n\
             m0,17:00:30,18.9\nm0,17:00:50,9.5\nm0,17:01:10,20.1",
        ),
        (
            "SELECT bottom(f64,1), i64 FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,bottom,i64\nm0,17:00:00,val00,10.1,101\n\
             m0,17:00:10,val01,19.2,392\nm0,17:00:50,val02,9.5,7",
        ),
        (
            "SELECT top(f64,0) FROM m0",
            400,
            "Error during planning: limit (0) for top must be greater than 0",
        ),
    ]);
}

#[test]
fn distinct_any_order_of_values() {
    check(&[
        (
            "SELECT count(distinct f64) FROM m0",
            200,
            "iox::measurement,time,count\nm0,1970-01-01T00:00:00,7",
        ),
        (
            "SELECT distinct(str) FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,distinct\nm0,1970-01-01T00:00:00,val00,hi\n\
             m0,1970-01-01T00:00:00,val01,hi\nm0,1970-01-01T00:00:00,val02,lo",
        ),
        (
            "SELECT distinct(f64), mean(f64) FROM m0",
            400,
            "Error during planning: aggregate function distinct() cannot be combined with other functions or fields",
        ),
    ]);
}

#[test]
fn median_mode_spread_stddev_percentile() {
    check(&[
        (
            "SELECT median(f64), mode(i64), spread(f64), stddev(f64), median(i64) FROM m0",
            200,
            "iox::measurement,time,median,mode,spread,stddev,median_1\n\
             m0,1970-01-01T00:00:00,15.049999999999999,392,11.7,5.0736715361898295,191",
        ),
        (
            "SELECT stddev(f64) FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,stddev\n\
             m0,1970-01-01T00:00:00,val00,4.794788837894741\n\
             m0,1970-01-01T00:00:00,val01,1.0016652800877794\n\
             m0,1970-01-01T00:00:00,val02,1.2020815280171302",
        ),
        (
            "SELECT percentile(f64,75) FROM m0",
            200,
            "iox::measurement,time,percentile\nm0,17:00:10,19.2",
        ),
        (
            "SELECT percentile(f64,25.5), tag0 FROM m0",
            200,
            "iox::measurement,time,percentile,tag0\nm0,17:00:00,10.1,val00",
        ),
        (
            "SELECT percentile(f64,50) FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,percentile\nm0,17:00:10,val00,11.2\n\
             m0,17:01:10,val01,20.1\nm0,17:00:50,val02,9.5",
        ),
        (
            "SELECT percentile(f64,50) FROM m0 WHERE ‹T› GROUP BY time(30s)",
            200,
            "iox::measurement,time,percentile\nm0,17:00:00,11.2\nm0,17:00:30,9.5\n\
             m0,17:01:00,20.1",
        ),
    ]);
}
