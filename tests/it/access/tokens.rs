//! The life of a token over HTTP: the first, further ones, their replacement and end.

use super::{ADMIN, LIMITED, NAMED, NOT_AUTHENTICATED, client_with, created};
use super::{limited, server_with_operator, setup};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::Setup;
use serde_json::json;
use std::sync::Mutex;

fn is_let_in(client: &Client) -> bool {
    match client.get("/ping").status {
        200 => true,
        401 => false,
        status => panic!("status {status}"),
    }
}

#[test]
fn the_first_token_turns_authentication_on_for_everybody() {
    let server = setup().start();
    server.client.must_write("d", "m f=1 1");
    let forwarded = [("x-forwarded-for", "203.0.113.7")];
    assert_eq!(server.client.send("POST", ADMIN, &forwarded, "").status, 401);
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(server.client.send("POST", ADMIN, &foreign, "").status, 403);

    let answer = server.client.post(ADMIN, "");
    let told = answer.json();
    let token = created(&answer);
    let text = token.strip_prefix("apiv3_").expect("the prefix");
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    assert!(text.len() == 86 && text.chars().all(is_of_token), "{token}");
    assert_eq!((&told["name"], &told["id"]), (&json!("_admin"), &json!(0)));
    assert!(told["expiry"].is_null());
    assert_eq!(told["hash"].as_str().map(str::len), Some(128));

    let refused = server.client.write("d", "m f=1 1");
    assert_eq!((refused.status, refused.text().as_str()), (401, NOT_AUTHENTICATED));
    server.client.with_token(&token).must_write("d", "m f=1 1");
    let again = server.client.post(ADMIN, "");
    assert_eq!((again.status, again.text().as_str()), (409, "token name already exists, _admin"));
    let again = server.client.send("POST", ADMIN, &forwarded, "");
    assert_eq!(again.status, 409);
}

#[test]
fn a_token_comes_in_many_ways() {
    let (server, operator) = server_with_operator(&setup());
    let token = limited(&operator, "t", &["db:*:read,write,create"]);
    let basic = |text: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    let v3 = "/api/v3/write_lp?db=d";
    let send = |path: &str, header: Option<String>| {
        let header = header.unwrap_or_default();
        let headers = [("authorization", header.as_str())];
        server.client.send("POST", path, &headers, "m f=1 1").status
    };
    for scheme in ["Bearer", "Token", "bearer", "TOKEN"] {
        assert_eq!(send(v3, Some(format!("{scheme} {token}"))), 204, "{scheme}");
    }
    assert_eq!(send(v3, Some(basic(&format!("anyone:{token}")))), 204);
    assert_eq!(send(v3, Some(basic(&format!("a:b:{token}")))), 400);
    assert_eq!(send(v3, Some("Foo x".to_owned())), 400);
    for empty in ["Bearer", "Token ", "Basic Og=="] {
        assert_eq!(send(v3, Some(empty.to_owned())), 401, "{empty}");
    }
    // Version 1 has it among the parameters, where it counts before the header.
    assert_eq!(send(&format!("/write?db=d&u=me&p={token}"), None), 204);
    assert_eq!(send(&format!("/write?db=d&p={token}"), Some("Bearer wrong".to_owned())), 204);
    assert_eq!(send("/write?db=d&p=wrong", Some(format!("Bearer {token}"))), 401);
    assert_eq!(send(&format!("{v3}&p={token}"), None), 401, "version 3 has not");
    let query = format!("/query?db=d&q=SELECT+f+FROM+m&p={token}");
    assert_eq!(server.client.get(&query).status, 200);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = |token: &str| format!("db=d&q=SELECT+f+FROM+m&u=me&p={token}");
    assert_eq!(server.client.send("POST", "/query", &form, body(&token)).status, 200);
    assert_eq!(server.client.send("POST", "/query", &form, body("wrong")).status, 401);
    assert_eq!(server.client.send("POST", "/query", &form, "db=d&q=SHOW+DATABASES").status, 401);
}

