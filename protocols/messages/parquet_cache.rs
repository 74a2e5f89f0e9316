//! What the `ParquetCache` actor accepts.

use super::Command;
use super::store::SortedRows;
use crate::snapshot::ParquetFile;
use bytes::Bytes;
use std::sync::Arc;

/// Asks for the bytes of a file. Sent by readers, for each file they open.
#[derive(Clone, Debug)]
pub struct LookUp {
    /// Key of the object.
    pub path: Arc<str>,
    /// Size of the object.
    pub size_bytes: u64,
    /// Largest time of any row: old files are not fetched into the cache.
    pub max_time_ns: i64,
}

impl Command for LookUp {
    /// The whole file, or `None` when the reader has to ask the object store.
    type Reply = Option<CachedFile>;
    const NAME: &'static str = "LookUp";
}

/// A file that the cache has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedFile {
    /// All of it.
    pub bytes: Bytes,
    /// True if somebody has compared these bytes with the file's checksum.
    pub is_checked: bool,
}

/// Notes that the bytes of a file in the cache have its checksum. Sent by readers, so that the next
/// one need not compare them again.
#[derive(Clone, Debug)]
pub struct NoteChecked {
    /// Key of the object.
    pub path: Arc<str>,
}

impl Command for NoteChecked {
    type Reply = ();
    const NAME: &'static str = "NoteChecked";
}

/// Puts a file into the cache that was just written. Sent by `Persist` and `Compact`.
#[derive(Clone)]
pub struct Insert {
    /// Key of the object.
    pub path: Arc<str>,
    /// The whole file.
    pub bytes: Bytes,
    /// If not empty: the files that it is to take the place of. It enters only if all of these are
    /// in the cache.
    pub in_place_of: Vec<Arc<str>>,
}

impl std::fmt::Debug for Insert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insert").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Command for Insert {
    type Reply = ();
    const NAME: &'static str = "Insert";
    fn cost_bytes(&self) -> usize {
        256 + self.bytes.len()
    }
}

/// Forgets files whose objects are about to be deleted. Sent by `Index`.
#[derive(Clone, Debug)]
pub struct Evict {
    /// Keys of the objects.
    pub paths: Vec<Arc<str>>,
}

impl Command for Evict {
    type Reply = ();
    const NAME: &'static str = "Evict";
}

/// Makes room when the cache is full. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct PruneDue;

impl Command for PruneDue {
    type Reply = ();
    const NAME: &'static str = "PruneDue";
}

/// Asks for the rows of files in decoded form. Sent by scans, for all files that they read.
#[derive(Clone, Debug)]
pub struct LookUpRows {
    /// The files.
    pub files: Vec<WantedFile>,
    /// Names of the columns that are needed beside the tags and `time`.
    pub columns: Arc<[Arc<str>]>,
}

/// A file whose rows are asked for.
#[derive(Clone, Debug)]
pub struct WantedFile {
    /// Key of the object.
    pub path: Arc<str>,
    /// Identity, size and checksum.
    pub file: Arc<ParquetFile>,
}

impl Command for LookUpRows {
    /// For each file its rows, if the cache has them with all of the columns that the file has, or
    /// `None` when the reader has to decode the file itself.
    type Reply = Vec<Option<Arc<SortedRows>>>;
    const NAME: &'static str = "LookUpRows";
    fn cost_bytes(&self) -> usize {
        256 + self.files.len() * size_of::<WantedFile>()
    }
}
