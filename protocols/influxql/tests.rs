//! What texts are read as, and what is said about those that are no statements.

use super::*;
use proptest::prelude::*;

fn is_zone(name: &str) -> bool {
    ["UTC", "America/New_York"].contains(&name)
}

fn read(text: &str) -> Result<Vec<Statement>, String> {
    let parsed = parse(text, is_zone).map_err(|error| error.message)?;
    Ok(parsed.into_iter().map(|parsed| parsed.statement).collect())
}

#[track_caller]
fn check(text: &str, written: &str) {
    let statements = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let again: Vec<String> = statements.iter().map(ToString::to_string).collect();
    assert_eq!(again.join("; "), written, "{text}");
    assert_eq!(read(&again.join(";")), Ok(statements), "{text}");
}

#[track_caller]
fn refuse(text: &str, message: &str) {
    match read(text) {
        Ok(statements) => panic!("{text} is read as {statements:?}"),
        Err(error) => assert!(error.starts_with(message), "{text}: {error}"),
    }
}

#[test]
fn statements_are_written_as_they_are_read() {
    check(
        "select F64, f64 as \"select\" from m1 limit 1 -- end",
        "SELECT F64, f64 AS \"select\" FROM m1 LIMIT 1",
    );
    check(
        "SELECT /* c */ *::field FROM db..m, rp./x\\/y/ ;",
        "SELECT *::field FROM db..m, rp./x\\/y/",
    );
    check(
        "SELECT mean(f)+1 FROM m WHERE time>=now()-1h AND (a='x' OR b=~/y/) GROUP BY time(1m,-5s),*,/t/,k::tag fill(-1.5) ORDER BY DESC LIMIT 1 OFFSET 2 SLIMIT 3 SOFFSET 4 TZ('UTC')",
        "SELECT mean(f) + 1 FROM m WHERE time >= now() - 1h AND (a = 'x' OR b =~ /y/) GROUP BY TIME(1m, -5s), *, /t/, k FILL(-1.5) ORDER BY time DESC LIMIT 1 OFFSET 2 SLIMIT 3 SOFFSET 4 TZ('UTC')",
    );
    check(
        "SELECT (a+b)*c-(d-e)/-f::float FROM (SELECT x FROM y)",
        "SELECT (a + b) * c - (d - e) / -f::float FROM (SELECT x FROM y)",
    );
    check(
        "SELECT DISTINCT v, count(distinct(v)), COUNT(DISTINCT v) FROM m",
        "SELECT DISTINCT v, count(distinct(v)), count(DISTINCT v) FROM m",
    );
    check(
        "SELECT v FROM m WHERE b AND h = $\"x y\" AND t = $h",
        "SELECT v FROM m WHERE b AND h = $\"x y\" AND t = $h",
    );
    check(
        "show series on d from m where h='x' limit 1; show series exact cardinality",
        "SHOW SERIES ON d FROM m WHERE h = 'x' LIMIT 1; SHOW SERIES EXACT CARDINALITY",
    );
    check(
        "SHOW measurement cardinality; SHOW TAG KEY EXACT CARDINALITY; SHOW FIELD KEY CARDINALITY FROM m; SHOW TAG VALUES CARDINALITY ON d WITH KEY = k",
        "SHOW MEASUREMENT CARDINALITY; SHOW TAG KEY EXACT CARDINALITY; SHOW FIELD KEY CARDINALITY FROM m; SHOW TAG VALUES CARDINALITY ON d WITH KEY = k",
    );
    check("EXPLAIN ANALYZE VERBOSE SELECT v FROM m", "EXPLAIN ANALYZE VERBOSE SELECT v FROM m");
    check(
        "SHOW DATABASES; show retention policies on \"a b\"",
        "SHOW DATABASES; SHOW RETENTION POLICIES ON \"a b\"",
    );
    check(
        "SHOW MEASUREMENTS ON d WITH MEASUREMENT =~ /x/ WHERE a='b' LIMIT 1 OFFSET 2",
        "SHOW MEASUREMENTS ON d WITH MEASUREMENT =~ /x/ WHERE a = 'b' LIMIT 1 OFFSET 2",
    );
    check(
        "SHOW TAG VALUES FROM m WITH KEY IN (a, \"b c\") WHERE time > 0",
        "SHOW TAG VALUES FROM m WITH KEY IN (a, \"b c\") WHERE time > 0",
    );
    check("SHOW TAG VALUES WITH KEY !~ /x/", "SHOW TAG VALUES WITH KEY !~ /x/");
    check(
        "SHOW TAG KEYS FROM \"autogen\".\"m\"; SHOW FIELD KEYS",
        "SHOW TAG KEYS FROM autogen.m; SHOW FIELD KEYS",
    );
    check(
        "CREATE DATABASE d WITH DURATION 3d REPLICATION 1 SHARD DURATION 1h NAME p",
        "CREATE DATABASE d WITH DURATION 3d REPLICATION 1 SHARD DURATION 1h NAME p",
    );
    check(
        "ALTER RETENTION POLICY p ON d DURATION INF DEFAULT",
        "ALTER RETENTION POLICY p ON d DURATION INF DEFAULT",
    );
    check(
        "DELETE FROM m WHERE time < 5; DROP MEASUREMENT m",
        "DELETE FROM m WHERE time < 5; DROP MEASUREMENT m",
    );
    check(
        "SELECT v FROM m WHERE v = 1e3 AND u = 18446744073709551615",
        "SELECT v FROM m WHERE v = 1000.0 AND u = 18446744073709551615",
    );
    check(";;", "");
}

