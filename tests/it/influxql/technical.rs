//! Technical analysis and forecasts. The values are those of InfluxDB 1.6.

use super::check;

#[test]
fn curves_along_the_points() {
    check(&[
        (
            "SELECT exponential_moving_average(f64, 2) FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,exponential_moving_average\nm0,17:00:10,10.833333333333332\n\
             m0,17:00:30,16.211111111111112",
        ),
        (
            "SELECT exponential_moving_average(f64, 2, 0, 'simple') FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,exponential_moving_average\nm0,17:00:00,10.1\n\
             m0,17:00:10,10.649999999999999\nm0,17:00:30,16.15",
        ),
        (
            "SELECT chande_momentum_oscillator(f64, 2) FROM m0 WHERE tag0='val00'",
            200,
            "iox::measurement,time,chande_momentum_oscillator\nm0,17:00:10,100.0\n\
             m0,17:00:30,100.0",
        ),
        (
            "SELECT kaufmans_efficiency_ratio(i64, 1) * 2 AS r FROM m0 GROUP BY tag0",
            200,
            "iox::measurement,time,tag0,r\nm0,17:00:10,val00,2.0\nm0,17:00:10,val01,2.0\n\
             m0,17:01:10,val01,2.0\nm0,17:00:50,val02,2.0",
        ),
        (
            "SELECT exponential_moving_average(mean(f64), 2) FROM m0 WHERE ‹T› AND tag0='val00' \
             GROUP BY time(10s)",
            200,
            "iox::measurement,time,exponential_moving_average\nm0,17:00:10,10.833333333333332\n\
             m0,17:00:30,16.211111111111112",
        ),
    ]);
}

#[test]
fn faults_of_analyses() {
    check(&[
        (
            "SELECT relative_strength_index(f64, 0) FROM m0",
            400,
            "relative_strength_index period must be greater than 1, got 0",
        ),
        (
            "SELECT exponential_moving_average(f64) FROM m0",
            400,
            "invalid number of arguments for exponential_moving_average, expected at least 2 but \
             no more than 4, got 1",
        ),
        (
            "SELECT kaufmans_efficiency_ratio(f64, 2, 1, 'simple') FROM m0",
            400,
            "expected at least 2 but no more than 3, got 4",
        ),
        (
            "SELECT triple_exponential_derivative(f64, 2, 1, 'odd') FROM m0",
            400,
            "warmup type must be one of: 'exponential', 'simple', got odd",
        ),
        (
            "SELECT double_exponential_moving_average(f64, 2, -3) FROM m0",
            400,
            "hold period must be greater than or equal to 0",
        ),
        (
            "SELECT exponential_moving_average(mean(f64), 2) FROM m0",
            400,
            "exponential_moving_average aggregate requires a GROUP BY interval",
        ),
        (
            "SELECT exponential_moving_average(f64, 2) FROM m0 WHERE ‹T› GROUP BY time(10s)",
            400,
            "aggregate function required inside the call to exponential_moving_average",
        ),
    ]);
}

const FORECAST: &str = "\
iox::measurement,time,holt_winters_with_fit
m1,17:00:00,1001.0
m1,17:00:10,1996.9265512745637
m1,17:00:20,2005.0623395190748
m1,17:00:30,2005.1237317572034
m1,17:00:40,2005.124194943665";

#[test]
fn forecasts() {
    check(&[
        (
            "SELECT holt_winters_with_fit(max(i64), 2, 0) FROM m1 WHERE \
             time >= '2065-01-07T17:00:00Z' AND time < '2065-01-07T17:00:30Z' GROUP BY time(10s)",
            200,
            FORECAST,
        ),
        (
            "SELECT holt_winters(f64, 2, 0) FROM m0",
            400,
            "must use aggregate function with holt_winters",
        ),
        (
            "SELECT holt_winters(max(f64), 2, 0) FROM m0",
            400,
            "holt_winters aggregate requires a GROUP BY interval",
        ),
        (
            "SELECT holt_winters(max(f64), 0, 0) FROM m0 WHERE ‹T› GROUP BY time(10s)",
            400,
            "second arg to holt_winters must be greater than 0, got 0",
        ),
        (
            "SELECT holt_winters(max(f64), 2, 0), mean(f64) FROM m0 WHERE ‹T› GROUP BY time(10s)",
            400,
            "holt_winters() cannot be combined with other functions or fields",
        ),
    ]);
}
