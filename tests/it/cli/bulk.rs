//! Many lines at once: what is stored, what is told, and how to go on.

use super::with_shell;
use serde_json::json;
use std::fmt::Write;

/// `lines` with every tenth one bad, among comments, blank lines and a value of two lines.
fn mixed(lines: usize) -> String {
    let mut text = String::from("\u{feff}# made for a test\r\n\r\n");
    for line in 0..lines {
        let value = if line % 10 == 9 { "bad" } else { "1" };
        // Writing into a string cannot fail.
        write!(text, "m,k={line} f={value},s=\"two\nlines\" {line}\r\n").ok();
    }
    text
}

/// The row of a line of [`mixed`].
fn row(line: usize) -> usize {
    3 + 2 * line
}

#[test]
fn bad_lines_are_told_and_the_others_stored() {
    with_shell(|shell, client| {
        let write = ["write", "-d", "d", "-p", "ns", "-f", "lines", "--max-request-size", "1kb"];
        std::fs::write(shell.directory.join("lines"), mixed(2_000)).expect("a file");
        for extra in [&[][..], &["--gzip"], &["--max-concurrent-requests", "1", "-q"]] {
            let outcome = shell.run(&[&write, extra].concat(), b"");
            assert_eq!(outcome.code, 4, "{}", outcome.stderr);
            let failed = "Write command failed: server responded with error [400 Bad Request]: \
                          partial write of line protocol occurred\n";
            let told = outcome.stderr.split_once(failed).expect("the failure").1;
            let told: Vec<&str> = told.lines().collect();
            for (at, line) in (0..10).zip((9..).step_by(10)) {
                let reason = "No fields were provided: \"bad\" is no value of field \"f\"";
                let expected = format!("  line {}: {reason}", row(line));
                assert!(told[2 * at].starts_with(&expected), "{expected}: {told:?}");
                assert!(told[2 * at + 1].starts_with(&format!("    m,k={line} f=bad")), "{told:?}");
            }
            assert_eq!(told[20..], ["  …", "2000 lines sent: 1800 stored, 200 refused"]);
            assert_eq!(client.count("d", "m"), 1_800);
        }
    });
}

#[test]
fn writing_stops_at_a_bad_line_where_that_is_asked_for() {
    with_shell(|shell, client| {
        let lines: String = (0..100)
            .map(|i| format!("m,k={i} f={} {i}\n", if i == 41 { "x" } else { "1" }))
            .collect();
        let write = ["write", "-d", "d", "-p", "ns", "--max-request-size", "100"];
        let stop = ["--on-error", "stop", "--max-concurrent-requests", "1"];
        let outcome = shell.run(&[&write[..], &stop].concat(), lines.as_bytes());
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("\n  line 42: "), "{}", outcome.stderr);
        let rest = outcome.stderr.trim().rsplit_once(": send the rest with --from-line ");
        let from_line = rest.expect("how to go on").1;
        let sent: u64 = from_line.parse::<u64>().expect("a number") - 1;
        assert!((42..60).contains(&sent), "{}", outcome.stderr);
        let sums = format!("{sent} lines sent: {} stored, 1 refused", sent - 1);
        assert!(outcome.stderr.contains(&sums), "{}", outcome.stderr);
        assert_eq!(client.count("d", "m"), sent - 1);

        let outcome =
            shell.run(&[&write[..], &["--from-line", from_line]].concat(), lines.as_bytes());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(client.count("d", "m"), 99);
    });
}

