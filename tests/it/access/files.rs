//! Who else on the machine gets at what the server keeps.

#![cfg(unix)]

use crate::support::eventually;
use crate::support::server::Setup;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// All files and folders from `path` on, with their modes.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    // What is being written may be gone before it is looked at.
    let Ok(metadata) = fs::symlink_metadata(path) else { return Vec::new() };
    let mut found = vec![(path.to_owned(), metadata.permissions().mode() & 0o777)];
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten() {
            found.extend(modes(&entry.expect("an entry").path()));
        }
    }
    found
}

const WARNING: &str = "others on this machine get at files of the data directory";

#[test]
fn what_the_server_makes_is_its_own() {
    let setup = Setup::disk().with(&["--wal-snapshot-size", "1", "--wal-flush-interval", "10ms"]);
    let server = setup.start();
    let data = setup.data_dir();
    eventually("there are files of every kind", || {
        server.client.must_write("d", "m f=1 1700000000000000000");
        let names: Vec<String> =
            modes(&data).iter().map(|(path, _)| path.display().to_string()).collect();
        let has = |ending: &str| names.iter().any(|name| name.ends_with(ending));
        (has(".wal") && has(".parquet")).then_some(())
    });
    for (path, mode) in modes(&data) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        // One that is being written may have gone since.
        if path.exists() {
            assert_eq!(mode, expected, "{}", path.display());
        }
    }
    assert!(!server.log().contains(WARNING), "{}", server.log());

    let setup = server.stopped();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("set");
    let server = setup.start();
    eventually("the log warns", || server.log().contains(WARNING).then_some(()));
    assert!(server.log().contains("chmod -R go-rwx"), "{}", server.log());
}
