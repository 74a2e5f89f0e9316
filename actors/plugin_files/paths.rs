//! Paths in the plugin directory, which nothing leads out of.

use protocols::error::ErrorKind;
use protocols::messages::plugins::PluginError;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Component, Path, PathBuf};

pub(super) fn escapes(path: &str) -> PluginError {
    PluginError::internal(format!(
        "Path traversal detected: plugin filename '{path}' attempts to access files outside the \
         plugin directory"
    ))
}

pub(super) fn not_found(path: &str) -> PluginError {
    let message = format!("reading plugin file: Plugin not found: {path}");
    PluginError::new(ErrorKind::Internal, message)
}

/// A path as it is written: relative, and only down.
pub(super) fn relative(path: &str) -> Result<PathBuf, PluginError> {
    let is_plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    let written = Path::new(path);
    let is_name = !path.is_empty() && !path.contains(['\0', '\\']) && !path.ends_with('/');
    match is_name && written.components().all(is_plain) {
        true => Ok(written.to_owned()),
        false => Err(escapes(path)),
    }
}

/// Where `path` is in `directory`, with all links followed. It need not be there; then the nearest
/// folder above that is there counts.
///
/// # Errors
/// When it is not in the directory.
pub(super) fn resolve(directory: &Path, path: &str) -> Result<PathBuf, PluginError> {
    let below = relative(path)?;
    let root = directory.canonicalize().map_err(|error| {
        PluginError::internal(format!("plugin directory {}: {error}", directory.display()))
    })?;
    let mut there = root.join(&below);
    let mut missing = Vec::new();
    loop {
        match there.canonicalize() {
            Ok(found) if !found.starts_with(&root) => return Err(escapes(path)),
            Ok(mut found) => {
                found.extend(missing.iter().rev());
                return Ok(found);
            }
            // A link to nowhere would be followed when something is written.
            Err(_) if there.is_symlink() => return Err(escapes(path)),
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                let Some(name) = there.file_name().map(ToOwned::to_owned) else {
                    return Err(not_found(path));
                };
                missing.push(name);
                there.pop();
            }
            Err(error) => {
                return Err(PluginError::internal(format!("reading plugin file: {path}: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().join("plugins");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(folder.path().join("secret.py"), "s").unwrap();
        std::fs::write(root.join("sub/a.py"), "a").unwrap();
        let check = |path: &str, expected: bool| {
            let found = resolve(&root, path);
            assert_eq!(found.is_ok(), expected, "{path}: {found:?}");
            if let Err(error) = found {
                assert!(error.message.starts_with("Path traversal detected: "), "{error}");
            }
        };
        check("sub/a.py", true);
        check("./sub/a.py", true);
        check("sub/new/b.py", true);
        for path in ["../secret.py", "sub/../../secret.py", "/etc/passwd", "", "..", "a\\b", "a/"] {
            check(path, false);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(folder.path().join("secret.py"), root.join("in.py")).unwrap();
            symlink(folder.path(), root.join("dir")).unwrap();
            symlink(folder.path().join("nowhere.py"), root.join("new.py")).unwrap();
            symlink(root.join("sub/a.py"), root.join("b.py")).unwrap();
            for path in ["in.py", "dir/secret.py", "dir/new.py", "new.py"] {
                check(path, false);
            }
            check("b.py", true);
        }
    }
}
