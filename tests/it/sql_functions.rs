//! Time-series functions of SQL, over HTTP.

use crate::support::client::{Client, with_query};
use crate::support::server::Server;

/// Two rooms, measured about every hour from 17:00 to 22:00.
const HOME: &str = "\
home,room=Kitchen temp=21.0,hum=35.9,co=0i 2998573200000000000
home,room=Kitchen temp=23.0,hum=36.2,co=0i 2998576800000000000
home,room=Kitchen temp=22.7,hum=36.1 2998580400000000000
home,room=Kitchen temp=22.4,co=1i 2998587600000000000
home,room=Kitchen hum=36.5,co=7i 2998591200000000000
home,room=Living\\ Room temp=21.1,hum=35.9,co=0i 2998573200000000000
home,room=Living\\ Room temp=21.4,hum=35.9,co=0i 2998576800000000000
home,room=Living\\ Room temp=22.2,hum=35.9,co=1i 2998584000000000000
home,room=Living\\ Room temp=22.6,hum=36.1,co=4i 2998591200000000000";

const RANGE: &str = "time >= '2065-01-07T17:00:00Z' AND time <= '2065-01-07T22:00:00Z'";

fn home() -> Server {
    let server = Server::memory();
    server.client.must_write("sensors", HOME);
    server
}

fn ask(client: &Client, sql: &str, format: &str) -> (u16, String) {
    let parameters = [("db", "sensors"), ("q", sql), ("format", format)];
    let answer = client.get(&with_query("/api/v3/query_sql", &parameters));
    (answer.status, answer.text().replace("2065-01-07T", ""))
}

#[track_caller]
fn check(client: &Client, sql: &str, csv: &str) {
    assert_eq!(ask(client, sql, "csv"), (200, csv.to_owned()), "{sql}");
}

#[track_caller]
fn check_error(client: &Client, sql: &str, status: u16, part: &str) {
    let (found, text) = ask(client, sql, "csv");
    assert_eq!(found, status, "{sql}: {text}");
    assert!(text.contains(part), "{sql}: {text}");
}

#[test]
fn strings_are_times_beside_times() {
    let server = home();
    for (condition, rows) in [
        ("time >= '2065-01-07T18:00:00Z'", 7),
        ("time >= '2065-01-07 18:00:00'", 7),
        ("time >= '2065-01-07T18:00:00+01:00'", 9),
        ("time >= '2065-01-07'", 9),
        ("time >= TIMESTAMP '2065-01-07T18:00:00Z'", 7),
        ("time >= '2065-01-07T18:00:00Z'::timestamp", 7),
        ("time = '2065-01-07T18:00:00.000000000Z'", 2),
        ("time BETWEEN '2065-01-07T18:00:00Z' AND '2065-01-07T19:00:00Z'", 3),
        ("time > now() - INTERVAL '1 day' AND time < now() + INTERVAL '50 years'", 9),
    ] {
        let sql = format!("SELECT count(*) AS n FROM home WHERE {condition}");
        check(&server.client, &sql, &format!("n\n{rows}"));
    }
    let integer = "SELECT * FROM home WHERE time >= 2998573200000000000";
    check_error(&server.client, integer, 400, "Cannot infer common argument type");
    let garbage = "SELECT * FROM home WHERE time > 'garbage'";
    check_error(&server.client, garbage, 400, "Error parsing timestamp from 'garbage'");
    check(
        &server.client,
        "SELECT to_timestamp(1700000000) AS a, to_timestamp('2024-01-01') AS b, \
         to_timestamp_seconds(1700000000) AS c, to_timestamp_millis(1700000000000) AS d, \
         from_unixtime(1700000000) AS e",
        "a,b,c,d,e\n1970-01-01T00:00:01.700,2024-01-01T00:00:00,2023-11-14T22:13:20,\
         2023-11-14T22:13:20,2023-11-14T22:13:20",
    );
}

