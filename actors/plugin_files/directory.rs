//! Reading and writing in the plugin directory.

use super::paths::{escapes, not_found, relative, resolve};
use protocols::limits::PLUGIN_TEXT_BYTES_MAX;
use protocols::messages::plugins::{
    PluginError, PluginFile, PluginSource, ReplacePluginDirectory, SavePluginFile,
};
use protocols::plugins::host::Source;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The file that makes a directory a plugin.
const INIT: &str = "__init__.py";

/// Files of one plugin that are looked at.
const FILES_MAX: usize = 10_000;

fn failed(path: &str, error: &io::Error) -> PluginError {
    match error.kind() {
        io::ErrorKind::NotFound => not_found(path),
        _ => PluginError::internal(format!("reading plugin file: {path}: {error}")),
    }
}

/// Differs when the file is another one, or another text.
fn mark(metadata: &Metadata) -> i64 {
    let changed = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let changed = changed.map_or(0, |since| since.as_nanos() as i64);
    #[cfg(unix)]
    let place = std::os::unix::fs::MetadataExt::ino(metadata) as i64;
    #[cfg(not(unix))]
    let place = 0;
    changed
        .wrapping_add((metadata.len() as i64).wrapping_mul(0x9e37_79b9))
        .wrapping_add(place.wrapping_mul(0x85eb_ca6b))
}

/// A plugin; nothing if it is as known.
pub(super) fn read(
    directory: &Path,
    path: &str,
    known: Option<i64>,
) -> Result<Option<PluginSource>, PluginError> {
    let place = resolve(directory, path.trim_end_matches('/'))?;
    let metadata = fs::metadata(&place).map_err(|error| failed(path, &error))?;
    if metadata.is_dir() {
        return read_directory(directory, path, &place, known);
    }
    let mark = mark(&metadata);
    if known == Some(mark) {
        return Ok(None);
    }
    if metadata.len() > PLUGIN_TEXT_BYTES_MAX as u64 {
        return Err(PluginError::internal(format!("plugin {path} is too long")));
    }
    let text = fs::read_to_string(&place).map_err(|error| failed(path, &error))?;
    Ok(Some(PluginSource { mark, source: Source::Text(text.into()) }))
}

fn read_directory(
    directory: &Path,
    path: &str,
    place: &Path,
    known: Option<i64>,
) -> Result<Option<PluginSource>, PluginError> {
    if !place.join(INIT).is_file() {
        return Err(PluginError::internal(format!(
            "Multi-file plugin directory must contain __init__.py: {path}"
        )));
    }
    let files = files_below(directory, place).map_err(|error| match error {
        Some(error) => failed(path, &error),
        None => escapes(path),
    })?;
    let newest = |mark: i64, (_, metadata): &(PathBuf, Metadata)| {
        mark.wrapping_mul(31).wrapping_add(self::mark(metadata))
    };
    let changed_ns = files.iter().fold(0, newest);
    if known == Some(changed_ns) {
        return Ok(None);
    }
    let path = place.display().to_string();
    Ok(Some(PluginSource { mark: changed_ns, source: Source::Directory { path, changed_ns } }))
}

/// All Python files below a folder, by path. Fails without a reason when a link leads out of the
/// plugin directory.
fn files_below(
    directory: &Path,
    folder: &Path,
) -> Result<Vec<(PathBuf, Metadata)>, Option<io::Error>> {
    let root = directory.canonicalize()?;
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let is_python = path.extension().is_some_and(|extension| extension == "py");
            if kind.is_dir() && entry.file_name() != "__pycache__" {
                folders.push(path);
            } else if is_python && !kind.is_dir() {
                if kind.is_symlink() && !path.canonicalize()?.starts_with(&root) {
                    return Err(None);
                }
                files.push((path.clone(), fs::metadata(&path)?));
            }
            if files.len() + folders.len() > FILES_MAX {
                return Err(Some(io::Error::other("it has too many files")));
            }
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}

