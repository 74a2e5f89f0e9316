//! Client libraries as their users have them, unmodified. `deploy/test` installs them beside the
//! binary under test. What each one does stands in its script; a script that is content says so.

use crate::influxdb1::peer::program;
use crate::support::server::{BINARY, Server, Setup};
use crate::tls::Identity;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the libraries are installed.
pub(crate) fn folder() -> PathBuf {
    let target = Path::new(BINARY).ancestors().nth(2).expect("target/debug/influxdb3");
    let folder = target.join("clients");
    assert!(folder.join("versions").exists(), "no clients in {folder:?}: run deploy/test once");
    folder
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(name)
}

#[track_caller]
fn passes(mut command: Command, arguments: &[&str]) {
    // Loopback is reached directly, whatever the machine is set up for.
    let command = command.args(arguments).env("NO_PROXY", "*").env("no_proxy", "*");
    let output = command.output().expect("the program runs");
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim() == "passed", "{said}\n{complaint}");
}

#[track_caller]
fn python(name: &str, arguments: &[&str]) {
    let mut command = Command::new(folder().join("python/bin/python"));
    command.arg(script(name));
    passes(command, arguments);
}

#[track_caller]
fn node(name: &str, arguments: &[&str]) {
    let (command, _copy) = node_command(name);
    passes(command, arguments);
}

/// What runs a script, and the directory that the script is in meanwhile.
fn node_command(name: &str) -> (Command, tempfile::TempDir) {
    // Modules are looked for beside the script and above it, so it is run below where they are.
    let copies = tempfile::tempdir_in(folder().join("npm")).expect("a directory");
    let copy = copies.path().join(name);
    std::fs::copy(script(name), &copy).expect("copied");
    let mut command = Command::new("node");
    command.arg(copy).current_dir(copies.path());
    (command, copies)
}

fn address(server: &Server) -> &str {
    server.client.base().strip_prefix("http://").expect("a URL")
}

fn host_and_port(server: &Server) -> (&str, &str) {
    address(server).split_once(':').expect("host:port")
}

#[test]
fn the_python_library_for_v3_and_the_adbc_driver_write_and_query() {
    let server = Setup::memory().start();
    python("v3.py", &[server.client.base()]);
    python("adbc.py", &[&format!("grpc://{}", address(&server))]);
}

#[test]
fn the_python_library_for_v3_does_the_same_over_tls() {
    let identity = Identity::new();
    let server = identity.setup().start();
    let certificate = identity.certificate_file();
    let url = format!("https://{}", address(&server));
    python("v3.py", &[&url, certificate.to_str().expect("UTF-8")]);
}

#[test]
fn the_python_library_for_v2_writes() {
    let server = Setup::memory().start();
    python("v2.py", &[server.client.base()]);
    let rows = server.client.rows("v2", "SELECT temp FROM home ORDER BY time");
    assert_eq!(rows, json!([{"temp": 20.5}, {"temp": 1.5}, {"temp": 2.0}]));
    assert_eq!(server.client.count("v2", "many"), 10_000);
    assert_eq!(server.client.count("v2", "partly"), 2);
    assert_eq!(server.client.count("tokens", "home"), 2);
}

#[test]
fn the_python_library_for_v1_writes_and_queries() {
    let server = Setup::memory().start();
    let (host, port) = host_and_port(&server);
    python("v1.py", &[host, port]);
    let rows = server.client.rows("v1", "SELECT room, temp FROM home ORDER BY time");
    assert_eq!(rows, json!([{"room": "Bath", "temp": 20.5}, {"room": "Hall", "temp": 2.0}]));
    assert_eq!(server.client.count("v1", "partly"), 2);
}

#[test]
fn the_javascript_library_for_v3_writes_and_queries() {
    let server = Setup::memory().start();
    node("v3.mjs", &[server.client.base()]);
}

#[test]
fn the_javascript_library_for_v1_writes_and_queries() {
    let server = Setup::memory().start();
    let (host, port) = host_and_port(&server);
    node("v1.mjs", &[host, port]);
    let rows = server.client.rows("v1js", "SELECT room, temp FROM home");
    assert_eq!(rows, json!([{"room": "Bath", "temp": 20.5}]));
}

#[test]
fn the_command_line_of_version_1_imports_and_queries() {
    let Some(influx) = program("influx", "influxdb-client") else { return };
    let server = Setup::memory().start();
    let (host, port) = host_and_port(&server);
    let folder = tempfile::tempdir().expect("a directory");
    let (influx, folder) = (influx.display().to_string(), folder.path().display().to_string());
    python("influx.py", &[&influx, host, port, &folder]);
    assert_eq!(server.client.count("kept", "cpu"), 2);
    assert_eq!(server.client.count("shell", "home"), 1);
}

/// A server that has its tokens from files: the text of one that may read, write and create.
fn with_tokens(setup: Setup) -> (Server, String, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let text = |end: &str| format!("apiv3_{}{end}", "A".repeat(80));
    let (admin, user) = (text("operat"), text("client"));
    let file = |name: &str, content: serde_json::Value| {
        let path = directory.path().join(name);
        std::fs::write(&path, content.to_string()).expect("written");
        path.display().to_string()
    };
    let admin = file("admin.json", json!({ "token": admin, "name": "_admin" }));
    let permissions = ["db:*:read,write,create", "system:*:read"];
    let user_token = json!([{ "token": user, "name": "user", "permissions": permissions }]);
    let more = file("more.json", user_token);
    let files = ["--admin-token-file", admin.as_str(), "--permission-tokens-file", more.as_str()];
    (setup.without("--without-auth").with(&files).start(), user, directory)
}

#[test]
fn the_python_libraries_bring_tokens() {
    let (server, token, _directory) = with_tokens(Setup::memory());
    let (host, port) = host_and_port(&server);
    python("tokens.py", &[host, port, &token]);
}

#[test]
fn the_python_libraries_bring_tokens_over_tls() {
    let identity = Identity::new();
    let (server, token, _directory) = with_tokens(identity.setup());
    let (_, port) = host_and_port(&server);
    let certificate = identity.certificate_file();
    let certificate = certificate.to_str().expect("UTF-8");
    python("tokens.py", &["localhost", port, &token, certificate]);
}

#[test]
fn the_javascript_libraries_bring_tokens() {
    let (server, token, _directory) = with_tokens(Setup::memory());
    let (host, port) = host_and_port(&server);
    node("tokens.mjs", &[host, port, &token]);
}

#[test]
fn the_javascript_libraries_bring_tokens_over_tls() {
    let identity = Identity::new();
    let (server, token, _directory) = with_tokens(identity.setup());
    let (_, port) = host_and_port(&server);
    let certificate = identity.certificate_file();
    let (mut command, _copy) = node_command("tokens.mjs");
    // Its library for gRPC looks for the certificates that it trusts by a name of its own.
    command.env("NODE_EXTRA_CA_CERTS", &certificate);
    command.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &certificate);
    passes(command, &["localhost", port, &token, certificate.to_str().expect("UTF-8")]);
}
