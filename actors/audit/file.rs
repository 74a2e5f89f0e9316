//! The file of the audit log: only its owner reads it, and it is never larger than it may be by
//! more than one write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file that gets another name when it is full, and is begun anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedFile {
    /// The file.
    pub path: PathBuf,
    /// Bytes that it may have.
    pub bytes_max: u64,
    /// Full ones that are kept, as `FILE.1` and so on; the oldest goes.
    pub kept: usize,
}

/// A file that is open for lines.
#[derive(Debug)]
pub(super) struct LogFile {
    options: RotatedFile,
    file: File,
    bytes: u64,
}

impl LogFile {
    /// Opens it behind what is there. A line that a crash left without its end gets one.
    pub(super) fn open(options: RotatedFile) -> io::Result<Self> {
        let mut file = open(&options.path)?;
        let mut bytes = file.metadata()?.len();
        if bytes > 0 && !ends_a_line(&options.path, bytes)? {
            file.write_all(b"\n")?;
            bytes += 1;
        }
        Ok(Self { options, file, bytes })
    }

    /// Appends whole lines and syncs them; begins another file first if they do not fit.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        if self.bytes > 0 && self.bytes + length > self.options.bytes_max {
            self.rotate()?;
        }
        // Counted before: what a failed write has left is there too.
        self.bytes += length;
        self.file.write_all(lines)?;
        self.file.sync_data()
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = &self.options.path;
        for number in (1..self.options.kept).rev() {
            rename(&numbered(path, number), &numbered(path, number + 1))?;
        }
        match self.options.kept {
            0 => fs::remove_file(path)?,
            _ => rename(path, &numbered(path, 1))?,
        }
        self.file = open(path)?;
        self.bytes = self.file.metadata()?.len();
        sync_folder(path)
    }
}

/// `FILE.1`, whatever the file is called.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// What is not there need not be renamed.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn ends_a_line(path: &Path, bytes: u64) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = match File::open(path) {
        // One that may only be appended to.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(true),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(bytes - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
