//! Files that are still there after a power loss. The only place that differs between systems.
//!
//! A file becomes visible under its final name only after its bytes are on stable storage, and a
//! call returns only after the name is there too: write to a temporary name in the same folder,
//! fsync, link without replacing (or rename), fsync the folder and every folder that was made.

use super::file_system::{self, OpenFile};
#[cfg(feature = "simulation")]
use super::simulated_disk::HasDisk;
use crate::runtime::{canary, random};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Ending of files that never got their final name. They are ignored and removed at start.
pub const TEMPORARY_ENDING: &str = "tmp";

/// How often a file is begun whose temporary name a starting process takes for a leftover.
const CREATIONS_MAX: usize = 10;

/// Makes `path` with `bytes`, durably, and fails with `AlreadyExists` rather than replace it.
///
/// # Errors
/// Any error of the file system; nothing is visible under `path` then, unless the sync of the
/// folder failed and the name could not be removed again.
pub fn create_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create(path, bytes, true)
}

/// The same; without `fsync` nothing waits for the disk, and a power loss may take the file.
fn create(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
    let mut temporary = write_temporary(path, bytes, fsync)?;
    let mut linked = file_system::hard_link(&temporary, path);
    for _ in 1..CREATIONS_MAX {
        if !is_missing(&linked) {
            break;
        }
        temporary = write_temporary(path, bytes, fsync)?;
        linked = file_system::hard_link(&temporary, path);
    }
    let removed = file_system::remove(&temporary);
    linked?;
    if !is_missing(&removed) {
        removed?;
    }
    if !fsync {
        return Ok(());
    }
    let synced = sync_parent(path);
    if synced.is_err() {
        // Whoever reads the file takes it for stored, which it is not. When this fails too, the
        // caller has an error all the same.
        file_system::remove(path).ok();
    }
    synced
}

/// Whether a temporary file was gone: another process that started removed it as a leftover.
fn is_missing(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// Makes or replaces `path` with `bytes`, durably and in one step.
///
/// # Errors
/// Any error of the file system.
pub fn replace_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, true)?;
    file_system::rename(&temporary, path)?;
    sync_parent(path)
}

fn write_temporary(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<PathBuf> {
    if let Some(folder) = path.parent() {
        create_folders_durable(folder)?;
    }
    let temporary = path.with_extension(format!("{}.{TEMPORARY_ENDING}", random::uuid().simple()));
    let written = OpenFile::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        if canary::is("no-file-sync") || !fsync { Ok(()) } else { file.sync_all() }
    });
    if let Err(error) = written {
        // What is left of the file is harmless; removing it only frees the space sooner.
        file_system::remove(&temporary).ok();
        return Err(error);
    }
    Ok(temporary)
}

/// Folders that this process knows to be durable, with those above them. That one is there proves
/// nothing: somebody may have made it and not have come to its sync, or the sync may have failed.
static DURABLE_FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Limit: paths that are kept. Beyond, all are forgotten, which costs a sync for each.
const DURABLE_FOLDERS_MAX: usize = 10_000;

fn durable_folders<R>(look: impl FnOnce(&mut BTreeSet<PathBuf>) -> R) -> R {
    #[cfg(feature = "simulation")]
    if let Some(machine) = crate::runtime::simulated::machine() {
        return look(&mut machine.durable_folders());
    }
    look(&mut DURABLE_FOLDERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Says that a folder may go, so that it is synced anew when it is met again.
pub fn forget_folder(folder: &Path) {
    durable_folders(|known| known.remove(folder));
}

/// Makes a folder and those above it, durably.
///
/// # Errors
/// Any error of the file system.
pub fn create_folders_durable(folder: &Path) -> io::Result<()> {
    make_folders(folder)?.sync()
}

/// Folders that are there, and whose names a power loss may still take; the topmost first.
#[must_use = "a power loss may take them until they are synced"]
#[derive(Debug, Default)]
pub struct UnsyncedFolders(Vec<UnsyncedFolder>);

#[derive(Debug)]
struct UnsyncedFolder {
    path: PathBuf,
    /// Nobody of this process has made it.
    was_there: bool,
}

/// Makes a folder and those above it, and leaves their syncs to be done: where the file system
/// commits all that was done before with one sync, those after it cost nothing.
///
/// # Errors
/// Any error of the file system.
pub fn make_folders(folder: &Path) -> io::Result<UnsyncedFolders> {
    let was_there = file_system::is_folder(folder);
    if was_there && durable_folders(|known| known.contains(folder)) {
        return Ok(UnsyncedFolders::default());
    }
    let Some(above) = folder.parent() else { return Ok(UnsyncedFolders::default()) };
    let mut all = match above.as_os_str().is_empty() {
        true => UnsyncedFolders::default(),
        false => make_folders(above)?,
    };
    if !was_there {
        match file_system::create_folder(folder) {
            Err(e)
                if e.kind() != io::ErrorKind::AlreadyExists || !file_system::is_folder(folder) =>
            {
                return Err(e);
            }
            _ => {}
        }
    }
    all.0.push(UnsyncedFolder { path: folder.to_owned(), was_there });
    Ok(all)
}

impl UnsyncedFolders {
    /// Makes the folders durable.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn sync(self) -> io::Result<()> {
        for UnsyncedFolder { path, was_there } in self.0 {
            match sync_parent(&path) {
                Err(error) if was_there => of_others(error)?,
                synced => synced?,
            }
            durable_folders(|known| {
                if known.len() >= DURABLE_FOLDERS_MAX {
                    known.clear();
                }
                known.insert(path);
            });
        }
        Ok(())
    }
}

/// Folders far above ours may be closed to this process, or on a file system without syncs: they
/// were there before, and it has not made them.
fn of_others(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => Ok(()),
        io::ErrorKind::Unsupported | io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        _ => Err(error),
    }
}

