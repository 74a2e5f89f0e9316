//! What whoever looks after a server does with tokens from the command line, step by step, as other
//! servers of this kind answer it.

use super::setup;
use crate::support::client::Client;
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::{Server, Setup, clean_command};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

const MADE: &str = "New token created successfully!";

/// A user of the command line, with a directory and a server.
struct User {
    directory: TempDir,
    client: Client,
}

impl User {
    fn of(server: &Server) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, client: server.client.clone() }
    }

    /// Says `yes` whenever it is asked, and returns what was printed.
    fn must(&self, arguments: &[&str]) -> String {
        let shell = Shell { client: Some(&self.client), directory: self.directory.path() };
        let outcome = shell.run(arguments, b"yes\n");
        assert_eq!(outcome.code, 0, "{arguments:?}: {}", outcome.stderr);
        outcome.text()
    }

    fn fails(&self, arguments: &[&str], texts: &[&str]) {
        let shell = Shell { client: Some(&self.client), directory: self.directory.path() };
        shell.fails(arguments, 1, texts);
    }

    /// Makes a token; `more` is what stands behind `create token --admin`.
    #[track_caller]
    fn makes(&self, more: &[&str]) -> String {
        let text = self.must(&[&["create", "token", "--admin"][..], more].concat());
        assert!(text.contains(MADE), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix("Token: "));
        line.expect("a token").to_owned()
    }

    /// Makes none, and is told why.
    #[track_caller]
    fn makes_none(&self, more: &[&str], texts: &[&str]) {
        let text = self.must(&[&["create", "token", "--admin"][..], more].concat());
        let reason = text.split("Failed to create token, error:").nth(1).expect("a failure");
        for expected in texts {
            assert!(reason.contains(expected), "{text}");
        }
    }

    fn lists(&self, token: &str, name: &str) -> bool {
        let listed = ["show", "tokens", "--format", "csv", "--token", token];
        self.must(&listed).contains(name)
    }

    fn may_create(&self, token: &str, db: &str) -> bool {
        let shell = Shell { client: Some(&self.client), directory: self.directory.path() };
        let outcome = shell.run(&["create", "database", "--token", token, db], b"");
        match outcome.code {
            0 => outcome.text().contains("created successfully"),
            _ if outcome.stderr.contains("401") => false,
            _ => panic!("{}", outcome.stderr),
        }
    }
}

#[test]
fn the_first_token_is_made_once_and_replaced_by_whoever_has_it() {
    let server = setup().start();
    let user = User::of(&server);
    let text = user.must(&["create", "token", "--admin", "--format", "json"]);
    let made: Value = serde_json::from_str(&text).expect("JSON");
    let first = made["token"].as_str().expect("a token").to_owned();
    user.makes_none(&[], &["409", "token name already exists, _admin"]);
    user.makes_none(&["--regenerate"], &["401"]);
    let second = user.makes(&["--regenerate", "--token", &first]);
    assert_ne!(first, second);
    assert!(!user.may_create(&first, "a"));
    assert!(user.may_create(&second, "a"));
    user.makes_none(&["--regenerate", "--token", &first], &["401"]);
}

#[test]
fn further_admins_are_made_once_and_may_delete_themselves() {
    let server = setup().start();
    let user = User::of(&server);
    let operator = user.makes(&[]);
    let makes = ["--name", "other", "--token", &operator];
    for by_itself in [false, true] {
        let other = user.makes(&makes);
        user.makes_none(&makes, &["409", "token name already exists, other"]);
        let db = if by_itself { "one" } else { "two" };
        assert!(user.may_create(&other, db) && user.lists(&operator, "other"));
        let by = if by_itself { &other } else { &operator };
        let delete = ["delete", "token", "--token-name", "other", "--token", by];
        assert_eq!(user.must(&delete), "Token \"other\" deleted successfully\n");
        assert!(!user.lists(&operator, "other") && !user.may_create(&other, "x"));
    }
    // Without being asked.
    user.makes(&makes);
    let delete = ["delete", "token", "--yes", "--token-name", "other", "--token", &operator];
    let shell = Shell { client: Some(&user.client), directory: user.directory.path() };
    assert_eq!(shell.must(&delete), "Token \"other\" deleted successfully\n");
    assert!(!user.lists(&operator, "other"));
    // The operator's stays, and so it cannot be made again.
    let kept = user.must(&["delete", "token", "--token-name", "_admin", "--token", &operator]);
    let how = "influxdb3 create token --admin --regenerate --token [TOKEN]";
    assert!(kept.contains("is required and cannot be deleted") && kept.contains(how), "{kept}");
    user.makes_none(&[], &["409", "token name already exists, _admin"]);
}

#[test]
fn an_admin_for_a_while() {
    let server = setup().start();
    let user = User::of(&server);
    let operator = user.makes(&[]);
    let lasting = user.makes(&["--name", "lasting", "--expiry", "1h", "--token", &operator]);
    assert!(user.may_create(&lasting, "a"));
    let short = user.makes(&["--name", "short", "--expiry", "1s", "--token", &operator]);
    let short = user.client.with_token(&short);
    eventually("the token expires", || (short.get("/ping").status == 401).then_some(()));
    assert!(user.may_create(&lasting, "b"));
}

