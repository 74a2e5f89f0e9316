//! A disk in memory that forgets what was not synced when its power fails.
//!
//! It knows two states of everything: what programs see, and what is on stable storage. Syncing a
//! file makes its bytes stable, syncing a folder the names in it; neither does the other's work. At
//! a power loss what was not synced is lost, kept, or kept in part: torn, filled with zeros, in any
//! order.

mod power;

use crate::runtime::simulated::{Machine, Part};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// The disk of a simulated machine.
pub trait HasDisk {
    /// The disk.
    fn disk(&self) -> RefMut<'_, SimDisk>;
    /// Folders that the processes on the machine know to be durable.
    fn durable_folders(&self) -> RefMut<'_, BTreeSet<PathBuf>>;
}

/// A disk as a part of a machine, and what its processes know of it.
#[derive(Debug)]
struct Mounted {
    disk: RefCell<SimDisk>,
    durable_folders: RefCell<BTreeSet<PathBuf>>,
}

impl Part for Mounted {
    fn new(seed: u64) -> Self {
        Self { disk: RefCell::new(SimDisk::new(seed)), durable_folders: RefCell::default() }
    }

    fn stop(&self) {
        self.disk.borrow_mut().stop();
    }
}

impl HasDisk for Machine {
    fn disk(&self) -> RefMut<'_, SimDisk> {
        self.part::<Mounted>().disk.borrow_mut()
    }

    fn durable_folders(&self) -> RefMut<'_, BTreeSet<PathBuf>> {
        self.part::<Mounted>().durable_folders.borrow_mut()
    }
}

/// A file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(usize);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(FileId),
}

/// The bytes of a file.
#[derive(Debug, Default)]
struct Content {
    /// What programs see.
    seen: Vec<u8>,
    /// What is on stable storage of the bytes before `dirty_from`.
    stable: Vec<u8>,
    /// From here on, the bytes have not been synced.
    dirty_from: usize,
    /// A sync has failed, and the system may forget at any time what it could not write.
    lost: bool,
}

/// A change of names that is not stable yet.
#[derive(Clone, Debug)]
enum Change {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

/// Calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Bytes to a file.
    Write,
    /// The sync of a file.
    Sync,
    /// The sync of a folder.
    SyncFolder,
    /// A new name.
    Name,
}

