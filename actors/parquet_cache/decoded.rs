//! The decoded files held, in order of their last use, and those that were asked for.

use protocols::messages::parquet_cache::WantedFile;
use protocols::messages::store::SortedRows;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What remembering a file takes beside its rows, roughly.
const ENTRY_BYTES: usize = 512;

/// Rows that were asked for within this time do not make room for others: where queries go over
/// more files than there is room for, each would find that its own have just gone.
const IN_USE: Duration = Duration::from_secs(10);

/// What there is of a file.
#[derive(Debug)]
pub(super) enum Found {
    Rows(Arc<SortedRows>),
    /// It is worth decoding.
    Worth,
    Nothing,
}

struct Entry {
    wanted: WantedFile,
    state: State,
    /// The names of all columns that were looked for in the file.
    looked_for: HashSet<Arc<str>>,
    rows: Option<Arc<SortedRows>>,
    bytes: usize,
    /// In uses of the cache, and by the clock.
    last_use: (u64, Instant),
}

impl Entry {
    /// The rows, if these columns were looked for in the file.
    fn with(&self, columns: &[Arc<str>]) -> Option<&Arc<SortedRows>> {
        let is_here = |rows: &SortedRows, name: &Arc<str>| {
            rows.rows.column_by_name(name).is_some() || self.looked_for.contains(name)
        };
        self.rows.as_ref().filter(|rows| columns.iter().all(|name| is_here(rows, name)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Decoding,
    /// It cannot be decoded, or takes too much.
    Failed,
}

/// See the module's page. What a query asks for once is only remembered; what is asked for again
/// is worth decoding.
#[derive(Default)]
pub(super) struct DecodedFiles {
    by_id: HashMap<u64, Entry>,
    by_last_use: BTreeMap<u64, u64>,
    used_bytes: usize,
    /// How many files have rows here.
    with_rows: usize,
    uses: u64,
}

impl DecodedFiles {
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// How many files have rows here.
    pub(super) fn len(&self) -> usize {
        self.with_rows
    }

    /// What there is of a file, which counts as a use.
    pub(super) fn look_up(&mut self, wanted: &WantedFile, columns: &[Arc<str>]) -> Found {
        let id = wanted.file.id;
        if self.by_id.get(&id).is_some_and(|entry| entry.wanted.file != wanted.file) {
            self.remove(id);
        }
        self.uses += 1;
        let Some(entry) = self.by_id.get_mut(&id) else {
            let entry = Entry {
                wanted: wanted.clone(),
                state: State::Idle,
                looked_for: HashSet::new(),
                rows: None,
                bytes: ENTRY_BYTES,
                last_use: (self.uses, Instant::now()),
            };
            self.used_bytes += entry.bytes;
            self.by_last_use.insert(self.uses, id);
            self.by_id.insert(id, entry);
            return Found::Nothing;
        };
        self.by_last_use.remove(&entry.last_use.0);
        self.by_last_use.insert(self.uses, id);
        entry.last_use = (self.uses, Instant::now());
        match entry.with(columns) {
            Some(rows) => Found::Rows(Arc::clone(rows)),
            None if entry.state == State::Idle => Found::Worth,
            None => Found::Nothing,
        }
    }

    /// The rows of each of the files, which counts as a use. `None` if those of one are not here: then
    /// none was used.
    pub(super) fn all(
        &mut self,
        files: &[WantedFile],
        columns: &[Arc<str>],
    ) -> Option<Vec<Arc<SortedRows>>> {
        let rows = |wanted: &WantedFile| {
            let entry = self.by_id.get(&wanted.file.id).filter(|e| e.wanted.file == wanted.file)?;
            entry.with(columns).map(Arc::clone)
        };
        let found = files.iter().map(rows).collect::<Option<Vec<_>>>()?;
        files.iter().for_each(|wanted| drop(self.look_up(wanted, columns)));
        Some(found)
    }

    /// Notes that a file is being decoded, and yields what is held of it. `None` if it is gone.
    pub(super) fn begin(&mut self, id: u64) -> Option<Option<Arc<SortedRows>>> {
        let entry = self.by_id.get_mut(&id)?;
        entry.state = State::Decoding;
        Some(entry.rows.clone())
    }

    /// Notes that a file cannot be decoded.
    pub(super) fn fail(&mut self, id: u64) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.state = State::Failed;
        }
    }

    /// Holds the rows of a file, in which `columns` were looked for, if they fit into `bytes_max`.
    pub(super) fn finish(
        &mut self,
        file: &WantedFile,
        columns: &[Arc<str>],
        rows: SortedRows,
        bytes_max: usize,
    ) {
        let id = file.file.id;
        let bytes = ENTRY_BYTES
            + rows.rows.get_array_memory_size()
            + rows.series_starts.len() * size_of::<u32>();
        let Some(entry) = self.by_id.get(&id).filter(|entry| entry.wanted.file == file.file) else {
            return; // evicted meanwhile
        };
        let more = bytes.saturating_sub(entry.bytes);
        if !self.make_room(more, bytes_max) {
            self.fail(id);
            return;
        }
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        self.used_bytes = self.used_bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        self.with_rows += usize::from(entry.rows.is_none());
        entry.rows = Some(Arc::new(rows));
        entry.looked_for.extend(columns.iter().cloned());
        entry.state = State::Idle;
    }

    /// Makes room for so many bytes by forgetting what is not in use. False if there is none.
    pub(super) fn make_room(&mut self, bytes: usize, bytes_max: usize) -> bool {
        let now = Instant::now();
        while self.used_bytes + bytes > bytes_max {
            let oldest = self.by_last_use.first_key_value().map(|(_, id)| *id);
            let idle = |entry: &Entry| now.duration_since(entry.last_use.1) >= IN_USE;
            match oldest {
                Some(id) if self.by_id.get(&id).is_some_and(idle) => self.remove(id),
                _ => return false,
            }
        }
        true
    }

    /// Forgets files, in use or not, until the others fit.
    pub(super) fn shrink(&mut self, bytes_max: usize) {
        while self.used_bytes > bytes_max
            && let Some(id) = self.by_last_use.first_key_value().map(|(_, id)| *id)
        {
            self.remove(id);
        }
    }

    /// Forgets the files with these paths.
    pub(super) fn evict(&mut self, paths: &[Arc<str>]) {
        let paths: HashSet<&str> = paths.iter().map(AsRef::as_ref).collect();
        let gone = self.by_id.values().filter(|entry| paths.contains(&*entry.wanted.path));
        let gone: Vec<u64> = gone.map(|entry| entry.wanted.file.id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: u64) {
        if let Some(entry) = self.by_id.remove(&id) {
            self.by_last_use.remove(&entry.last_use.0);
            self.used_bytes -= entry.bytes;
            self.with_rows -= usize::from(entry.rows.is_some());
        }
    }
}
