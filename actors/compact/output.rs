//! Merged rows on their way into files: how long a file is, and where it ends.
//!
//! A file ends between two series where it can, so that the files of one window have no series in
//! common: one that may not find room any more begins the next file. A single series that is too much
//! for a file is cut by time.

use crate::file_writer::{Encoder, key_at};
use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampNanosecondType;
use bytes::Bytes;
use protocols::messages::store::SortedRows;
use protocols::schema::{IndexedColumns, TIME_COLUMN, TableSchema};
use protocols::series_blocks::SeriesBlocks;
use protocols::snapshot::Keys;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A file ends behind a series once it has so many bytes.
const FILE_BYTES: usize = 64 * 1024 * 1024;
/// And within a series at a quarter more.
const SERIES_FACTOR: usize = 4;
/// Series that take more than this part of a file are cut where a file ends.
const SERIES_PART: usize = 4;
/// So many rows are given to the encoder before it is asked again how large the file is.
const SLICE_ROWS: usize = 10_000;

/// A file before it is stored.
pub(super) struct Finished {
    pub(super) bytes: Bytes,
    pub(super) row_count: u64,
    pub(super) min_time_ns: i64,
    pub(super) max_time_ns: i64,
    pub(super) keys: Keys,
}

/// See the page of this file.
pub(super) struct Output {
    /// The table with all its tags, whether the files have them or not.
    table: Arc<TableSchema>,
    file: Option<File>,
    /// The tags of the rows that came last, as bytes.
    last_series: Option<Vec<u8>>,
    /// So many rows of that series there were so far, and of the longest one.
    series_rows: usize,
    longest: usize,
    rows_max: usize,
    bytes: Range<usize>,
    /// The columns that files are indexed by; all tags if none were chosen.
    indexed: Option<IndexedColumns>,
    finished: VecDeque<Finished>,
}

struct File {
    encoder: Encoder,
    min_time_ns: i64,
    max_time_ns: i64,
    series: u64,
    blocks: SeriesBlocks,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
}

impl Output {
    /// Files of so many rows at most, and of so many bytes that they take in memory meanwhile, indexed
    /// by columns that were chosen or by all tags.
    pub(super) fn new(
        table: &Arc<TableSchema>,
        rows_max: Option<usize>,
        bytes_max: usize,
        indexed: Option<IndexedColumns>,
    ) -> Self {
        let bytes = FILE_BYTES.min(bytes_max);
        Self {
            table: Arc::clone(table),
            file: None,
            last_series: None,
            series_rows: 0,
            longest: 0,
            rows_max: rows_max.unwrap_or(usize::MAX).max(1),
            bytes: bytes..bytes + bytes / SERIES_FACTOR,
            indexed,
            finished: VecDeque::new(),
        }
    }

    /// Takes the next rows.
    pub(super) fn write(&mut self, sorted: &SortedRows) -> anyhow::Result<()> {
        let rows = &sorted.rows;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let first = key_at(rows, 0, &self.table)?;
        let is_new_series = self.last_series.as_ref() != Some(&first);
        let starts: Vec<usize> = match is_new_series {
            true => sorted.series_starts.iter().map(|start| *start as usize).collect(),
            false => sorted.series_starts.iter().skip(1).map(|start| *start as usize).collect(),
        };
        self.measure_series(&starts, rows.num_rows());
        let mut from = 0;
        while from < rows.num_rows() {
            let (to, ends) = self.stretch(from, rows.num_rows(), &starts);
            if to > from {
                let within = starts.iter().filter(|start| (from..to).contains(*start));
                let starts: Vec<usize> = within.map(|start| start - from).collect();
                self.add(&rows.slice(from, to - from), &starts)?;
            }
            if ends {
                self.end_file()?;
            }
            from = to;
        }
        self.last_series = Some(key_at(rows, rows.num_rows() - 1, &self.table)?);
        Ok(())
    }

    /// Notes how long series are.
    fn measure_series(&mut self, starts: &[usize], rows: usize) {
        let mut from = 0;
        for start in starts {
            self.longest = self.longest.max(self.series_rows + start - from);
            self.series_rows = 0;
            from = *start;
        }
        self.series_rows += rows - from;
    }