/// Writes a file beside its place, and then there in one step.
fn put(place: &Path, content: &str) -> io::Result<()> {
    let folder = place.parent().ok_or_else(|| io::Error::other("a file has a folder"))?;
    fs::create_dir_all(folder)?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, place));
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written
}

/// Creates or replaces a file.
pub(super) fn save(directory: &Path, save: &SavePluginFile) -> Result<(), PluginError> {
    let SavePluginFile { path, replaces, content } = save;
    if content.len() > PLUGIN_TEXT_BYTES_MAX {
        return Err(PluginError::internal(format!("plugin {path} is too long")));
    }
    let mut place = resolve(directory, path)?;
    if *replaces && place.is_dir() {
        place.push(INIT);
    } else if place.is_dir() {
        return Err(PluginError::internal(format!("writing plugin file: {path} is a directory")));
    }
    if *replaces && !place.exists() {
        return Err(not_found(path));
    }
    put(&place, content)
        .map_err(|error| PluginError::internal(format!("writing plugin file: {path}: {error}")))
}

/// Puts a directory of new files in the place of the old one.
pub(super) fn replace(
    directory: &Path,
    replace: &ReplacePluginDirectory,
) -> Result<(), PluginError> {
    let ReplacePluginDirectory { path, files } = replace;
    let place = resolve(directory, path)?;
    if !place.is_dir() {
        return Err(not_found(path));
    }
    for (name, _) in files {
        relative(name)?;
    }
    if !files.iter().any(|(name, _)| name == INIT) {
        return Err(PluginError::internal(format!(
            "Multi-file plugin directory must contain __init__.py: {path}"
        )));
    }
    let beside = |suffix: &str| {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        place.with_file_name(format!("{name}.{suffix}"))
    };
    let (new, old) = (beside("tmp"), beside("old"));
    let swapped = build(&new, files).and_then(|()| swap(&place, &new, &old));
    if swapped.is_err() {
        fs::remove_dir_all(&new).ok();
    }
    swapped.map_err(|error| {
        PluginError::internal(format!("replacing plugin directory {path}: {error}"))
    })
}

fn build(new: &Path, files: &[(String, String)]) -> io::Result<()> {
    remove(new)?;
    for (name, content) in files {
        let place = new.join(name);
        fs::create_dir_all(place.parent().unwrap_or(new))?;
        fs::write(place, content)?;
    }
    Ok(())
}

fn swap(place: &Path, new: &Path, old: &Path) -> io::Result<()> {
    remove(old)?;
    fs::rename(place, old)?;
    if let Err(error) = fs::rename(new, place) {
        fs::rename(old, place)?;
        return Err(error);
    }
    remove(old)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The files of the plugins of triggers; those that cannot be read are left out.
pub(super) fn list(directory: &Path, plugins: Vec<(Arc<str>, String)>) -> Vec<PluginFile> {
    let mut listed = Vec::new();
    for (trigger, path) in plugins {
        let Ok(place) = resolve(directory, path.trim_end_matches('/')) else { continue };
        let files = match fs::metadata(&place) {
            Ok(metadata) if metadata.is_dir() => files_below(directory, &place),
            Ok(metadata) => Ok(vec![(place.clone(), metadata)]),
            Err(error) => Err(Some(error)),
        };
        for (file, metadata) in files.unwrap_or_default() {
            let changed = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            let name = match file.strip_prefix(&place) {
                Ok(below) if below.file_name().is_some() => below.display().to_string(),
                _ => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            };
            listed.push(PluginFile {
                trigger: Arc::clone(&trigger),
                name,
                path: file.display().to_string(),
                size_bytes: metadata.len() as i64,
                changed_ms: changed.map_or(0, |since| since.as_millis() as i64),
            });
        }
    }
    listed
}

/// Text that is kept for later, below the plugin directory.
pub(super) fn keep_copy(place: &Path, text: &str) -> io::Result<()> {
    put(place, text)
}
