//! Statements that would take too much to plan or to compute.

use super::Fixture;
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
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{}", &text[..40]);
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
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{text:.60}");
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
    ] {
        let error = server.error(&format!("SELECT {call} FROM (VALUES (1)) AS t(v)")).await;
        assert_eq!(error.kind, ErrorKind::Overloaded, "{call}: {}", error.message);
        assert!(error.message.contains("Resources exhausted"), "{call}: {}", error.message);
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
        ("length(repeat(arrow_cast('ab', 'Dictionary(Int32, Utf8)'), 1000))", "2000"),
    ] {
        server.check(&format!("SELECT {call}"), &[], want).await;
    }
}
