//! What depends on the rows before, arithmetic, subqueries.

use super::check;

#[test]
fn transformations_of_points() {
    check(&[
        (
            "SELECT difference(f64) FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,difference\nm0,17:00:10,val00,1.0999999999999996\n\
             m0,17:00:30,val00,7.699999999999999\nm0,17:00:10,val01,-2.0\n\
             m0,17:01:10,val01,0.9000000000000021\nm0,17:00:50,val02,-1.6999999999999993",
        ),
        (
            "SELECT non_negative_difference(f64) FROM m0 WHERE tag0='val01'",
            200,
            "iox::measurement,time,non_negative_difference\nm0,17:01:10,0.9000000000000021",
        ),
        (
            "SELECT derivative(f64,10s) FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,derivative\nm0,17:00:10,1.0999999999999996\n\
             m0,17:00:30,3.8499999999999996",
        ),
        (
            "SELECT cumulative_sum(i64) FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,cumulative_sum\nm0,17:00:00,101\nm0,17:00:10,493",
        ),
        (
            "SELECT moving_average(f64,2) FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,moving_average\nm0,17:00:10,10.649999999999999\n\
             m0,17:00:30,15.049999999999999",
        ),
        (
            "SELECT difference(f64)+1 AS d FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,d\nm0,17:00:10,2.0999999999999996\nm0,17:00:30,8.7",
        ),
    ]);
}

#[test]
fn a_window_before_the_range_is_read() {
    check(&[
        (
            "SELECT moving_average(mean(f64),2) FROM m0 WHERE time >= '2065-01-07T17:00:30Z' AND time < '2065-01-07T17:01:30Z' GROUP BY time(30s)",
            200,
            "iox::measurement,time,moving_average\nm0,17:00:30,14.39\nm0,17:01:00,17.15",
        ),
        (
            "SELECT cumulative_sum(count(f64)), count(f64) FROM m0 WHERE ‹T› GROUP BY time(30s)",
            200,
            "iox::measurement,time,cumulative_sum,count\nm0,17:00:00,5,5\nm0,17:00:30,7,2\n\
             m0,17:01:00,8,1",
        ),
        (
            "SELECT difference(difference(mean(f64))) FROM m0 WHERE ‹T› GROUP BY time(10s)",
            200,
            "iox::measurement,time,difference\nm0,17:00:30,2.666666666666666\n\
             m0,17:00:50,-13.099999999999998\nm0,17:01:10,20.0",
        ),
    ]);
}

#[test]
fn transformation_faults() {
    check(&[
        (
            "SELECT difference(mean(f64)) FROM m0",
            400,
            "Error during planning: difference aggregate requires a GROUP BY interval",
        ),
        (
            "SELECT difference(f64) FROM m0 WHERE ‹T› GROUP BY time(10s)",
            400,
            "Error during planning: aggregate function required inside the call to difference",
        ),
        (
            "SELECT moving_average(f64,1) FROM m0",
            400,
            "Error during planning: moving_average window must be greater than 1, got 1",
        ),
        (
            "SELECT derivative(f64,0s) FROM m0",
            400,
            "Error during planning: duration argument must be positive, got 0s",
        ),
        ("SELECT elapsed(f64,5) FROM m0", 400, "argument 2 to elapsed must be a duration"),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        (
            "SELECT i64 / 2 AS a, i64 / 0 AS b, i64 % 2 AS c, i64 & 3 AS d, i64 ^ 5 AS e, -f64 AS f, (f64 + 1) * 2 AS g FROM m0 WHERE tag0='val00' AND i64 > 0",
            200,
            "iox::measurement,time,a,b,c,d,e,f,g\nm0,17:00:00,50.5,0.0,1,1,96,-10.1,22.2\n\
             m0,17:00:10,196.0,0.0,0,0,397,-11.2,24.4",
        ),
        (
            "SELECT u64 / 2 AS a, u64 - 10 AS b FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,a,b\nm0,17:00:30,2,18446744073709551611",
        ),
        (
            "SELECT i64 + u64 FROM m0",
            400,
            "Error during planning: cannot use + between an integer and unsigned, an explicit cast is required",
        ),
        (
            "SELECT f64 + 'x' FROM m0",
            400,
            "Error during planning: incompatible operands for operator +: float and string",
        ),
        (
            "SELECT 1 FROM m0",
            400,
            "Error during planning: field must contain at least one variable",
        ),
        (
            "SELECT max(f64) - min(f64) AS r, mean(f64) * 2 AS m FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,r,m\n\
             m0,1970-01-01T00:00:00,val00,8.799999999999999,26.799999999999997\n\
             m0,1970-01-01T00:00:00,val01,2.0,40.333333333333336\n\
             m0,1970-01-01T00:00:00,val02,1.6999999999999993,20.7",
        ),
    ]);
}

#[test]
fn subqueries() {
    check(&[
        (
            "SELECT max(x) FROM (SELECT mean(f64) AS x FROM m0 GROUP BY tag0)",
            200,
            "iox::measurement,time,max\nm0,1970-01-01T00:00:00,20.166666666666668",
        ),
        (
            "SELECT x, tag0 FROM (SELECT mean(f64) AS x FROM m0 GROUP BY tag0) WHERE x > 11",
            200,
            "iox::measurement,time,x,tag0\n\
             m0,1970-01-01T00:00:00,13.399999999999999,val00\n\
             m0,1970-01-01T00:00:00,20.166666666666668,val01",
        ),
        (
            "SELECT mean(f64) FROM (SELECT f64 FROM m0) GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,mean\n\
             m0,1970-01-01T00:00:00,val00,13.399999999999999\n\
             m0,1970-01-01T00:00:00,val01,20.166666666666668\n\
             m0,1970-01-01T00:00:00,val02,10.35",
        ),
        (
            "SELECT sum(m) FROM (SELECT max(f64) AS m FROM m0 WHERE ‹T› GROUP BY time(30s), tag0) WHERE ‹T› GROUP BY time(1m)",
            200,
            "iox::measurement,time,sum\nm0,17:00:00,72.0\nm0,17:01:00,20.1",
        ),
        (
            "SELECT max FROM (SELECT max(f64) FROM m0 GROUP BY tag0) GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,max\nm0,17:00:30,val00,18.9\n\
             m0,17:00:00,val01,21.2\nm0,17:00:00,val02,11.2",
        ),
    ]);
}

#[test]
fn fill_inside_subqueries() {
    check(&[
        (
            "SELECT mean FROM (SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(10s))",
            200,
            "iox::measurement,time,mean\nm0,17:00:00,14.166666666666666\nm0,17:00:10,15.2\n\
             m0,17:00:30,18.9\nm0,17:00:50,9.5\nm0,17:01:10,20.1",
        ),
        (
            "SELECT count(mean) FROM (SELECT mean(f64) FROM m0 WHERE ‹T› GROUP BY time(10s) FILL(0))",
            200,
            "iox::measurement,time,count\nm0,1970-01-01T00:00:00,9",
        ),
        (
            "SELECT count(f64) FROM (SELECT f64 FROM m0), m1",
            200,
            "iox::measurement,time,count\nm0,1970-01-01T00:00:00,8\n\
             m1,1970-01-01T00:00:00,3",
        ),
        (
            "SELECT mean(f64) FROM (SELECT f64 FROM m0 WHERE time >= '2065-01-07T17:00:05Z') WHERE time < '2065-01-07T17:00:55Z'",
            200,
            "iox::measurement,time,mean\nm0,1970-01-01T00:00:00,14.7",
        ),
    ]);
}
