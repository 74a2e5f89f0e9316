//! Which statements run, and what the others are told.

use super::Fixture;
use protocols::error::ErrorKind;
use protocols::messages::query::ParamValue;

#[actix_rt::test]
async fn what_only_reads_is_let_through() {
    let server = Fixture::new().await;
    let plan = "Error during planning: ";
    for (text, kind, message) in [
        ("", ErrorKind::InvalidInput, "No SQL statements were provided in the query string"),
        ("DROP TABLE home", ErrorKind::InvalidInput, "DDL not supported: DropTable"),
        (
            "CREATE TABLE x AS SELECT 1",
            ErrorKind::InvalidInput,
            "DDL not supported: CreateMemoryTable",
        ),
        (
            "CREATE EXTERNAL TABLE p STORED AS CSV LOCATION '/etc/passwd'",
            ErrorKind::InvalidInput,
            "DDL not supported: CreateExternalTable",
        ),
        ("DELETE FROM home", ErrorKind::InvalidInput, "DML not supported: Delete"),
        ("UPDATE home SET co = 1", ErrorKind::InvalidInput, "DML not supported: Update"),
        ("COPY home TO '/tmp/x.csv'", ErrorKind::InvalidInput, "DML not supported: COPY"),
        ("EXPLAIN COPY home TO '/tmp/x.csv'", ErrorKind::InvalidInput, "DML not supported: COPY"),
        (
            "INSERT INTO home VALUES (1)",
            ErrorKind::InvalidInput,
            "Inconsistent data length across values list: got 1 values in row 0 but expected 7",
        ),
        (
            "SET datafusion.execution.batch_size = 1",
            ErrorKind::InvalidInput,
            "Statement not supported: SetVariable",
        ),
        ("SELECT * FROM nosuch", ErrorKind::InvalidInput, "table 'public.iox.nosuch' not found"),
        ("SELECT * FROM a.b.c", ErrorKind::InvalidInput, "table 'a.b.c' not found"),
        (
            "SELECT * FROM system.tokens",
            ErrorKind::InvalidInput,
            "table 'public.system.tokens' not found",
        ),
        (
            "SELECT * FROM '/etc/passwd'",
            ErrorKind::InvalidInput,
            "table 'public.iox./etc/passwd' not found",
        ),
        ("SELECT $a", ErrorKind::InvalidInput, "No value found for placeholder with name $a"),
    ] {
        let error = server.error(text).await;
        assert_eq!((error.kind, error.message), (kind, format!("{plan}{message}")), "{text}");
    }
    let error = server.error("SELECT 1; SELECT 2").await;
    let message = "This feature is not implemented: \
                   The context currently only supports a single SQL statement";
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotImplemented, message));
    server.check("SELECT 1;", &[], "1").await;
    let error = server.start("nope", "SELECT 1", &[]).await.err().unwrap();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::NotFound, "database not found: nope")
    );
}

#[actix_rt::test]
async fn errors_say_whose_fault_they_are() {
    let server = Fixture::new().await;
    for (text, part) in [
        ("SELECT", "syntax error at line 1, column 7: expected an expression, found the end"),
        ("SELEC 1", "syntax error at line 1, column 1: expected an SQL statement, found SELEC"),
        ("SELECT nope FROM home", "No field named nope"),
        ("SELECT nosuch(1)", "Invalid function 'nosuch'"),
        ("SELECT 1/0", "Divide by zero"),
        ("SELECT v/0 FROM (VALUES (1), (2)) AS t(v)", "Divide by zero"),
        ("SELECT CAST(v AS BIGINT) FROM (VALUES ('a')) AS t(v)", "Cannot cast"),
        ("SELECT * FROM home WHERE time > 'garbage'", "Error parsing timestamp from 'garbage'"),
        (
            "SELECT * FROM home WHERE time >= 2998573200000000000",
            "Cannot infer common argument type for comparison operation Timestamp(ns) >= Int64",
        ),
        (
            "SELECT selector_first(temp) FROM home",
            "selector_first requires at least 2 arguments, got 1",
        ),
        (
            "SELECT selector_first(temp, hum) FROM home",
            "selector_first second argument must be a timestamp, but got Float64",
        ),
        (
            "SELECT tz(time, 'Bogus/Zone') FROM home",
            "TZ requires a valid timezone string, got \"Bogus/Zone\"",
        ),
        (
            "SELECT tz(time, note) FROM home",
            "tz requires its second argument to be a timezone string, got None",
        ),
        ("SELECT to_timestamp(1.5)", "to_timestamp"),
    ] {
        let error = server.error(text).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{text}: {}", error.message);
        assert!(error.message.contains(part), "{text}: {}", error.message);
    }
}

#[actix_rt::test]
async fn placeholders_are_typed_literals() {
    use ParamValue::{Boolean, Float, Integer, Null, String, UInteger};
    let server = Fixture::new().await;
    let text = "SELECT arrow_typeof($a), arrow_typeof($b), arrow_typeof($c), arrow_typeof($d), \
                arrow_typeof($e), $f IS NULL";
    let params = [
        ("a", UInteger(1)),
        ("b", Integer(-1)),
        ("c", Float(1.5)),
        ("d", String("x' OR 1=1".into())),
        ("e", Boolean(true)),
        ("f", Null),
        ("unused", Null),
    ];
    server.check(text, &params, "UInt64,Int64,Float64,Utf8,Boolean,true").await;
    let one = [("1", UInteger(1)), ("n", UInteger(2))];
    server.check("SELECT $1 + 1", &one, "2").await;
    let text = "SELECT v FROM (VALUES (1), (2), (3)) AS t(v) WHERE v >= $1 ORDER BY v LIMIT $n";
    server.check(text, &one, "1\n2").await;
    let text = "SELECT count(*) FROM (SELECT to_timestamp(5) AS time) AS t WHERE time > $t";
    server.check(text, &[("t", String("1970-01-01T00:00:00Z".into()))], "1").await;
    let error = server.rows("SELECT * FROM $t", &[]).await.unwrap_err();
    assert!(error.message.starts_with("syntax error at line 1, column 15"), "{}", error.message);
}
