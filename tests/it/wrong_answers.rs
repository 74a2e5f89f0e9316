//! Answers that the engine alone gets wrong. Each is a kind; the right value is what PostgreSQL
//! answers.

use crate::support::client::Client;
use crate::support::server::Server;
use serde_json::json;

/// Three half hours, a row without a tag, and the largest integer.
const ROWS: &str = "\
    m,tag=a n=1i,f=0.5 1735545600000000000\n\
    m,tag=b n=2i,f=1.5 1735547400000000000\n\
    m,tag=c n=9223372036854775807i,f=2.5 1735549200000000000\n\
    m n=3i,f=3.5 1735551000000000000\n\
    e,tag=a k=1i,x=1i 1\ne,tag=b k=1i 2\ne,tag=c k=2i,x=4i 3";

fn server() -> Server {
    let server = Server::memory();
    server.client.must_write("d", ROWS);
    server
}

/// Status and rows without the header; rows are separated by blanks.
fn ask(client: &Client, sql: &str) -> (u16, String) {
    let body = json!({"db": "d", "q": sql, "format": "csv"}).to_string();
    let answer = client.post("/api/v3/query_sql", body);
    let text = answer.text();
    match answer.status {
        200 => (200, text.lines().skip(1).collect::<Vec<_>>().join(" ")),
        status => (status, text),
    }
}

/// The statement answers these rows: planned anew, and with a plan that is used again.
#[track_caller]
fn check(client: &Client, sql: &str, want: &str) {
    for _ in 0..3 {
        assert_eq!(ask(client, sql), (200, want.to_owned()), "{sql}");
    }
}

/// The statement is refused with a text that has this part.
#[track_caller]
fn refused(client: &Client, sql: &str, part: &str) {
    for _ in 0..3 {
        let (status, text) = ask(client, sql);
        assert_eq!(status, 400, "{sql}: {text}");
        assert!(text.contains(part), "{sql}: {text}");
        for inside in
            ["ParserError", "Optimizer rule", "DataFusion", "three_valued", "Int64Array {"]
        {
            assert!(!text.contains(inside), "{sql}: {text}");
        }
    }
}

#[test]
fn a_time_on_a_clock_is_compared_as_the_instant_that_it_is() {
    let server = server();
    let client = &server.client;
    let tags = |condition: &str, want: &str| {
        check(client, &format!("SELECT tag FROM m WHERE {condition} ORDER BY tag"), want);
    };
    let berlin = "time AT TIME ZONE 'Europe/Berlin'";
    tags(&format!("{berlin} > '2024-12-30T08:00:00Z'"), "\"\"");
    tags(&format!("{berlin} >= '2024-12-30T08:00:00Z'"), "c \"\"");
    tags(&format!("{berlin} = '2024-12-30T07:30:00Z'"), "b");
    tags(&format!("'2024-12-30T07:30:00Z' >= {berlin}"), "a b");
    tags(&format!("{berlin} BETWEEN '2024-12-30T07:30:00Z' AND '2024-12-30T08:00:00Z'"), "b c");
    tags(&format!("{berlin} IN ('2024-12-30T07:00:00Z', '2024-12-30T08:30:00Z')"), "a \"\"");
    tags(&format!("{berlin} < time AND tag IS NOT NULL"), "a b c");
    tags(&format!("NOT {berlin} > '2024-12-30T08:00:00Z'"), "a b c");
    tags("arrow_cast(time, 'Timestamp(ns, \"Europe/Berlin\")') < '2024-12-30T07:30:00Z'", "a");
    // What the engine casts to compare means UTC.
    tags("time = tz(time, 'Europe/Berlin') AND tag = 'a'", "a");
    tags("time < (timestamp '2024-12-30T09:30:00' AT TIME ZONE 'Europe/Berlin')", "a");
    let sub = format!("SELECT tag, {berlin} AS t FROM m");
    check(client, &format!("SELECT tag FROM ({sub}) WHERE t < '2024-12-30T07:30:00Z'"), "a");
}

