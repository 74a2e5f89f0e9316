//! Line protocol over HTTP: texts of refused lines, and the values of accepted ones.

use crate::support::client::Client;
use crate::support::server::Server;
use serde_json::json;

/// Writes one bad line and compares what is said about it; nothing may be stored.
#[track_caller]
fn check(client: &Client, line: &str, message: &str) {
    let answer = client.write("d", line);
    assert_eq!(answer.status, 400, "{line:?}: {}", answer.text());
    let told = answer.json();
    assert_eq!(told["error"], "partial write of line protocol occurred", "{line:?}");
    assert_eq!(told["data"][0]["error_message"], message, "{line:?}");
    assert_eq!(told["data"][0]["line_number"], 1, "{line:?}");
    assert_eq!(told["data"].as_array().map(Vec::len), Some(1), "{line:?}");
}

#[test]
fn syntax_errors_say_what_is_wrong() {
    let server = Server::memory();
    for (line, message) in [
        (",f=1", "Invalid measurement was provided"),
        ("m,t f=1", "Tag set malformed: could not find equals sign in `t f=1`"),
        ("m,=a f=1", "Expected tag key, got `=a f=1`"),
        ("m,t= f=1", "Expected tag value, got ` f=1`"),
        ("m,t=a", "Expected at least one space character, got end of input"),
        ("m\tf=1", "Expected at least one space character, got `\tf=1`"),
        ("m f=1 abc", "Could not parse entire line. Found trailing content: ` abc`"),
        (
            "m f=1,g=NaN",
            "Could not parse entire line. Found trailing content: `g=NaN`: \"NaN\" is no value of \
             field \"g\" (text needs double quotes); numbers have to be finite",
        ),
        ("m v=1,,w=2", "Could not parse entire line. Found trailing content: `,w=2`"),
        ("m v=1, 1", "Could not parse entire line. Found trailing content: ` 1`"),
        ("m,,t=a f=1", "Expected tag key, got `,t=a f=1`"),
        ("m f=1 5\t", "Could not parse entire line. Found trailing content: `\t`"),
        ("m f=-1u", "Could not parse entire line. Found trailing content: `u`"),
        ("m f=1_000", "Could not parse entire line. Found trailing content: `_000`"),
        ("m f=tRue", "Could not parse entire line. Found trailing content: `Rue`"),
        ("m f=", "No fields were provided: field \"f\" has no value"),
        (
            "m f=NaN",
            "No fields were provided: \"NaN\" is no value of field \"f\" (text needs double \
             quotes); numbers have to be finite",
        ),
        (
            "m temp=hi",
            "No fields were provided: \"hi\" is no value of field \"temp\" (text needs double \
             quotes)",
        ),
        (
            "m temp='x'",
            "No fields were provided: \"'x'\" is no value of field \"temp\" (text needs double \
             quotes)",
        ),
        (
            "m,path=C:\\dir\\ f=1 1",
            "No fields were provided: \"C:\\dir\\\" ends with a backslash, which hides the space \
             after it",
        ),
        ("m f=1e400", "Unable to parse float value `1e400`"),
        ("m f=9223372036854775808i", "Unable to parse integer value `9223372036854775808`"),
        (
            "m f=18446744073709551616u",
            "Unable to parse unsigned integer value `18446744073709551616`",
        ),
        ("m f=1 9223372036854775808", "Unable to parse timestamp value `9223372036854775808`"),
        (
            "m,t=x\\\\ f=1",
            "Measurements, tag keys and values, and field keys may not end with a backslash",
        ),
    ] {
        check(&server.client, line, message);
    }
    assert_eq!(server.client.count("d", "m"), 0);
}

