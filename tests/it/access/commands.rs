//! The same from the command line, and what the server is started with.

use super::{ADMIN, created, server_with_operator, setup};
use crate::support::client::Client;
use crate::support::command::Shell;
use crate::support::eventually;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

fn shell<'a>(client: &'a Client, directory: &'a Path) -> Shell<'a> {
    Shell { client: Some(client), directory }
}

/// The token in what `create token` printed.
fn printed(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Token: "));
    line.unwrap_or_else(|| panic!("no token: {text}")).to_owned()
}

#[test]
fn tokens_from_the_command_line() {
    let server = setup().start();
    let directory = TempDir::new().expect("a directory");
    let shell = shell(&server.client, directory.path());
    let text = shell.must(&["create", "token", "--admin"]);
    let token = printed(&text);
    assert_eq!(
        text,
        format!(
            "\nNew token created successfully!\n\nToken: {token}\nHTTP Requests Header: \
             Authorization: Bearer {token}\n\nIMPORTANT: Store this token securely, as it will not \
             be shown again.\n\n"
        )
    );
    let again = shell.must(&["create", "token", "--admin"]);
    assert!(again.starts_with("Failed to create token, error:"), "{again}");
    assert!(
        again.contains("409") && again.contains("token name already exists, _admin"),
        "{again}"
    );
    shell.fails(&["show", "databases"], 1, &["401", "the request was not authenticated"]);
    shell.must(&["create", "database", "--token", &token, "d"]);
    let made = ["create", "token", "--admin", "--name", "n", "--expiry", "1d", "--token", &token];
    let named = printed(&shell.must(&made));
    let lines = ["write", "-q", "-d", "d", "--token", &named, "m f=1 1"];
    shell.must(&lines);
    let permission = ["create", "token", "--permission", "db:d:read", "--name", "r"];
    let made = [&permission[..], &["--format", "json", "--token", &token]].concat();
    let told: Value = serde_json::from_str(&shell.must(&made)).expect("JSON");
    let reader = told["token"].as_str().expect("a token").to_owned();
    assert!(told["help_msg"].as_str().expect("text").contains(&reader));
    let query = ["query", "-d", "d", "--format", "csv", "--token", &reader, "SELECT f FROM m"];
    assert_eq!(shell.must(&query), "f\n1.0\n");
    let write = ["write", "-q", "-d", "d", "--token", &reader, "m f=1 1"];
    shell.fails(&write, 1, &["403", "it lacks db:d:write"]);
    let listed = shell.must(&["show", "tokens", "--format", "csv", "--token", &token]);
    assert!(listed.contains("_admin") && listed.contains("*:*:*"), "{listed}");
    assert!(listed.contains("db:d:read") && !listed.contains(&reader), "{listed}");

    let delete = ["delete", "token", "--token-name", "r", "--token", &token];
    let texts = ["Are you sure you want to delete \"r\"?", "Cannot proceed without confirmation"];
    shell.fails(&delete, 1, &texts);
    let outcome = shell.run(&delete, b"yes\n");
    assert_eq!((outcome.code, outcome.text().as_str()), (0, "Token \"r\" deleted successfully\n"));
    shell.fails(&query, 1, &["401"]);
    let kept = shell.must(&["delete", "token", "--token-name", "_admin", "--token", &token]);
    assert!(kept.contains("is required and cannot be deleted"), "{kept}");
    replaces(&shell, &token);
}

fn replaces(shell: &Shell<'_>, token: &str) {
    let regenerate = ["create", "token", "--admin", "--regenerate", "--token", token];
    let outcome = shell.run(&regenerate, b"no\n");
    assert_eq!(outcome.code, 1);
    assert!(outcome.text().contains("Enter 'yes' to confirm"), "{}", outcome.text());
    assert!(outcome.stderr.contains("Cannot regenerate token without confirmation"));
    let outcome = shell.run(&regenerate, b"yes\n");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let second = printed(&outcome.text());
    shell.fails(&["show", "databases", "--token", token], 1, &["401"]);
    shell.must(&["show", "databases", "--token", &second]);
}