#[test]
fn places_of_faults() {
    for (text, message) in [
        ("SELECT FROM m0", "invalid SELECT statement, expected field at pos 7"),
        ("SELECT name FROM m0", "invalid SELECT statement, expected field at pos 7"),
        (
            "SELECT f64 FROM",
            "invalid FROM clause, expected identifier, regular expression or subquery at pos 15",
        ),
        ("SELECT f64 FROM m0 GROUP tag0", "invalid GROUP BY clause, expected BY at pos 25"),
        ("SELECT f64 FROM m0 ORDER BY", "invalid ORDER BY, expected ASC, DESC or TIME at pos 27"),
        ("SELECT f64 FROM m0 ORDER BY f64", "invalid ORDER BY, expected TIME column at pos 28"),
        ("SELECT f64 FROM m0 LIMIT x", "invalid LIMIT clause, expected unsigned integer at pos 25"),
        (
            "SELECT f64 FROM m0 LIMIT -1",
            "invalid LIMIT clause, expected unsigned integer at pos 25",
        ),
        ("SELECT f64 AS FROM m0", "invalid field alias, expected identifier at pos 13"),
        ("SELECT f64 FROM m0 WHERE tag0 = 'val00", "unterminated string literal at pos 38"),
        (
            "SELECT *::foo FROM m0",
            "invalid wildcard type specifier, expected TAG or FIELD at pos 10",
        ),
        ("SELECT f64 /* c FROM m0", "invalid inline comment, missing closing */"),
        ("DROP SERIES", "invalid DROP statement, expected MEASUREMENT at pos 5"),
        ("CREATE USER x", "Invalid CREATE statement, expected DATABASE following CREATE at pos 7"),
        (
            "SELECT f64 FROM m0 WHERE i64 IN (1,2)",
            "invalid InfluxQL statement at pos 29. Parsing Error: Nom(\"IN (1,2)\", Tag)",
        ),
        (
            "SELECT * FROM cpu WHERE",
            "invalid InfluxQL statement at pos 18. Parsing Error: Nom(\"WHERE\", Tag)",
        ),
        (
            "SHOW SHARDS",
            "invalid SHOW statement, expected DATABASES, FIELD KEYS, MEASUREMENTS, TAG KEYS, TAG VALUES, or RETENTION POLICIES following SHOW at pos 5",
        ),
        ("SHOW TAG FOO", "invalid SHOW TAG statement, expected KEYS or VALUES"),
        (
            "SHOW TAG VALUES",
            "invalid SHOW TAG VALUES statement, expected WITH KEY clause at pos 15",
        ),
        ("SELECT f64 FROM m0 tz('Nope/Zone')", "unable to find timezone at pos 33"),
        ("SELECT f64 FROM m0 tz(5)", "invalid TZ clause, expected string at pos 22"),
        (
            "SELECT f64 FROM m0 WHERE tag0 =~ 'x'",
            "invalid conditional, expected regular expression at pos 33",
        ),
        ("SELECT f64 FROM m0 WHERE tag0 = /x/", "invalid conditional expression at pos 32"),
        (
            "SELECT mean(f64) FROM m0 WHERE time > 0 GROUP BY time(x)",
            "invalid TIME call, expected a duration for the interval at pos 54",
        ),
        (
            "SELECT mean(f64) FROM m0 GROUP BY time(1s) FILL(foo)",
            "invalid FILL option, expected NULL, NONE, PREVIOUS, LINEAR, or a number at pos 48",
        ),
        (
            "SELECT f64::foo FROM m0",
            "invalid data type for tag or field reference, expected float, integer, unsigned, string, boolean, field, tag at pos 12",
        ),
        ("SELECT '\\x' FROM m0", r"invalid escape sequence, expected \\, \' or \n"),
        ("SELECT 99999999999999999999 FROM m", "unable to parse integer due to overflow"),
        ("FOO", "invalid InfluxQL statement at pos 0"),
        ("SELECT f64 INTO x FROM m", "SELECT INTO is not supported"),
    ] {
        refuse(text, message);
    }
}

