//! Statements that would take too much to plan or to compute.

use super::Fixture;
use futures::StreamExt;
use protocols::error::ErrorKind;

#[actix_rt::test]
async fn deep_statements_are_refused_and_long_ones_are_not() {
    let server = Fixture::new().await;
    let many = |part: &str, n: usize| vec![part; n].join("");
    for text in [
        format!("SELECT 1{}", many("+1", 1_500)),
        format!("SELECT * FROM home WHERE co=1{}", many(" OR co=1", 100_000)),
        format!("SELECT {}1{}", many("(", 100_000), many(")", 100_000)),
        format!("SELECT {}true", many("NOT ", 100_000)),
        format!("SELECT 1{}", many("::int", 100_000)),
        format!("SELECT 1{}", many(" UNION ALL SELECT 1", 10_000)),
        format!("SELECT 1 FROM home{}", many(", home", 10_000)),
        format!("{}SELECT 1", many("EXPLAIN ", 100_000)),
        format!("SELECT {}1{}", many("(", 150), many(")", 150)),
        format!("SELECT {}1", many("- ", 3_000)),
    ] {
        let error = server.error(&text).await;
        assert_eq!(error.kind, ErrorKind::LimitReached, "{}", &text[..40]);
    }
    server.check(&format!("SELECT 1{}", many("+1", 500)), &[], "501").await;
    let text =
        format!("SELECT count(*) FROM (VALUES (1)) AS t(v) WHERE v IN (0{})", many(",1", 5_000));
    server.check(&text, &[], "1").await;
    let text = format!("SELECT v FROM (VALUES (1)) AS t(v) WHERE v=1{}", many(" OR v=2", 300));
    server.check(&text, &[], "1").await;
}

/// Each of these would keep a thread busy for hours, or take all memory, before the first row.
#[actix_rt::test]
async fn statements_that_explode_are_refused() {
    let server = Fixture::new().await;
    let nest = |open: &str, inner: &str, close: &str, n: usize| {
        format!("SELECT {}{inner}{}", open.repeat(n), close.repeat(n))
    };
    let columns = |n: usize| (0..n).map(|i| format!("co+{i}")).collect::<Vec<_>>().join(",");
    for text in [
        nest("cast(", "1", " as int)", 48),
        nest("CAST(", "1 1", " as int)", 40),
        nest("position(", "1 1", ")", 15),
        nest("position((", "1 1", "))", 13),
        nest("substring(", "1 1", ")", 40),
        nest("char_length(", "'a'", ")", 40),
        nest("mean(", "1", ")", 40),
        nest("row(", "1", ")", 40),
        nest("count(*) filter (where ", "true", ")", 40),
        nest("(SELECT ", "1", ")", 20),
        nest("EXISTS (SELECT 1 WHERE ", "true", ")", 20),
        format!("{}SELECT 1{}", "WITH a AS (".repeat(20), ") SELECT 1".repeat(20)),
        chain("SELECT a FROM # UNION ALL SELECT a FROM #", 40),
        chain("SELECT x.a FROM # x JOIN # y ON x.a = y.a", 40),
        format!("EXPLAIN {}", chain("SELECT a FROM # UNION ALL SELECT a FROM #", 40)),
        format!("SELECT 1 FROM home GROUP BY CUBE ({})", columns(20)),
        format!("SELECT 1 FROM home GROUP BY CUBE ({0}), CUBE ({0})", columns(10)),
        format!("SELECT count(*) FROM home{}", ", home".repeat(400)),
        format!("SELECT count(*) FROM home{}", " CROSS JOIN home".repeat(400)),
        format!("SELECT arrow_cast(1, '{}Int64{}')", "List(".repeat(100), ")".repeat(100)),
        format!("SELECT arrow_cast(1, '{}')", "List(".repeat(100_000)),
        format!("SELECT arrow_cast(1, E'{}')", "List\\x28".repeat(100_000)),
        chain("SELECT [[[[[[[[a]]]]]]]] AS a FROM #", 20).replace("count(*)", "*"),
        chain("SELECT a FROM #", 1_000),
        format!("SELECT 1{}", ", sum(co) OVER ()".repeat(10_000)),
        format!("SELECT co FROM home ORDER BY {}", columns(10_000)),
    ] {
        let error = server.error(&text).await;
        assert_eq!(error.kind, ErrorKind::LimitReached, "{text:.60}");
        let own = ["nested too deeply", "the statement has more", "the statement reads more"];
        assert!(own.iter().any(|part| error.message.contains(part)), "{}", error.message);
    }
    for text in [
        nest("replace(", "'1'", ", '1', '1')", 30),
        nest("cast(", "1", " as int)", 10),
        nest("(SELECT ", "1", ")", 6),
        format!("SELECT a FROM {}(SELECT 1 AS a){}", "(SELECT a FROM ".repeat(8), ")".repeat(8)),
        chain("SELECT a FROM #", 100),
        chain("SELECT a FROM # WHERE a IN (SELECT a FROM #)", 5),
        "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r WHERE a < 1) \
         SELECT a FROM r"
            .to_owned(),
        "WITH a AS (WITH a AS (SELECT 1 AS b) SELECT b FROM a) SELECT b FROM a".to_owned(),
        "SELECT count(*) FROM (VALUES (1)) AS t(v) GROUP BY CUBE (v) LIMIT 1".to_owned(),
    ] {
        server.check(&text, &[], "1").await;
    }
}

