//! The walk-through of `README.md`, run as it stands there.
//!
//! A fenced block right after `<!-- walk-through: server -->` holds the command that starts the
//! server; one after `<!-- walk-through -->` holds commands, each after a `$ `, and what they
//! print. Everything runs through `sh` in an empty home directory with the built binary first on
//! the path. Only the port differs, because the one in the text may be taken.

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{BINARY, clean_command};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const SERVER_MARK: &str = "<!-- walk-through: server -->";
const MARK: &str = "<!-- walk-through -->";
const PORT_IN_TEXT: &str = "localhost:8181";

/// A command and what it prints.
#[derive(Debug, Default)]
struct Step {
    command: String,
    output: String,
}

/// The fenced blocks after `mark`, in order.
fn blocks<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let mark = format!("{mark}\n");
    let after_marks = text.split(mark.as_str()).skip(1);
    after_marks
        .map(|rest| {
            let block = rest.strip_prefix("```").expect("a fenced block follows the mark");
            let (_, block) = block.split_once('\n').expect("a language and a line end");
            block.split_once("```").expect("the block ends").0
        })
        .collect()
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        let begins = line.strip_prefix("$ ");
        if let Some(command) = begins {
            steps.push(Step { command: command.to_owned(), output: String::new() });
        } else {
            let step = steps.last_mut().expect("a block begins with a command");
            let target = if goes_on { &mut step.command } else { &mut step.output };
            if goes_on {
                target.push('\n');
            }
            target.push_str(line);
            if !goes_on {
                target.push('\n');
            }
        }
        goes_on = (begins.is_some() || goes_on) && line.ends_with('\\');
    }
    steps
}

/// Times and rates of a write's report differ from run to run.
fn without_rates(text: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((_, rest)) if line.contains("requests/sec") => {
            let parts = rest.split(", ").map(|part| part.split(" (").next().unwrap_or_default());
            parts.collect::<Vec<_>>().join(", ")
        }
        _ => line.to_owned(),
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn shell(home: &Path, address: &str, command: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let binaries = Path::new(BINARY).parent().expect("a folder").display();
    let mut shell = Command::new("sh");
    for (name, _) in clean_command().get_envs() {
        shell.env_remove(name);
    }
    shell
        .args(["-c", &command.replace(PORT_IN_TEXT, address)])
        .env("PATH", format!("{binaries}:{path}"))
        .env("HOME", home)
        .env("INFLUXDB3_HOST_URL", format!("http://{address}"))
        .env("INFLUXDB3_HTTP_BIND_ADDR", address)
        .current_dir(home)
        .stdin(Stdio::null());
    shell
}

/// Ends the server with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn the_walk_through_works_as_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = fs::read_to_string(path).expect("README.md");
    let home = TempDir::new().expect("a directory");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let address = format!("127.0.0.1:{}", port.port());

    let server = blocks(&text, SERVER_MARK);
    assert_eq!(server.len(), 1, "one block starts the server");
    let command = server[0].trim().trim_start_matches("$ ");
    let log = fs::File::create(home.path().join("server.log")).expect("a file");
    let server = shell(home.path(), &address, &format!("exec {command}"))
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn();
    let mut server = Ends(server.expect("a shell"));
    let client = Client::new(&address);
    eventually("the server of the walk-through listens", || {
        let ended = server.0.try_wait().expect("a child process");
        let log = || fs::read_to_string(home.path().join("server.log")).unwrap_or_default();
        assert!(ended.is_none(), "the server ended: {}", log());
        client.try_send("GET", "/health", &[], Vec::new()).ok().filter(|a| a.status == 200)
    });

    let steps: Vec<Step> = blocks(&text, MARK).into_iter().flat_map(steps).collect();
    assert!(steps.len() >= 5, "the walk-through has {} steps", steps.len());
    for step in steps {
        let output =
            shell(home.path(), &address, &format!("{{ {}\n}} 2>&1", step.command)).output();
        let output = output.expect("a shell");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(without_rates(&printed), without_rates(&step.output), "$ {}", step.command);
    }
}
