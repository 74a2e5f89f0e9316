//! What the options about stores demand, and the stores that need no other program.

use crate::support::server::{NODE, Server, Setup};
use serde_json::json;

/// A start with these options has to fail, saying this.
fn refused(options: &[&str], code: i32, texts: &[&str]) {
    let setup = Setup::of(&["serve", "--node-id", NODE]).with(options);
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(code), "{options:?}: {log}");
    for text in texts {
        assert!(log.contains(text), "{options:?}: {log}");
    }
}

#[test]
fn missing_settings_are_named() {
    let missing = |store: &str, settings: &str| {
        format!(
            "Serve command failed: Specified '{store}' for the object store; required \
             configuration missing for {settings}"
        )
    };
    refused(&["--object-store", "s3"], 1, &[&missing("s3", "bucket")]);
    let no_secret = ["--object-store", "S3", "--bucket", "b", "--aws-access-key-id", "k"];
    refused(&no_secret, 1, &[&missing("s3", "aws-secret-access-key")]);
    let google = missing("google", "bucket, google-service-account");
    refused(&["--object-store", "google"], 1, &[&google]);
    let azure = ["--object-store", "azure", "--bucket", "b"];
    refused(&azure, 1, &[&missing("azure", "azure-storage-account")]);
    let no_file = ["--object-store=google", "--bucket=b", "--google-service-account=/missing.json"];
    refused(&no_file, 1, &["cannot use Google", "/missing.json"]);
}

#[test]
fn options_out_of_range_are_refused() {
    let memory = |options: &[&str], code: i32, text: &str| {
        refused(&[&["--object-store", "memory"], options].concat(), code, &[text]);
    };
    let text = "invalid gen1 duration 7m. Must be one of 1m, 5m, 10m";
    memory(&["--gen1-duration", "7m"], 2, text);
    for fraction in ["0", "1", "1.5", "-0.1"] {
        let option = format!("--parquet-mem-cache-prune-percentage={fraction}");
        memory(&[&option], 2, "prune percent must be between 0 and 1");
    }
    let text = "snapshot concurrency limit must be greater than 0";
    memory(&["--snapshot-concurrency-limit", "0"], 2, text);
    memory(&["--wal-snapshot-size", "0"], 2, "must be at least 1");
    memory(&["--query-file-limit", "0"], 2, "must be at least 1");
    memory(&["--file-store-fsync", "perhaps"], 2, "--file-store-fsync");
    let text = "--parquet-mem-cache-size";
    memory(&["--object-store-cache-endpoint", "http://127.0.0.1:1"], 2, text);
}

#[test]
fn options_of_other_releases_are_understood() {
    let server = Setup::memory()
        .with(&["--wal-files-per-snapshot", "4", "--wal-max-buffered-writes", "100"])
        .with(&["--force-snapshot-mem-size", "512", "--file-cache-size", "20%"])
        .with(&["--file-cache-recency", "1h", "--exec-mem-pool-size", "64mb"])
        .with(&["--gen1-lookback-duration", "1month", "--checkpoint-interval", "1h"])
        .with(&["--table-index-cache-max-entries", "0"])
        .with(&["--table-index-cache-concurrency-limit", "20"])
        .with_variable("INFLUXDB3_SNAPSHOTTED_WAL_FILES_TO_KEEP", "10")
        .with_variable("OBJECT_STORE_CONNECTION_LIMIT", "8")
        .start();
    let log = server.log();
    assert!(log.contains("--force-snapshot-mem-threshold 512 has no unit"), "{log}");
    let deprecated = "WARN: Use of deprecated environment variable OBJECT_STORE_CONNECTION_LIMIT: \
                      replace with INFLUXDB3_OBJECT_STORE_CONNECTION_LIMIT";
    assert!(log.contains(deprecated), "{log}");
    server.client.must_write("d", "m f=1 1");
}

#[test]
fn memory_needs_no_folder() {
    for store in ["memory", "memory-throttled", "Memory"] {
        let setup = Setup::of(&["serve", "--node-id", NODE, "--without-auth"]);
        let setup = setup.with(&["--object-store", store]);
        let folder = setup.data_dir();
        let server = setup.with(&["--data-dir", &folder.display().to_string()]).start();
        assert!(server.log().contains("is ignored"), "{}", server.log());
        assert!(!folder.exists());
        server.client.must_write("d", "m f=1 1");
        assert_eq!(server.client.count("d", "m"), 1);
    }
}

#[test]
fn a_folder_works_without_fsync() {
    let server = Setup::disk().with(&["--file-store-fsync", "false"]).start();
    server.client.must_write("d", "m f=1 1");
    assert_eq!(server.killed_and_restarted().client.count("d", "m"), 1);
}

#[test]
fn the_width_of_chunks_is_fixed_by_the_first_start() {
    let width = |server: &Server| {
        server.client.rows("_internal", "SELECT * FROM system.generation_durations WHERE level = 1")
    };
    let setup = Setup::disk();
    let server = setup.clone().with(&["--gen1-duration", "5m"]).start();
    assert_eq!(width(&server), json!([{"level": 1, "duration_seconds": 300}]));
    server.stopped();
    let server = setup.with(&["--gen1-duration", "1m"]).start();
    assert!(server.log().contains("the stored one is used"), "{}", server.log());
    assert_eq!(width(&server), json!([{"level": 1, "duration_seconds": 300}]));
}
