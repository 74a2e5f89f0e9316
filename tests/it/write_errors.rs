//! Refused writes: status and body as each of the three endpoints tells them.

use crate::support::client::{Client, gzip, with_query};
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The body of an error.
enum Told {
    /// Plain text that begins so.
    Text(&'static str),
    /// JSON with these members, others aside.
    Json(Value),
}

/// Posts `body` and compares the refusal.
#[track_caller]
fn check(client: &Client, path: &str, body: &[u8], status: u16, told: &Told) {
    let answer = client.post(path, body);
    let text = answer.text();
    assert_eq!(answer.status, status, "{path}: {text}");
    match told {
        Told::Text(begin) => assert!(text.starts_with(begin), "{path}: {text}"),
        Told::Json(members) => {
            let json = answer.json();
            for (name, value) in members.as_object().expect("an object") {
                assert_eq!(json[name], *value, "{path}: {text}");
            }
        }
    }
}

fn v2(message: &str) -> Told {
    Told::Json(json!({"code": "invalid", "message": message}))
}

const V3: &str = "/api/v3/write_lp";

#[test]
fn a_destination_is_required() {
    let server = Server::memory();
    let check = |path: &str, told: Told| check(&server.client, path, b"m f=1", 400, &told);
    check(V3, Told::Text("missing query parameter 'db'"));
    check("/api/v3/write_lp?precision=ns", Told::Text("serde error: missing field `db`"));
    check("/write", Told::Json(json!({"error": "no db destination provided"})));
    let missing = "failed to deserialize db/rp/precision in request: missing field `db`";
    check("/write?precision=ns", Told::Json(json!({"error": missing})));
    check("/api/v2/write", v2("no org/bucket destination provided"));
    check("/api/v2/write?bucket=", v2("missing bucket value"));
    check("/api/v2/write?org=x", Told::Json(json!({"code": "invalid"})));
    assert_eq!(server.client.databases(), ["_internal"]);
}

#[test]
fn precisions_of_the_wrong_endpoint_are_refused() {
    let server = Server::memory();
    for precision in ["m", "h", "S", ""] {
        let path = with_query(V3, &[("db", "d"), ("precision", precision)]);
        check(&server.client, &path, b"m f=1 1", 400, &Told::Text("serde error: "));
    }
    for precision in ["auto", "d"] {
        let path = with_query("/write", &[("db", "d"), ("precision", precision)]);
        check(&server.client, &path, b"m f=1 1", 400, &Told::Json(json!({})));
    }
    for precision in ["auto", "m", "h", "\u{b5}"] {
        let path = with_query("/api/v2/write", &[("bucket", "d"), ("precision", precision)]);
        let told = Told::Json(json!({"code": "invalid"}));
        check(&server.client, &path, b"m f=1 1", 400, &told);
    }
    check(&server.client, "/api/v3/write_lp?db=d&no_sync=1", b"m f=1", 400, &Told::Text("serde"));
    assert_eq!(server.client.databases(), ["_internal"]);
}

#[test]
fn empty_writes_are_refused() {
    let server = Server::memory();
    for body in ["", "\n\n", "# a comment", " \n#\n"] {
        let text = "incoming write was empty";
        check(&server.client, "/api/v3/write_lp?db=d", body.as_bytes(), 400, &Told::Text(text));
        check(&server.client, "/write?db=d", body.as_bytes(), 400, &Told::Text(text));
        let told = v2("write buffer error: incoming write was empty");
        check(&server.client, "/api/v2/write?bucket=d", body.as_bytes(), 400, &told);
    }
}

#[test]
fn bad_lines_are_told_by_each_endpoint() {
    let server = Server::memory();
    let body = b"home,room=Sunroom temp=96\nhome,room=Sunroom temp=hi";
    let reason = "No fields were provided: \"hi\" is no value of field \"temp\" (text needs double \
                  quotes)";
    let line = json!({
        "original_line": "home,room=Sunroom temp=hi",
        "line_number": 2,
        "error_message": reason,
    });
    let partial = json!({"error": "partial write of line protocol occurred", "data": [line]});
    check(&server.client, "/api/v3/write_lp?db=a", body, 400, &Told::Json(partial));
    assert_eq!(server.client.count("a", "home"), 1);

    let whole = json!({"error": "parsing failed for write_lp endpoint", "data": line});
    let path = "/api/v3/write_lp?db=b&accept_partial=false";
    check(&server.client, path, body, 400, &Told::Json(whole));
    let whole = json!({"error": "line protocol parsing error", "data": line});
    check(&server.client, "/write?db=b&accept_partial=false", body, 400, &Told::Json(whole));
    let message = format!("write buffer error: line protocol parse failed: {reason}");
    let told = Told::Json(json!({"code": "invalid", "message": message, "line": 2}));
    check(&server.client, "/api/v2/write?bucket=b&accept_partial=false", body, 400, &told);
    assert_eq!(server.client.databases(), ["_internal", "a"], "refused requests leave nothing");

    let message = format!("partial write: line 2: {reason} dropped=1");
    let told = Told::Json(json!({"error": message}));
    check(&server.client, "/write?db=c", body, 400, &told);
    let told = Told::Json(json!({"code": "invalid", "message": message, "line": 2}));
    check(&server.client, "/api/v2/write?bucket=d", body, 400, &told);
    for db in ["c", "d"] {
        assert_eq!(server.client.count(db, "home"), 1);
    }
    for path in ["/write?db=e", "/api/v2/write?bucket=f"] {
        assert_eq!(server.client.post(path, "bad\nworse").status, 400);
    }
    assert_eq!(server.client.databases(), ["_internal", "a", "c", "d"], "nor do bad lines alone");
    // The first bad line is named, all are counted, limits and schema faults among them.
    let body = b"home,room=a temp=1 1\nhome temp=\"x\" 2\nhome temp=3 3\nbad\n,f=1";
    let message = "partial write: line 2: invalid column type for column 'temp', expected float, got \
                   string (table 'home') dropped=3";
    check(&server.client, "/write?db=c", body, 400, &Told::Json(json!({"error": message})));
    assert_eq!(server.client.count("c", "home"), 3);
}

#[test]
fn database_names_are_checked() {
    let server = Server::memory();
    let characters = "invalid character in database or rp name: must be ASCII, containing only \
                      letters, numbers, underscores, or hyphens";
    let policy = "db name with invalid retention policy, if providing a retention policy name, \
                  must be of form '<db_name>/<rp_name>'";
    let long = "x".repeat(512);
    for (name, text) in [
        ("_x", "db name did not start with a number or letter"),
        ("-x", "db name did not start with a number or letter"),
        ("_internal", "db name did not start with a number or letter"),
        ("a b", characters),
        ("ü", "db name did not start with a number or letter"),
        ("aü", characters),
        ("a/b/c", policy),
        ("a/", policy),
        ("", "db name cannot be empty"),
        (long.as_str(), "db name too long: max 511"),
    ] {
        let path = with_query(V3, &[("db", name)]);
        let answer = server.client.post(&path, "m f=1 1");
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        let error = answer.json()["error"].as_str().expect("a text").to_owned();
        // A name outside ASCII breaks two rules; either may be named.
        assert!(error == text || (name == "ü" && error == characters), "{name}: {error}");
    }
    for name in ["9x", "a-b_c", "foo/bar", "1/-", "Foo"] {
        server.client.must_write(name, "m f=1 1");
    }
    let expected = ["1/-", "9x", "Foo", "_internal", "a-b_c", "foo/bar"];
    assert_eq!(server.client.databases(), expected);
}

/// What can be created can be written, whatever the endpoint.
#[test]
fn names_have_one_limit() {
    let server = Server::memory();
    for length in [65, 511] {
        let name = "x".repeat(length);
        let created =
            server.client.json("POST", "/api/v3/configure/database", &json!({"db": name}));
        assert_eq!(created.status, 200, "{length}");
        for path in ["/write?db=", "/api/v2/write?bucket=", "/api/v3/write_lp?db="] {
            let answer = server.client.post(&format!("{path}{name}"), "m f=1 1");
            assert_eq!(answer.status, 204, "{path} {length}: {}", answer.text());
        }
    }
    let name = "x".repeat(512);
    let told = Told::Json(json!({"error": "db name too long: max 511"}));
    check(&server.client, &format!("/write?db={name}"), b"m f=1 1", 400, &told);
    check(&server.client, &format!("/api/v3/write_lp?db={name}"), b"m f=1 1", 400, &told);
    let path = format!("/api/v2/write?bucket={name}");
    check(&server.client, &path, b"m f=1 1", 400, &v2("db name too long: max 511"));
    let policy = "y".repeat(510);
    check(&server.client, &format!("/write?db=x&rp={policy}"), b"m f=1 1", 400, &told);
}

#[test]
fn bodies_have_to_be_readable() {
    let server = Server::memory();
    let not_utf8 = Told::Text("body content is not valid utf8");
    check(&server.client, "/api/v3/write_lp?db=d", b"m f=\"\xff\"", 400, &not_utf8);
    check(&server.client, "/write?db=d", b"m f=\"\xff\"", 400, &not_utf8);
    let told = Told::Json(json!({"code": "invalid"}));
    check(&server.client, "/api/v2/write?bucket=d", b"m f=\"\xff\"", 400, &told);

    let encoded = |encoding: &str, body: &[u8]| {
        let headers = [("content-encoding", encoding)];
        let answer = server.client.send("POST", "/api/v3/write_lp?db=d", &headers, body);
        (answer.status, answer.text())
    };
    let refused = (400, "unacceptable content-encoding: br".to_owned());
    assert_eq!(encoded("br", b"m f=1"), refused);
    for broken in [b"m f=1 1".as_slice(), &gzip(b"m f=1 1")[..15]] {
        let (status, text) = encoded("gzip", broken);
        assert_eq!(status, 400);
        assert!(text.starts_with("error decoding gzip stream: "), "{text}");
    }
    assert_eq!(server.client.count("d", "m"), 0);
}

#[test]
fn bodies_are_bounded_before_and_after_decompression() {
    let server = Setup::memory().with(&["--max-http-request-size", "1000"]).start();
    let text = "max request size (1000 bytes) exceeded";
    let fits = [b"m f=1 1".as_slice(), &[b'\n'; 993]].concat();
    assert_eq!(server.client.post("/api/v3/write_lp?db=d", fits.clone()).status, 204);
    let above = [fits.as_slice(), b"\n"].concat();
    check(&server.client, "/api/v3/write_lp?db=d", &above, 413, &Told::Text(text));
    check(&server.client, "/write?db=d", &above, 413, &Told::Text(text));
    let told = Told::Json(json!({"code": "request too large", "message": text}));
    check(&server.client, "/api/v2/write?bucket=d", &above, 413, &told);
    let headers = [("content-encoding", "gzip")];
    for (body, status) in [(fits, 204), (above, 413)] {
        let answer = server.client.send("POST", "/api/v3/write_lp?db=d", &headers, gzip(&body));
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[test]
fn a_gzip_bomb_is_refused_and_the_server_goes_on() {
    let server = Server::memory();
    // 256 MiB of blanks are 256 kB on the wire.
    let one = gzip(&vec![b' '; 16 << 20]);
    let bomb: Vec<u8> = std::iter::repeat_n(one, 16).flatten().collect();
    let headers = [("content-encoding", "gzip")];
    for _ in 0..8 {
        let answer = server.client.send("POST", "/api/v3/write_lp?db=d", &headers, bomb.clone());
        let expected = (413, "max request size (10485760 bytes) exceeded".to_owned());
        assert_eq!((answer.status, answer.text()), expected);
    }
    server.client.must_write("d", "m f=1 1");
    assert_eq!(server.client.count("d", "m"), 1);
}

#[test]
fn limits_are_options() {
    let limits = ["--max-databases", "2", "--max-tables", "3", "--max-columns-per-table", "3"];
    let server = Setup::memory().with(&limits).start();
    let client = &server.client;
    client.must_write("a", "m a=1,b=1,c=1 1");
    let column = "Update to schema would exceed number of columns per table limit of 3 columns";
    let answer = client.write("a", "m a=2,b=2,c=2,d=2 2\nm a=3 3");
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["data"][0]["error_message"], column);
    assert_eq!(client.rows("a", "SELECT a FROM m ORDER BY time"), json!([{"a": 1.0}, {"a": 3.0}]));

    client.must_write("b", "m f=1 1");
    let error = json!({"error": "Adding a new database would exceed limit of 2 databases"});
    check(client, "/api/v3/write_lp?db=c", b"m f=1 1", 422, &Told::Json(error.clone()));
    check(client, "/write?db=c", b"m f=1 1", 422, &Told::Json(error.clone()));
    let told = v2("write buffer error: catalog update error: \
         Adding a new database would exceed limit of 2 databases");
    check(client, "/api/v2/write?bucket=c", b"m f=1 1", 400, &told);

    client.must_write("b", "n f=1 1");
    let table = client.write("b", "o f=1 1");
    assert_eq!(table.status, 422, "{}", table.text());
    let message = table.json()["data"][0]["error_message"].as_str().expect("a text").to_owned();
    assert!(
        message.starts_with("Update to schema would exceed number of tables limit"),
        "{message}"
    );

    assert_eq!(client.delete("/api/v3/configure/database?db=b").status, 200);
    client.must_write("c", "m f=1 1");
}

/// Only an option makes old rows unwelcome, and only where the table is known already. It hides
/// those that are there.
#[test]
fn an_option_refuses_old_rows_of_known_tables_and_hides_them() {
    let hours_ago = |hours: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        i64::try_from(now).expect("a time") - hours * 3600
    };
    let lines: Vec<String> =
        [73, 71, -1].map(|hours| format!("home n={hours}i {}", hours_ago(hours))).into();
    let path = with_query(V3, &[("db", "d"), ("precision", "second")]);
    let hours = |server: &Server| server.client.rows("d", "SELECT n FROM home ORDER BY time");

    let server = Setup::memory().with(&["--write-window", "72h"]).start();
    assert_eq!(server.client.post(&path, format!("home n=0i {}", hours_ago(0))).status, 204);
    let answer = server.client.post(&path, lines.join("\n"));
    assert_eq!(answer.status, 400, "{}", answer.text());
    let error = &answer.json()["data"][0];
    let text = "line contained a date that was more than 3 days ago";
    assert_eq!((&error["error_message"], &error["line_number"]), (&json!(text), &json!(1)));
    assert_eq!(hours(&server), json!([{"n": 71}, {"n": 0}, {"n": -1}]));
    assert_eq!(server.client.post(&path, lines[0].replace("home", "new")).status, 204);

    let server = Server::disk();
    server.client.must_write("d", "home n=0i 0");
    assert_eq!(server.client.post(&path, lines.join("\n")).status, 204);
    let all = json!([{"n": 0}, {"n": 73}, {"n": 71}, {"n": -1}]);
    assert_eq!(hours(&server), all);
    let setup = server.stopped();
    let server = setup.clone().with(&["--write-window", "72h"]).start();
    assert_eq!(hours(&server), json!([{"n": 71}, {"n": -1}]));
    server.stopped();
    assert_eq!(hours(&setup.start()), all);
}