#[test]
fn gaps_are_filled() {
    let server = home();
    check(
        &server.client,
        &format!(
            "SELECT date_bin_gapfill(INTERVAL '1 hour', time) AS t, room, locf(avg(temp)) AS temp, \
             interpolate(avg(hum)) AS hum, count(co) AS n, sum(co) AS s FROM home WHERE {RANGE} \
             GROUP BY 1, room ORDER BY room, t"
        ),
        "t,room,temp,hum,n,s\n\
         17:00:00,Kitchen,21.0,35.9,1,0\n\
         18:00:00,Kitchen,23.0,36.2,1,0\n\
         19:00:00,Kitchen,22.7,36.1,0,\n\
         20:00:00,Kitchen,22.7,36.233333333333334,0,\n\
         21:00:00,Kitchen,22.4,36.36666666666667,1,1\n\
         22:00:00,Kitchen,22.4,36.5,1,7\n\
         17:00:00,Living Room,21.1,35.9,1,0\n\
         18:00:00,Living Room,21.4,35.9,1,0\n\
         19:00:00,Living Room,21.4,35.9,0,\n\
         20:00:00,Living Room,22.2,35.9,1,1\n\
         21:00:00,Living Room,22.2,36.0,0,\n\
         22:00:00,Living Room,22.6,36.1,1,4",
    );
    check(
        &server.client,
        "SELECT date_bin_gapfill(INTERVAL '30 minutes', time) AS t, locf(max(temp)) AS x \
         FROM home WHERE time > '2065-01-07T17:00:00Z' AND time < '2065-01-07T19:00:00Z' \
         AND room='Kitchen' GROUP BY 1 ORDER BY 1",
        "t,x\n17:00:00,\n17:30:00,\n18:00:00,23.0\n18:30:00,23.0",
    );
    // On the clock of Paris, where 2:00 comes twice on that day.
    server
        .client
        .must_write("sensors", "clock f=1 1729983600000000000\nclock f=2 1729994400000000000");
    check(
        &server.client,
        "SELECT date_bin_wallclock_gapfill(INTERVAL '1 hour', tz(time, 'Europe/Paris')) AS t, \
         sum(f) AS f FROM clock WHERE time >= '2024-10-26T23:00:00Z' \
         AND time <= '2024-10-27T02:00:00Z' GROUP BY 1 ORDER BY 1",
        "t,f\n2024-10-27T01:00:00+02:00,1.0\n2024-10-27T02:00:00+02:00,\n\
         2024-10-27T02:00:00+01:00,\n2024-10-27T03:00:00+01:00,2.0",
    );
}

/// A year of bins of a nanosecond is more than any memory holds.
#[test]
fn a_filled_result_streams() {
    let server = home();
    check(
        &server.client,
        "SELECT date_bin_gapfill(INTERVAL '1 nanosecond', time) AS t, count(*) AS n FROM home \
         WHERE time >= '2065-01-01T00:00:00Z' AND time <= '2065-12-31T00:00:00Z' GROUP BY 1 LIMIT 2",
        "t,n\n2065-01-01T00:00:00,0\n2065-01-01T00:00:00.000000001,0",
    );
}

#[test]
fn faults_of_gap_filling_are_told() {
    let server = home();
    let bins = "date_bin_gapfill(INTERVAL '1 hour', time)";
    let placement = "DATE_BIN_GAPFILL must be a top-level expression in the GROUP BY clause";
    for (sql, status, part) in [
        (
            format!("SELECT {bins} AS t, avg(temp) FROM home GROUP BY t"),
            400,
            "gap-filling query is missing both upper and lower time bounds",
        ),
        (
            format!("SELECT {bins} AS t, avg(temp) FROM home WHERE time > '2065-01-07' GROUP BY t"),
            400,
            "gap-filling query is missing upper time bound",
        ),
        (
            format!("SELECT {bins} AS t, avg(temp) FROM home WHERE time < '2065-01-07' GROUP BY t"),
            400,
            "gap-filling query is missing lower time bound",
        ),
        (
            format!("SELECT {bins} AS t, temp FROM home WHERE {RANGE}"),
            400,
            "date_bin_gapfill may only be used as a GROUP BY expression",
        ),
        (
            format!(
                "SELECT date_trunc('hour', {bins}), avg(temp) FROM home WHERE {RANGE} GROUP BY 1"
            ),
            400,
            placement,
        ),
        (
            format!("SELECT {bins}, interpolate(max(room)) FROM home WHERE {RANGE} GROUP BY 1"),
            400,
            "interpolate",
        ),
        (
            format!("SELECT locf(temp) FROM home WHERE {RANGE}"),
            400,
            "locf may only be used in the SELECT list of a gap-filling query",
        ),
        (
            format!(
                "SELECT date_bin_gapfill(INTERVAL '1 month', time), avg(temp) FROM home WHERE {RANGE} GROUP BY 1"
            ),
            400,
            "gap filling does not support month intervals",
        ),
    ] {
        check_error(&server.client, &sql, status, part);
    }
}

