//! Files of plugins: reloading, directories, uploads, and what is outside.

use super::Plugins;
use crate::support::command::Shell;
use crate::support::eventually;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

fn version(version: u32) -> String {
    format!(
        "def process_writes(l, t, a=None):\n    \
         l.write(LineBuilder('versions').int64_field('v', {version}))\n"
    )
}

impl Plugins {
    /// Writes a row of `foo` and waits for the row that comes of it.
    fn fires(&self, row: u64) -> Value {
        self.client().must_write("mydb", &format!("foo v=1 {row}"));
        self.must_have("mydb", "versions", row);
        self.client().value("mydb", "SELECT v FROM versions ORDER BY time DESC LIMIT 1")
    }
}

#[test]
fn a_changed_file_is_read_again() {
    let plugins = Plugins::start();
    plugins.plugin("f.py", &version(1));
    plugins.trigger("t", "f.py", "table:foo", &json!({}));
    assert_eq!(plugins.fires(1), 1);
    plugins.plugin("f.py", &version(2));
    assert_eq!(plugins.fires(2), 2);
    plugins.plugin("f.py", "def process_writes(:\n");
    plugins.client().must_write("mydb", "foo v=1 100");
    plugins.must_say("ERROR error executing wal plugin: SyntaxError: ");
    plugins.plugin("f.py", &version(3));
    assert_eq!(plugins.fires(3), 3);
    fs::remove_file(plugins.place("f.py")).expect("a file");
    assert_eq!(plugins.fires(4), 3);
}

#[test]
fn a_directory_is_a_package_that_keeps_its_state_until_it_changes() {
    let plugins = Plugins::start();
    // Named like a module of Python, which stays what it is.
    let init = "from .parts import value\nfrom json.parts import value as same\nruns = 0\n\
                def process_writes(l, t, a=None):\n    global runs\n    runs += 1\n    import json\n    \
                l.info('json', json.dumps(runs), value() + same())\n    \
                l.write(LineBuilder('versions').int64_field('v', value() * 10 + runs))\n";
    plugins.plugin("json/__init__.py", init);
    plugins.plugin("json/parts.py", "def value(): return 1\n");
    plugins.trigger("t", "json", "table:foo", &json!({}));
    assert_eq!(plugins.fires(1), 11);
    assert_eq!(plugins.fires(2), 12);
    plugins.must_say("INFO json 2 2");
    plugins.plugin("json/parts.py", "def value(): return 2\n");
    assert_eq!(plugins.fires(3), 21);
    plugins.plugin("empty/a.py", "");
    let refused = plugins.create("u", "empty", "table:foo", &json!({}));
    let text = "Multi-file plugin directory must contain __init__.py: empty";
    assert!(refused.status == 500 && refused.text().ends_with(text), "{}", refused.text());
}

#[test]
fn uploads_and_updates_by_the_command_line() {
    let plugins = Plugins::start();
    let local = tempfile::TempDir::new().expect("a directory");
    let shell = Shell { client: Some(plugins.client()), directory: local.path() };
    let put = |name: &str, text: &str| {
        let place = local.path().join(name);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    };
    put("pack/__init__.py", "from .sub.value import process_writes\n");
    put("pack/sub/value.py", &version(1));
    put("pack/sub/__init__.py", "");
    let create = ["create", "trigger", "-d", "mydb", "--upload", "--path", "pack"];
    let rest = ["--trigger-spec", "table:foo", "t"];
    let said = shell.must(&[create.as_slice(), &rest].concat());
    assert_eq!(said, "Trigger t created successfully\n");
    assert_eq!(plugins.fires(1), 1);
    put("pack/sub/value.py", &version(2));
    let said = shell.must(&["update", "trigger", "-d", "mydb", "-t", "t", "-p", "pack"]);
    assert_eq!(said, "Trigger 't' updated successfully (atomic directory replacement)\n");
    assert_eq!(plugins.fires(2), 2);
    assert!(!plugins.place("pack.tmp").exists() && !plugins.place("pack.old").exists());
    let listed = shell.must(&["show", "plugins", "--format", "csv"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with("t,")).count(), 3, "{listed}");
    fs::create_dir(local.path().join("none")).expect("a folder");
    let update = |name: &'static str, path: &'static str| {
        ["update", "trigger", "-d", "mydb", "-t", name, "-p", path]
    };
    shell.fails(&update("t", "none"), 1, &["No Python files found in directory"]);
    shell.fails(&update("t", "missing"), 1, &["Path does not exist: missing"]);
    shell.fails(&update("nope", "pack"), 1, &["Plugin not found: nope"]);
}

