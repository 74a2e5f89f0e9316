//! Which Parquet files exist: the state, and the steps that change it.
//!
//! The index is kept as [`Segment`]s, each of them one step, and now and then a base, the whole
//! [`FileIndex`] after a step. A file is in one of three states: part of its table; removed, that
//! is no longer part of it while its object stays for queries that still read it; and deleted,
//! that is forgotten.

mod codec;
pub mod manifest;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use codec::{DecodeError, decode_base, decode_segment, encode_base, encode_segment};

use crate::ids::{DbId, TableId};
use crate::snapshot::{COMPACTED_IDS, ParquetFile, PlacedMark, Stamps};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How many durable snapshots are remembered. Only those matter whose marks may be found in the
/// log again, and that is cleaned up long before so many are taken.
pub const SNAPSHOTS_KEPT: usize = 1000;

/// One step of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Random at each start of a process: tells our own segment from a rival's.
    pub writer: u128,
    /// Number of the step: 1, 2, 3 and so on.
    pub sequence: u64,
    /// The snapshot that became durable with this step.
    pub snapshot: Option<PlacedMark>,
    /// Files that are now part of their tables.
    pub added: Vec<ParquetFile>,
    /// Files that no longer are. Their objects stay for a grace period.
    pub removed: Vec<RemovedFile>,
    /// Ids of removed files whose objects are gone.
    pub deleted: Vec<u64>,
    /// Where deletions of rows stand in the order of writes.
    pub cuts: Vec<Cut>,
}

/// Where a deletion of rows stands in the order of writes: it concerns what was written up to this
/// stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Number of the deletion in the catalog.
    pub tombstone: u64,
    /// The stamp.
    pub stamp: i64,
}

/// Why a file is no longer part of its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removal {
    /// All its rows are past retention.
    #[default]
    Expired,
    /// Its table was deleted.
    Dropped,
    /// Its rows are in files that this step added.
    Superseded {
        /// Number of the step.
        by: u64,
    },
}

impl Removal {
    /// As it is stored: the cause, and the step.
    fn code(self) -> (u64, u64) {
        match self {
            Self::Expired => (0, 0),
            Self::Dropped => (1, 0),
            Self::Superseded { by } => (2, by),
        }
    }

    fn of_code(code: (u64, u64)) -> Option<Self> {
        match code {
            (0, 0) => Some(Self::Expired),
            (1, 0) => Some(Self::Dropped),
            (2, by) => Some(Self::Superseded { by }),
            _ => None,
        }
    }
}

/// That a file is no longer part of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedFile {
    /// The file.
    pub id: u64,
    /// Since when, nanoseconds since 1970.
    pub removed_at_ns: i64,
    /// Why.
    pub why: Removal,
}

/// A file that is no longer part of its table, whose object may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerFile {
    /// The file.
    pub file: Arc<ParquetFile>,
    /// Since when, nanoseconds since 1970.
    pub removed_at_ns: i64,
    /// Why.
    pub why: Removal,
}

/// Whether one file with all their rows may stand in the place of `inputs`, which are of one table:
/// nobody else of `others`, the files of that table, has rows of the same times that were written in
/// between. Else it could not be told any more which of two values is newer.
pub fn may_be_one<'a>(
    inputs: &[&ParquetFile],
    others: impl Iterator<Item = &'a ParquetFile>,
) -> bool {
    let hull = inputs.iter().fold(None, |hull: Option<(i64, i64, Stamps)>, file| {
        let (min, max, order) = (file.min_time_ns, file.max_time_ns, file.order);
        Some(match hull {
            None => (min, max, order),
            Some((first, last, stretch)) => (first.min(min), last.max(max), stretch.to(order)),
        })
    });
    let Some((first, last, stretch)) = hull else { return false };
    let ids: BTreeSet<u64> = inputs.iter().map(|file| file.id).collect();
    let mut others = others.filter(|other| !ids.contains(&other.id));
    others.all(|other| {
        let shares_time = other.min_time_ns <= last && first <= other.max_time_ns;
        !shares_time || !other.order.overlaps(stretch)
    })
}

/// Why a step does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A step is missing, or came twice.
    #[error("index segment {found} does not follow index state {state}")]
    Sequence {
        /// The last step that the state includes.
        state: u64,
        /// The step.
        found: u64,
    },
    /// Snapshots have rising numbers.
    #[error("snapshot {found} does not follow snapshot {last}")]
    Snapshot {
        /// The last one.
        last: u64,
        /// The one of the step.
        found: u64,
    },
    /// The id of an added file is that of another.
    #[error("file id {0} cannot be added: it is in use")]
    FileIdInUse(u64),
    /// A removed file is not part of any table.
    #[error("file {0} cannot be removed: it is not part of a table")]
    NotAFile(u64),
    /// A deleted file was not removed before.
    #[error("file {0} cannot be deleted: it was not removed")]
    NotRemoved(u64),
}

/// Which Parquet files there are after some step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIndex {
    sequence: u64,
    next_file_id: u64,
    next_compacted_id: u64,
    snapshots: VecDeque<PlacedMark>,
    files: BTreeMap<u64, Arc<ParquetFile>>,
    removed: BTreeMap<u64, FormerFile>,
    /// Stamps by the number of the deletion.
    cuts: BTreeMap<u64, i64>,
}