/// See the module's page.
#[derive(Debug)]
pub struct SimDisk {
    random: StdRng,
    contents: Vec<Content>,
    seen: BTreeMap<PathBuf, Node>,
    stable: BTreeMap<PathBuf, Node>,
    /// By folder, in the order of the calls.
    unsynced: BTreeMap<PathBuf, Vec<Change>>,
    /// The machine stops when this many more calls were made.
    stops_in: Option<u64>,
    /// It stops before the sync of a file with this number from now on.
    stops_at_sync: Option<u64>,
    stopped: bool,
    on_stop: Arc<Notify>,
    full: bool,
    /// The next of these calls fail, so many of each.
    failing: BTreeMap<Call, u32>,
    calls: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed ^ 0xd15c),
            contents: Vec::new(),
            seen: BTreeMap::new(),
            stable: BTreeMap::new(),
            unsynced: BTreeMap::new(),
            stops_in: None,
            stops_at_sync: None,
            stopped: false,
            on_stop: Arc::new(Notify::new()),
            full: false,
            failing: BTreeMap::new(),
            calls: 0,
        }
    }

    /// The machine stops before the call with this number from now on: no call works any more
    /// until [`Self::start`].
    pub fn stop_in(&mut self, calls: u64) {
        self.stops_in = Some(calls);
    }

    /// The same, before a sync of a file, when its bytes are written and not stable.
    pub fn stop_at_sync(&mut self, syncs: u64) {
        self.stops_at_sync = Some(syncs);
    }

    /// Stops it at once.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.stops_in = None;
        self.stops_at_sync = None;
        self.on_stop.notify_one();
    }

    /// Woken when the machine has stopped.
    pub fn on_stop(&self) -> Arc<Notify> {
        Arc::clone(&self.on_stop)
    }

    /// True until the machine is started again.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Works again after a stop.
    pub fn start(&mut self) {
        self.stopped = false;
        self.stops_in = None;
    }

    /// Whether there is room for another byte.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// The next `times` calls of this kind fail.
    pub fn fail_next(&mut self, call: Call, times: u32) {
        self.failing.insert(call, times);
    }

    /// No fault is planted any more.
    pub fn heal(&mut self) {
        self.failing.clear();
        self.full = false;
        self.stops_in = None;
        self.stops_at_sync = None;
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Counts a call; fails when the machine stands.
    ///
    /// # Errors
    /// When the machine stands.
    pub fn step(&mut self) -> io::Result<()> {
        self.calls += 1;
        if let Some(left) = &mut self.stops_in {
            if *left == 0 {
                self.stop();
            } else {
                *left -= 1;
            }
        }
        if self.stopped { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    /// True when this call is to fail.
    fn fails(&mut self, call: Call) -> bool {
        let Some(left) = self.failing.get_mut(&call) else { return false };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.failing.remove(&call);
        }
        true
    }

    fn parent(path: &Path) -> PathBuf {
        path.parent().map(Path::to_owned).unwrap_or_default()
    }

    fn change(&mut self, path: &Path, change: Change) {
        self.unsynced.entry(Self::parent(path)).or_default().push(change);
    }

    /// Makes a new empty file.
    ///
    /// # Errors
    /// As the system's call.
    pub fn create_new(&mut self, path: &Path) -> io::Result<FileId> {
        self.step()?;
        if self.full || self.fails(Call::Name) {
            return Err(no_space());
        }
        if !self.is_folder(&Self::parent(path)) {
            return Err(ErrorKind::NotFound.into());
        }
        if self.seen.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let id = FileId(self.contents.len());
        self.contents.push(Content::default());
        self.seen.insert(path.to_owned(), Node::File(id));
        self.change(path, Change::Add(path.to_owned(), Node::File(id)));
        Ok(id)
    }

    /// Opens a file that is there.
    ///
    /// # Errors
    /// As the system's call.
    pub fn open(&mut self, path: &Path) -> io::Result<FileId> {
        self.step()?;
        self.file(path)
    }

    fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.seen.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Appends to a file. A failure may leave a part of the bytes.
    ///
    /// # Errors
    /// As the system's call.
    pub fn write(&mut self, FileId(id): FileId, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let fails = self.full || self.fails(Call::Write);
        let written = if fails { self.random.random_range(0..=bytes.len()) } else { bytes.len() };
        self.contents[id].seen.extend_from_slice(&bytes[..written]);
        if fails { Err(no_space()) } else { Ok(()) }
    }

    /// Makes the bytes of a file stable. After a failure the system takes them for clean, whatever
    /// became of them: a second sync succeeds without having written anything.
    ///
    /// # Errors
    /// As the system's call.
    pub fn sync(&mut self, FileId(id): FileId) -> io::Result<()> {
        match &mut self.stops_at_sync {
            Some(0) => self.stop(),
            Some(left) => *left -= 1,
            None => {}
        }
        self.step()?;
        let fails = self.fails(Call::Sync);
        let lost = fails && self.random.random_bool(0.7);
        let content = &mut self.contents[id];
        content.stable.resize(content.dirty_from, 0);
        content.lost |= lost;
        if lost {
            content.stable.resize(content.seen.len(), 0);
        } else {
            content.stable.extend_from_slice(&content.seen[content.dirty_from..]);
        }
        content.dirty_from = content.seen.len();
        if fails { Err(io::Error::other("planted: the sync failed")) } else { Ok(()) }
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    /// As the system's call.
    pub fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let id = self.file(from)?;
        if self.seen.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let fails = self.fails(Call::Name);
        if !fails || self.random.random_bool(0.5) {
            self.seen.insert(to.to_owned(), Node::File(id));
            self.change(to, Change::Add(to.to_owned(), Node::File(id)));
        }
        if fails { Err(io::Error::other("planted: the link failed")) } else { Ok(()) }
    }

    /// Gives a file another name, in place of whatever had it.
    ///
    /// # Errors
    /// As the system's call.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let node = Node::File(self.file(from)?);
        let fails = self.fails(Call::Name);
        if !fails || self.random.random_bool(0.5) {
            self.seen.remove(from);
            self.seen.insert(to.to_owned(), node);
            self.change(to, Change::Rename(from.to_owned(), to.to_owned(), node));
        }
        if fails { Err(io::Error::other("planted: the renaming failed")) } else { Ok(()) }
    }

    /// Removes a name.
    ///
    /// # Errors
    /// As the system's call.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.file(path)?;
        self.seen.remove(path);
        self.change(path, Change::Remove(path.to_owned()));
        Ok(())
    }

    /// Whether `path` is a folder. The root is.
    pub fn is_folder(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
            || path == Path::new("/")
            || self.seen.get(path) == Some(&Node::Folder)
    }

    /// Whether `path` is there.
    pub fn exists(&self, path: &Path) -> bool {
        self.seen.contains_key(path)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As the system's call.
    pub fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        if self.seen.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if self.full || self.fails(Call::Name) {
            return Err(no_space());
        }
        self.seen.insert(path.to_owned(), Node::Folder);
        self.change(path, Change::Add(path.to_owned(), Node::Folder));
        Ok(())
    }

    /// Makes the names in a folder stable.
    ///
    /// # Errors
    /// As the system's call.
    pub fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.step()?;
        if self.fails(Call::SyncFolder) {
            return Err(io::Error::other("planted: the sync of the folder failed"));
        }
        for change in self.unsynced.remove(folder).unwrap_or_default() {
            self.settle(change);
        }
        Ok(())
    }

    fn settle(&mut self, change: Change) {
        match change {
            Change::Add(path, node) => {
                self.stable.insert(path, node);
            }
            Change::Remove(path) => {
                self.stable.remove(&path);
            }
            Change::Rename(from, to, node) => {
                self.stable.remove(&from);
                self.stable.insert(to, node);
            }
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// As the system's call.
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.step()?;
        let FileId(id) = self.file(path)?;
        Ok(self.contents[id].seen.clone())
    }

    /// The names in a folder.
    ///
    /// # Errors
    /// As the system's call.
    pub fn names(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        self.step()?;
        if !self.is_folder(folder) {
            return Err(ErrorKind::NotFound.into());
        }
        let inside = self.seen.keys().filter(|path| path.parent() == Some(folder));
        let names = inside.filter_map(|path| path.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    /// Every file below `folder`, with its bytes.
    ///
    /// # Errors
    /// When the machine stands.
    pub fn files_below(&mut self, folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        self.step()?;
        let inside = self.seen.iter().filter(|(path, _)| path.starts_with(folder));
        let files = inside.filter_map(|(path, node)| match node {
            Node::File(FileId(id)) => Some((path.clone(), self.contents[*id].seen.clone())),
            Node::Folder => None,
        });
        Ok(files.collect())
    }
}

fn no_space() -> io::Error {
    io::Error::new(ErrorKind::StorageFull, "planted: no space left on the device")
}