#[test]
fn a_replaced_token_is_refused_at_once() {
    let (server, operator) = server_with_operator(&setup());
    let second = created(&operator.post(&format!("{ADMIN}/regenerate"), ""));
    assert!(!is_let_in(&operator));
    let second = server.client.with_token(&second);
    assert!(is_let_in(&second));
    let other = setup().start();
    let missing = other.client.post(&format!("{ADMIN}/regenerate"), "");
    assert_eq!(
        (missing.status, missing.text().as_str()),
        (500, "missing admin token, cannot update")
    );
}

#[test]
fn further_tokens_are_made_and_deleted_by_admins() {
    let (server, operator) = server_with_operator(&setup());
    let body = json!({ "token_name": "n" });
    let named = server.client.with_token(&created(&operator.json("POST", NAMED, &body)));
    named.must_write("d", "m f=1 1");
    let again = named.json("POST", NAMED, &body);
    assert_eq!((again.status, again.text().as_str()), (409, "token name already exists, n"));
    for (name, status, text) in [
        ("_admin", 405, "cannot delete operator token"),
        ("nope", 404, "token not found: nope"),
        ("n", 200, ""),
    ] {
        let answer = operator.delete(&format!("/api/v3/configure/token?token_name={name}"));
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{name}");
    }
    assert!(!is_let_in(&named) && is_let_in(&operator));
    for (path, body) in [
        (NAMED, json!({ "token_name": "x", "expiry_sec": 1 })),
        (NAMED, json!({ "token_name": "" })),
        (LIMITED, json!({ "token_name": "x", "permissions": [] })),
        (
            LIMITED,
            json!({ "token_name": "x", "permissions": [
                { "resource_type": "db", "resource_names": ["d"], "actions": ["admin"] },
            ] }),
        ),
    ] {
        assert_eq!(operator.json("POST", path, &body).status, 400, "{body}");
    }
}

#[test]
fn tokens_expire() {
    let (_server, operator) = server_with_operator(&setup());
    let body = json!({ "token_name": "short", "expiry_secs": 1 });
    let short = operator.with_token(&created(&operator.json("POST", NAMED, &body)));
    eventually("the token expires", || (!is_let_in(&short)).then_some(()));
    let expiry = operator.value(
        "_internal",
        "SELECT count(*) FROM system.tokens WHERE expiry IS NOT NULL AND name = 'short'",
    );
    assert_eq!(expiry, 1);
}

#[test]
fn tokens_survive_a_kill() {
    let setup = Setup::disk().without("--without-auth");
    let (mut server, operator) = server_with_operator(&setup);
    operator.must_write("d", "m f=1 1");
    let reader = limited(&operator, "reader", &["db:d:read"]);
    let gone = limited(&operator, "gone", &["db:d:read"]);
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=gone").status, 200);
    let token = created(&operator.post(&format!("{ADMIN}/regenerate"), ""));
    server.kill();
    for entry in walk(&setup.data_dir()) {
        let bytes = std::fs::read(&entry).expect("read");
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has(&token) && !has(&reader), "{} holds a token", entry.display());
    }
    let server = setup.start();
    assert!(is_let_in(&server.client.with_token(&token)));
    assert_eq!(server.client.with_token(&reader).count("d", "m"), 1);
    assert!(!is_let_in(&server.client.with_token(&gone)));
    assert!(!is_let_in(&server.client));
    assert_eq!(server.client.post(ADMIN, "").status, 409);
}

/// A token that was made, and perhaps deleted.
struct Made {
    name: String,
    text: String,
    /// Nobody has asked for its end.
    is_kept: bool,
    /// Its end was answered.
    is_deleted: bool,
}

/// Makes tokens and deletes every other one, until nobody answers.
fn make_tokens(operator: &Client, prefix: &str, made: &Mutex<Vec<Made>>) {
    let json = [("content-type", "application/json")];
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        let body = json!({ "token_name": name }).to_string().into_bytes();
        let Ok(answer) = operator.try_send("POST", NAMED, &json, body) else { return };
        let text = created(&answer);
        let is_kept = number % 2 == 0;
        let delete = format!("/api/v3/configure/token?token_name={name}");
        let is_deleted = !is_kept
            && operator
                .try_send("DELETE", &delete, &[], Vec::new())
                .is_ok_and(|answer| answer.status == 200);
        made.lock().expect("no panic").push(Made { name, text, is_kept, is_deleted });
    }
}