/// Makes sure that the names in `folder` and its own survive a power loss, whoever made them.
///
/// # Errors
/// Any error of the file system.
pub fn sync_names(folder: &Path) -> io::Result<()> {
    create_folders_durable(folder)?;
    sync_folder(folder)
}

/// Makes sure that the names in the folder of `path` survive a power loss.
fn sync_parent(path: &Path) -> io::Result<()> {
    sync_folder(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    if canary::is("no-folder-sync") { Ok(()) } else { file_system::sync_folder(folder) }
}

/// A file that only grows, and whose growth is synced group by group.
#[derive(Debug)]
pub struct AppendFile {
    file: OpenFile,
    path: PathBuf,
    synced_bytes: u64,
    fsync: bool,
}

impl AppendFile {
    /// Makes a new file that begins with `header`, durably; fails if it exists. Without `fsync`
    /// nothing waits for the disk, now and later: what counts as synced may go with the power.
    ///
    /// # Errors
    /// Any error of the file system, `AlreadyExists` when somebody else made it.
    pub fn create(path: &Path, header: &[u8], fsync: bool) -> io::Result<Self> {
        create(path, header, fsync)?;
        let file = OpenFile::append(path)?;
        Ok(Self { file, path: path.to_owned(), synced_bytes: header.len() as u64, fsync })
    }

    /// Appends `bytes` and returns once they are on stable storage. After an error the file must
    /// not be used again: a failed sync may have dropped what it did not write.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn append_synced(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if self.fsync && !canary::is("no-append-sync") {
            let synced = self.file.sync_data();
            if canary::is("retry-failed-sync") { self.file.sync_data()? } else { synced? }
        }
        self.synced_bytes += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes are known to be on stable storage.
    pub fn synced_bytes(&self) -> u64 {
        self.synced_bytes
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The whole file.
///
/// # Errors
/// Any error of the file system.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    file_system::read(path)
}

/// Makes sure that the content of `path` survives a power loss.
///
/// # Errors
/// Any error of the file system.
pub fn sync(path: &Path) -> io::Result<()> {
    OpenFile::append(path)?.sync_all()
}

/// The names of the files in `folder`, in no order.
///
/// # Errors
/// Any error of the file system.
pub fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    file_system::names(folder)
}

/// True when something has the name `path`.
pub fn exists(path: &Path) -> bool {
    file_system::exists(path)
}

/// Removes the file `path`.
///
/// # Errors
/// Any error of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    file_system::remove(path)
}

/// Removes what earlier processes left under temporary names in `folder`.
///
/// # Errors
/// Any error of the file system but that the folder does not exist.
pub fn remove_temporary(folder: &Path) -> io::Result<()> {
    let names = match file_system::names(folder) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for name in names {
        let path = folder.join(name);
        if path.extension().is_some_and(|e| e == TEMPORARY_ENDING) {
            let removed = file_system::remove(&path);
            if !is_missing(&removed) {
                removed?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c.wal");
        create_durable(&path, b"one").unwrap();
        let error = create_durable(&path, b"two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        replace_durable(&path, b"three").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "temporary names are gone");
    }

    #[test]
    fn appends_grow_the_file_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.wal");
        let mut file = AppendFile::create(&path, b"head", true).unwrap();
        file.append_synced(b"body").unwrap();
        assert_eq!(file.synced_bytes(), 8);
        assert_eq!(std::fs::read(&path).unwrap(), b"headbody");
    }

    #[test]
    fn leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.abc.tmp"), b"").unwrap();
        std::fs::write(dir.path().join("x.wal"), b"").unwrap();
        remove_temporary(dir.path()).unwrap();
        assert!(!dir.path().join("x.abc.tmp").exists());
        assert!(dir.path().join("x.wal").exists());
        remove_temporary(&dir.path().join("missing")).unwrap();
    }

    #[cfg(feature = "simulation")]
    #[test]
    fn without_fsync_nothing_of_a_growing_file_waits_for_the_disk() {
        use crate::runtime::simulated::Machine;
        use crate::storage::simulated_disk::Call;

        let machine = Machine::new(1, None);
        let _entered = machine.enter();
        for fsync in [false, true] {
            let path = PathBuf::from(format!("/{fsync}.wal"));
            let mut file = AppendFile::create(&path, b"head", fsync).unwrap();
            machine.disk().fail_next(Call::Sync, 1);
            assert_eq!(file.append_synced(b"body").is_err(), fsync);
            machine.disk().heal();
        }
        machine.disk().lose_power();
        machine.disk().start();
        assert!(exists(Path::new("/true.wal")));
    }
}