#[test]
fn hours_that_a_clock_has_twice_or_not_at_all() {
    let server = server();
    let at = |local: &str, zone: &str, want: &str| {
        let sql = format!("SELECT timestamp '{local}' AT TIME ZONE '{zone}'");
        check(&server.client, &sql, want);
    };
    at("2024-10-27T02:30:00", "Europe/Berlin", "2024-10-27T02:30:00+01:00");
    at("2024-10-27T01:59:59", "Europe/Berlin", "2024-10-27T01:59:59+02:00");
    at("2024-03-31T02:30:00", "Europe/Berlin", "2024-03-31T03:30:00+02:00");
    at("2024-10-06T02:15:00", "Australia/Lord_Howe", "2024-10-06T02:45:00+11:00");
    at("2014-10-26T01:30:00", "Europe/Moscow", "2014-10-26T01:30:00+03:00");
    at("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-31T12:00:00+14:00");
    refused(&server.client, "SELECT time AT TIME ZONE 'Nope/Zone' FROM m", "no time zone");
    refused(&server.client, "SELECT time AT TIME ZONE tag FROM m", "AT TIME ZONE");
}

#[test]
fn a_filter_may_come_back_as_a_constant() {
    let server = server();
    let client = &server.client;
    let tags = |condition: &str, want: &str| {
        check(client, &format!("SELECT tag FROM m WHERE {condition} ORDER BY tag"), want);
    };
    tags("tag NOT IN ('a', NULL)", "");
    tags("tag IN ('a', NULL)", "a");
    tags("tag = NULL", "");
    tags("tag NOT IN ('a', NULL) OR n = 3", "\"\"");
    tags("tag = ANY(ARRAY['a', 'b'])", "a b");
    tags("tag = ANY(ARRAY['a', NULL])", "a");
    tags("NOT (tag = ANY(ARRAY['a', NULL]))", "");
    tags("tag <> ALL(ARRAY['a', 'b'])", "c");
    tags("tag <> ALL(ARRAY['a', NULL])", "");
    tags("tag = ANY(string_to_array('a,b', ','))", "a b");
    tags("NOT (n < ANY(ARRAY[1, NULL]))", "");
    tags("n > ALL(ARRAY[1, 2])", "c \"\"");
    tags("NULL", "");
    tags("1 = 1", "a b c \"\"");
    tags("false OR tag = 'a'", "a");
}

#[test]
fn in_with_a_subquery_knows_unknown() {
    let server = server();
    let client = &server.client;
    let tags = |condition: &str, want: &str| {
        check(client, &format!("SELECT tag FROM m WHERE {condition} ORDER BY tag"), want);
    };
    let nulls = "SELECT x FROM e"; // 1, NULL, 4
    let values = "SELECT x FROM e WHERE x IS NOT NULL";
    let none = "SELECT x FROM e WHERE k > 9";
    let correlated = "SELECT x FROM e WHERE e.k = m.n"; // n = 1: 1, NULL; n = 2: 4
    tags("3 NOT IN (SELECT 1 UNION ALL SELECT NULL)", "");
    tags(&format!("3 NOT IN ({nulls})"), "");
    tags(&format!("3 NOT IN ({values}) AND tag = 'a'"), "a");
    tags(&format!("NULL NOT IN ({none}) AND tag = 'a'"), "a");
    tags(&format!("NULL NOT IN ({values})"), "");
    tags(&format!("n NOT IN ({nulls})"), "");
    tags(&format!("n NOT IN ({values})"), "b c \"\"");
    tags(&format!("n IN ({nulls})"), "a");
    tags(&format!("NOT (n IN ({nulls}) OR n = 2)"), "");
    tags(&format!("(n IN ({nulls})) IS NULL"), "b c \"\"");
    tags(&format!("(n NOT IN ({nulls})) IS NOT TRUE AND tag = 'b'"), "b");
    tags(&format!("n NOT IN ({nulls}) OR tag = 'b'"), "b");
    tags("n IN (SELECT max(x) - 2 FROM e) OR tag = 'a'", "a b");
    tags(&format!("CASE WHEN n NOT IN ({nulls}) THEN true ELSE tag = 'c' END"), "c");
    tags(&format!("9 NOT IN ({correlated}) AND tag IS NOT NULL"), "b c");
    tags(&format!("n NOT IN ({correlated}) AND tag IS NOT NULL"), "b c");
    tags(&format!("n IN ({correlated})"), "a");
    let outside = "IN and EXISTS with a query outside of WHERE";
    refused(client, &format!("SELECT n IN ({nulls}) FROM m"), outside);
    let aggregate = "EXISTS (SELECT max(x) FROM e WHERE e.k = m.n)";
    refused(client, &format!("SELECT n FROM m WHERE {aggregate}"), "with an aggregate");
}

