//! The binary as client: what its commands do, print and exit with.

mod bulk;
mod debug;
mod exit_codes;
mod manual;
#[cfg(target_os = "linux")]
mod terminal;

use crate::support::client::Client;
use crate::support::command::Shell;
use crate::support::server::{Server, Setup};
use serde_json::json;
use tempfile::TempDir;

/// Runs `test` with a server and a command line that talks to it.
fn with_shell(test: impl FnOnce(&Shell<'_>, &Client)) {
    let server = Server::memory();
    let directory = TempDir::new().expect("a directory");
    test(&Shell { client: Some(&server.client), directory: directory.path() }, &server.client);
}

fn without_server(test: impl FnOnce(&Shell<'_>)) {
    let directory = TempDir::new().expect("a directory");
    test(&Shell { client: None, directory: directory.path() });
}

#[test]
fn version_and_help() {
    without_server(|shell| {
        for flag in ["--version", "-V"] {
            let text = shell.must(&[flag]);
            assert!(text.starts_with("influxdb3 InfluxDB 3 Core, "), "{text}");
            assert!(text.contains("revision"), "{text}");
        }
        for arguments in [
            &["--help"][..],
            &["--help-all"],
            &["serve", "-h"],
            &["serve", "--help-all"],
            &["create", "-h"],
            &["create", "table", "--help"],
            &["write", "-h"],
            &["query", "-h"],
        ] {
            assert!(shell.must(arguments).contains("Usage: influxdb3"), "{arguments:?}");
        }
    });
}

#[test]
fn usage_errors_exit_with_2() {
    without_server(|shell| {
        shell.fails(&["query", "SELECT 1"], 2, &["--database <DATABASE_NAME>"]);
        shell.fails(
            &["write", "-p", "fake", "-d", "d", "m f=1"],
            2,
            &["unrecognized precision unit: fake"],
        );
        shell.fails(&["nonsense"], 2, &["nonsense"]);
        shell.fails(&["serve", "--object-store", "memory"], 2, &["--node-id"]);
        shell.fails(
            &["create", "table", "-d", "d", "-f", "x:decimal", "t"],
            2,
            &["decimal is not a valid data type, values are int64, uint64, float64, utf8, and bool"],
        );
        shell.fails(
            &["create", "table", "-d", "d", "t", "--tags"],
            2,
            &["a value is required for '--tags <TAGS>...' but none was supplied"],
        );
    });
}

#[test]
fn databases_are_created_listed_changed_and_deleted() {
    with_shell(|shell, client| {
        let created = shell.must(&["create", "database", "foo"]);
        assert_eq!(created, "Database \"foo\" created successfully\n");
        shell.fails(
            &["create", "database", "foo"],
            1,
            &[
                "Create command failed:",
                "409",
                "attempted to create a resource that already exists",
            ],
        );
        let list = "+---------------+\n| iox::database |\n+---------------+\n\
                    | _internal     |\n| foo           |\n+---------------+\n";
        assert_eq!(shell.must(&["show", "databases"]), list);
        let csv = shell.must(&["show", "databases", "--format", "csv"]);
        assert_eq!(csv, "iox::database\n_internal\nfoo\n");

        let retention =
            || shell.must(&["show", "retention", "--database", "foo", "--format", "csv"]);
        assert_eq!(retention(), "database_name,retention_period\nfoo,infinite\n");
        let updated = shell.must(&["update", "database", "-d", "foo", "-r", "7d"]);
        assert_eq!(updated, "Database \"foo\" updated successfully\n");
        assert_eq!(retention(), "database_name,retention_period\nfoo,7d\n");
        shell.must(&["update", "database", "-d", "foo", "-r", "none"]);
        assert_eq!(retention(), "database_name,retention_period\nfoo,infinite\n");
        shell.must(&["create", "table", "--database", "foo", "home", "--tags", "t"]);
        let updated = shell.must(&["update", "table", "-d", "foo", "-r", "36h", "home"]);
        assert_eq!(updated, "Table \"foo\".\"home\" updated successfully\n");
        let of_tables = || shell.must(&["show", "retention", "--tables", "--format", "csv"]);
        assert_eq!(of_tables(), "database_name,table_name,retention_period\nfoo,home,36h\n");
        shell.must(&["update", "table", "-d", "foo", "--retention-period", "none", "home"]);
        assert!(!of_tables().contains("home"));
        shell.must(&["create", "database", "--retention-period", "1d 6h", "bar"]);
        let bar = shell.must(&["show", "retention", "--database", "bar", "--format", "jsonl"]);
        assert_eq!(bar, "{\"database_name\":\"bar\",\"retention_period\":\"30h\"}\n");

        let kept = shell.run(&["delete", "database", "foo"], b"no\n");
        assert_eq!(kept.code, 1);
        assert!(kept.stderr.contains("Cannot proceed without confirmation"), "{}", kept.stderr);
        let confirmed = shell.run(&["delete", "database", "foo"], b"yes\n");
        assert_eq!(
            (confirmed.code, confirmed.text().as_str()),
            (0, "Database \"foo\" deleted successfully\n")
        );
        shell.must(&["delete", "database", "bar", "--yes"]);
        assert_eq!(client.databases(), ["_internal"]);
        let all = shell.must(&["show", "databases", "--show-deleted", "--format", "csv"]);
        assert!(all.contains("\nfoo-") && all.contains(",true"), "{all}");
        shell.fails(
            &["delete", "database", "foo", "-y"],
            1,
            &["Delete command failed: server responded with error [404 Not Found]"],
        );
    });
}

#[test]
fn tables_are_created_and_deleted() {
    with_shell(|shell, client| {
        let arguments =
            ["create", "table", "-d", "foo", "--tags", "a,b", "-f", "x:int64,y:utf8", "bar"];
        assert_eq!(shell.must(&arguments), "Table \"foo\".\"bar\" created successfully\n");
        let exists = "server responded with error [409 Conflict]: \
                      attempted to create a resource that already exists";
        shell.fails(&arguments, 1, &["Create command failed: ", exists]);
        client.must_write("foo", "bar,a=1,b=2 x=1i,y=\"z\" 1");
        let deleted = shell.must(&["delete", "table", "-d", "foo", "bar", "-y"]);
        assert_eq!(deleted, "Table \"foo\".\"bar\" deleted successfully\n");
        assert_eq!(client.count("foo", "bar"), 0);
    });
}

#[test]
fn lines_come_from_the_arguments_a_file_or_stdin() {
    with_shell(|shell, client| {
        let report = |outcome: crate::support::command::Outcome, lines: &str| {
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            assert_eq!(outcome.text(), "");
            assert!(outcome.stderr.contains("1 request "), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(lines), "{}", outcome.stderr);
        };
        report(shell.run(&["write", "-d", "d", "-p", "ns", "m,k=a f=1 1"], b""), "1 lines");
        std::fs::write(shell.directory.join("lines"), "m,k=b f=1 1\nm,k=c f=1 1\n")
            .expect("a file");
        report(shell.run(&["write", "--database=d", "--file=lines"], b""), "2 lines");
        report(shell.run(&["w", "-d", "d", "--gzip"], b"m,k=d f=1 1\n"), "1 lines");
        let quiet = shell.run(&["write", "-d", "d", "-q", "m,k=e f=1 1"], b"");
        assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
        let keys = client.rows("d", "SELECT DISTINCT k FROM m ORDER BY k");
        assert_eq!(keys, json!(["a", "b", "c", "d", "e"].map(|k| json!({"k": k}))));
        shell.fails(
            &["write", "-d", "d", "m", "f=1"],
            2,
            &["ensure that a single protocol line string is provided"],
        );
        shell.fails(&["write", "-d", "d", "--file", "missing"], 1, &["missing"]);
    });
}

#[test]
fn large_input_is_split_at_lines() {
    with_shell(|shell, client| {
        let lines: String = (0..5_000).map(|i| format!("m,k={i} s=\"two\nlines\" {i}\n")).collect();
        for extra in [&[][..], &["--gzip"]] {
            let arguments = ["write", "-d", "d", "-p", "ns", "--max-request-size", "10000"];
            let outcome = shell.run(&[&arguments, extra].concat(), lines.as_bytes());
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            assert!(outcome.stderr.contains(" 5000 lines"), "{}", outcome.stderr);
            assert_eq!(client.count("d", "m"), 5_000);
        }
    });
}

#[test]
fn queries_print_every_format() {
    with_shell(|shell, client| {
        client.must_write("d", "m f=1 1");
        for (format, expected) in [
            ("pretty", "+---+\n| a |\n+---+\n| 1 |\n+---+\n"),
            ("json", "[{\"a\":1}]\n"),
            ("jsonl", "{\"a\":1}\n"),
            ("json_lines", "{\"a\":1}\n"),
            ("csv", "a\n1\n"),
        ] {
            let text = shell.must(&["query", "-d", "d", "--format", format, "SELECT 1 AS a"]);
            assert_eq!(text, expected, "{format}");
        }
        assert_eq!(shell.must(&["q", "-d", "d", "SELECT 1 AS a"]).lines().count(), 5);
        let piped = shell.run(&["query", "-d", "d", "--format", "csv"], b"SELECT 2 AS b");
        assert_eq!((piped.code, piped.text().as_str()), (0, "b\n2\n"));

        let parquet = ["query", "-d", "d", "--format", "parquet", "SELECT * FROM m"];
        assert_eq!(&shell.run(&parquet, b"").stdout[..4], b"PAR1");
        let arguments = [&parquet[..], &["--output", "m.parquet"]].concat();
        assert_eq!(shell.must(&arguments), "");
        let file = std::fs::read(shell.directory.join("m.parquet")).expect("a file");
        assert_eq!(&file[file.len() - 4..], b"PAR1");

        shell.fails(
            &["query", "-d", "nope", "SELECT 1"],
            1,
            &[
                "Query command failed: server responded with error [404 Not Found]",
                "database not found: nope",
            ],
        );
        shell.fails(
            &["query", "-d", "d", "SELEC"],
            1,
            &["[400 Bad Request]", "syntax error at line 1, column 1"],
        );
    });
}

#[test]
fn a_dotenv_file_in_the_working_directory_counts() {
    with_shell(|shell, client| {
        client.must_write("d", "m f=1 1");
        std::fs::write(shell.directory.join(".env"), "INFLUXDB3_DATABASE_NAME=d\n")
            .expect("a file");
        let text = shell.must(&["query", "--format", "csv", "SELECT f FROM m"]);
        assert_eq!(text, "f\n1.0\n");
    });
}

#[test]
fn system_tables_are_shown() {
    with_shell(|shell, client| {
        client.must_write("d", "m f=1 1");
        let list = shell.must(&["show", "system", "-d", "d", "table-list"]);
        assert!(list.contains("queries"), "{list}");
        assert_eq!(client.count("d", "m"), 1);
        let csv = ["show", "system", "-d", "d", "table", "queries", "--format", "csv"];
        assert!(shell.must(&csv).contains("SELECT count(*) AS n FROM m"));
        let summary = shell.must(&["show", "system", "-d", "d", "summary", "--limit", "0"]);
        for own in ["FROM system.", "information_schema"] {
            assert!(!summary.contains(own), "{summary}");
            assert!(!shell.must(&csv).contains(own), "{own}");
        }
        shell.fails(
            &["show", "system", "-d", "d", "table", "m"],
            1,
            &["Show command failed: system table 'm' not found"],
        );
    });
}

#[test]
fn the_server_takes_options_as_other_releases_spell_them() {
    let server = Setup::of(&["--num-io-threads", "1", "serve", "--object-store", "memory"])
        .with_variable("INFLUXDB3_NODE_ID", "n")
        .start();
    server.client.must_write("d", "m f=1 1");
    let (status, text) =
        Setup::of(&["serve", "--node-id", "n", "--object-store", "memory", "--cluster-id", "c"])
            .start_refused();
    assert_eq!(status.code(), Some(2));
    assert!(text.contains("You've incorrectly specified a cluster-id"), "{text}");
}
