//! Stores that do not answer, and folders that cannot be used.

use super::emulator::S3;
use crate::support::server::{NODE, Setup};
use std::net::TcpListener;

#[test]
fn a_store_that_never_answers_stops_the_start() {
    // Connections are taken by the system, and nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    let bucket = S3.bucket();
    let setup = bucket.setup_with(&bucket.name, &address, &S3.secret);
    let setup = setup.with(&["--object-store-request-timeout", "200ms"]);
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    for text in ["Serve command failed: cannot use ", &bucket.name, "timed out"] {
        assert!(log.contains(text), "{text}: {log}");
    }
}

#[test]
fn tls_is_demanded_unless_told_otherwise() {
    let bucket = S3.bucket();
    let (status, log) = bucket.setup().without("--aws-allow-http").start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("is without TLS: allow that by --aws-allow-http"), "{log}");
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let bucket = S3.bucket();
    let file = bucket.file("authorities.pem");
    let setup = bucket.setup().with(&["--object-store-tls-ca", &file.display().to_string()]);
    for content in [None, Some("no certificate")] {
        if let Some(content) = content {
            std::fs::write(&file, content).expect("a file");
        }
        let (status, log) = setup.start_refused();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("authorities.pem cannot be read"), "{log}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let setup = Setup::of(&["serve", "--node-id", NODE, "--object-store", "file"]);
    let folder = setup.data_dir();
    std::fs::write(&folder, "a file where the folder has to be").expect("a file");
    let (status, log) = setup.with(&["--data-dir", &folder.display().to_string()]).start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    let text = format!("Serve command failed: cannot use {} to keep data in", folder.display());
    assert!(log.contains(&text), "{log}");
}