#[test]
fn integers_that_overflow_are_an_error() {
    let server = server();
    let client = &server.client;
    for sql in [
        "SELECT sum(n) FROM m",
        "SELECT sum(n) AS s FROM m GROUP BY tag IS NULL",
        "SELECT sum(n) OVER (ORDER BY time) FROM m",
        "SELECT sum(n) OVER (ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM m",
        "SELECT sum(DISTINCT n) FROM m",
        "SELECT max(n) + 1 FROM m",
        "SELECT n + 1 FROM m",
        "SELECT n - -1 FROM m",
        "SELECT n * 2 FROM m",
        "SELECT -(-n - 1) FROM m",
        "SELECT abs(-n - 1) FROM m",
        "SELECT n FROM m WHERE n + 1 > 0",
        "SELECT count(*) FROM m GROUP BY n + 1",
        "SELECT tag FROM m ORDER BY n * 3",
        "SELECT 9223372036854775807 + 1",
        "SELECT 10000000000 * 10000000000",
        "SELECT CAST(127 AS TINYINT) + CAST(1 AS TINYINT)",
        "SELECT arrow_cast(0, 'UInt64') - arrow_cast(1, 'UInt64')",
        "SELECT sum(arrow_cast(n, 'UInt64')) FROM m, e WHERE n > 9",
    ] {
        refused(client, sql, "verflow");
    }
    refused(client, "SELECT CAST(n AS INT) FROM m", "Can't cast value");
    refused(client, "SELECT tag FROM m WHERE CAST(n AS INT) > 1", "Can't cast value");
    check(client, "SELECT tag FROM m WHERE TRY_CAST(n AS INT) > 1 ORDER BY tag", "b \"\"");
    check(client, "SELECT tag FROM m WHERE TRY_CAST(n AS INT) IS NULL", "c");
    // What fits in the end is no error on the way.
    let back = "SELECT sum(v) FROM (VALUES (9223372036854775807), (1), (-1)) AS t(v)";
    check(client, back, "9223372036854775807");
    let mean = "SELECT avg(d) > arrow_cast(0, 'Duration(ns)') FROM \
                (SELECT arrow_cast(9000000000000000000, 'Duration(ns)') AS d FROM m)";
    check(client, mean, "true");
    check(client, "SELECT sum(n), sum(DISTINCT n), sum(f) FROM m WHERE n < 9", "6,6,5.5");
    check(client, "SELECT sum(n) FROM m WHERE n > 9 AND n < 9", "\"\"");
    let window = "SELECT sum(n) OVER (ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) \
                  FROM m WHERE n < 9 ORDER BY time";
    check(client, window, "1 3 5");
}

