//! The log on a local disk: frames are appended to one file a period and synced group by group.
//!
//! Each file says in its header how much of the one before it counts: the groups that were synced
//! and found without a successor. A file is left as soon as that fails for one of its groups, and
//! the next file, which is durable before anything is written to it, excludes what was left behind.
//!
//! Whoever takes the log over finds at most one group at its end that nobody vouches for: it was
//! read back, but may be in the page cache only, and no later sync tells. That group is copied into
//! the first own file and excluded from where it was, in one step. So everybody who reads the log
//! finds the same groups, before and after a power loss, and whatever else the former writer may
//! still bring into its file.
//!
//! A file is made when the one before it has ended, and not when the first group for it comes: its
//! writers would wait for two more syncs. As long as no group comes, it is a file without groups
//! like the one that each start makes: it vouches for the file before it, and adds nothing.

use super::log::{Log, LogError, WalGroup};
use super::owner::Owner;
use crate::runtime::{canary, faults, pools::Pool, random};
use crate::storage::disk::{self, AppendFile};
use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use protocols::paths::{self, wal_sequence};
use protocols::wal_frame::segment::{
    Frame, HEADER_BYTES, Header, decode_header, encode_frame, encode_header, read,
};
use std::io;
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// The log of one process. All disk calls run on one thread of its own.
pub(super) struct SegmentLog {
    disk: Pool,
    /// `None` only while a job on the disk thread has it.
    files: Option<SegmentFiles>,
    first_own_file: u64,
}

struct SegmentFiles {
    folder: PathBuf,
    /// The file that names the process that took the log over last, and what it is to hold.
    owner: (PathBuf, String),
    writer: u128,
    /// Number of the newest file that is known to exist.
    newest: u64,
    current: Option<AppendFile>,
    /// How much of the newest file counts; 0 when that is not known.
    counted_bytes: u64,
    fsync: bool,
    frame: Vec<u8>,
}

/// Where the log of former writers ends.
struct End {
    /// How much of their newest file counts by itself; 0 when that is not known.
    counted_bytes: u64,
    /// The group behind, for which nobody vouches.
    tail: Option<Frame>,
    /// Where bytes begin that are no whole group, if there are any.
    torn_at: Option<usize>,
}

impl SegmentLog {
    /// Opens the log for writing: makes a file under the next number above all others and `above`.
    pub(super) async fn open(owner: Owner, above: u64) -> anyhow::Result<Self> {
        let disk = Pool::new("wal-disk", 1, 16)?;
        let root = owner.objects().directory.clone().context("the store is not a folder")?;
        let folder = root.join(paths::wal_dir(owner.node()));
        let file = owner.file().context("the store is not a folder")?;
        let (fsync, owner) = (owner.objects().fsync, (file, owner.text()));
        let files = disk.run(move || SegmentFiles::open(folder, owner, above, fsync)).await??;
        Ok(Self { disk, first_own_file: files.newest, files: Some(files) })
    }

    async fn on_disk<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut SegmentFiles) -> R + Send + 'static,
    ) -> Result<R, LogError> {
        let mut files = self.files.take().ok_or(LogError::Lost)?;
        let ran = self.disk.run(move || {
            faults::fails("wal-disk");
            let result = job(&mut files);
            (files, result)
        });
        let (files, result) = ran.await.map_err(|_| LogError::Lost)?;
        self.files = Some(files);
        Ok(result)
    }
}

#[async_trait]
impl Log for SegmentLog {
    // A call to the disk cannot be taken back: it is waited for as long as it takes.
    async fn append(&mut self, group: &WalGroup, _: Instant) -> Result<(), LogError> {
        let group = group.clone();
        self.on_disk(move |files| files.append(&group)).await?
    }

    fn end_period(&mut self) {
        if let Some(files) = &mut self.files {
            files.leave();
        }
    }

