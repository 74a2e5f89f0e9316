//! Functions that are added or differ from the engine's.

use super::Fixture;
use protocols::error::ErrorKind;

#[actix_rt::test]
async fn selectors_choose_a_row() {
    let server = Fixture::new().await;
    let table = "(SELECT g, v, to_timestamp(t) AS time, o FROM (VALUES \
                 ('a', 2.0, 10, 'x'), ('a', NULL, 5, 'y'), ('a', 1.0, 30, NULL), \
                 ('a', 1.0, 20, 'z'), ('b', NULL, 1, 'w')) AS s(g, v, t, o)) AS t";
    for (name, row) in [
        ("first", "2.0,1970-01-01T00:00:00.000000010,x"),
        ("last", "1.0,1970-01-01T00:00:00.000000030,"),
        ("min", "1.0,1970-01-01T00:00:00.000000020,z"),
        ("max", "2.0,1970-01-01T00:00:00.000000010,x"),
    ] {
        let text = format!(
            "SELECT g, s['value'], s['time'], s['other_1'] FROM \
             (SELECT g, selector_{name}(v, time, o) AS s FROM {table} GROUP BY g) ORDER BY g"
        );
        server.check(&text, &[], &format!("a,{row}\nb,,,")).await;
        let text = format!("SELECT selector_{name}(v, time)['value'] FROM {table}");
        server.check(&text, &[], row.split(',').next().unwrap()).await;
        let text = format!("SELECT selector_{name}(g, time)['value'] FROM {table} WHERE v > 9");
        server.check(&text, &[], "").await;
    }
    let text = format!(
        "SELECT selector_max(arrow_cast(o, 'Dictionary(Int32, Utf8)'), time)['value'] FROM {table}"
    );
    server.check(&text, &[], "z").await;
}

/// Of rows with the same time, or the same value and time, the first one counts.
#[actix_rt::test]
async fn selectors_choose_the_first_of_equally_good_rows() {
    let server = Fixture::new().await;
    let table = "(SELECT v, to_timestamp(t) AS time, o FROM (VALUES \
                 (NULL, 9, 'none'), (5, 1, 'a'), (5, 1, 'b'), (7, 9, 'c'), (7, 9, 'd'), \
                 (3, 9, 'e')) AS s(v, t, o)) AS t";
    for (name, want) in [("first", "5,a"), ("last", "7,c"), ("min", "3,e"), ("max", "7,c")] {
        let text = format!(
            "SELECT s['value'], s['other_1'] FROM \
             (SELECT selector_{name}(v, time, o) AS s FROM {table})"
        );
        server.check(&text, &[], want).await;
    }
}

#[actix_rt::test]
async fn functions_that_differ_from_the_engines() {
    let server = Fixture::new().await;
    for (text, want) in [
        ("SELECT to_timestamp(1700000000)", "1970-01-01T00:00:01.700"),
        ("SELECT to_timestamp_seconds(1)", "1970-01-01T00:00:01"),
        ("SELECT to_timestamp('2025-06-01T10:00:00+01:00')", "2025-06-01T09:00:00"),
        ("SELECT arrow_typeof(now())", "Timestamp(ns)"),
        ("SELECT tz(to_timestamp('2025-06-01'), 'America/New_York')", "2025-05-31T20:00:00-04:00"),
        ("SELECT tz('2025-06-01')", "2025-06-01T00:00:00Z"),
        ("SELECT tz('2025-06-01', '+05:30')", "2025-06-01T05:30:00+05:30"),
        ("SELECT version() LIKE 'influxdb3 %DataFusion %'", "true"),
        (
            "SELECT approx_distinct(arrow_cast(v, 'Dictionary(Int32, Utf8)')) FROM (VALUES ('a'), ('b'), ('a')) AS t(v)",
            "2",
        ),
        (
            "SELECT date_bin('15 minutes', to_timestamp('2025-06-01T10:29:00Z'))",
            "2025-06-01T10:15:00",
        ),
        ("SELECT v FROM (VALUES (1), (NULL), (2)) AS t(v) ORDER BY v DESC", "\n2\n1"),
        ("SELECT arrow_cast('Kit', 'Dictionary(Int32, Utf8)') ~ '^K'", "true"),
        ("SELECT 7/2", "3"),
        ("SELECT count(*) FROM home", "0"),
        (
            "SELECT room, max(temp) FROM home WHERE time > now() - INTERVAL '1 day' GROUP BY room",
            "",
        ),
    ] {
        server.check(text, &[], want).await;
    }
}

const KITCHEN: &str = "(SELECT to_timestamp_seconds(t) AS time, v, i, u FROM (VALUES \
     (0, 21.0, 5, arrow_cast(5, 'UInt64')), (3600, 23.0, 3, arrow_cast(3, 'UInt64')), \
     (7200, 22.7, 3, arrow_cast(9, 'UInt64')), (14400, 22.4, 8, NULL), \
     (18000, NULL, NULL, NULL)) AS s(t, v, i, u)) AS t";

