//! The audit log: who has done what, and who was refused.

use super::{ADMIN, client_with, created, limited, server_with_operator, setup};
use crate::flight::RUNTIME;
use crate::support::client::{Client, with_query};
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The lines of a file, of which each has to be JSON.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The one line about that action and object, once it is there.
fn line(path: &Path, action: &str, object: &str) -> Value {
    eventually(&format!("a line about {action} {object}"), || {
        let is_it = |line: &Value| line["action"] == action && line["object"] == object;
        lines(path).into_iter().find(is_it)
    })
}

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("audit.log");
    (folder, path)
}

fn with_file(setup: Setup, path: &Path) -> Setup {
    setup.with(&["--audit-log", path.to_str().expect("text")])
}

fn query(client: &Client, headers: &[(&str, &str)], sql: &str) -> u16 {
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", sql)]);
    client.send("GET", &path, headers, "").status
}

#[test]
fn each_change_is_a_line() {
    let (_folder, path) = file();
    let (server, operator) = server_with_operator(&with_file(setup(), &path));
    let start = line(&path, "start", crate::support::server::NODE);
    assert_eq!((&start["principal"], &start["outcome"]), (&json!("server"), &json!("done")));
    assert!(start["detail"].as_str().expect("options").contains("audit-log"), "{start}");

    let user = client_with(&operator, "user", &["db:d:write,create,read,delete"]);
    let trace = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let written = user.send("POST", "/api/v3/write_lp?db=d", &trace, "home,room=a temp=1 1");
    assert_eq!(written.status, 204, "{}", written.text());
    for (action, object) in [("create_database", "d"), ("create_table", "d.home")] {
        let line = line(&path, action, object);
        assert_eq!(line["principal"], "user", "{line}");
        assert_eq!(line["token_id"], 1, "{line}");
        assert_eq!(line["outcome"], "done", "{line}");
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
        assert!(line["peer"].as_str().expect("an address").starts_with("127.0.0.1:"), "{line}");
        assert!(line["time"].as_str().expect("a time").ends_with('Z'), "{line}");
    }
    user.must_write("d", "home,room=a hum=1 1");
    assert_eq!(line(&path, "add_columns", "d.home")["detail"], "hum");

    let cache = json!({"db": "d", "table": "home", "name": "temps"});
    assert_eq!(user.json("POST", "/api/v3/configure/last_cache", &cache).status, 201);
    line(&path, "create_last_cache", "d.home.temps");
    let unwanted = "/api/v3/configure/last_cache?db=d&table=home&name=temps";
    assert_eq!(user.delete(unwanted).status, 200);
    line(&path, "delete_cache", "d.home.temps");
    let body = json!({"db": "d", "retention_period": "30d"});
    assert_eq!(user.json("PUT", "/api/v3/configure/database", &body).status, 200);
    assert_eq!(line(&path, "set_retention", "d")["detail"], "retention period of 2592000 s");
    assert_eq!(user.delete("/api/v3/configure/table?db=d&table=home").status, 200);
    line(&path, "delete_table", "d.home");
    assert_eq!(user.delete("/api/v3/configure/database?db=d").status, 200);
    line(&path, "delete_database", "d");

    let token = line(&path, "create_token", "user");
    assert_eq!(token["principal"], "_admin", "{token}");
    assert_eq!(token["detail"], "db:d:read,write,create,delete", "{token}");
    assert_eq!(line(&path, "create_token", "_admin")["principal"], "everybody");
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=user").status, 200);
    line(&path, "delete_token", "user");
    let replaced = created(&operator.post(&format!("{ADMIN}/regenerate"), ""));
    line(&path, "regenerate_token", "_admin");
    let failed = server.client.with_token(&replaced);
    assert_eq!(failed.delete("/api/v3/configure/token?token_name=nope").status, 404);
    let failed = line(&path, "delete_token", "nope");
    assert_eq!((&failed["outcome"], &failed["principal"]), (&json!("failed"), &json!("_admin")));

    let setup = server.stopped();
    line(&path, "stop", "server");
    let text = fs::read_to_string(&path).expect("a file");
    assert!(!text.contains("apiv3_"), "a token is in the log: {text}");
    let before = lines(&path).len();
    let _again = setup.start();
    eventually("the file is gone on with", || (lines(&path).len() > before).then_some(()));
}