    /// Up to which row, of those from `from` on, the rows go to the file that is open, and whether
    /// it ends there. Series begin at `starts`.
    fn stretch(&self, from: usize, rows: usize, starts: &[usize]) -> (usize, bool) {
        let (held_rows, held_bytes) = match &self.file {
            Some(file) => (file.encoder.rows(), file.encoder.bytes()),
            None => (0, 0),
        };
        let next_start = |at: usize| starts.iter().find(|start| **start >= at).copied();
        if held_bytes >= self.bytes.start {
            // It is long enough: up to the next series, if that is near.
            return match next_start(from) {
                Some(start) if start - from <= SLICE_ROWS => (start, true),
                _ if held_bytes >= self.bytes.end => (from, true),
                _ => (rows.min(from + SLICE_ROWS), false),
            };
        }
        let room = self.rows_max - held_rows.min(self.rows_max);
        let to = rows.min(from + room.min(SLICE_ROWS));
        // A series that may be too long for what is left begins the next file.
        let longest = self.longest.min(self.rows_max / SERIES_PART);
        let is_too_long = |start: &&usize| {
            let before = **start - from;
            room - before < longest && held_rows + before > 0
        };
        let mut near = starts.iter().filter(|start| (from..=to).contains(*start));
        if let Some(start) = near.find(is_too_long) {
            return (*start, true);
        }
        if room > SLICE_ROWS || rows - from <= room {
            return (to, rows - from == room && to == rows);
        }
        // It gets full within these rows: at the last start of a series that has room.
        let fits = starts.iter().rfind(|start| **start >= from && **start <= from + room);
        match fits {
            Some(start) if *start > from || held_rows > 0 => (*start, true),
            _ => (from + room, true),
        }
    }

    /// Adds rows to the file that is open. Series begin at `starts`.
    fn add(&mut self, rows: &RecordBatch, starts: &[usize]) -> anyhow::Result<()> {
        let times = rows.column_by_name(TIME_COLUMN);
        let times = times.and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
        let times = times.context("rows without a time column")?;
        let first_key = key_at(rows, 0, &self.table)?;
        let file = self.file.get_or_insert_with(|| File {
            encoder: Encoder::new(rows.schema_ref(), self.indexed.clone()),
            min_time_ns: i64::MAX,
            max_time_ns: i64::MIN,
            series: 0,
            blocks: SeriesBlocks::default(),
            first_key,
            last_key: Vec::new(),
        });
        file.last_key = key_at(rows, rows.num_rows() - 1, &self.table)?;
        for time in times.values() {
            file.min_time_ns = file.min_time_ns.min(*time);
            file.max_time_ns = file.max_time_ns.max(*time);
        }
        // A file that begins within a series has that one too.
        file.series += (starts.len() as u64).max(u64::from(file.series == 0));
        let goes_on = starts.first() != Some(&0);
        let begins = std::iter::once(0).filter(|_| goes_on).chain(starts.iter().copied());
        let ends = starts.iter().copied().skip(usize::from(!goes_on)).chain([rows.num_rows()]);
        for (number, (begin, end)) in begins.zip(ends).enumerate() {
            let times = times.values().get(begin..end).context("a series that ends early")?;
            file.blocks.add(number > 0 || !goes_on, times);
        }
        Ok(file.encoder.write(rows, file.series)?)
    }

    fn end_file(&mut self) -> anyhow::Result<()> {
        if let Some(file) = self.file.take() {
            self.finished.push_back(Finished {
                row_count: file.encoder.rows() as u64,
                bytes: file.encoder.finish(&file.blocks)?,
                min_time_ns: file.min_time_ns,
                max_time_ns: file.max_time_ns,
                keys: Keys::between(file.series, &file.first_key, &file.last_key),
            });
        }
        Ok(())
    }

    /// No rows follow.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        self.end_file()
    }

    /// The next file that is whole.
    pub(super) fn take(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// What files are made of that are not stored yet.
    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }
}