#[test]
fn nothing_outside_is_read_or_written() {
    let plugins = Plugins::start();
    fs::write(plugins.directory.path().join("s.py"), "secret").expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(plugins.directory.path().join("s.py"), plugins.place("in.py")).expect("a link");
        symlink(plugins.directory.path(), plugins.place("dir")).expect("a link");
    }
    for path in ["../s.py", "/etc/hosts", "a/../../s.py", "in.py", "dir/s.py"] {
        let text = format!(
            "Path traversal detected: plugin filename '{path}' attempts to access files outside the \
             plugin directory"
        );
        let created = plugins.create("t", path, "table:foo", &json!({}));
        assert!(created.status == 500 && created.text().ends_with(&text), "{}", created.text());
        let body = json!({"filename": path, "database": "mydb", "input_lp": "m f=1"});
        let tested = plugins.client().json("POST", "/api/v3/plugin_test/wal", &body);
        assert_eq!((tested.status, tested.text()), (500, format!("Plugin error: {text}")));
        let body = json!({"plugin_name": path, "content": "x = 1"});
        let uploaded = plugins.client().json("POST", "/api/v3/plugins/files", &body);
        assert_eq!((uploaded.status, uploaded.text()), (500, text));
    }
    assert_eq!(fs::read_to_string(plugins.directory.path().join("s.py")).expect("text"), "secret");
    let body = json!({"plugin_name": "sub/new.py", "content": "x = 1"});
    assert_eq!(plugins.client().json("POST", "/api/v3/plugins/files", &body).status, 200);
    assert_eq!(fs::read_to_string(plugins.place("sub/new.py")).expect("text"), "x = 1");
}

/// Answers each request with a plugin, or with 404.
fn repository(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/main/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let is_known = request[..length].starts_with(b"GET /main/a/f.py ");
            let (status, body) = if is_known { ("200 OK", text) } else { ("404 Not Found", "") };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
            write!(stream, "{head}connection: close\r\n\r\n{body}").ok();
        }
    });
    address
}

#[test]
fn plugins_of_the_repository_are_fetched() {
    let text = "def process_writes(l, t, a=None): l.info('fetched')\n";
    let address = repository(text);
    let plugins = Plugins::with(&["--plugin-repo", &address]);
    plugins.trigger("t", "gh:a/f.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("INFO fetched");
    let refused = plugins.create("u", "gh:a/g.py", "table:foo", &json!({}));
    let expected = format!("error fetching plugin from repository: 404 Not Found {address}a/g.py");
    assert!(refused.status == 500 && refused.text().ends_with(&expected), "{}", refused.text());
    let refused = plugins.create("u", "gh:../g.py", "table:foo", &json!({}));
    assert!(refused.text().contains("Path traversal detected"), "{}", refused.text());
    // The copy is good for a start without a network.
    let Plugins { server, directory } = plugins;
    let setup = server.stopped().without("--plugin-repo").without(&address);
    let setup = setup.with(&["--plugin-repo", "http://127.0.0.1:1/"]);
    let plugins = Plugins { server: setup.start(), directory };
    plugins.client().must_write("mydb", "foo v=1 2");
    plugins.must_say("INFO fetched");
}

#[test]
fn packages_are_installed_into_an_environment() {
    let plugins = Plugins::start();
    // A wheel made by hand: pip needs no network for it.
    let folder = plugins.directory.path().join("src");
    fs::create_dir_all(folder.join("tiny_it")).expect("a folder");
    let made = std::process::Command::new("python3")
        .args(["-c", WHEEL])
        .arg(&folder)
        .status()
        .expect("python3 runs");
    assert!(made.success());
    let install = |packages: Value| {
        let body = json!({"packages": packages});
        let path = "/api/v3/configure/plugin_environment/install_packages";
        plugins.client().json("POST", path, &body)
    };
    assert_eq!(install(json!(["--index-url=x"])).status, 400);
    let missing = install(json!([folder.join("nope-1.0-py3-none-any.whl")]));
    let text = missing.text();
    assert!(
        missing.status == 500 && text.starts_with("error installing python packages: "),
        "{text}"
    );
    let done = install(json!([folder.join("tiny_it-1.0-py3-none-any.whl")]));
    assert_eq!(done.status, 200, "{}", done.text());
    let text = "import tiny_it\ndef process_writes(l, t, a=None): l.info(tiny_it.WORD)\n";
    plugins.plugin("uses.py", text);
    plugins.trigger("t", "uses.py", "table:foo", &json!({}));
    eventually("the package is imported", || {
        plugins.client().must_write("mydb", "foo v=1 1");
        plugins.said().contains(&"INFO installed".to_owned()).then_some(())
    });
}

/// Makes a wheel in the folder that it is given.
const WHEEL: &str = r#"
import sys, zipfile
name = sys.argv[1] + "/tiny_it-1.0-py3-none-any.whl"
info = "tiny_it-1.0.dist-info/"
with zipfile.ZipFile(name, "w") as wheel:
    wheel.writestr("tiny_it/__init__.py", "WORD = 'installed'\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tiny_it\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL",
                   "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"#;
