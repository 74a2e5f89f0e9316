//! Functions that are added or differ from the engine's.

use super::Fixture;

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