#[test]
fn what_would_be_ignored_is_refused() {
    let server = server();
    for (sql, part) in [
        ("SELECT n FROM m TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        ("SELECT n FROM m TABLESAMPLE (5 ROWS)", "TABLESAMPLE"),
        ("SELECT n FROM (SELECT n FROM m) AS s TABLESAMPLE (10)", "TABLESAMPLE"),
        ("SELECT n FROM m WHERE n IN (SELECT n FROM m TABLESAMPLE (10))", "TABLESAMPLE"),
        ("WITH c AS (SELECT n FROM m TABLESAMPLE (10)) SELECT n FROM c", "TABLESAMPLE"),
        ("SELECT n FROM m UNION SELECT n FROM m TABLESAMPLE (10)", "TABLESAMPLE"),
        ("EXPLAIN SELECT n FROM m TABLESAMPLE (10)", "TABLESAMPLE"),
        ("SELECT n FROM m FOR UPDATE", "FOR UPDATE"),
        ("SELECT n FROM m FOR SHARE SKIP LOCKED", "FOR UPDATE"),
        ("SELECT n FROM m ORDER BY n FETCH FIRST 1 ROWS WITH TIES", "FETCH"),
        ("SELECT n FROM m ORDER BY n FETCH FIRST 50 PERCENT ROWS ONLY", "FETCH"),
        ("SELECT TOP 1 n FROM m", "TOP"),
        ("SELECT n FROM m LIMIT 1 BY tag", "LIMIT BY"),
        ("SELECT n FROM m SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT tag, count(*) FROM m GROUP BY tag WITH ROLLUP", "GROUP BY with a modifier"),
        ("SELECT * FROM m PIVOT (sum(n) FOR tag IN ('a', 'b'))", "PIVOT"),
        ("SELECT * FROM generate_series(1, 2) WITH ORDINALITY", "WITH ORDINALITY"),
        ("SELECT sum(n) OVER (w ORDER BY time) FROM m WINDOW w AS (PARTITION BY tag)", "built on"),
        ("SELECT abs(n) OVER () FROM m", "OVER with the function abs"),
        ("SELECT abs(n) FILTER (WHERE n > 9) FROM m", "FILTER with the function abs"),
        ("SELECT abs(DISTINCT n) FROM m", "DISTINCT with the function abs"),
        ("SELECT row_number() FILTER (WHERE n > 9) OVER () FROM m", "FILTER with the function"),
        ("SELECT first_value(n) FILTER (WHERE n > 9) OVER () FROM m", "FILTER with the function"),
        ("SELECT sum(n) IGNORE NULLS OVER () FROM m", "IGNORE NULLS"),
    ] {
        refused(&server.client, sql, part);
    }
    let client = &server.client;
    check(client, "SELECT n FROM m ORDER BY n FETCH FIRST 2 ROWS ONLY", "1 2");
    check(client, "SELECT n FROM m ORDER BY n OFFSET 1 ROW FETCH NEXT ROW ONLY", "2");
    check(client, "SELECT n FROM m ORDER BY n LIMIT 1 OFFSET 1", "2");
    check(client, "SELECT count(*) FILTER (WHERE n > 9) FROM m", "1");
    check(client, "SELECT first_value(n) IGNORE NULLS OVER (ORDER BY n) FROM m LIMIT 1", "1");
    check(
        client,
        "SELECT sum(f) OVER w FROM m WINDOW w AS (ORDER BY n) ORDER BY 1",
        "0.5 2.0 5.5 8.0",
    );
}

#[test]
fn patterns_of_similar_to_match_the_whole_text() {
    let server = server();
    let sql = "SELECT 'abc' SIMILAR TO 'b', 'abc' SIMILAR TO '%b_', 'abc' SIMILAR TO 'a(b|x)c', \
               'abc' NOT SIMILAR TO 'a.c', 'a.c' SIMILAR TO 'a.c', 'a%' SIMILAR TO 'a!%' ESCAPE '!'";
    check(&server.client, sql, "false,true,true,true,true,true");
}

#[test]
fn one_aggregate_is_filled_in_two_ways() {
    let server = server();
    let filled = |columns: &str, want: &str| {
        let sql = format!(
            "SELECT date_bin_gapfill(INTERVAL '15 minutes', time) AS t, {columns} FROM m WHERE \
             time >= '2024-12-30T08:00:00Z' AND time < '2024-12-30T08:45:00Z' GROUP BY t ORDER BY t"
        );
        let answer = ask(&server.client, &sql);
        let rows: Vec<&str> =
            answer.1.split(' ').filter_map(|row| Some(row.split_once(',')?.1)).collect();
        assert_eq!((answer.0, rows.join(" ").as_str()), (200, want), "{columns}: {}", answer.1);
    };
    filled("locf(avg(f)), interpolate(avg(f))", "0.5,0.5 0.5,1.0 1.5,1.5");
    filled("interpolate(avg(f)), locf(avg(f))", "0.5,0.5 1.0,0.5 1.5,1.5");
    filled(
        "interpolate(avg(f)) AS a, locf(avg(f)) + 1 AS b, count(*)",
        "0.5,1.5,1 1.0,1.5,0 1.5,2.5,1",
    );
    filled("locf(selector_last(f, time)['value'])", "0.5 0.5 1.5");
    filled("interpolate(selector_last(f, time)['value'])", "0.5 1.0 1.5");
    filled(
        "locf(selector_last(f, time)['value']), selector_last(f, time)['value']",
        "0.5,0.5 0.5, 1.5,1.5",
    );
    filled("locf(selector_last(f, time))['value']", "0.5 0.5 1.5");
}

#[test]
fn errors_are_in_the_words_of_the_statement() {
    let server = server();
    for (sql, text) in [
        (
            "SELEC 1",
            "syntax error at line 1, column 1: expected an SQL statement, found SELEC\n  SELEC 1\n  ^",
        ),
        (
            "SELECT tag,\n  n FROM m WHERE",
            "syntax error at line 2, column 17: expected an expression, found the end of the \
             statement\n    n FROM m WHERE\n                  ^",
        ),
        (
            "SELECT avg(tag) FROM m",
            "the function 'avg' takes Decimal, Duration or Float64, not String",
        ),
        ("SELECT tag + 1 FROM m", "Cannot coerce arithmetic expression Tag + Int64"),
        ("SELECT CAST(1e300 AS BIGINT)", "Cast error: Can't cast value 1e300 to type Int64"),
        ("SELECT n FROM m WHERE time > 'garbage'", "Error parsing timestamp from 'garbage'"),
        ("SELECT n -> 1 FROM m", ""),
        ("SELECT 1 FROM m MATCH_RECOGNIZE (PATTERN (a))", ""),
    ] {
        refused(&server.client, sql, text);
    }
}
