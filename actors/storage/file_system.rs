//! The calls of the file system that `disk` is made of. On a thread that is simulated they go to
//! the disk of its machine.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

#[cfg(feature = "simulation")]
use super::simulated_disk::{FileId, HasDisk, SimDisk};
#[cfg(feature = "simulation")]
use crate::runtime::simulated;

/// Leaves the function with the answer of the simulated disk, if there is one.
macro_rules! simulated {
    ($disk:pat => $answer:expr) => {
        #[cfg(feature = "simulation")]
        if let Some(machine) = simulated::machine() {
            let $disk = machine.disk();
            return $answer;
        }
    };
}

/// A file that is open for writing.
#[derive(Debug)]
pub(super) enum OpenFile {
    Real(File),
    #[cfg(feature = "simulation")]
    Simulated(FileId),
}

impl OpenFile {
    /// Makes a new file.
    pub(super) fn create_new(path: &Path) -> io::Result<Self> {
        simulated!(mut disk => disk.create_new(path).map(Self::Simulated));
        OpenOptions::new().write(true).create_new(true).open(path).map(Self::Real)
    }

    /// Opens a file that is there, to append to it.
    pub(super) fn append(path: &Path) -> io::Result<Self> {
        simulated!(mut disk => disk.open(path).map(Self::Simulated));
        OpenOptions::new().append(true).open(path).map(Self::Real)
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Real(file) => file.write_all(bytes),
            #[cfg(feature = "simulation")]
            Self::Simulated(id) => on_simulated(|disk| disk.write(*id, bytes)),
        }
    }

    pub(super) fn sync_all(&mut self) -> io::Result<()> {
        match self {
            Self::Real(file) => file.sync_all(),
            #[cfg(feature = "simulation")]
            Self::Simulated(id) => on_simulated(|disk| disk.sync(*id)),
        }
    }

    pub(super) fn sync_data(&mut self) -> io::Result<()> {
        match self {
            Self::Real(file) => file.sync_data(),
            #[cfg(feature = "simulation")]
            Self::Simulated(id) => on_simulated(|disk| disk.sync(*id)),
        }
    }
}

#[cfg(feature = "simulation")]
fn on_simulated<R>(call: impl FnOnce(&mut SimDisk) -> io::Result<R>) -> io::Result<R> {
    let machine = simulated::machine()
        .ok_or_else(|| io::Error::other("a simulated file outside of its simulation"))?;
    let mut disk = machine.disk();
    call(&mut disk)
}

pub(super) fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    simulated!(mut disk => disk.hard_link(from, to));
    std::fs::hard_link(from, to)
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    simulated!(mut disk => disk.rename(from, to));
    std::fs::rename(from, to)
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    simulated!(mut disk => disk.remove(path));
    std::fs::remove_file(path)
}

pub(super) fn is_folder(path: &Path) -> bool {
    simulated!(disk => disk.is_folder(path));
    path.is_dir()
}

pub(super) fn exists(path: &Path) -> bool {
    simulated!(disk => disk.exists(path));
    path.exists()
}

pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    simulated!(mut disk => disk.create_folder(path));
    std::fs::create_dir(path)
}

pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    simulated!(mut disk => disk.read(path));
    std::fs::read(path)
}

/// The names in `folder`, in no order.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    simulated!(mut disk => disk.names(folder));
    std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Makes sure that the names in `folder` survive a power loss.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    simulated!(mut disk => disk.sync_folder(folder));
    File::open(folder)?.sync_all()
}

/// Folders cannot be opened for a sync here; NTFS journals names by itself.
#[cfg(not(unix))]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    simulated!(mut disk => disk.sync_folder(folder));
    Ok(())
}
