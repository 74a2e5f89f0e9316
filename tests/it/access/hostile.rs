//! What somebody with a token, or without, tries beyond what they may: a row of the list of API
//! faults of OWASP each. Rights on databases, functions and handles of others are in `matrix` and
//! `flight`, limits in `limits`, names in logs in `audit`.

use super::{LIMITED, NAMED, client_with, created, server_with_operator, setup};
use crate::support::client::{Client, with_query};
use crate::support::server::Setup;
use influxdb3::http::routes::ROUTES;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Members that a body does not have must not give anything.
#[test]
fn unknown_members_of_bodies_give_nothing() {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("d", "m f=1 1");
    operator.must_write("e", "m f=1 1");
    let permissions = json!([
        {"resource_type": "db", "resource_names": ["d"], "actions": ["read"]}
    ]);
    for (number, more) in [
        ("rights", json!("admin")),
        ("admin", json!(true)),
        ("is_admin", json!(true)),
        ("id", json!(0)),
        ("token_id", json!(0)),
        ("hash", json!("0")),
        ("token", json!("apiv3_chosen")),
        ("created_by", json!(0)),
        (
            "Permissions",
            json!([{"resource_type": "db", "resource_names": ["*"], "actions": ["write"]}]),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (name, value) = more;
        let mut body = json!({"token_name": format!("t{number}"), "permissions": permissions});
        body[name] = value;
        let answer = operator.json("POST", LIMITED, &body);
        if answer.status != 201 {
            assert_eq!(answer.status, 400, "{name}: {}", answer.text());
            continue;
        }
        let user = server.client.with_token(&created(&answer));
        assert_eq!(user.write("d", "m f=1 1").status, 403, "{name}");
        assert_eq!(user.sql("e", "SELECT 1").status, 403, "{name}");
        assert_eq!(user.json("POST", NAMED, &json!({"token_name": "x"})).status, 403, "{name}");
    }
    assert_eq!(server.client.with_token("apiv3_chosen").get("/ping").status, 401);
    // Nor does a permission with more in it.
    let permissions = json!([{
        "resource_type": "db", "resource_names": ["d"], "actions": ["read"], "effect": "admin"
    }]);
    let body = json!({"token_name": "more", "permissions": permissions});
    let answer = operator.json("POST", LIMITED, &body);
    if answer.status == 201 {
        let user = server.client.with_token(&created(&answer));
        assert_eq!(user.write("d", "m f=1 1").status, 403);
    }
    // A database is made with its name and its period, and nothing else.
    let maker = client_with(&operator, "maker", &["db:mine:create"]);
    let body = json!({"db": "mine", "id": 0, "name": "theirs", "deleted": true, "tables": ["x"]});
    let answer = maker.json("POST", "/api/v3/configure/database", &body);
    assert!([200, 400].contains(&answer.status), "{}", answer.text());
    assert!(!operator.databases().contains(&"theirs".to_owned()));
}

/// Everything below a folder.
fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

/// Names are no paths: whatever they hold, no file comes to be elsewhere, and none is read.
#[test]
fn names_lead_to_no_files() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("inner/data");
    fs::create_dir_all(&data).expect("a directory");
    fs::write(folder.path().join("inner/secret.parquet"), "SECRET").expect("a file");
    let outside = || -> BTreeSet<PathBuf> {
        below(folder.path()).into_iter().filter(|path| !path.starts_with(&data)).collect()
    };
    let before = outside();
    let data_text = data.to_str().expect("text").to_owned();
    let options = ["serve", "--node-id", "n", "--without-auth", "--data-dir", &data_text];
    let setup =
        Setup::of(&options).with(&["--wal-flush-interval", "10ms", "--wal-snapshot-size", "1"]);
    let server = setup.start();
    let client = &server.client;
    let names = [
        "..",
        "../x",
        "a/../../x",
        "/etc/x",
        "..\\x",
        "%2e%2e%2fx",
        "x\0y",
        ".",
        "a/./b",
        "~",
        "x\ny",
    ];
    for name in names {
        let line = format!("{} f=1 1", name.replace(' ', "\\ ").replace('\n', "_"));
        // Some are names here, and some are none.
        let answer = client.post(&with_query("/api/v3/write_lp", &[("db", name)]), "m f=1 1");
        assert!([204, 400].contains(&answer.status), "{name:?}: {}", answer.text());
        let answer = client.post(&with_query("/write", &[("db", "d"), ("rp", name)]), "m f=1 1");
        assert!([204, 400].contains(&answer.status), "{name:?}: {}", answer.text());
        let answer = client.write("d", &line);
        assert!([204, 400].contains(&answer.status), "{name:?}: {}", answer.text());
        let sql = format!("SELECT * FROM \"{}\"", name.replace('\0', ""));
        let answer = client.sql("d", &sql);
        assert!(!answer.text().contains("SECRET"), "{name:?}: {}", answer.text());
    }
    // The engine could read files, if somebody let it.
    for sql in [
        "SELECT * FROM '../secret.parquet'",
        "SELECT * FROM \"/etc/passwd\"",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO 'out.csv'",
        "COPY m TO '/tmp/influxdb3-out.parquet'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET datafusion.catalog.location = '/etc'",
        "LOAD '/etc/passwd'",
    ] {
        let answer = client.sql("d", sql);
        assert!((400..500).contains(&answer.status), "{sql}: {} {}", answer.status, answer.text());
    }
    drop(server);
    assert_eq!(outside(), before);
}