#[test]
fn text_from_windows_is_text() {
    let server = Server::memory();
    let body = "\u{feff}# c\r\nm f=1 1\r\n\r\n \r\nm s=\"two\r\nlines\" 2\r\nm f=3 3\r";
    for (db, path) in [
        ("v1", "/write?db=v1"),
        ("v2", "/api/v2/write?bucket=v2"),
        ("v3", "/api/v3/write_lp?db=v3"),
    ] {
        let answer = server.client.post(path, body);
        assert_eq!(answer.status, 204, "{path}: {}", answer.text());
        let rows = server.client.rows(db, "SELECT f, s FROM m ORDER BY time");
        assert_eq!(rows, json!([{"f": 1.0}, {"s": "two\r\nlines"}, {"f": 3.0}]));
    }
    let answer = server.client.write("v3", "m f=4 4\r\nbad\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["data"][0]["original_line"], "bad");
    assert_eq!(server.client.count("v3", "m"), 4);
    let utf16 = server.client.post("/write?db=v1", b"\xff\xfem\0".to_vec());
    assert!(utf16.status == 400 && utf16.text().contains("UTF-16"), "{}", utf16.text());
}

#[test]
fn numbers_as_versions_1_and_2_take_them() {
    let server = Server::memory();
    server.client.must_write("d", "m a=.5,b=5.,c=+1,d=-.5e1,e=+2i,f=1.7976931348623157e308 1");
    let rows = server.client.rows("d", "SELECT a, b, c, d, e, f FROM m");
    assert_eq!(rows, json!([{"a": 0.5, "b": 5.0, "c": 1.0, "d": -5.0, "e": 2, "f": f64::MAX}]));
}

#[test]
fn a_long_bad_line_makes_no_long_answer() {
    let server = Server::memory();
    for line in [format!("m f={}", "x".repeat(2_000_000)), format!("m\t{}", "x".repeat(2_000_000))]
    {
        let answer = server.client.write("d", &line);
        assert_eq!(answer.status, 400);
        assert!(answer.body.len() < 4_096, "{} bytes", answer.body.len());
        let shown = answer.json()["data"][0]["original_line"].as_str().expect("a text").to_owned();
        assert!(shown.len() >= 100 && line.starts_with(&shown));
        for path in ["/write?db=d", "/api/v2/write?bucket=d&accept_partial=false"] {
            assert!(server.client.post(path, line.clone()).body.len() < 4_096);
        }
    }
}

#[test]
fn lines_end_at_newlines_only() {
    let server = Server::memory();
    server.client.must_write("d", "\t m f=1 5 \n\n# comment\nm s=\"two\nlines\" 6\n");
    let rows = server.client.rows("d", "SELECT f, s FROM m ORDER BY time");
    assert_eq!(rows, json!([{"f": 1.0}, {"s": "two\nlines"}]));
}

#[test]
fn schema_errors_name_the_column_and_its_types() {
    let server = Server::memory();
    server.client.must_write("d", "m,t=a f=1,i=1i,u=1u,s=\"x\",b=true 1");
    let clash = |column: &str, expected: &str, got: &str| {
        format!(
            "invalid column type for column '{column}', expected {expected}, got {got} (table 'm')"
        )
    };
    for (line, message) in [
        ("m f=\"hi\" 2", clash("f", "float", "string")),
        ("m f=1i 2", clash("f", "float", "integer")),
        ("m f=1u 2", clash("f", "float", "unsigned integer")),
        ("m i=1.0 2", clash("i", "integer", "float")),
        ("m b=1i 2", clash("b", "boolean", "integer")),
        ("m,f=x g=1 2", clash("f", "float", "tag")),
        ("m t=\"x\" 2", clash("t", "tag", "string")),
        ("m time=1 2", clash("time", "timestamp", "float")),
        ("nt time=1 1", "'time' is a reserved column".to_owned()),
        ("nt,time=x f=1 1", "'time' is a reserved column".to_owned()),
        ("m f=1,f=2 2", "invalid line protocol - multiple instances of 'f' field found".to_owned()),
        (
            "m,t=a,t=b f=1 2",
            "invalid line protocol - multiple instances of 't' tag found".to_owned(),
        ),
    ] {
        check(&server.client, line, &message);
    }
    assert_eq!(server.client.count("d", "m"), 1);
    assert_eq!(server.client.count("d", "nt"), 0);
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'iox'";
    assert_eq!(server.client.value("d", columns), 7, "refused lines leave no columns");
}

#[test]
fn a_scaled_time_has_to_fit() {
    let server = Server::memory();
    let path = "/api/v3/write_lp?db=d&precision=s";
    let answer = server.client.post(path, "m f=1 9223372036854775807");
    assert_eq!(answer.status, 400);
    let message = "timestamp, 9223372036854775807, out of range for precision: Second";
    assert_eq!(answer.json()["data"][0]["error_message"], message);
}

#[test]
fn names_and_values_come_back_as_sent() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", r#"m\,x\ y,a\ b=c\,d\=e x\ y="z" 1"#);
    let rows = client.rows("d", r#"SELECT "a b", "x y" FROM "m,x y""#);
    assert_eq!(rows, json!([{"a b": "c,d=e", "x y": "z"}]));

    client.must_write("d", r"eq,t=a=b f\==1 1");
    assert_eq!(client.rows("d", r#"SELECT t, "f=" FROM eq"#), json!([{"t": "a=b", "f=": 1.0}]));

    let strings = "s,k=1 s=\"a\\\"b\" 1\ns,k=2 s=\"a\\\\b\" 1\ns,k=3 s=\"line1\nline2\" 1\n\
                   s,k=4 s=\"\" 1\ns,k=5 s=\"a\\nb\" 1";
    client.must_write("d", strings);
    let rows = client.rows("d", "SELECT s FROM s ORDER BY k");
    let expected = ["a\"b", "a\\b", "line1\nline2", "", "a\\nb"].map(|s| json!({"s": s}));
    assert_eq!(rows, json!(expected));

    client.must_write("d", "日本,t=é f=\"ü\" 1");
    assert_eq!(client.rows("d", "SELECT t, f FROM \"日本\""), json!([{"t": "é", "f": "ü"}]));

    let words = ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"];
    let lines = words.iter().enumerate().map(|(i, word)| format!("b b={word} {i}"));
    client.must_write("d", &lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(client.value("d", "SELECT count(*) FROM b WHERE b"), 5);
    assert_eq!(client.value("d", "SELECT count(*) FROM b WHERE NOT b"), 5);

    let numbers = "n i=-9223372036854775808i,u=18446744073709551615u,f=-1.5e-3,g=007i 1";
    client.must_write("d", numbers);
    let rows = client.rows("d", "SELECT i, u, f, g FROM n");
    let expected = json!([{"i": i64::MIN, "u": u64::MAX, "f": -1.5e-3, "g": 7}]);
    assert_eq!(rows, expected);
}

#[test]
fn a_missing_tag_is_null() {
    let server = Server::memory();
    server.client.must_write("d", "m,a=1,b=x f=1 1\nm,a=1 f=2 2");
    assert_eq!(server.client.rows("d", "SELECT f FROM m WHERE b IS NULL"), json!([{"f": 2.0}]));
    assert_eq!(server.client.rows("d", "SELECT f FROM m WHERE b = ''"), json!([]));
}

#[test]
fn an_element_may_have_a_mebibyte() {
    let server = Server::memory();
    let line = |bytes: usize| format!("m f=\"{}\" 1", "x".repeat(bytes));
    check(&server.client, &line(1_048_577), "String is greater than 1MB");
    server.client.must_write("d", &line(1_048_576));
    assert_eq!(server.client.value("d", "SELECT length(f) FROM m"), 1_048_576);
}

#[test]
fn many_tables_in_one_request() {
    let server = Server::memory();
    let lines: Vec<String> = (0..200).map(|i| format!("t{i},k={i} f{i}={i} {i}")).collect();
    server.client.must_write("d", &lines.join("\n"));
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'iox'";
    assert_eq!(server.client.value("d", tables), 200);
    assert_eq!(server.client.value("d", "SELECT f199 FROM t199"), 199.0);
}
