//! The log on a local disk: frames are appended to one file a period and synced group by group.

use super::log::{Group, Log, LogError};
use super::owner::Owner;
use crate::runtime::disk::{self, AppendFile};
use crate::runtime::{faults, pools::Pool, random};
use anyhow::Context;
use async_trait::async_trait;
use protocols::paths::{self, wal_sequence};
use protocols::wal_frame::segment::{
    HEADER_BYTES, Header, decode_header, encode_frame, encode_header,
};
use std::io;
use std::path::{Path, PathBuf};

/// The log of one process. All disk calls run on one thread of its own.
pub(super) struct SegmentLog {
    disk: Pool,
    /// `None` only while a job on the disk thread has it.
    files: Option<Files>,
    first_own_file: u64,
}

struct Files {
    folder: PathBuf,
    /// The file that names the process that took the log over last, and what it is to hold.
    owner: (PathBuf, String),
    writer: u128,
    /// Number of the newest file that is known to exist.
    newest: u64,
    current: Option<AppendFile>,
    /// Synced length of the file that was left last.
    left_bytes: u64,
    frame: Vec<u8>,
}

impl SegmentLog {
    /// Opens the log for writing: makes a file under the next number above all others and `above`.
    pub(super) async fn open(owner: Owner, above: u64) -> anyhow::Result<Self> {
        let disk = Pool::new("wal-disk", 1, 16)?;
        let root = owner.objects().directory.clone().context("the store is not a folder")?;
        let folder = root.join(paths::wal_dir(owner.node()));
        let file = owner.file().context("the store is not a folder")?;
        let owner = (file, owner.text());
        let files = disk.run(move || Files::open(folder, owner, above)).await??;
        Ok(Self { disk, first_own_file: files.newest, files: Some(files) })
    }

    async fn on_disk<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Files) -> R + Send + 'static,
    ) -> Result<R, LogError> {
        let lost = || LogError::Io("the log's disk thread failed".to_owned());
        let mut files = self.files.take().ok_or_else(lost)?;
        let (files, result) = self
            .disk
            .run(move || {
                let result = job(&mut files);
                (files, result)
            })
            .await
            .map_err(|_| lost())?;
        self.files = Some(files);
        Ok(result)
    }
}

#[async_trait]
impl Log for SegmentLog {
    async fn append(&mut self, group: &Group) -> Result<(), LogError> {
        let group = group.clone();
        self.on_disk(move |files| files.append(&group)).await?
    }

    fn end_period(&mut self) {
        if let Some(files) = &mut self.files {
            files.leave();
        }
    }

    fn next_file(&self) -> u64 {
        let newest = self.newest_file();
        let open = self.files.as_ref().is_some_and(|files| files.current.is_some());
        if open { newest } else { newest + 1 }
    }

    fn newest_file(&self) -> u64 {
        self.files.as_ref().map_or(0, |files| files.newest)
    }

    fn first_own_file(&self) -> u64 {
        self.first_own_file
    }
}

impl Files {
    fn open(folder: PathBuf, owner: (PathBuf, String), above: u64) -> io::Result<Self> {
        disk::create_folders_durable(&folder)?;
        disk::remove_temporary(&folder)?;
        let writer = random::uuid().as_u128();
        let mut files = Self {
            folder,
            owner,
            writer,
            newest: 0,
            current: None,
            left_bytes: 0,
            frame: Vec::new(),
        };
        loop {
            files.newest = newest(&files.folder)?.max(above);
            // A process that was replaced while it started leaves no file: it would lie above those
            // of its successor, which would take itself for the one that was replaced.
            match files.check_claim().and_then(|()| files.start()) {
                Ok(()) => return Ok(files),
                // Another process was faster: one of the two is not the owner any more.
                Err(LogError::Fenced) if files.check_claim().is_ok() => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:011}.wal"))
    }

    /// Begins the next file.
    fn start(&mut self) -> Result<(), LogError> {
        loop {
            let sequence = self.newest + 1;
            let path = self.path(sequence);
            let header = Header { writer: self.writer, sequence, previous_bytes: self.left_bytes };
            match AppendFile::create(&path, &encode_header(header)) {
                Ok(file) => {
                    self.newest = sequence;
                    self.current = Some(file);
                    return Ok(());
                }
                // A failed start of our own may have left its file; it holds nothing, and the next
                // one must not vouch for more.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.is_ours(&path) => {
                    self.newest = sequence;
                    self.left_bytes = HEADER_BYTES as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(LogError::Fenced);
                }
                Err(e) => return Err(LogError::Io(e.to_string())),
            }
        }
    }