/// Named queries in a row. `#` in `step` stands for the one before.
fn chain(step: &str, n: usize) -> String {
    let named: Vec<String> = (1..=n)
        .map(|i| format!("c{i} AS ({})", step.replace('#', &format!("C{}", i - 1))))
        .collect();
    format!("WITH c0 AS (SELECT 1 AS a), {} SELECT count(*) FROM c{n}", named.join(", "))
}

/// The engine does not count what a function makes, so each of these would take what there is.
#[actix_rt::test]
async fn functions_make_a_bounded_amount() {
    let server = Fixture::new().await;
    for call in [
        "generate_series(1, 9876543210)",
        "range(9876543210)",
        "range(-9223372036854775808, 9223372036854775807)",
        "generate_series(9876543210, 1, -1)",
        "generate_series(v, 9876543210)",
        "range(date '2000-01-01', date '9000-01-01', interval '1 nanosecond')",
        "generate_series(timestamp '2000-01-01', timestamp '2020-01-01', interval '1 second')",
        "array_repeat(1, 9876543210)",
        "array_repeat(array_repeat(1, 100000), 100000)",
        "array_resize([1], 9876543210, 0)",
        "repeat('x', 2000000000)",
        "repeat('xy', v * 1000000000)",
        "lpad('x', 2000000000)",
        "rpad('x', 2000000000, 'yz')",
        "replace(repeat('x', 100000), 'x', repeat('y', 100000))",
        "regexp_replace(repeat('x', 100000), 'x', repeat('y', 100000), 'g')",
        "array_to_string(range(1000000), repeat('x', 100000))",
        "concat_ws(repeat('x', 10000000), 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i')",
        "levenshtein(repeat('a', 100000), repeat('b', 100000))",
    ] {
        let error = server.error(&format!("SELECT {call} FROM (VALUES (1)) AS t(v)")).await;
        assert_eq!(error.kind, ErrorKind::LimitReached, "{call}: {}", error.message);
        assert!(error.message.contains(" bytes"), "{call}: {}", error.message);
    }
    for (call, want) in [
        ("generate_series(1, 3)", "[1, 2, 3]"),
        ("range(3, 0, -1)", "[3, 2, 1]"),
        ("range(3)", "[0, 1, 2]"),
        ("array_length(range(100000))", "100000"),
        ("array_length(range(date '2024-01-01', date '2025-01-01', interval '1 month'))", "12"),
        ("array_repeat('a', 2)", "[a, a]"),
        ("list_repeat(1, NULL)", ""),
        ("array_resize([1], 2, 0)", "[1, 0]"),
        ("repeat('ab', 2)", "abab"),
        ("repeat('ab', -1)", ""),
        ("lpad('x', 3, 'yz')", "yzx"),
        ("rpad('x', 3)", "x"),
        ("replace('aba', 'a', 'cc')", "ccbcc"),
        ("regexp_replace('aba', 'a', 'cc')", "ccba"),
        ("regexp_replace('aba', 'a', 'cc', 'g')", "ccbcc"),
        ("concat('a', NULL, 'b'), concat_ws('-', 'a', NULL, 'b')", "ab,a-b"),
        ("array_to_string([1, 2], '-')", "1-2"),
        ("levenshtein('kitten', 'sitting')", "3"),
        ("length(repeat(arrow_cast('ab', 'Dictionary(Int32, Utf8)'), 1000))", "2000"),
    ] {
        server.check(&format!("SELECT {call}"), &[], want).await;
    }
}

