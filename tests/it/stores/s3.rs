//! What S3 alone has: credentials, their file, stores that only look like it.

use super::emulator::{AZURE, Bucket, S3, UNFENCED_S3};
use crate::support::eventually;
use crate::support::server::Setup;
use std::fs;

#[test]
fn the_guides_command_line() {
    let bucket = S3.bucket();
    let server = Setup::of(&[
        "serve",
        "--writer-id=local01",
        "--object-store=s3",
        &format!("--bucket={}", bucket.name),
        &format!("--aws-access-key={}", S3.account),
        &format!("--aws-secret-access-key={}", S3.secret),
        &format!("--aws-endpoint={}", S3.address),
        "--aws-allow-http",
    ])
    .start();
    server.client.must_write("d", "m f=1 1");
    assert_eq!(server.killed_and_restarted().client.count("d", "m"), 1);
    assert!(bucket.keys("").iter().all(|key| key.starts_with("local01/")));
}

#[test]
fn wrong_credentials_stop_the_start() {
    for store in [&*S3, &*AZURE] {
        let bucket = store.bucket();
        let setup = bucket.setup_with(&bucket.name, &store.address, "bm90IHRoZSBzZWNyZXQ=");
        let (status, log) = setup.start_refused();
        assert_eq!(status.code(), Some(1), "{log}");
        for text in ["Serve command failed: cannot use ", &bucket.name, "credentials were refused"]
        {
            assert!(log.contains(text), "{text}: {log}");
        }
        assert!(!log.contains("bm90IHRoZSBzZWNyZXQ="), "a secret in the log: {log}");
    }
}

fn write_credentials(bucket: &Bucket, key: &str, secret: &str) -> String {
    let text = format!(r#"{{"aws_access_key_id": "{key}", "aws_secret_access_key": "{secret}"}}"#);
    let (file, fresh) = (bucket.file("credentials.json"), bucket.file("credentials.new"));
    fs::write(&fresh, text).expect("a file");
    fs::rename(&fresh, &file).expect("a file");
    file.display().to_string()
}

#[test]
fn the_credentials_file_is_read_again_when_its_key_is_withdrawn() {
    let bucket = S3.bucket();
    let made = S3.ask("user");
    let (key, secret) = made.split_once(' ').expect("a key and its secret");
    let file = write_credentials(&bucket, key, secret);
    // The file wins over the options, which are wrong.
    let setup = bucket.setup_with(&bucket.name, &S3.address, "wrong");
    let server = setup.with(&["--aws-credentials-file", &file]).start();
    server.client.must_write("d", "m f=1 1");
    let made = S3.ask("user");
    let (new_key, new_secret) = made.split_once(' ').expect("a key and its secret");
    write_credentials(&bucket, new_key, new_secret);
    S3.ask(&format!("forget {key}"));
    server.client.must_write("d", "m f=2 2");
    assert_eq!(server.killed_and_restarted().client.count("d", "m"), 2);
}

#[test]
fn a_credentials_file_that_cannot_be_used_is_named() {
    let bucket = S3.bucket();
    let file = bucket.file("credentials.json");
    let setup = bucket.setup().with(&["--aws-credentials-file", &file.display().to_string()]);
    for (content, cause) in [
        (None, "No such file"),
        (Some("{"), "EOF"),
        (Some(r#"{"aws_access_key_id": "a"}"#), "aws_secret_access_key is missing"),
    ] {
        if let Some(content) = content {
            fs::write(&file, content).expect("a file");
        }
        let (status, log) = setup.start_refused();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("credentials.json") && log.contains(cause), "{cause}: {log}");
    }
}

#[test]
fn a_store_that_replaces_what_it_was_to_create_is_refused() {
    let bucket = UNFENCED_S3.bucket();
    let (status, log) = bucket.setup().start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("does not create objects only where there is none"), "{log}");
    assert!(log.contains("--allow-unfenced"), "{log}");
    let server = bucket.setup().with(&["--allow-unfenced"]).start();
    assert!(server.log().contains("would destroy each other's data"), "{}", server.log());
    server.client.must_write("d", "m f=1 1");
    assert_eq!(server.killed_and_restarted().client.count("d", "m"), 1);
}

#[test]
fn requests_without_a_signature_are_anonymous() {
    // This emulator takes any signature, but lets only who has one read.
    let bucket = UNFENCED_S3.bucket();
    let (status, log) = bucket.setup().with(&["--aws-skip-signature"]).start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("credentials were refused"), "{log}");
}

#[test]
fn many_writers_share_few_connections() {
    let bucket = S3.bucket();
    let server = bucket.setup().with(&["--object-store-connection-limit", "1"]).start();
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let client = server.client.clone();
            std::thread::spawn(move || client.must_write("d", &format!("m{n} f=1 1")))
        })
        .collect();
    for writer in writers {
        writer.join().expect("a writer");
    }
    let setup = server.stopped();
    let server = setup.start();
    eventually("all rows are there", || {
        (0..8).all(|n| server.client.count("d", &format!("m{n}")) == 1).then_some(())
    });
}