#[test]
fn each_refusal_is_a_line_and_no_name_breaks_it() {
    let (_folder, path) = file();
    let (server, operator) = server_with_operator(&with_file(setup(), &path));
    let reader = client_with(&operator, "reader", &["db:d:read"]);
    let refused = reader.write("d", "m f=1 1");
    assert_eq!(refused.status, 403);
    let refused = line(&path, "request", "POST /api/v3/write_lp db=d");
    assert_eq!((&refused["outcome"], &refused["principal"]), (&json!("refused"), &json!("reader")));
    assert!(refused["detail"].as_str().expect("why").ends_with("it lacks db:d:write"), "{refused}");

    assert_eq!(server.client.with_token("apiv3_guess").get("/metrics").status, 401);
    let refused = line(&path, "request", "GET /metrics");
    assert_eq!((&refused["outcome"], &refused["principal"]), (&json!("refused"), &json!("nobody")));

    // Names come from outside: ends of lines, and what moves the cursor of a terminal.
    let name = "x\r\n{\"action\":\"forged\"}\u{1b}[2J\u{9b}1A";
    let tried = with_query("/api/v3/configure/database", &[("db", name)]);
    assert_eq!(reader.delete(&tried).status, 403);
    let object = format!("DELETE /api/v3/configure/database db={name}");
    line(&path, "request", &object);
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.bytes().all(|byte| byte == b'\n' || byte >= b' '), "a control stands as it is");
    assert!(!text.contains('\u{9b}'), "a control stands as it is");
    assert!(lines(&path).iter().all(|line| line["action"] != "forged"));
    let log = server.log();
    assert!(!log.contains("\n{\"action\":\"forged\"}") && !log.contains("\u{1b}[2J"), "{log}");

    // Flight, before and behind its own check.
    let other = limited(&operator, "other", &["db:d:read"]);
    RUNTIME.block_on(async {
        let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build();
        let call = |token: &str| {
            let url = format!("{}/arrow.flight.protocol.FlightService/DoGet", server.client.base());
            let ticket = br#"{"database":"e","sql_query":"SELECT 1"}"#;
            let length = u8::try_from(ticket.len()).expect("short");
            let message = [&[10, length], ticket.as_slice()].concat();
            let frame = [&[0, 0, 0, 0, length + 2], message.as_slice()].concat();
            let call = http.as_ref().expect("a client").post(url).header("te", "trailers");
            let call = call.header("content-type", "application/grpc").body(frame);
            call.header("authorization", format!("Bearer {token}")).send()
        };
        call("apiv3_guess").await.expect("an answer");
        call(&other).await.expect("an answer");
    });
    let get = "/arrow.flight.protocol.FlightService/DoGet";
    eventually("both calls are told", || {
        let calls = lines(&path).into_iter().filter(|line| line["object"] == get);
        let who: Vec<Value> = calls.map(|line| line["principal"].clone()).collect();
        (who == [json!("nobody"), json!("other")]).then_some(())
    });
}

/// However many they are, and however soon after them the server stops.
#[test]
fn no_refusal_is_left_out() {
    let (_folder, path) = file();
    let (server, operator) = server_with_operator(&with_file(setup(), &path));
    let reader = client_with(&operator, "reader", &["db:d:read"]);
    for number in 0..100 {
        assert_eq!(reader.write(&format!("d{number}"), "m f=1 1").status, 403);
    }
    server.stopped();
    let lines = lines(&path);
    for number in 0..100 {
        let object = format!("POST /api/v3/write_lp db=d{number}");
        let told: Vec<_> = lines.iter().filter(|line| line["object"] == object).collect();
        assert_eq!(told.len(), 1, "{object}");
        assert_eq!(told[0]["outcome"], "refused");
    }
}

#[test]
fn statements_are_told_if_they_are_to_be() {
    let (_folder, path) = file();
    let (_server, operator) =
        server_with_operator(&with_file(setup(), &path).with(&["--audit-queries"]));
    operator.must_write("d", "home temp=1 1");
    let reader = client_with(&operator, "reader", &["db:d:read"]);
    let told =
        |sql: &str| eventually(sql, || lines(&path).into_iter().find(|line| line["detail"] == sql));
    let trace = [("x-b3-traceid", "00ab")];
    assert_eq!(query(&reader, &trace, "SELECT temp FROM home"), 200);
    let line = told("SELECT temp FROM home");
    assert_eq!(line["action"], "query");
    assert_eq!((&line["object"], &line["outcome"]), (&json!("d"), &json!("done")));
    assert_eq!((&line["principal"], &line["trace_id"]), (&json!("reader"), &json!("00ab")));
    assert!(line["peer"].is_string(), "{line}");
    assert_eq!(query(&reader, &[], "SELECT nope FROM home"), 400);
    assert_eq!(told("SELECT nope FROM home")["outcome"], "failed");
    let missing = with_query("/api/v3/query_sql", &[("db", "nope"), ("q", "SELECT 77")]);
    assert_eq!(operator.get(&missing).status, 404);
    assert_eq!(told("SELECT 77")["outcome"], "failed");
    let influxql = with_query("/query", &[("db", "d"), ("q", "SELECT temp FROM home LIMIT 1")]);
    assert_eq!(reader.get(&influxql).status, 200);
    assert_eq!(told("SELECT temp FROM home LIMIT 1")["principal"], "reader");
}