/// What may make much is asked for a few rows at a time, and refused only if it does.
#[actix_rt::test]
async fn a_pessimistic_estimate_refuses_nothing() {
    let server = Fixture::new().await;
    let text = "SELECT sum(length(regexp_replace(t, 'a', repeat('b', 1000), 'g'))) FROM \
                (SELECT repeat('c', 900) || 'a' AS t FROM generate_series(1, 900))";
    server.check(text, &[], &(900 * 1_900).to_string()).await;
    let error = server.error(&text.replace("'a',", "'c',")).await;
    assert_eq!(error.kind, ErrorKind::LimitReached, "{}", error.message);
}

/// Each would repeat a large constant for every row, or make millions of rows of one batch.
#[actix_rt::test]
async fn large_rows_come_a_few_at_a_time() {
    let server = Fixture::new().await;
    let list = "range(0, 100000)";
    for (text, want) in [
        (format!("SELECT count(*) FROM (SELECT unnest({list}) FROM generate_series(1, 20))"), 20),
        (format!("SELECT sum(array_length({list})) FROM generate_series(1, 40)"), 40),
        (
            "SELECT sum(length(x)) FROM (SELECT repeat('x', 100000) AS x \
             FROM generate_series(1, 400))"
                .to_owned(),
            400,
        ),
    ] {
        server.check(&text, &[], &(want * 100_000).to_string()).await;
    }
    let text = format!("SELECT unnest({list}) FROM generate_series(1, 100000)");
    // What waits between operators is counted, so that this may be refused; it never takes more.
    match server.start("home", &text, &[]).await {
        Ok(mut result) => assert!(result.batches.next().await.unwrap().is_ok()),
        Err(error) => assert_eq!(error.kind, ErrorKind::LimitReached, "{}", error.message),
    }
}

#[actix_rt::test]
async fn constants_come_to_a_bounded_amount() {
    let server = Fixture::new().await;
    let columns: Vec<String> =
        (0..10).map(|i| format!("repeat('x', {}) AS c{i}", 60_000_000 + i)).collect();
    let error = server.error(&format!("SELECT {}", columns.join(", "))).await;
    assert_eq!(error.kind, ErrorKind::LimitReached, "{}", error.message);
    assert!(error.message.contains("--query-memory-share"), "{}", error.message);
}

#[actix_rt::test]
async fn arguments_beyond_reason_are_refused() {
    let server = Fixture::new().await;
    let items: Vec<String> = (0..20_000).map(|i| format!("1 AS c{i}")).collect();
    for (text, part) in [
        (
            "SELECT approx_percentile_cont(v, 0.5, 9223372036854775807) FROM (VALUES (1.0)) AS t(v)",
            "takes at most 100000 centroids",
        ),
        (&format!("SELECT {}", items.join(", ")), "more than 5000 items behind SELECT"),
        (
            &format!("SELECT {}", ["repeat('x', 1)"; 60].join(" || ")),
            "more than 50 calls of functions that make long values",
        ),
    ] {
        let error = server.error(text).await;
        assert_eq!(error.kind, ErrorKind::LimitReached, "{text:.60}: {}", error.message);
        assert!(error.message.contains(part), "{text:.60}: {}", error.message);
    }
    for (text, part) in [
        ("SELECT nth_value(v, 0) FROM (VALUES (1)) AS t(v)", "there is no value 0"),
        ("SELECT array_resize([1], -1)", "requires a size that is not negative"),
    ] {
        let error = server.error(text).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{text:.60}: {}", error.message);
        assert!(error.message.contains(part), "{text:.60}: {}", error.message);
    }
    server.check("SELECT nth_value(v, 1) FROM (VALUES (1)) AS t(v)", &[], "1").await;
}
