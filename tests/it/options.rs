//! How a server is told what to do: the command line, the environment, and what stands in the unit
//! and compose files of other releases.

use crate::support::command::Shell;
use crate::support::server::{NODE, Setup, clean_command};
use serde_json::json;
use tempfile::TempDir;

#[test]
fn each_variable_may_be_set_to_nothing() {
    let help = clean_command().args(["serve", "--help-all"]).output().expect("the binary runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let names = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 60, "{names:?}");
    let mut setup = Setup::memory();
    for name in names.into_iter().chain(["INFLUXDB3_TRACES_EXPORTER", "INFLUXDB3_NODE_ID"]) {
        setup = setup.with_variable(name, "");
    }
    let server = setup.start();
    server.client.must_write("d", "m f=1 1");
    assert!(!server.log().contains("accepted without effect"), "{}", server.log());

    // Another name of it counts, as if it were not there.
    let server = Setup::of(&["serve", "--object-store=memory"])
        .with_variable("INFLUXDB3_NODE_IDENTIFIER_PREFIX", "")
        .with_variable("INFLUXDB3_NODE_ID", "other")
        .start();
    let node = server.client.rows("_internal", "SELECT node_id FROM system.nodes");
    assert_eq!(node, json!([{"node_id": "other"}]));
    let (status, log) = Setup::of(&["serve", "--object-store=memory"])
        .with_variable("INFLUXDB3_NODE_IDENTIFIER_PREFIX", "")
        .start_refused();
    assert_eq!(status.code(), Some(2), "{log}");
    let (status, log) = Setup::of(&["serve", "--node-id-from-env=MY_NODE"])
        .with_variable("MY_NODE", "")
        .start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Must set INFLUXDB3_NODE_IDENTIFIER_PREFIX=MY_NODE"), "{log}");
}

#[test]
fn a_tilde_is_the_home_directory_wherever_it_stands() {
    let home = TempDir::new().expect("a directory");
    let path = home.path().display().to_string();
    let serve = Setup::of(&["serve", "--node-id", NODE]).with_variable("HOME", &path);
    for (setup, folder) in [
        (serve.clone().with_variable("INFLUXDB3_DB_DIR", "~/by-variable"), "by-variable"),
        (serve.clone().with(&["--data-dir=~/by-option/deep"]), "by-option/deep"),
        (serve.clone().with_variable("INFLUXDB3_DATA_DIR", "~"), ""),
    ] {
        let server = setup.start();
        server.client.must_write("d", "m f=1 1");
        assert!(home.path().join(folder).join(NODE).is_dir(), "{folder}: {}", server.log());
    }
    let (status, log) = serve.with(&["--data-dir", "~nobody/x"]).start_refused();
    assert_eq!(status.code(), Some(2), "{log}");
    let setup = Setup::of(&["serve", "--node-id", NODE, "--object-store=memory"]);
    let setup = setup.with(&["--tls-cert=~/none.pem", "--tls-key=~/none.pem"]);
    let (_, log) = setup.with_variable("HOME", &path).start_refused();
    assert!(log.contains(&format!("{path}/none.pem")), "{log}");
}

#[test]
fn an_endpoint_without_tls_names_the_option_that_allows_it() {
    let refused = |options: &[&str], text: &str| {
        let setup = Setup::of(&["serve", "--node-id", NODE]).with(options);
        let (status, log) = setup.start_refused();
        assert_eq!(status.code(), Some(1), "{options:?}: {log}");
        assert!(log.contains(text), "{options:?}: {log}");
        assert!(!log.contains("hush"), "{options:?}: {log}");
    };
    let s3 = ["--object-store=s3", "--bucket=b"];
    refused(
        &[&s3[..], &["--aws-endpoint", "http://me:hush@127.0.0.1:1"]].concat(),
        "--aws-endpoint http://127.0.0.1:1 is without TLS: allow that by --aws-allow-http \
         (AWS_ALLOW_HTTP=true), or use https://",
    );
    for endpoint in ["127.0.0.1:9000", "minio", "ftp://hush@h"] {
        let text = "--aws-endpoint is not the URL of a store: it begins with https:// or http://";
        refused(&[&s3[..], &["--aws-endpoint", endpoint]].concat(), text);
    }
    let azure = ["--object-store=azure", "--bucket=b", "--azure-storage-account=a"];
    refused(
        &[&azure[..], &["--azure-endpoint", "http://127.0.0.1:1"]].concat(),
        "allow that by --azure-allow-http (AZURE_ALLOW_HTTP=true)",
    );
}

#[test]
fn sizes_take_units() {
    let server = Setup::memory()
        .with(&["--max-http-request-size", "1KB", "--exec-mem-pool-bytes", "1.5GiB"])
        .with(&["--object-store-http2-max-frame-size", "16kb", "--buffer-memory-limit", "512M"])
        .start();
    let body = |bytes: usize| format!("m s=\"{}\" 1", "x".repeat(bytes));
    assert_eq!(server.client.post("/api/v3/write_lp?db=d", body(900)).status, 204);
    assert_eq!(server.client.post("/api/v3/write_lp?db=d", body(1100)).status, 413);
    for (option, text) in [
        ("--max-http-request-size=20XB", "'20XB' is not a size"),
        ("--max-http-request-size=0mb", "value must be at least 1"),
        ("--object-store-http2-max-frame-size=1kb", "'1kb' is not in 16384 to 16777215 bytes"),
    ] {
        let (status, log) = Setup::memory().with(&[option]).start_refused();
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(log.contains(text), "{log}");
    }
}

#[test]
fn a_unit_file_of_another_release_starts_this_server() {
    let line = [
        "--io-runtime-type",
        "multi-thread",
        "--io-runtime-thread-priority",
        "10",
        "serve",
        "--node-id",
        NODE,
        "--object-store",
        "memory",
        "--io-runtime-disable-lifo-slot=true",
        "--traces-exporter",
        "jaeger",
        "--traces-exporter-jaeger-agent-port=6831",
        "--datafusion-runtime-thread-priority",
        "-5",
        "--datafusion-max-parquet-fanout",
        "1000",
        "--serve-invocation-method=systemd",
        "--test-mode",
        "--license-email",
        "me@example.org",
        "--disable-telemetry-upload",
        "--log-format",
        "logfmt",
    ];
    let server = Setup::of(&line)
        .with_variable("INFLUXDB3_TELEMETRY_ENDPOINT", "https://example.org")
        .with_variable("TOKIO_CONSOLE_ENABLED", "true")
        .start();
    let log = server.log();
    let warned = log.lines().filter(|line| line.contains("without effect")).collect::<Vec<_>>();
    assert_eq!(warned.len(), 1, "{log}");
    for name in [
        "--io-runtime-type",
        "--io-runtime-thread-priority",
        "--io-runtime-disable-lifo-slot",
        "--traces-exporter",
        "--traces-exporter-jaeger-agent-port",
        "--datafusion-runtime-thread-priority",
        "--datafusion-max-parquet-fanout",
        "--serve-invocation-method",
        "--test-mode",
        "--license-email",
        "--disable-telemetry-upload",
        "INFLUXDB3_TELEMETRY_ENDPOINT",
        "TOKIO_CONSOLE_ENABLED",
    ] {
        assert!(warned[0].contains(name), "{name}: {}", warned[0]);
    }
    assert!(warned[0].contains(" level=warn msg=\"accepted"), "{}", warned[0]);
    server.client.must_write("d", "m f=1 1");
    // An option of another product is still none.
    let (status, log) = Setup::memory().with(&["--mode", "ingest"]).start_refused();
    assert_eq!(status.code(), Some(2), "{log}");
}

#[test]
fn the_log_is_searched_by_plain_words() {
    let server = Setup::memory().with(&["--log-filter", "debug"]).start();
    let refused = server.client.get("/api/v3/query_sql?db=nope&q=SELECT+1");
    assert_eq!(refused.status, 404);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("Error while handling request"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for text in [" INFO ", " database=nope", " error=query error: database not found: nope"] {
        assert!(line.contains(text), "{line}");
    }
    assert!(log.contains(&format!("node_id={NODE}")), "{log}");

    // Plans and frames are for whoever asks for them.
    server.client.must_write("d", "m f=1 1");
    let before = server.log().lines().count();
    assert_eq!(server.client.count("d", "m"), 1);
    let lines = server.log().lines().count() - before;
    assert!(lines <= 20, "{lines} lines for a query: {}", server.log());
    let noisy =
        Setup::memory().with(&["--log-filter=debug", "--disable-log-filter-noise-reduction"]);
    let noisy = noisy.start();
    noisy.client.must_write("d", "m f=1 1");
    assert_eq!(noisy.client.count("d", "m"), 1);
    assert!(noisy.log().contains("datafusion"), "{}", noisy.log());
}

#[test]
fn secrets_and_credentials_are_not_shown() {
    let server = Setup::memory()
        .with(&["--aws-endpoint=http://me:hush@127.0.0.1:1", "--google-service-account=/hush.json"])
        .start();
    let directory = TempDir::new().expect("a directory");
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    let nodes = shell.must(&["show", "system", "-d", "_internal", "table", "nodes"]);
    assert!(nodes.contains("http://127.0.0.1:1") && !nodes.contains("hush"), "{nodes}");
    assert!(!server.log().contains("hush"), "{}", server.log());
}