#[test]
fn a_request_may_be_all_or_nothing() {
    with_shell(|shell, client| {
        let lines = "m f=1 1\nm f=x 2\n# c\nm f=3 3\n";
        for extra in [&["--accept-partial", "false"][..], &["--accept-partial=false"]] {
            let outcome = shell.run(&[&["write", "-d", "d"][..], extra].concat(), lines.as_bytes());
            assert_eq!(outcome.code, 1, "{}", outcome.stderr);
            assert!(outcome.stderr.contains("\n  line 2: "), "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains("3 lines sent: 0 stored, 3 refused"),
                "{}",
                outcome.stderr
            );
            assert_eq!(client.count("d", "m"), 0);
        }
        // By requests, of which the first two are good.
        let arguments =
            ["write", "-d", "d", "--accept-partial", "false", "--max-request-size", "8"];
        let outcome = shell.run(&arguments, lines.as_bytes());
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("3 lines sent: 2 stored, 1 refused"), "{}", outcome.stderr);
        for extra in [&["--accept-partial"][..], &["--accept-partial", "true"], &[]] {
            let outcome = shell.run(&[&["write", "-d", "d"][..], extra].concat(), lines.as_bytes());
            assert_eq!(outcome.code, 4, "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains("3 lines sent: 2 stored, 1 refused"),
                "{}",
                outcome.stderr
            );
        }
        // An argument behind the option is no value of it.
        shell.must(&["write", "-d", "d", "--accept-partial", "m f=4 4"]);
        assert_eq!(
            client.rows("d", "SELECT f FROM m ORDER BY f"),
            json!([{"f": 1.0}, {"f": 3.0}, {"f": 4.0}])
        );
    });
}

#[test]
fn a_request_that_is_refused_as_a_whole_is_told_by_its_lines() {
    use crate::support::command::Shell;
    use crate::support::server::Setup;
    let server = Setup::memory().with(&["--max-http-request-size", "1kb"]).start();
    let directory = tempfile::TempDir::new().expect("a directory");
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    let lines = format!("m f=1 1\nm s=\"{}\" 2\nm f=3 3\n", "x".repeat(2_000));
    let arguments = ["write", "-d", "d", "--max-request-size", "0.5KiB"];
    let outcome = shell.run(&arguments, lines.as_bytes());
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("[413 Payload Too Large]"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\n  line 2\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("3 lines sent: 2 stored, 1 refused"), "{}", outcome.stderr);
    assert_eq!(server.client.count("d", "m"), 2);
}

#[test]
fn a_dash_is_stdin_and_an_empty_file_is_no_missing_argument() {
    with_shell(|shell, client| {
        for (at, arguments) in [&["-"][..], &["-f", "-"], &["--file=-", "-q"]].iter().enumerate() {
            let line = format!("\r\n# c\r\nm f={at} {at}\r\n");
            let outcome = shell.run(&[&["write", "-d", "d"], *arguments].concat(), line.as_bytes());
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        }
        assert_eq!(client.count("d", "m"), 3);
        for arguments in [&["-"][..], &["-f", "-"], &["-o", "-", "-"]] {
            let query = [&["query", "-d", "d", "--format", "csv"], arguments].concat();
            let outcome = shell.run(&query, b"\xef\xbb\xbfSELECT count(*) AS n FROM m\r\n");
            assert_eq!(
                (outcome.code, outcome.text().as_str()),
                (0, "n\n3\n"),
                "{}",
                outcome.stderr
            );
        }

        for (text, name) in [("", "empty"), ("\r\n \n# c\n", "blank"), ("\u{feff}", "mark")] {
            std::fs::write(shell.directory.join(name), text).expect("a file");
            let told = format!("Write command failed: no lines in {name}");
            shell.fails(&["write", "-d", "d", "-f", name], 1, &[&told]);
        }
        let told = "no lines in empty from line 7 on";
        shell.fails(&["write", "-d", "d", "-f", "empty", "--from-line", "7"], 1, &[told]);
        shell.fails(&["write", "-d", "d", "-"], 1, &["no lines in stdin"]);
        shell.fails(&["write", "-d", "d", ""], 1, &["no lines in the argument"]);
        shell.fails(&["query", "-d", "d", "-f", "mark"], 1, &["no query in mark"]);
        shell.fails(&["query", "-d", "d", "-"], 1, &["no query in stdin"]);
        shell.fails(&["query", "-d", "d", " "], 1, &["no query in the argument"]);
    });
}

#[test]
fn a_server_that_goes_away_leaves_a_place_to_go_on_from() {
    use crate::support::command::Shell;
    use crate::support::server::Server;
    let mut server = Server::memory();
    let client = server.client.clone();
    let directory = tempfile::TempDir::new().expect("a directory");
    let shell = Shell { client: Some(&client), directory: directory.path() };
    server.kill();
    let outcome = shell.run(&["write", "-d", "d", "-p", "ns"], b"m f=1 1\nm f=2 2\n");
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("is it running?"), "{}", outcome.stderr);
}