/// No request leads the server to an address: there is nobody whom it asks for one.
#[test]
fn no_request_makes_the_server_ask_elsewhere() {
    let folder = tempfile::tempdir().expect("a directory");
    let plugins = folder.path().to_str().expect("text").to_owned();
    let inner = listener();
    let inner_address = inner.local_addr().expect("an address").to_string();
    // Nobody is there.
    let repository = "http://127.0.0.1:1/main/";
    let options = ["--plugin-dir", plugins.as_str(), "--plugin-repo", repository];
    let (_server, operator) = server_with_operator(&setup().with(&options));
    operator.must_write("d", "m f=1 1");
    for path in [
        format!("gh:http://{inner_address}/x.py"),
        format!("gh://{inner_address}/x.py"),
        format!("gh:@{inner_address}/x.py"),
        format!("gh:..//{inner_address}/x.py"),
        format!("http://{inner_address}/x.py"),
        format!("file://{inner_address}/x.py"),
    ] {
        let body = json!({
            "db": "d", "plugin_filename": path, "trigger_name": "t",
            "trigger_specification": "table:m", "trigger_settings":
                {"run_async": false, "error_behavior": "log"},
        });
        let answer = operator.json("POST", "/api/v3/configure/processing_engine_trigger", &body);
        assert!(answer.status >= 400, "{path}: {}", answer.text());
    }
    for sql in [
        format!("SELECT * FROM 'http://{inner_address}/x.parquet'"),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'http://{inner_address}/x.csv'"),
    ] {
        assert!(operator.sql("d", &sql).status >= 400, "{sql}");
    }
    let forwarded = [("x-forwarded-host", inner_address.as_str()), ("forwarded", "host=x")];
    assert_eq!(operator.send("GET", "/ping", &forwarded, "").status, 200);
    assert!(inner.accept().is_err(), "somebody has connected");
}

/// A port that answers nobody, and can be asked whether somebody came.
fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("an option");
    listener
}

/// What an answer must not have: where code or data is, and how it fails inside.
const INSIDE: [&str; 8] = [
    "panicked",
    ".rs:",
    "/src/",
    "unwrap",
    "RUST_BACKTRACE",
    "apiv3_",
    "/data/",
    "stack backtrace",
];

/// Nonsense gets a short answer that says nothing of the inside, on every route.
#[test]
fn answers_to_nonsense_tell_nothing_of_the_inside() {
    let server = Setup::disk().without("--without-auth").start();
    let token = created(&server.client.post(super::ADMIN, ""));
    let operator = server.client.with_token(&token);
    operator.must_write("d", "m f=1 1");
    let deep = "[".repeat(5_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{\"db\":1,\"token_name\":[],\"q\":{}}",
        b"{\"db\":\"../../x\",\"table\":\"\\u0000\",\"tags\":[\"..\"],\"fields\":[]}",
        b"\xff\xfe\x00",
        deep.as_bytes(),
    ];
    let queries =
        ["", "%ff=%00&db=%ff", "db=..%2f..%2fx&table=..&name=..&token_name=..", "db=&q=&p="];
    // This would take the token of the test.
    let is_kept = |path: &str| !path.ends_with("/regenerate");
    for route in ROUTES.iter().filter(|route| is_kept(route.path)) {
        let path = route.path.replace("{path:.+}", "..%2f..%2fx");
        for query in queries {
            for body in bodies {
                let url = format!("{path}?{query}");
                let json = [("content-type", "application/json")];
                let answer = operator.send(route.method, &url, &json, body);
                let text = answer.text();
                let what = format!("{} {url}: {} {text}", route.method, answer.status);
                let is_metrics = route.path == "/metrics";
                for inside in INSIDE.iter().filter(|_| !is_metrics) {
                    assert!(!text.contains(inside), "{what}");
                }
                // That there are no plugins is told with a 500, as others do.
                let is_plugins = ["plugin", "Plugin", "package"].iter().any(|w| text.contains(w));
                assert!(answer.status < 500 || is_plugins, "{what}");
            }
        }
    }
    assert_eq!(operator.rows("d", "SELECT f FROM m"), json!([{"f": 1.0}]), "it goes on");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(!server.log().contains(&token), "the log has a token");
}

/// Headers of any size and form get an answer, or the connection ends.
#[test]
fn headers_of_any_form_are_taken() {
    let (_server, operator) = server_with_operator(&setup());
    let anybody: Client = operator.with_token("");
    let long = "x".repeat(20_000);
    for value in [
        "",
        " ",
        "Bearer",
        "Bearer  ",
        "Basic",
        "Basic ====",
        "Basic Og",
        "Negotiate YII=",
        "\u{e9}",
        "Bearer a,b",
        "Bearer \"a\"",
        "Basic dXNlcjpwOnE=",
        &long,
    ] {
        for name in ["authorization", "cookie", "origin", "host", "traceparent", "sec-fetch-site"] {
            // The library sends no headers that are none.
            let Ok(answer) = anybody.try_send("GET", "/ping", &[(name, value)], Vec::new()) else {
                continue;
            };
            let short = &value[..value.len().min(20)];
            assert!((400..500).contains(&answer.status), "{name}: {short}: {}", answer.status);
        }
    }
    assert_eq!(operator.get("/ping").status, 200);
}
