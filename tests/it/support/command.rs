//! The binary as a client.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::client::Client;
use super::server::clean_command;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// The command line of one user.
#[derive(Debug)]
pub(crate) struct Shell<'a> {
    /// The server it talks to, by its environment; none for commands without one.
    pub(crate) client: Option<&'a Client>,
    /// Its working directory.
    pub(crate) directory: &'a Path,
}

impl Shell<'_> {
    /// Runs `influxdb3` with `arguments` and `input` on stdin.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = clean_command();
        if let Some(client) = self.client {
            command.env("INFLUXDB3_HOST_URL", client.base());
        }
        let child = command
            .args(arguments)
            .current_dir(self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the binary runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that takes no input closes its end.
        stdin.write_all(input).ok();
        drop(stdin);
        let output = child.wait_with_output().expect("a child process");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that has to succeed; returns what it printed.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments, b"");
        assert_eq!(outcome.code, 0, "{arguments:?}: {}", outcome.stderr);
        outcome.text()
    }

    /// Runs a command that has to fail with `code`, saying all of `texts` on stderr.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, texts: &[&str]) {
        let outcome = self.run(arguments, b"");
        assert_eq!(outcome.code, code, "{arguments:?}: {}", outcome.stderr);
        for text in texts {
            assert!(outcome.stderr.contains(text), "{arguments:?}: {}", outcome.stderr);
        }
        assert!(outcome.stdout.is_empty(), "{arguments:?}: {}", outcome.text());
    }
}