#[test]
fn a_server_without_authentication_makes_no_tokens() {
    let server = Setup::memory().start();
    let user = User::of(&server);
    for more in [&[][..], &["--regenerate"], &["--name", "n"]] {
        user.makes_none(more, &["405", "endpoint disabled, started without auth"]);
    }
}

/// A server with an address where the operator's token is replaced, and that address.
fn with_recovery(setup: Setup) -> (Server, String, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let file: PathBuf = directory.path().join("address");
    let text = file.display().to_string();
    let bind = "--admin-token-recovery-http-bind";
    let told = "--admin-token-recovery-tcp-listener-file-path";
    let server = setup.with(&[bind, "127.0.0.1:0", told, &text]).start();
    let address = std::fs::read_to_string(&file).expect("the address");
    (server, format!("http://{}", address.trim()), directory)
}

#[test]
fn a_lost_token_is_replaced_at_an_address_that_then_ends() {
    let (server, recovery, _directory) = with_recovery(setup());
    let user = User::of(&server);
    let lost = user.makes(&[]);
    let other = user.makes(&["--name", "other", "--token", &lost]);
    assert!(user.may_create(&lost, "before"));
    user.makes_none(&["--regenerate"], &["401"]);
    // It does this one thing.
    user.fails(&["create", "database", "--host", &recovery, "x"], &["404"]);
    user.fails(&["show", "tokens", "--host", &recovery], &["404"]);
    user.makes_none(&["--host", &recovery], &["404"]);
    user.makes_none(&["--host", &recovery, "--name", "x", "--token", &lost], &["404"]);
    assert!(user.may_create(&lost, "still"));

    let found = user.makes(&["--regenerate", "--host", &recovery]);
    assert_ne!(lost, found);
    eventually("the log tells of the end", || {
        server.log().contains("replaced by way of the recovery address").then_some(())
    });
    assert!(!user.may_create(&lost, "after"));
    assert!(user.may_create(&other, "after") && user.may_create(&found, "at_last"));
}

#[test]
fn there_is_nothing_to_replace_without_a_token() {
    for setup in [setup(), Setup::memory()] {
        let (server, recovery, _directory) = with_recovery(setup);
        let user = User::of(&server);
        let told = ["missing admin token, cannot update"];
        user.makes_none(&["--regenerate", "--host", &recovery], &told);
    }
    let server = setup().start();
    assert!(!server.log().contains("recovery address"), "unless it is asked for");
}

#[test]
fn a_token_from_a_file_is_that_of_an_operator() {
    let directory = tempfile::tempdir().expect("a directory");
    let shell = Shell { client: None, directory: directory.path() };
    let made = ["create", "token", "--admin", "--offline", "--output-file", "admin.json"];
    assert!(shell.must(&made).contains("Token saved to:"));
    let file = directory.path().join("admin.json");
    let text = std::fs::read_to_string(&file).expect("the file");
    let written: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(written["name"], "_admin");
    let token = written["token"].as_str().expect("a token");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let server = setup().with(&["--admin-token-file", &file.display().to_string()]).start();
    let user = User::of(&server);
    user.makes_none(&[], &["409", "token name already exists, _admin"]);
    assert!(user.lists(token, "_admin") && user.may_create(token, "d"));
    assert!(user.must(&["show", "databases", "--token", token]).contains("_internal"));
    let sql = "SELECT * FROM system.tables LIMIT 1";
    user.must(&["query", "--database", "_internal", "--token", token, sql]);
}

/// Scripts have it in their environment, where no list of processes shows it.
#[test]
fn a_token_of_the_environment_is_sent() {
    let server = setup().start();
    let user = User::of(&server);
    let token = user.makes(&[]);
    let run = |arguments: &[&str], token: &str| {
        let mut command = clean_command();
        command.env("INFLUXDB3_HOST_URL", server.client.base()).env("INFLUXDB3_AUTH_TOKEN", token);
        command.args(arguments).output().expect("the binary runs")
    };
    assert!(run(&["create", "database", "d"], &token).status.success());
    let refused = run(&["create", "database", "e"], "apiv3_other");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("401"), "{said}");
    let named = ["create", "database", "e", "--token", &token];
    assert!(run(&named, "apiv3_other").status.success(), "the command line counts first");
}

/// A token that is nearly said is none.
#[test]
fn headers_that_are_nearly_right() {
    let server = setup().start();
    let user = User::of(&server);
    let token = user.makes(&[]);
    user.client.with_token(&token).must_write("d", "m f=1 1");
    for (name, value, status) in [
        ("authorization", format!("Bearer {token}"), 200),
        ("Authorization", format!("Bearer {token}"), 200),
        ("authorization", format!("Bearer {token} more"), 400),
        ("authorization", format!("Bearer{token}"), 400),
        ("authorization", token.clone(), 400),
        ("authorization", format!("Bearer {}", &token[..token.len() - 1]), 401),
        ("authorization", format!("Bearer {token}x"), 401),
        ("authorization", format!("Bearer {}", token.to_uppercase()), 401),
        ("auth", format!("Bearer {token}"), 401),
        ("authorisation", format!("Bearer {token}"), 401),
    ] {
        let headers = [(name, value.as_str())];
        let query = "/api/v3/query_sql?db=d&q=SELECT+f+FROM+m";
        let answer = user.client.send("GET", query, &headers, "");
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}