#[test]
fn wrong_command_lines_about_tokens() {
    let directory = TempDir::new().expect("a directory");
    let shell = Shell { client: None, directory: directory.path() };
    let create = |more: &[&'static str]| [&["create", "token"][..], more].concat();
    for (more, text) in [
        (&[][..], "Missing required subcommand. Use: influxdb3 create token --admin [OPTIONS]"),
        (&["--name", "x"], "error: unexpected argument '--name' found"),
        (&["--admin", "--name", "x", "--regenerate"], "--regenerate cannot be used with --name"),
        (&["--admin", "--offline"], "--output-file"),
        (&["--permission", "db:a:read"], "--permission needs --name"),
        (&["--permission", "nope", "--name", "x"], "cannot parse token permission"),
    ] {
        shell.fails(&create(more), 2, &[text]);
    }
}

#[test]
fn a_server_that_has_its_token_from_a_file_has_no_open_moment() {
    let directory = TempDir::new().expect("a directory");
    let shell = Shell { client: None, directory: directory.path() };
    let create = ["create", "token", "--admin", "--offline", "--output-file", "admin.json"];
    let text = shell.must(&create);
    assert!(text.starts_with("Token saved to: admin.json\n"), "{text}");
    let token = printed(&text);
    let limited = ["create", "token", "--permission", "db:d:read,write,create", "--name", "app"];
    let limited = [&limited[..], &["--offline", "--output-file", "more.json"]].concat();
    let app = printed(&shell.must(&limited));
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (admin, more) = (file("admin.json"), file("more.json"));
    let files = ["--admin-token-file", admin.as_str(), "--permission-tokens-file", more.as_str()];
    let setup = crate::support::server::Setup::disk().without("--without-auth").with(&files);
    let mut server = setup.start();
    assert_eq!(server.client.get("/ping").status, 401);
    assert_eq!(server.client.post(ADMIN, "").status, 409);
    let operator = server.client.with_token(&token);
    server.client.with_token(&app).must_write("d", "m f=1 1");
    assert_eq!(server.client.with_token(&app).count("d", "m"), 1);
    // What was changed since stays so at the next start.
    let second = created(&operator.post(&format!("{ADMIN}/regenerate"), ""));
    server.kill();
    let server = setup.start();
    assert_eq!(server.client.with_token(&token).get("/ping").status, 401);
    assert_eq!(server.client.with_token(&second).get("/ping").status, 200);

    std::fs::write(directory.path().join("bad.json"), r#"{"token":"x","name":"_admin"}"#).unwrap();
    let setup = super::setup().with(&["--admin-token-file", file("bad.json").as_str()]);
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("Invalid token format: must start with 'apiv3_'"), "{log}");
}

#[test]
fn an_operator_who_lost_the_token_gets_another() {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("address");
    let text = file.display().to_string();
    let options = [
        "--admin-token-recovery-http-bind",
        "127.0.0.1:0",
        "--admin-token-recovery-tcp-listener-file-path",
        text.as_str(),
    ];
    let (server, operator) = server_with_operator(&setup().with(&options));
    let address = std::fs::read_to_string(&file).expect("the address");
    let recovery = Client::new(address.trim());
    for (method, path) in [
        ("GET", "/ping"),
        ("POST", ADMIN),
        ("GET", "/api/v3/configure/token/admin/regenerate"),
        ("POST", "/api/v3/query_sql"),
    ] {
        let answer = recovery.send(method, path, &[], "");
        assert_eq!((answer.status, answer.text().as_str()), (404, "not found"), "{path}");
    }
    let regenerate = format!("{ADMIN}/regenerate");
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(recovery.send("POST", &regenerate, &foreign, "").status, 403);
    assert_eq!(operator.get("/ping").status, 200);
    let token = created(&recovery.post(&regenerate, ""));
    assert_eq!(operator.get("/ping").status, 401);
    assert_eq!(server.client.with_token(&token).get("/ping").status, 200);
    eventually("the address is closed", || {
        match recovery.try_send("POST", &regenerate, &[], Vec::new()) {
            Ok(answer) => (answer.status != 404).then(|| panic!("{}", answer.status)),
            Err(_) => Some(()),
        }
    });
}

#[test]
fn the_start_says_how_to_make_the_first_token() {
    let server = setup().start();
    eventually("the log says so", || {
        server.log().contains("influxdb3 create token --admin").then_some(())
    });
    let setup = crate::support::server::Setup::memory();
    let server = setup.start();
    eventually("the log warns", || {
        server.log().contains("started without authentication").then_some(())
    });
    let (status, log) = super::setup().with(&["--disable-authz", "health,nope"]).start_refused();
    assert_eq!(status.code(), Some(2));
    assert!(log.contains("allowed values are health, ping, metrics, ready, pprof"), "{log}");
}

/// Pages that may read answers are those that the operator lists.
#[test]
fn pages_of_listed_servers_may_read() {
    let origins = ["--cors-allowed-origins", "https://dash.example,http://other:3000"];
    let (_server, operator) = server_with_operator(&setup().with(&origins));
    let ask = |method: &str, origin: &str| {
        let answer = operator.send(method, "/ping", &[("origin", origin)], "");
        answer.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(ask("GET", "https://dash.example"), "https://dash.example");
    assert_eq!(ask("OPTIONS", "https://dash.example"), "https://dash.example");
    assert_eq!(ask("GET", "https://evil.example"), "");
    assert_eq!(ask("OPTIONS", "https://evil.example"), "");
    let server = setup().with(&["--allowed-hosts", "db.example.org"]).start();
    let host = |name: &str| server.client.send("GET", "/ping", &[("host", name)], "").status;
    assert_eq!([host("db.example.org:8181"), host("evil.example")], [200, 403]);
}
