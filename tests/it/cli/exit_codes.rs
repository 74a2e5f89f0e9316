//! What a command that fails exits with, and what it says.

use super::{with_shell, without_server};
use crate::support::command::Shell;
use crate::support::server::Setup;
use tempfile::TempDir;

#[test]
fn what_the_server_refuses_is_1() {
    with_shell(|shell, client| {
        client.must_write("d", "m,t=a f=1 1");
        for (sql, texts) in [
            ("SELEC 1", ["syntax error at line 1, column 1: ", "\n  SELEC 1\n  ^\n"]),
            ("SELECT *\nFRM m", ["syntax error at line 2, column 1: ", "\n  FRM m\n  ^\n"]),
            ("SELECT f +", ["syntax error at line 1, column 11: ", "the end of the statement"]),
            ("SELECT nope FROM m", ["[400 Bad Request]", "nope"]),
            ("SELECT * FROM nope", ["[400 Bad Request]", "table 'public.iox.nope' not found"]),
            ("SELECT 1 / 0", ["[400 Bad Request]", "Divide by zero"]),
        ] {
            shell.fails(
                &["query", "-d", "d", sql],
                1,
                &[&["Query command failed: "], &texts[..]].concat(),
            );
        }
        let unknown = ["[404 Not Found]", "database not found: nope"];
        shell.fails(&["query", "-d", "nope", "SELECT 1"], 1, &unknown);
        shell.fails(&["show", "system", "-d", "nope", "summary"], 1, &unknown);
        shell.fails(&["delete", "database", "nope", "-y"], 1, &["[404 Not Found]"]);
        shell.fails(&["undelete", "table", "-d", "d", "nope"], 1, &["Undelete command failed: "]);
        shell.fails(&["write", "-d", "d", "m f=x"], 1, &["[400 Bad Request]", "line 1: "]);
        shell.fails(&["query", "-d", "d", "-f", "missing"], 1, &["cannot read missing"]);
        shell.fails(&["write", "-d", "d", "-f", "."], 1, &["cannot read .: it is a directory"]);
    });
}

#[test]
fn a_wrong_command_line_is_2() {
    without_server(|shell| {
        for (arguments, text) in [
            (&["query", "SELECT 1"][..], "--database <DATABASE_NAME>"),
            (&["write", "-d", "d", "m", "f=1"], "enclosed in quotes"),
            (&["query", "-d", "d"], "No input from stdin detected"),
            (&["write", "-d", "d"], "No input from stdin detected"),
            (&["write", "-d", "d", "--from-line", "0", "m f=1"], "--from-line <LINE>"),
            (&["write", "-d", "d", "--on-error", "panic", "m f=1"], "continue, stop"),
            (&["write", "-d", "d", "--accept-partial=perhaps", "m f=1"], "--accept-partial"),
            (&["update", "database", "-d", "d"], "--retention-period is required"),
            (&["completion", "tcsh"], "bash"),
            (&["query", "-d", "d", "--file", "~nobody/x"], "~nobody is not replaced"),
        ] {
            shell.fails(arguments, 2, &[text]);
        }
    });
}

#[test]
fn a_missing_database_comes_with_the_usage_of_the_very_command() {
    without_server(|shell| {
        for (inner, rest) in [("table-list", &[][..]), ("table", &["queries"]), ("summary", &[])] {
            let arguments = [&["show", "system", inner], rest].concat();
            let usage = format!(
                "Usage: influxdb3 show system --database <DATABASE_NAME> {inner} [OPTIONS]"
            );
            shell.fails(&arguments, 2, &["--database <DATABASE_NAME>", &usage]);
        }
    });
}

#[test]
fn no_server_is_3() {
    without_server(|shell| {
        for (arguments, verb) in [
            (&["query", "-d", "d", "SELECT 1"][..], "Query"),
            (&["write", "-d", "d", "m f=1"], "Write"),
            (&["create", "database", "d"], "Create"),
            (&["delete", "table", "-d", "d", "t", "-y"], "Delete"),
            (&["update", "database", "-d", "d", "-r", "none"], "Update"),
            (&["undelete", "database", "d"], "Undelete"),
            (&["show", "databases"], "Show"),
            (&["show", "system", "-d", "d", "summary"], "Show"),
        ] {
            let host = ["--host", "http://me:hush@127.0.0.1:1"];
            let failed =
                format!("{verb} command failed: no server answers at http://127.0.0.1:1 (");
            let hint = "is it running? start it with `influxdb3 serve`";
            shell.fails(&[arguments, &host].concat(), 3, &[&failed, hint]);
        }
    });
}

#[test]
fn the_wrong_scheme_is_told() {
    with_shell(|shell, client| {
        let host = client.base().replace("http://", "https://");
        let query = ["query", "-H", &host, "-d", "d", "SELECT 1"];
        shell.fails(&query, 3, &["it does not speak TLS", "http://"]);
    });
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let server = Setup::memory().start();
    server.client.must_write("d", "m f=1 1");
    let directory = TempDir::new().expect("a directory");
    let empty = "INFLUXDB3_AUTH_TOKEN=\nINFLUXDB3_TLS_CA=\nINFLUXDB3_QUERY_HOST_URL=\n";
    std::fs::write(directory.path().join(".env"), empty).expect("a file");
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    assert_eq!(shell.must(&["query", "-d", "d", "--format", "csv", "SELECT f FROM m"]), "f\n1.0\n");
}