#[test]
fn too_much_is_refused() {
    let nested = |n: usize| format!("SELECT {}v{} FROM m", "(".repeat(n), ")".repeat(n));
    assert!(read(&nested(NESTING_MAX)).is_ok());
    refuse(&nested(100_000), "statement is nested more than 64 levels deep");
    refuse(
        &format!("SELECT {}v FROM m", "-".repeat(100_000).replace("--", "- ")),
        "statement is nested",
    );
    refuse(&format!("SELECT {}v FROM m", "abs(".repeat(100_000)), "statement is nested");
    refuse(&"SELECT v FROM (".repeat(100_000), "statement is nested");
    refuse(&format!("SELECT v{} FROM m", "+v".repeat(100_000)), "expression has more than 256");
    let either = |n: usize| format!("SELECT v FROM m WHERE a = 'b'{}", " OR a = 'b'".repeat(n));
    assert!(read(&either(9_000)).is_ok());
    refuse(&either(100_000), "statement has more than 20000 operands");
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_]{0,5}", "[ -~\n]{1,6}", Just("select".to_owned())]
}

fn pattern() -> impl Strategy<Value = String> {
    // One that begins with an asterisk begins a comment.
    "[a-z/.|()][a-z/.*|()]{0,7}"
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (0..=i64::MAX).prop_map(Literal::Integer),
        (i64::MAX as u64 + 1..=u64::MAX).prop_map(Literal::Unsigned),
        (0.0..1e300_f64).prop_map(Literal::Float),
        "[ -~\n]{0,8}".prop_map(Literal::String),
        any::<bool>().prop_map(Literal::Boolean),
        (0..=i64::MAX).prop_map(Literal::Duration),
    ]
}

fn op(comparison: bool) -> impl Strategy<Value = Op> {
    use Op::*;
    let arithmetic = vec![Multiply, Divide, Modulo, BitAnd, Add, Subtract, BitOr, BitXor];
    let compare = vec![Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual];
    proptest::sample::select(if comparison { compare } else { arithmetic })
}

fn cast() -> impl Strategy<Value = Option<Cast>> {
    proptest::option::of(proptest::sample::select(vec![
        Cast::Float,
        Cast::Integer,
        Cast::Unsigned,
        Cast::String,
        Cast::Boolean,
        Cast::Field,
        Cast::Tag,
    ]))
}

fn arithmetic() -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        literal().prop_map(Expr::Literal),
        (name(), cast()).prop_map(|(name, cast)| Expr::Variable { name, cast }),
        "[a-z0-9]{1,3}".prop_map(Expr::Bind),
        name().prop_map(Expr::Distinct),
        Just(Expr::Wildcard(None)),
        Just(Expr::Wildcard(Some(WildcardKind::Tag))),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| Expr::Negative(Box::new(e))),
            (op(false), inner.clone(), inner.clone()).prop_map(|(op, l, r)| Expr::Binary {
                op,
                left: Box::new(l),
                right: Box::new(r)
            }),
            ("f_[a-z]{1,4}", proptest::collection::vec(inner, 0..3))
                .prop_map(|(name, args)| Expr::Call { name, args }),
        ]
    })
    .boxed()
}