/// Whatever moment it is: what was answered is so, and what works is listed.
#[test]
fn a_kill_while_tokens_are_made_and_deleted_leaves_nothing_half_done() {
    let setup = Setup::disk().without("--without-auth");
    let mut server = setup.start();
    let token = created(&server.client.post(ADMIN, ""));
    for round in 0..3 {
        let operator = server.client.with_token(&token);
        let made = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for maker in 0..4 {
                let (operator, made) = (&operator, &made);
                scope.spawn(move || make_tokens(operator, &format!("t{round}-{maker}"), made));
            }
            eventually("some are made", || {
                (made.lock().expect("no panic").len() >= 10 + 7 * round).then_some(())
            });
            server.kill();
        });
        server = setup.start();
        let operator = server.client.with_token(&token);
        let listed = operator.rows("_internal", "SELECT name FROM system.tokens").to_string();
        for (number, made) in (1..).zip(made.into_inner().expect("no panic")) {
            let Made { name, text, is_kept, is_deleted } = made;
            // Whoever tries one token after the other from one address has to wait.
            let works = is_let_in(&server.client.with_token(&text).with_source(number));
            assert_eq!(works, listed.contains(&format!("\"{name}\"")), "{name}");
            assert!(works || !is_kept, "{name} was made");
            assert!(!works || !is_deleted, "{name} was deleted");
        }
    }
}

/// As many as a server of many customers has; `RESULTS.md` has what ten times as many take.
#[test]
fn one_is_found_among_very_many() {
    const COUNT: usize = 10_000;
    let text = |number: usize| format!("apiv3_{number:0>86}");
    let tokens: Vec<_> = (0..COUNT)
        .map(|number| {
            let db = ["one", "two"][number % 2];
            let permissions = [format!("db:{db}:read")];
            json!({"name": format!("t{number}"), "token": text(number), "permissions": permissions})
        })
        .collect();
    let base = Setup::disk().without("--without-auth");
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &serde_json::Value| {
        let path = directory.path().join(name);
        std::fs::write(&path, content.to_string()).expect("written");
        path.display().to_string()
    };
    let operator = "apiv3_operator";
    let admin = file("admin.json", &json!({"token": operator, "name": "_admin"}));
    let more = file("more.json", &json!(tokens));
    let files = ["--admin-token-file", &admin, "--permission-tokens-file", &more];
    let mut server = base.clone().with(&files).start();
    let with = |server: &crate::support::server::Server, text: &str| server.client.with_token(text);
    with(&server, operator).must_write("one", "m f=1 1");
    with(&server, operator).must_write("two", "m f=1 1");
    let unwanted = "/api/v3/configure/token?token_name=t4711";
    assert_eq!(with(&server, operator).delete(unwanted).status, 200);
    for _ in 0..2 {
        let count = "SELECT count(*) FROM system.tokens";
        assert_eq!(with(&server, operator).value("_internal", count), COUNT);
        for number in [0, 1, COUNT / 2, COUNT - 1] {
            let user = with(&server, &text(number));
            let status = ["one", "two"].map(|db| user.sql(db, "SELECT f FROM m").status);
            assert_eq!(status, if number % 2 == 0 { [200, 403] } else { [403, 200] }, "{number}");
        }
        assert!(!is_let_in(&with(&server, &text(COUNT))));
        assert!(!is_let_in(&with(&server, &text(4711))), "it was deleted");
        server.kill();
        server = base.start();
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn rights_are_with_the_database_and_not_with_its_name() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("d", "m f=1 1");
    let one = client_with(&operator, "one", &["db:d:read"]);
    let all = client_with(&operator, "all", &["db:*:read"]);
    let maker = client_with(&operator, "maker", &["db:new:create,read,write"]);
    assert_eq!((one.count("d", "m"), all.count("d", "m")), (1, 1));
    assert_eq!(operator.delete("/api/v3/configure/database?db=d").status, 200);
    operator.must_write("d", "m f=1 1");
    assert_eq!((one.sql("d", "SELECT 1").status, all.sql("d", "SELECT 1").status), (403, 200));

    // A name that no database has yet is that of the first that gets it.
    assert_eq!(maker.write("other", "m f=1 1").status, 403);
    maker.must_write("new", "m f=1 1");
    assert_eq!(maker.count("new", "m"), 1);
    assert_eq!(operator.delete("/api/v3/configure/database?db=new").status, 200);
    operator.must_write("new", "m f=1 1");
    assert_eq!(maker.sql("new", "SELECT 1").status, 403);
    assert_eq!(operator.delete("/api/v3/configure/database?db=new").status, 200);
    assert_eq!(maker.write("new", "m f=1 1").status, 403);
}

#[test]
fn making_a_database_by_a_write_takes_both_rights() {
    let (_server, operator) = server_with_operator(&setup());
    let writer = client_with(&operator, "writer", &["db:*:write"]);
    let both = client_with(&operator, "both", &["db:*:write,create"]);
    for path in ["/write?db=a", "/api/v2/write?bucket=a", "/api/v3/write_lp?db=a"] {
        let refused = writer.post(path, "m f=1 1");
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text().contains("it lacks db:a:create"), "{}", refused.text());
    }
    assert_eq!(operator.databases(), ["_internal"]);
    both.must_write("a", "m f=1 1");
    writer.must_write("a", "n f=1 1");
}

