//! The data directory is its owner's: what is below it is out of reach for others on the machine.

use actors::runtime::objects::options::Storage;
use std::path::Path;

/// What is known of the directory before it is opened.
pub(super) struct DataDirectory<'a>(Option<(&'a Path, bool)>);

impl<'a> DataDirectory<'a> {
    /// Looks whether there is one.
    pub(super) fn before_opening(storage: &'a Storage) -> Self {
        match storage {
            Storage::Directory(path) => Self(Some((path, path.exists()))),
            _ => Self(None),
        }
    }

    /// Closes one that was made just now to others, and warns where others get into an older one.
    pub(super) fn secure(self) {
        let Some((path, was_there)) = self.0 else { return };
        if let Err(error) = secure(path, was_there) {
            tracing::warn!(path = %path.display(), %error, "who gets into it is not known");
        }
    }
}

#[cfg(unix)]
fn secure(path: &Path, was_there: bool) -> std::io::Result<()> {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    if !was_there {
        return set_permissions(path, Permissions::from_mode(0o700));
    }
    if metadata(path)?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            "others on this machine get into the data directory: chmod 700"
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn secure(_: &Path, _: bool) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_directory_is_its_owners() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("data");
        let storage = Storage::Directory(path.clone());
        let directory = DataDirectory::before_opening(&storage);
        std::fs::create_dir(&path).expect("made");
        directory.secure();
        let mode = || std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).expect("set");
        DataDirectory::before_opening(&storage).secure();
        assert_eq!(mode(), 0o750, "what is there is left as it is");
    }
}
