//! Files that are read one after the other, as if they were one.

use crate::file_writer::ROW_GROUP_ROWS;
use protocols::file_blocks::LISTED_BYTES_MIN;
use protocols::snapshot::{ParquetFile, Stamps};
use std::sync::Arc;

/// What an open file takes beside the row group that is read: rows that were decoded, and those that
/// are merged with others.
const DECODED_BYTES: u64 = 1024 * 1024;

/// The parts of one chunk or of one window, or a file that is no part of anything.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// In the order of their keys.
    pub(super) files: Vec<Arc<ParquetFile>>,
    pub(super) order: Stamps,
    pub(super) generation: u8,
    pub(super) min_time_ns: i64,
    pub(super) max_time_ns: i64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// Memory that it takes to have one of the files open.
    pub(super) open_bytes: u64,
}

impl Run {
    fn of(file: &Arc<ParquetFile>) -> Self {
        Self {
            files: vec![Arc::clone(file)],
            order: file.order,
            generation: file.generation(),
            min_time_ns: file.min_time_ns,
            max_time_ns: file.max_time_ns,
            bytes: file.size_bytes,
            rows: file.row_count,
            open_bytes: open_bytes(file),
        }
    }

    fn add(&mut self, file: &Arc<ParquetFile>) {
        self.min_time_ns = self.min_time_ns.min(file.min_time_ns);
        self.max_time_ns = self.max_time_ns.max(file.max_time_ns);
        self.bytes += file.size_bytes;
        self.rows += file.row_count;
        self.open_bytes = self.open_bytes.max(open_bytes(file));
        self.files.push(Arc::clone(file));
    }

    pub(super) fn first_id(&self) -> u64 {
        self.files.first().map_or(0, |file| file.id)
    }
}

/// Memory that it takes to have a file open: small ones are read whole, of others one row group.
pub(super) fn open_bytes(file: &ParquetFile) -> u64 {
    let group_rows = file.row_count.clamp(1, ROW_GROUP_ROWS as u64);
    let of_group = file.size_bytes / file.row_count.max(1) * group_rows;
    let read = of_group.max(LISTED_BYTES_MIN as u64).min(file.size_bytes);
    read + DECODED_BYTES.min(4 * read)
}

/// The files as runs, in no particular order.
pub(super) fn runs(files: &[Arc<ParquetFile>]) -> Vec<Run> {
    let mut files: Vec<&Arc<ParquetFile>> = files.iter().collect();
    let compacted = |file: &ParquetFile| file.compacted.map_or((0, 0), |c| (c.generation, c.nonce));
    files.sort_by_key(|file| {
        (file.chunk_time_ns, file.order, file.wal_file, compacted(file), file.part)
    });
    let mut runs: Vec<Run> = Vec::new();
    for file in files {
        match runs.last_mut() {
            Some(run) if run.files.first().is_some_and(|first| first.is_part_with(file)) => {
                run.add(file);
            }
            _ => runs.push(Run::of(file)),
        }
    }
    runs
}