    fn is_ours(&self, path: &Path) -> bool {
        disk::read(path)
            .ok()
            .and_then(|bytes| decode_header(&bytes).ok())
            .is_some_and(|header| header.writer == self.writer)
    }

    fn append(&mut self, group: &Group) -> Result<(), LogError> {
        if self.current.is_none() {
            self.start()?;
        }
        let Some(file) = &mut self.current else {
            return Err(LogError::Io("no open file".to_owned()));
        };
        self.frame.clear();
        encode_frame(&mut self.frame, group.sequence, file.synced_bytes(), &group.entries);
        let mut written = if faults::fails("wal-put") {
            Err(io::Error::other("planted failure"))
        } else {
            file.append_synced(&self.frame)
        };
        if faults::fails("wal-put-ambiguous") {
            written = Err(io::Error::other("planted failure of a write that succeeded"));
        }
        if let Err(error) = written {
            // Never this file again: after a failed sync nobody knows what it holds.
            self.leave();
            return Err(LogError::Io(error.to_string()));
        }
        self.check_owner()
    }

    /// Whether no successor has taken over.
    fn check_owner(&self) -> Result<(), LogError> {
        if disk::exists(&self.path(self.newest + 1)) {
            return Err(LogError::Fenced);
        }
        self.check_claim()
    }

    /// Whether this process is still the last one that took the log over.
    fn check_claim(&self) -> Result<(), LogError> {
        let (owner, ours) = &self.owner;
        match disk::read(owner) {
            Ok(text) if text == ours.as_bytes() => Ok(()),
            Ok(_) => Err(LogError::Fenced),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(LogError::Fenced),
            Err(e) => Err(LogError::Io(format!("cannot read {}: {e}", owner.display()))),
        }
    }

    /// The next group begins a new file.
    fn leave(&mut self) {
        if let Some(file) = self.current.take() {
            self.left_bytes = file.synced_bytes();
        }
    }
}

/// The highest number of any file in the folder, damaged ones too; 0 when there is none.
fn newest(folder: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for name in disk::file_names(folder)? {
        newest = newest.max(wal_sequence(&name).unwrap_or(0));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocols::wal_frame::segment::read;

    fn group(sequence: u64) -> Group {
        Group { sequence, entries: vec![Bytes::from_static(b"rows")] }
    }

    /// Takes over as `name` and opens.
    fn open(root: &Path, name: &str, above: u64) -> Files {
        let owner = root.join("owner");
        disk::replace_durable(&owner, name.as_bytes()).unwrap();
        Files::open(root.join("wal"), (owner, name.to_owned()), above).unwrap()
    }

    #[test]
    fn a_file_that_a_failed_start_left_is_skipped_and_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = open(dir.path(), "one", 0);
        files.append(&group(1)).unwrap();
        files.leave();
        // Made, but reported as failed.
        let header = Header { writer: files.writer, sequence: 2, previous_bytes: files.left_bytes };
        disk::create_durable(&files.path(2), &encode_header(header)).unwrap();
        files.append(&group(2)).unwrap();
        let bytes = |n| Bytes::from(disk::read(&files.path(n)).unwrap());
        for n in 1..=3 {
            let vouched = (n < 3).then(|| decode_header(&bytes(n + 1)).unwrap().previous_bytes);
            assert!(read(&bytes(n), vouched).unwrap().damaged.is_empty(), "file {n}");
        }
        assert_eq!(read(&bytes(3), None).unwrap().frames.len(), 1);
    }

    #[test]
    fn a_successor_is_noticed_even_when_its_files_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut older = open(dir.path(), "one", 0);
        older.append(&group(1)).unwrap();
        let newer = open(dir.path(), "two", 0);
        std::fs::remove_file(newer.path(newer.newest)).unwrap();
        assert_eq!(older.append(&group(2)), Err(LogError::Fenced));
    }

    #[test]
    fn who_is_replaced_while_it_starts_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut successor = open(dir.path(), "two", 0);
        let replaced = (dir.path().join("owner"), "one".to_owned());
        let error = Files::open(dir.path().join("wal"), replaced, 0).err().unwrap();
        assert!(error.to_string().contains("another process"), "{error}");
        successor.append(&group(1)).unwrap();
    }

    #[test]
    fn numbers_go_on_above_files_that_a_snapshot_removed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open(dir.path(), "one", 41).newest, 42);
    }
}
