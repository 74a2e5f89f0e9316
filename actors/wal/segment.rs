//! The log on a local disk: frames are appended to one file a period and synced group by group.

use super::log::{Group, Log, LogError};
use crate::runtime::disk::{self, AppendFile};
use crate::runtime::{faults, pools::Pool};
use async_trait::async_trait;
use protocols::paths::wal_sequence;
use protocols::wal_frame::segment::{
    HEADER_BYTES, Header, decode_header, encode_frame, encode_header,
};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The log of one process. All disk calls run on one thread of its own.
pub(super) struct SegmentLog {
    disk: Pool,
    /// `None` only while a job on the disk thread has it.
    files: Option<Files>,
    first_own_file: u64,
}

struct Files {
    folder: PathBuf,
    writer: u128,
    /// Number of the newest file that is known to exist.
    newest: u64,
    current: Option<AppendFile>,
    /// Synced length of the file that was left last.
    left_bytes: u64,
    frame: Vec<u8>,
}

impl SegmentLog {
    /// Takes over the log in `folder`: makes a file under the next number, which a process that
    /// still writes the one before sees at its next sync.
    pub(super) async fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let disk = Pool::new("wal-disk", 1, 16)?;
        let files = disk.run(move || Files::take_over(folder)).await??;
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

    fn first_own_file(&self) -> u64 {
        self.first_own_file
    }
}

impl Files {
    fn take_over(folder: PathBuf) -> io::Result<Self> {
        disk::create_folders_durable(&folder)?;
        disk::remove_temporary(&folder)?;
        let mut files = Self {
            folder,
            writer: Uuid::new_v4().as_u128(),
            newest: 0,
            current: None,
            left_bytes: 0,
            frame: Vec::new(),
        };
        loop {
            files.newest = newest(&files.folder)?;
            match files.start() {
                Ok(()) => return Ok(files),
                // Another process was faster: it is fenced by the next number.
                Err(LogError::Fenced) => {}
                Err(LogError::Io(text)) => return Err(io::Error::other(text)),
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
        let written = if faults::fails("wal-put") {
            Err(io::Error::other("planted failure"))
        } else {
            file.append_synced(&self.frame)
        };
        if let Err(error) = written {
            // Never this file again: after a failed sync nobody knows what it holds.
            self.leave();
            return Err(LogError::Io(error.to_string()));
        }
        if self.path(self.newest + 1).exists() {
            return Err(LogError::Fenced);
        }
        Ok(())
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

    #[test]
    fn a_file_that_a_failed_start_left_is_skipped_and_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::take_over(dir.path().to_owned()).unwrap();
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
}