#[actix_rt::test]
async fn values_are_compared_with_the_one_before() {
    let server = Fixture::new().await;
    for (call, want) in [
        ("difference(v)", ",2.0,-0.3000000000000007,-0.3000000000000007,"),
        ("non_negative_difference(v)", ",2.0,,,"),
        ("difference(i)", ",-2,0,5,"),
        ("non_negative_difference(i)", ",,0,5,"),
        ("difference(u)", ",-2,6,,"),
        ("derivative(i, time)", ",-0.0005555555555555556,0.0,0.0006944444444444445,"),
        (
            "derivative(v, time, INTERVAL '1 hour')",
            ",2.0,-0.3000000000000007,-0.15000000000000036,",
        ),
        ("derivative(v, time, '1 hour')", ",2.0,-0.3000000000000007,-0.15000000000000036,"),
        ("non_negative_derivative(v, time, INTERVAL '1 hour')", ",2.0,,,"),
        ("difference(NULL)", ",,,,"),
    ] {
        let text = format!(
            "SELECT string_agg(coalesce(CAST(d AS VARCHAR), ''), ',' ORDER BY time) FROM \
             (SELECT time, {call} OVER (ORDER BY time) AS d FROM {KITCHEN})"
        );
        server.check(&text, &[], want).await;
    }
    // Each series by itself, and a null does not end it.
    let text = "SELECT d FROM (SELECT g, t, difference(v) OVER (PARTITION BY g ORDER BY t) AS d \
                FROM (VALUES ('a', 1, 1), ('b', 1, 10), ('a', 2, NULL), ('b', 2, 30), ('a', 3, 4)) \
                AS s(g, t, v)) ORDER BY g, t";
    server.check(text, &[], "\n\n3\n\n20").await;
    for (call, part) in [
        ("difference(v, v)", "difference requires 1 argument, got 2"),
        ("difference('a')", "difference requires a number, got Utf8"),
        ("derivative(v)", "derivative requires 2 or 3 arguments, got 1"),
        ("derivative(v, v)", "derivative requires a timestamp, got Float64"),
        ("derivative(v, time, 5)", "derivative requires an interval, got Int64"),
        ("derivative(v, time, INTERVAL '1 month')", "does not support month intervals"),
        ("derivative(v, time, INTERVAL '0 hours')", "requires an interval above zero"),
    ] {
        let error =
            server.error(&format!("SELECT {call} OVER (ORDER BY time) FROM {KITCHEN}")).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{call}: {}", error.message);
        assert!(error.message.contains(part), "{call}: {}", error.message);
    }
}

#[actix_rt::test]
async fn expressions_match_as_their_operators_do() {
    let server = Fixture::new().await;
    let table = "(VALUES ('abc'), ('b'), (NULL)) AS t(s)";
    for (call, want) in [
        ("influx_regex_match(s, '^a')", "true\nfalse\n"),
        ("influx_regex_not_match(s, '^a')", "false\ntrue\n"),
        ("influx_regex_match(arrow_cast(s, 'Dictionary(Int32, Utf8)'), 'c$')", "true\nfalse\n"),
        ("influx_regex_match(s, NULL)", "\n\n"),
    ] {
        server.check(&format!("SELECT {call} FROM {table}"), &[], want).await;
    }
    for (call, part) in [
        ("influx_regex_match(s)", "influx_regex_match requires 2 arguments, got 1"),
        ("influx_regex_match(1, 'a')", "influx_regex_match requires texts, got Int64 and Utf8"),
        ("influx_regex_match(s, '(')", "regex parse error"),
        ("s ~ '('", "regex parse error"),
    ] {
        let error = server.error(&format!("SELECT {call} FROM {table}")).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{call}: {}", error.message);
        assert!(error.message.contains(part), "{call}: {}", error.message);
    }
}

#[actix_rt::test]
async fn all_functions_are_listed() {
    let server = Fixture::new().await;
    for name in [
        "date_bin",
        "date_bin_gapfill",
        "date_bin_wallclock",
        "date_bin_wallclock_gapfill",
        "locf",
        "interpolate",
        "selector_first",
        "selector_last",
        "selector_min",
        "selector_max",
        "tz",
        "approx_distinct",
        "influx_regex_match",
        "influx_regex_not_match",
        "difference",
        "non_negative_difference",
        "derivative",
        "non_negative_derivative",
        "version",
    ] {
        let text = format!(
            "SELECT DISTINCT routine_name FROM information_schema.routines \
             WHERE routine_name = '{name}'"
        );
        server.check(&text, &[], name).await;
    }
}