#[test]
fn some_endpoints_can_be_open() {
    let setup = setup().with(&["--disable-authz", "health,ping"]);
    let (server, operator) = server_with_operator(&setup);
    for (path, status) in
        [("/health", 200), ("/api/v1/health", 200), ("/ping", 200), ("/metrics", 401)]
    {
        assert_eq!(server.client.get(path).status, status, "{path}");
    }
    let forwarded = [("x-forwarded-for", "203.0.113.7")];
    assert_eq!(server.client.send("GET", "/health", &forwarded, "").status, 200);
    let watcher = client_with(&operator, "watcher", &["system:metrics:read"]);
    assert_eq!(watcher.get("/metrics").status, 200);
    assert_eq!(watcher.sql("_internal", "SELECT 1").status, 403);
}

#[test]
fn a_running_query_ends_with_its_token() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("d", "m f=1 1");
    let reader = client_with(&operator, "reader", &["db:d:read"]);
    let long = "SELECT count(*) FROM generate_series(1, 100000) AS a(x), \
                generate_series(1, 1000000) AS b(y) WHERE x * y % 7 = 8";
    let asked = std::thread::spawn(move || reader.sql("d", long));
    let running = "SELECT count(*) FROM system.queries WHERE running AND query_text LIKE '%a(x)%' \
                   AND query_text NOT LIKE '%system.queries%'";
    eventually("the query runs", || (operator.value("d", running) == 1).then_some(()));
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=reader").status, 200);
    let answer = asked.join().expect("no panic");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.text().contains("its token was deleted"), "{}", answer.text());
}

#[test]
fn a_server_without_authentication_has_no_tokens() {
    let server = Setup::memory().start();
    for (method, path) in [("POST", ADMIN), ("POST", NAMED), ("POST", LIMITED)] {
        let answer = server.client.send(method, path, &[], "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.json()["error"], "endpoint disabled, started without auth");
    }
    assert_eq!(server.client.sql("_internal", "SELECT name FROM system.tokens").status, 200);
    assert_eq!(server.client.sql("_internal", "SELECT hash FROM system.tokens").status, 400);
}

#[test]
fn attempts_are_counted() {
    let (server, operator) = server_with_operator(&setup());
    for _ in 0..12 {
        assert_eq!(server.client.with_token("apiv3_wrong").get("/ping").status, 401);
    }
    let counted = operator.metric("influxdb3_authentication_failures_total", &[]);
    assert_eq!(counted, Some(12.0), "whoever has a token is served at the same address");
}
