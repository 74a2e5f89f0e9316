//! What a person at a terminal sees, and nobody else.

use super::with_shell;
use crate::support::command::Shell;
use crate::support::server::{BINARY, clean_command};
use std::process::{Command, Stdio};

/// Runs a command line of the binary at a terminal that is so wide. What it prints to stdout and
/// stderr comes as the terminal gets it.
fn at_terminal(shell: &Shell<'_>, width: u16, arguments: &str) -> String {
    let line = format!("stty cols {width} rows 50; '{BINARY}' {arguments}");
    let mut command = Command::new("script");
    for (name, _) in clean_command().get_envs() {
        command.env_remove(name);
    }
    let host = shell.client.expect("a server").base();
    let output = command
        .args(["-qec", &line, "/dev/null"])
        .env("INFLUXDB3_HOST_URL", host)
        .current_dir(shell.directory)
        .stdin(Stdio::null())
        .output();
    let output = output.expect("util-linux has `script`");
    let text = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    assert!(output.status.success(), "{arguments}: {text}");
    text
}

/// The text without its last line, which has to tell rows and time.
fn without_summary<'a>(text: &'a str, rows: &str) -> &'a str {
    let (table, summary) = text.trim_end().rsplit_once('\n').unwrap_or(("", text));
    let time = summary.strip_prefix(rows).and_then(|rest| rest.strip_prefix(" in "));
    let time = time.and_then(|time| time.strip_suffix(" ms").or_else(|| time.strip_suffix(" s")));
    assert!(time.is_some_and(|time| time.parse::<f64>().is_ok()), "{text}");
    table
}

#[test]
fn tables_fit_the_terminal() {
    with_shell(|shell, client| {
        let long = "0123456789".repeat(10);
        client.must_write("d", &format!("m,t=a s=\"{long}\" 1\nm,t=b s=\"\",i=7i 2\nm,t=c i=8i 3"));
        let query = "query -d d 'SELECT t, i, s, time FROM m ORDER BY time'";
        let expected = "\
+---+------+---------------+---------------+
| t | i    | s             | time          |
+---+------+---------------+---------------+
| a | NULL | 012345678901… | 1970-01-01T0… |
| b | 7    |               | 1970-01-01T0… |
| c | 8    | NULL          | 1970-01-01T0… |
+---+------+---------------+---------------+";
        let text = at_terminal(shell, 45, query);
        assert_eq!(without_summary(&text, "3 rows"), expected);
        let whole = at_terminal(shell, 45, &query.replace("-d d", "-d d --no-truncate"));
        assert!(whole.contains(&long) && whole.contains("| NULL "), "{whole}");
        without_summary(&whole, "3 rows");

        let one = at_terminal(shell, 80, "query -d d 'SELECT 1 AS a'");
        assert_eq!(without_summary(&one, "1 row"), "+---+\n| a |\n+---+\n| 1 |\n+---+");
        // Types for which the form that is asked for has no place.
        let interval = at_terminal(shell, 80, "query -d d \"SELECT interval '1 month' AS a\"");
        assert!(interval.contains("| 1 mons |"), "{interval}");
        let databases = at_terminal(shell, 80, "show databases");
        assert!(without_summary(&databases, "2 rows").contains("| _internal     |"), "{databases}");
        let system = at_terminal(shell, 80, "show system -d d table queries");
        assert!(system.contains('…'), "{system}");
        // Other forms are the same wherever they go.
        assert_eq!(at_terminal(shell, 80, "query -d d --format csv 'SELECT 1 AS a'"), "a\n1\n");
    });
}

#[test]
fn pipes_and_files_get_what_the_server_sends() {
    with_shell(|shell, client| {
        client.must_write("d", "m,t=a f=1 1\nm,t=b g=2 2");
        let query = ["query", "-d", "d", "SELECT t, f FROM m ORDER BY t"];
        let expected =
            "+---+-----+\n| t | f   |\n+---+-----+\n| a | 1.0 |\n| b |     |\n+---+-----+\n";
        let outcome = shell.run(&query, b"");
        assert_eq!((outcome.text().as_str(), outcome.stderr.as_str()), (expected, ""));
        let text = at_terminal(shell, 10, "query -d d -o out 'SELECT t, f FROM m ORDER BY t'");
        assert_eq!(text, "");
        let file = std::fs::read_to_string(shell.directory.join("out")).expect("a file");
        assert_eq!(file, expected);
    });
}