#[test]
fn without_being_asked_no_statement_is_told() {
    let (_folder, path) = file();
    let (_server, operator) = server_with_operator(&with_file(setup(), &path));
    operator.must_write("d", "home temp=1 1");
    assert_eq!(query(&operator, &[], "SELECT temp FROM home"), 200);
    assert_eq!(
        operator.json("POST", "/api/v3/configure/database", &json!({"db": "e"})).status,
        200
    );
    line(&path, "create_database", "e");
    assert!(lines(&path).iter().all(|line| line["action"] != "query"));
}

/// What was asked of is nobody's business; that it was asked is.
#[test]
fn literals_are_hidden_everywhere() {
    let (_folder, path) = file();
    let options = ["--audit-queries", "--query-log-redact"];
    let (server, operator) = server_with_operator(&with_file(setup(), &path).with(&options));
    operator.must_write("d", "home,room=Attic temp=1 1");
    assert_eq!(query(&operator, &[], "SELECT temp FROM home WHERE room = 'SECRET1'"), 200);
    assert_eq!(query(&operator, &[], "SELECT nope FROM home WHERE room = 'SECRET2'"), 400);
    assert_eq!(query(&operator, &[], "SELECT temp FROM home WHERE room = 'SECRET3"), 400);
    let params = json!({
        "db": "d", "q": "SELECT temp FROM home WHERE room = $room", "params": {"room": "SECRET4"}
    });
    assert_eq!(operator.json("POST", "/api/v3/query_sql", &params).status, 200);
    let influxql = "SELECT temp FROM home WHERE room =~ /SECRET5/ OR room = 'SECRET6'";
    let influxql = with_query("/query", &[("db", "d"), ("q", influxql)]);
    assert_eq!(operator.get(&influxql).status, 200);
    assert_eq!(query(&operator, &[], "SELECT CAST('SECRET7' AS BIGINT)"), 400);

    let texts = operator.rows("d", "SELECT query_text FROM system.queries").to_string();
    assert!(texts.contains("SELECT temp FROM home WHERE room = '?'"), "{texts}");
    assert!(texts.contains("SELECT temp FROM home WHERE room = $room"), "{texts}");
    assert!(!texts.contains("SECRET"), "{texts}");
    assert_eq!(query(&operator, &[], "SELECT 1 AS last"), 200);
    let last = |line: &Value| line["detail"] == "SELECT ? AS last";
    eventually("all is told", || lines(&path).iter().any(last).then_some(()));
    let text = fs::read_to_string(&path).expect("a file");
    assert!(!text.contains("SECRET"), "{text}");
    let log = server.log();
    assert!(log.contains("Error while handling request"), "{log}");
    assert!(!log.contains("SECRET"), "{log}");
}

/// The newest lines are a table too, which only admins see.
#[test]
fn admins_see_the_newest_lines_as_a_table() {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("d", "home temp=1 1");
    let sql = "SELECT action, object, outcome, principal FROM system.audit \
               WHERE action LIKE 'create%' ORDER BY time, action";
    let expected = json!([
        {"action": "create_token", "object": "_admin", "outcome": "done", "principal": "everybody"},
        {"action": "create_database", "object": "d", "outcome": "done", "principal": "_admin"},
        {"action": "create_table", "object": "d.home", "outcome": "done", "principal": "_admin"},
    ]);
    let rows = eventually("the table has all", || {
        let rows = operator.rows("_internal", sql);
        (rows.as_array().map(Vec::len) == Some(3)).then_some(rows)
    });
    assert_eq!(rows, expected);
    let reader = client_with(&operator, "reader", &["db:*:read"]);
    assert_eq!(reader.sql("_internal", sql).status, 403);
    assert_eq!(reader.sql("d", sql).status, 400, "other databases have no such table");
    drop(server);
}

#[test]
fn lines_go_to_standard_output_too() {
    let server: Server = Setup::memory().with(&["--audit-log", "stdout"]).start();
    server.client.must_write("d", "home temp=1 1");
    eventually("the line is there", || {
        let log = server.log();
        let is_it =
            |line: &str| line.starts_with("{\"time\":") && line.contains("\"create_table\"");
        log.lines().any(is_it).then_some(())
    });
}

#[test]
fn a_file_that_cannot_be_written_stops_the_start() {
    let (status, said) =
        Setup::memory().with(&["--audit-log", "/nowhere/audit.log"]).start_refused();
    assert!(!status.success());
    assert!(said.contains("--audit-log") && said.contains("No such file"), "{said}");
}
