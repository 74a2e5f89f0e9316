//! The data directory is its owner's: others on the machine get at nothing in it.

use actors::storage::objects::options::Storage;
use std::path::Path;

/// Limit: files and folders of the data directory that are looked at.
const ENTRIES_MAX: usize = 20_000;

/// Has everything that this process makes be readable by nobody else: directories 0700, files
/// 0600.
pub fn make_private() {
    #[cfg(unix)]
    {
        use rustix::fs::Mode;
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
}

/// Warns where others on this machine get at what is in the data directory.
pub(super) fn check(storage: &Storage) {
    if let Storage::Directory(path) = storage {
        look(path);
    }
}

#[cfg(unix)]
fn look(path: &Path) {
    match wider(path, ENTRIES_MAX) {
        Ok(Some((count, first))) => tracing::warn!(
            count,
            first = %first.display(),
            "others on this machine get at files of the data directory: chmod -R go-rwx {}",
            path.display()
        ),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "who gets at the data is not known");
        }
    }
}

#[cfg(not(unix))]
fn look(_: &Path) {}

/// How many of the first `entries_max` files and folders others get at, and one of them.
#[cfg(unix)]
fn wider(path: &Path, entries_max: usize) -> std::io::Result<Option<(usize, std::path::PathBuf)>> {
    use std::os::unix::fs::PermissionsExt;
    let is_wide = |path: &Path| -> std::io::Result<bool> {
        Ok(std::fs::symlink_metadata(path)?.permissions().mode() & 0o077 != 0)
    };
    let mut found = Vec::new();
    let (mut folders, mut seen) = (vec![path.to_owned()], 0);
    if is_wide(path)? {
        found.push(path.to_owned());
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            seen += 1;
            if seen > entries_max {
                folders.clear();
                break;
            }
            // The mode of a link says nothing.
            if !kind.is_symlink() && is_wide(&entry.path())? {
                found.push(entry.path());
            }
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(found.first().cloned().map(|first| (found.len(), first)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_get_at_is_found() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("data");
        let (inner, file) = (path.join("wal"), path.join("wal/1.wal"));
        create_dir(&path).expect("made");
        create_dir(&inner).expect("made");
        write(&file, "rows").expect("written");
        let set = |path: &Path, mode| {
            set_permissions(path, Permissions::from_mode(mode)).expect("set");
        };
        for path in [&path, &inner] {
            set(path, 0o700);
        }
        set(&file, 0o600);
        let found = |max| wider(&path, max).expect("readable");
        assert_eq!(found(100), None);
        set(&file, 0o640);
        assert_eq!(found(100), Some((1, file.clone())));
        set(&path, 0o755);
        assert_eq!(found(100), Some((2, path.clone())));
        assert_eq!(found(0), Some((1, path.clone())), "not all is looked at");
    }
}