fn condition() -> BoxedStrategy<Expr> {
    let compare = prop_oneof![
        (op(true), arithmetic(), arithmetic()).prop_map(|(op, l, r)| Expr::Binary {
            op,
            left: Box::new(l),
            right: Box::new(r)
        }),
        (arithmetic(), pattern()).prop_map(|(left, p)| Expr::Binary {
            op: Op::Matches,
            left: Box::new(left),
            right: Box::new(Expr::Literal(Literal::Regex(p)))
        }),
    ];
    compare
        .prop_recursive(3, 20, 3, |inner| {
            let logic = prop_oneof![Just(Logic::And), Just(Logic::Or)];
            (logic, proptest::collection::vec(inner, 2..4))
                .prop_map(|(logic, operands)| Expr::Logical { logic, operands })
        })
        .boxed()
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let any_name = prop_oneof![
        name().prop_map(MeasurementName::Name),
        pattern().prop_map(MeasurementName::Regex)
    ];
    (proptest::option::of(name()), proptest::option::of(name()), any_name)
        .prop_map(|(database, policy, name)| Measurement { database, policy, name })
}

fn dimension() -> impl Strategy<Value = Dimension> {
    let duration = (1..i64::MAX).prop_map(|ns| Expr::Literal(Literal::Duration(ns)));
    prop_oneof![
        name().prop_map(Dimension::Tag),
        Just(Dimension::Wildcard),
        pattern().prop_map(Dimension::Regex),
        (duration, proptest::option::of(arithmetic()))
            .prop_map(|(interval, offset)| Dimension::Time { interval, offset }),
    ]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let bound = || proptest::option::of(any::<u64>());
    (bound(), bound(), bound(), bound()).prop_map(|(limit, offset, slimit, soffset)| Bounds {
        limit,
        offset,
        slimit,
        soffset,
    })
}

fn fill() -> impl Strategy<Value = Option<Fill>> {
    proptest::option::of(prop_oneof![
        Just(Fill::Null),
        Just(Fill::None),
        Just(Fill::Previous),
        Just(Fill::Linear),
        any::<i64>().prop_map(Fill::Integer),
        (-1e9..1e9_f64).prop_map(Fill::Float),
    ])
}

fn select() -> BoxedStrategy<Select> {
    let simple = measurement().prop_map(Source::Measurement).boxed();
    let deeper = simple.clone().prop_recursive(2, 6, 2, |inner| {
        select_from(inner).prop_map(|s| Source::Subquery(Box::new(s))).boxed()
    });
    select_from(deeper.boxed()).boxed()
}

fn select_from(source: BoxedStrategy<Source>) -> impl Strategy<Value = Select> {
    use proptest::collection::vec;
    use proptest::option::of;
    let field = (arithmetic(), of(name())).prop_map(|(expr, alias)| Field { expr, alias });
    let order = of(prop_oneof![Just(Order::Ascending), Just(Order::Descending)]);
    let zone = of(Just("UTC".to_owned()));
    let head = (vec(field, 1..4), vec(source, 1..3), of(condition()), vec(dimension(), 0..3));
    (head, fill(), order, bounds(), zone).prop_map(|(head, fill, order, bounds, zone)| {
        let (fields, from, condition, dimensions) = head;
        Select { fields, from, condition, dimensions, fill, order, bounds, zone }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(select in select()) {
        let text = select.to_string();
        let statements = read(&text);
        prop_assert_eq!(statements, Ok(vec![Statement::Select(Box::new(select))]), "{}", text);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,60}") {
        if let Ok(statements) = read(&text) {
            let again: Vec<String> = statements.iter().map(ToString::to_string).collect();
            prop_assert_eq!(read(&again.join(";")), Ok(statements));
        }
    }

    #[test]
    fn words_in_any_order_are_read_without_a_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "SELECT", "FROM", "WHERE", "GROUP", "BY", "time", "(", ")", "*", "/", "'x'", "m",
                "1s", "=", "=~", ",", ".", ";", "-", "SHOW", "TAG", "VALUES", "WITH", "KEY", "5",
                "fill", "AND", "OR", "LIMIT", "::", "tag", "\"q\"", "AS", "ON", "IN", "DISTINCT",
            ]),
            0..20,
        ),
    ) {
        if let Ok(statements) = read(&words.join(" ")) {
            let again: Vec<String> = statements.iter().map(ToString::to_string).collect();
            prop_assert_eq!(read(&again.join(";")), Ok(statements));
        }
    }
}