#[test]
fn rows_are_compared_and_chosen() {
    let server = home();
    check(
        &server.client,
        "SELECT time, difference(temp) OVER (ORDER BY time) AS d, \
         non_negative_difference(temp) OVER (ORDER BY time) AS n, \
         derivative(temp, time, INTERVAL '1 hour') OVER (ORDER BY time) AS h \
         FROM home WHERE room='Kitchen' ORDER BY time",
        "time,d,n,h\n\
         17:00:00,,,\n\
         18:00:00,2.0,2.0,2.0\n\
         19:00:00,-0.3000000000000007,,-0.3000000000000007\n\
         21:00:00,-0.3000000000000007,,-0.15000000000000036\n\
         22:00:00,,,",
    );
    let (status, rows) = ask(
        &server.client,
        "SELECT room, selector_last(temp, time, hum, room) AS s FROM home GROUP BY room ORDER BY room",
        "json",
    );
    let expected = r#"[{"room":"Kitchen","s":{"value":22.4,"time":"21:00:00","other_2":"Kitchen"}},{"room":"Living Room","s":{"value":22.6,"time":"22:00:00","other_1":36.1,"other_2":"Living Room"}}]"#;
    assert_eq!((status, rows.as_str()), (200, expected));
}

#[test]
fn functions_take_tags() {
    let server = home();
    for (call, value) in [
        ("count(*) FILTER (WHERE room ~ '^K')", "5"),
        ("count(*) FILTER (WHERE room !~* '^k')", "4"),
        ("count(*) FILTER (WHERE influx_regex_match(room, 'iving'))", "4"),
        ("count(*) FILTER (WHERE influx_regex_not_match(room, 'iving'))", "5"),
        ("count(*) FILTER (WHERE regexp_like(room, 'iving'))", "4"),
        ("approx_distinct(room)", "2"),
        ("count(DISTINCT room)", "2"),
        ("max(upper(room))", "LIVING ROOM"),
        ("first_value(room ORDER BY time DESC, room)", "Kitchen"),
        ("selector_max(room, time)['value']", "Living Room"),
    ] {
        check(&server.client, &format!("SELECT {call} AS v FROM home"), &format!("v\n{value}"));
    }
}

/// What is written wrong is the sender's fault and never the server's.
#[test]
fn extremes_are_answered() {
    let server = home();
    let max = "arrow_cast(9223372036854775807, 'Timestamp(Nanosecond, None)')";
    for (sql, statuses) in [
        ("SELECT generate_series(generate_series(1))".to_owned(), [400, 400]),
        (
            "SELECT * FROM home LIMIT 9223372036854775807 OFFSET 9223372036854775807".to_owned(),
            [200, 200],
        ),
        ("SELECT * FROM home LIMIT -1".to_owned(), [400, 400]),
        ("SELECT room ~ '(' FROM home".to_owned(), [400, 400]),
        ("SELECT 'x' ~ '((((a{1,200}){1,200}){1,200}){1,200})'".to_owned(), [400, 400]),
        (format!("SELECT {max} + INTERVAL '1 second'"), [400, 400]),
        (format!("SELECT {max} - INTERVAL '100000 years'"), [400, 400]),
        (format!("SELECT date_bin(INTERVAL '1 hour', {max})"), [200, 200]),
        ("SELECT to_timestamp_seconds(9223372036854775807)".to_owned(), [400, 400]),
        ("SELECT arrow_cast(1, 'Timestamp(Nanosecond, Some(\"Bogus\"))')".to_owned(), [400, 400]),
        ("SELECT INTERVAL '9223372036854775807 years'".to_owned(), [400, 400]),
        ("SELECT array_resize([1], -1)".to_owned(), [400, 400]),
        ("SELECT nth_value(temp, 0) FROM home".to_owned(), [400, 400]),
        ("SELECT repeat('x', 2000000000)".to_owned(), [422, 422]),
        (
            "SELECT count(*) FROM (SELECT unnest(range(0, 1000000)) FROM generate_series(1, 3))"
                .to_owned(),
            [200, 200],
        ),
        (format!("SELECT 'a' LIKE '{}'", "%a".repeat(8_000)), [200, 400]),
    ] {
        for format in ["json", "csv", "pretty"] {
            let (status, text) = ask(&server.client, &sql, format);
            assert!(statuses.contains(&status), "{sql:.80} as {format}: {status} {text:.200}");
        }
    }
    assert_eq!(server.client.count("sensors", "home"), 9);
}