impl Default for FileIndex {
    fn default() -> Self {
        Self {
            sequence: 0,
            next_file_id: 1,
            next_compacted_id: COMPACTED_IDS,
            snapshots: VecDeque::new(),
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            cuts: BTreeMap::new(),
        }
    }
}

impl FileIndex {
    /// Number of the last step that it includes; 0 for none.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// An id that is larger than that of every file of a snapshot there ever was.
    pub fn next_file_id(&self) -> u64 {
        self.next_file_id
    }

    /// An id that is larger than that of every compacted file there ever was.
    pub fn next_compacted_id(&self) -> u64 {
        self.next_compacted_id
    }

    /// The last durable snapshots, oldest first.
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = &PlacedMark> {
        self.snapshots.iter()
    }

    /// Number of the newest durable snapshot; 0 for none.
    pub fn last_snapshot(&self) -> u64 {
        self.snapshots.back().map_or(0, |placed| placed.mark.number)
    }

    /// WAL files up to this one are not needed by the newest durable snapshot; 0 for none.
    pub fn wal_through(&self) -> u64 {
        self.snapshots.back().map_or(0, |placed| placed.mark.wal_through)
    }

    /// No group up to the newest durable snapshot has a larger stamp; the smallest there is when
    /// there is no snapshot.
    pub fn last_stamp(&self) -> i64 {
        self.snapshots.back().map_or(i64::MIN, |placed| placed.stamp)
    }

    /// Every row of a group with this stamp or a smaller one is in a file: whatever becomes a file
    /// later was written later. The smallest there is when there is no snapshot.
    pub fn durable_stamp(&self) -> i64 {
        let stamps = self.snapshots.iter().map(|placed| placed.mark.durable_stamp);
        stamps.max().unwrap_or(i64::MIN)
    }

    /// Whether exactly this snapshot is durable.
    pub fn is_durable(&self, placed: &PlacedMark) -> bool {
        self.snapshots
            .binary_search_by_key(&placed.mark.number, |known| known.mark.number)
            .is_ok_and(|at| self.snapshots.get(at) == Some(placed))
    }

    /// All files that are part of their tables, by id.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Arc<ParquetFile>> {
        self.files.values()
    }

    /// The files of the tables that `wanted` says yes to, by id.
    pub fn files_of(
        &self,
        wanted: impl Fn(DbId, TableId) -> bool,
    ) -> impl Iterator<Item = &Arc<ParquetFile>> {
        self.files.values().filter(move |file| wanted(file.db, file.table))
    }

    /// The file of that id, if it is part of its table.
    pub fn file(&self, id: u64) -> Option<&Arc<ParquetFile>> {
        self.files.get(&id)
    }

    /// The files that are no longer part of their tables and not yet deleted, by id.
    pub fn removed(&self) -> impl ExactSizeIterator<Item = &FormerFile> {
        self.removed.values()
    }

    /// Whether [`FileIndex::apply`] would succeed.
    ///
    /// # Errors
    /// When the step does not follow, or contradicts the state.
    pub fn check(&self, segment: &Segment) -> Result<(), IndexError> {
        if segment.sequence.checked_sub(1) != Some(self.sequence) {
            return Err(IndexError::Sequence { state: self.sequence, found: segment.sequence });
        }
        if let Some(placed) = segment.snapshot {
            let (last, found) = (self.last_snapshot(), placed.mark.number);
            if found <= last {
                return Err(IndexError::Snapshot { last, found });
            }
        }
        let mut seen = BTreeSet::new();
        for id in segment.added.iter().map(|file| file.id) {
            let known = self.files.contains_key(&id) || self.removed.contains_key(&id);
            if known || id == u64::MAX || !seen.insert(id) {
                return Err(IndexError::FileIdInUse(id));
            }
        }
        seen.clear();
        for id in segment.removed.iter().map(|file| file.id) {
            if !self.files.contains_key(&id) || !seen.insert(id) {
                return Err(IndexError::NotAFile(id));
            }
        }
        seen.clear();
        for id in &segment.deleted {
            if !self.removed.contains_key(id) || !seen.insert(*id) {
                return Err(IndexError::NotRemoved(*id));
            }
        }
        Ok(())
    }

    /// Takes one step.
    ///
    /// # Errors
    /// When the step does not follow, or contradicts the state; nothing is changed then.
    pub fn apply(&mut self, segment: &Segment) -> Result<(), IndexError> {
        self.check(segment)?;
        self.sequence = segment.sequence;
        for id in &segment.deleted {
            self.removed.remove(id);
        }
        self.cuts.extend(segment.cuts.iter().map(|cut| (cut.tombstone, cut.stamp)));
        for RemovedFile { id, removed_at_ns, why } in segment.removed.iter().copied() {
            if let Some(file) = self.files.remove(&id) {
                self.removed.insert(id, FormerFile { file, removed_at_ns, why });
            }
        }
        for file in &segment.added {
            let next = match file.id < COMPACTED_IDS {
                true => &mut self.next_file_id,
                false => &mut self.next_compacted_id,
            };
            *next = (*next).max(file.id + 1);
            self.files.insert(file.id, Arc::new(file.clone()));
        }
        if let Some(placed) = segment.snapshot {
            self.snapshots.push_back(placed);
            if self.snapshots.len() > SNAPSHOTS_KEPT {
                self.snapshots.pop_front();
            }
        }
        Ok(())
    }
}