    async fn prepare(&mut self) -> Result<(), LogError> {
        self.on_disk(SegmentFiles::prepare).await?
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

impl SegmentFiles {
    fn open(
        folder: PathBuf,
        owner: (PathBuf, String),
        above: u64,
        fsync: bool,
    ) -> io::Result<Self> {
        disk::create_folders_durable(&folder)?;
        disk::remove_temporary(&folder)?;
        let writer = random::uuid().as_u128();
        let mut files = Self {
            folder,
            owner,
            writer,
            newest: 0,
            current: None,
            counted_bytes: 0,
            fsync,
            frame: Vec::new(),
        };
        loop {
            files.newest = newest(&files.folder)?.max(above);
            // A process that was replaced while it started leaves no file: it would lie above those
            // of its successor, which would take itself for the one that was replaced.
            match files.check_claim().and_then(|()| files.take_over(above)) {
                Ok(()) => return Ok(files),
                // Another process was faster: one of the two is not the owner any more.
                Err(LogError::Fenced) if files.check_claim().is_ok() => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Begins the first own file, behind the newest one of former writers.
    fn take_over(&mut self, above: u64) -> Result<(), LogError> {
        let end = if self.newest > above {
            let bytes = disk::read(&self.path(self.newest))
                .map_err(|e| LogError::Io(format!("cannot read the newest WAL file: {e}")))?;
            end_of(self.newest, bytes.into())
        } else {
            // Nobody reads that file any more: a durable snapshot has its rows.
            End { counted_bytes: 0, tail: None, torn_at: None }
        };
        if let Some(at) = end.torn_at {
            // Said here, because from now on nobody reads them any more.
            let file = self.path(self.newest);
            let file = file.display();
            tracing::warn!(%file, at, "the last group of a WAL file is unfinished and was cut off");
        }
        self.counted_bytes = end.counted_bytes;
        self.start(end.tail.as_ref())
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:011}.wal"))
    }

    /// Begins the next file, with `first` as its first group.
    fn start(&mut self, first: Option<&Frame>) -> Result<(), LogError> {
        loop {
            let sequence = self.newest + 1;
            let path = self.path(sequence);
            let previous_bytes = self.counted_bytes;
            let mut bytes = encode_header(Header { writer: self.writer, sequence, previous_bytes });
            if let Some(Frame { sequence, stamp, entries }) = first {
                encode_frame(&mut bytes, (*sequence, *stamp), HEADER_BYTES as u64, entries)?;
            }
            match AppendFile::create(&path, &bytes, self.fsync) {
                Ok(file) => {
                    self.newest = sequence;
                    self.counted_bytes = file.synced_bytes();
                    self.current = Some(file);
                    return Ok(());
                }
                // A failed start of our own may have left its file; nothing in it counts.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.is_ours(&path) => {
                    self.newest = sequence;
                    self.counted_bytes = HEADER_BYTES as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(LogError::Fenced);
                }
                Err(e) => return Err(LogError::Io(e.to_string())),
            }
        }
    }

    /// Makes the next file beforehand, unless a successor has taken over.
    fn prepare(&mut self) -> Result<(), LogError> {
        if self.current.is_some() {
            return Ok(());
        }
        self.check_claim()?;
        self.start(None)
    }

    fn is_ours(&self, path: &Path) -> bool {
        disk::read(path)
            .ok()
            .and_then(|bytes| decode_header(&bytes).ok())
            .is_some_and(|header| header.writer == self.writer)
    }

    fn append(&mut self, group: &WalGroup) -> Result<(), LogError> {
        let appended = self.write(group).and_then(|()| self.check_owner());
        match (&appended, &self.current) {
            (Ok(()), Some(file)) => self.counted_bytes = file.synced_bytes(),
            // Never this file again: after a failed sync nobody knows what it holds, and a group
            // whose writers were not answered must not count because of a later one.
            _ => self.leave(),
        }
        appended
    }

    fn write(&mut self, group: &WalGroup) -> Result<(), LogError> {
        if self.current.is_none() {
            self.start(None)?;
        }
        let Some(file) = &mut self.current else {
            return Err(LogError::Io("no open file".to_owned()));
        };
        self.frame.clear();
        let number = (group.sequence, group.stamp);
        encode_frame(&mut self.frame, number, file.synced_bytes(), &group.entries)?;
        let mut written = if faults::fails("wal-put") {
            Err(io::Error::other("planted failure"))
        } else {
            file.append_synced(&self.frame)
        };
        if faults::fails("wal-put-ambiguous") {
            written = Err(io::Error::other("planted failure of a write that succeeded"));
        }
        written.map_err(|error| LogError::Io(error.to_string()))
    }

    /// Whether no successor has taken over.
    fn check_owner(&self) -> Result<(), LogError> {
        if canary::is("rival-ignored") {
            return Ok(());
        }
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
        self.current = None;
    }
}

/// The end of the newest file. Its last whole group is the only one that may not have been synced:
/// a later one would not have been written.
fn end_of(sequence: u64, bytes: Bytes) -> End {
    match read(&bytes, None) {
        Ok(segment) if segment.header.sequence == sequence => {
            let torn_at = segment.torn_at.unwrap_or(bytes.len());
            let counted_bytes = segment.last_frame_at.unwrap_or(torn_at) as u64;
            let tail = segment.frames.last().cloned();
            End { counted_bytes, tail, torn_at: segment.torn_at }
        }
        // Damage is for the one who reads the log back to report.
        _ => End { counted_bytes: 0, tail: None, torn_at: None },
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
mod tests;

/// What becomes of a file that is made beforehand when the machine stops.
#[cfg(test)]
#[cfg(feature = "simulation")]
mod crashes {
    use super::*;
    use crate::runtime::simulated::Machine;
    use crate::storage::simulated_disk::{Call, HasDisk};
    use std::rc::Rc;

    fn group(sequence: u64) -> WalGroup {
        let entries = vec![Bytes::from(sequence.to_string())];
        WalGroup { sequence, stamp: sequence as i64, entries }
    }

    /// Takes over as `name` and opens.
    fn open(name: &str) -> SegmentFiles {
        let owner = PathBuf::from("/node/wal-owner");
        disk::replace_durable(&owner, name.as_bytes()).unwrap();
        SegmentFiles::open("/node/wal".into(), (owner, name.to_owned()), 0, true).unwrap()
    }

    /// The machine starts again, after its power has failed or only its process has died.
    fn restart(machine: &Rc<Machine>, loses_power: bool) {
        let mut disk = machine.disk();
        if loses_power {
            disk.lose_power();
        } else {
            disk.forget_lost();
        }
        disk.heal();
        disk.start();
        machine.durable_folders().clear();
    }

    /// The groups that count, over all files.
    fn groups(files: &SegmentFiles) -> Vec<u64> {
        let mut found = Vec::new();
        let bytes = |n| Bytes::from(disk::read(&files.path(n)).unwrap());
        for n in 1..=files.newest {
            let next = (n < files.newest).then(|| decode_header(&bytes(n + 1)).unwrap());
            let counted = next.map(|next| next.previous_bytes).filter(|counted| *counted > 0);
            let segment = read(&bytes(n), counted).unwrap();
            assert!(segment.damaged.is_empty() && segment.torn_at.is_none(), "file {n}");
            found.extend(segment.frames.iter().map(|frame| frame.sequence));
        }
        found
    }

    /// Stops the machine before each call that making a file beforehand takes, and after the last.
    fn stop_everywhere(seed: u64, loses_power: bool) {
        for calls in 0.. {
            let machine = Machine::new(seed, None);
            let _entered = machine.enter();
            let mut files = open("one");
            for sequence in [1, 2] {
                files.append(&group(sequence)).unwrap();
            }
            files.leave();
            machine.disk().stop_in(calls);
            let prepared = files.prepare().is_ok();
            restart(&machine, loses_power);
            let mut next = open("two");
            assert_eq!(groups(&next), [1, 2], "seed {seed}, stopped after {calls} calls");
            next.append(&group(3)).unwrap();
            restart(&machine, loses_power);
            assert_eq!(groups(&open("three")), [1, 2, 3], "seed {seed}, after {calls} calls");
            if prepared {
                assert!(calls > 5, "it takes more calls than {calls}");
                return;
            }
        }
    }

    #[test]
    fn a_crash_at_any_call_of_the_preparation_loses_nothing_and_adds_nothing() {
        for seed in 0..30 {
            for loses_power in [false, true] {
                stop_everywhere(seed, loses_power);
            }
        }
    }

    #[test]
    fn the_first_group_of_a_period_waits_for_one_sync_and_for_no_name() {
        let machine = Machine::new(1, None);
        let _entered = machine.enter();
        let mut files = open("one");
        files.append(&group(1)).unwrap();
        files.leave();
        files.prepare().unwrap();
        for call in [Call::Name, Call::SyncFolder] {
            machine.disk().fail_next(call, 1);
        }
        files.append(&group(2)).unwrap();
        machine.disk().heal();
        restart(&machine, true);
        assert_eq!(groups(&open("two")), [1, 2]);
    }

    #[test]
    fn a_file_that_could_not_be_made_beforehand_is_made_with_its_first_group() {
        for call in [Call::Write, Call::Sync, Call::Name, Call::SyncFolder] {
            for seed in 0..10 {
                let machine = Machine::new(seed, None);
                let _entered = machine.enter();
                let mut files = open("one");
                files.append(&group(1)).unwrap();
                files.leave();
                machine.disk().fail_next(call, 1);
                assert!(matches!(files.prepare(), Err(LogError::Io(_))), "{call:?}");
                files.append(&group(2)).unwrap();
                assert_eq!(groups(&files), [1, 2], "{call:?}");
                restart(&machine, true);
                assert_eq!(groups(&open("two")), [1, 2], "{call:?}");
            }
        }
    }
}
