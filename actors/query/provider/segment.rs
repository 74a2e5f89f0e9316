//! The segments of a table: what has to be read together because its rows may have equal keys.

use super::context::{Rows, View};
use super::selection::Selection;
use super::times::TimeRange;
use crate::runtime::canary;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::stats::Precision;
use datafusion::error::Result;
use protocols::messages::store::{ChunkView, SortedRows};
use protocols::row_deletes::RowDelete;
use protocols::schema::TableSchema;
use protocols::snapshot::{ParquetFile, Stamps};
use std::ops::Range;
use std::sync::Arc;

/// The part of the rows that a condition on tags selects, where nobody knows.
const SHARE_GUESS: f64 = 0.01;

/// Limit: of rows with more series than this nobody asks for the part that a condition selects.
const SERIES_ASKED_MAX: usize = 4_096;

/// Where rows are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A chunk of the view, by its number.
    Chunk(u64),
    File(Arc<ParquetFile>),
}

/// Chunks and files whose rows hang together. A key of one segment occurs in no other.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// What the times of the selected rows lie between.
    pub(super) times: TimeRange,
    /// True if every row is selected, so that both ends are times of rows.
    pub(super) is_whole: bool,
    /// Number of selected rows, if known for certain, or else a guess.
    pub(super) rows: Precision<usize>,
    /// True if the rows come in key order.
    pub(super) in_order: bool,
    /// Number of rows that have to be sorted first.
    pub(super) unsorted: usize,
    /// Files whose rows are in memory.
    pub(super) decoded: usize,
    /// True if some of the rows may be deleted.
    pub(super) has_deleted: bool,
    /// In the order of their precedence: where keys are equal, the last one wins.
    pub(super) sources: Vec<Source>,
}

/// A source, and what tells whether it has to be read together with others, and in which order.
/// Sources with bounds on their keys, or with the stretch of writes that they hold, have these here.
struct Found {
    /// What the times of its rows lie between.
    times: TimeRange,
    /// The stretch of writes that its rows come from.
    order: Stamps,
    /// What was written earlier gives way. Parts of one chunk, which have no key in common, follow
    /// each other by their identity.
    precedence: (i64, bool, i64, u64),
    source: Source,
}

impl Found {
    fn new(times: TimeRange, order: Stamps, number: u64, source: Source) -> Self {
        let is_chunk = matches!(source, Source::Chunk(_));
        let precedence = if canary::is("older-file-wins") {
            (order.lo.saturating_neg(), !is_chunk, order.hi.saturating_neg(), u64::MAX - number)
        } else {
            (order.lo, is_chunk, order.hi, number)
        };
        Self { times, order, precedence, source }
    }
}

/// Of sources in the order of their precedence, those that share some time have to be from
/// stretches of writes that do not overlap: else nobody could tell which of two values is newer.
/// Parts of one chunk are from one stretch, and have no key in common. Checked where everything
/// that is written is known to be right.
fn check_order(group: &[Found]) {
    if !cfg!(feature = "simulation") {
        return;
    }
    let known: Vec<_> = group.iter().filter(|found| found.order.lo <= found.order.hi).collect();
    for (i, older) in known.iter().enumerate() {
        for newer in &known[i + 1..] {
            let apart = !older.times.overlaps(newer.times) || !older.order.overlaps(newer.order);
            let is_part = older.order == newer.order;
            assert!(apart || is_part, "{:?} and {:?} overlap", older.source, newer.source);
        }
    }
}

/// The sources of a view that may have rows of `selection`, those together that hang together, in
/// order of time. Left out are files whose rows are all before `files_since_ns`, and then what is all
/// before `since_ns`.
pub(super) fn together(
    view: &View,
    selection: &Selection,
    files_since_ns: i64,
    since_ns: i64,
) -> Result<Vec<Vec<Source>>> {
    let mut found = Vec::with_capacity(view.order.len() + view.files.len());
    for (place, number) in (0..).zip(&view.order) {
        let chunk = view.chunk(*number)?;
        let source = Source::Chunk(*number);
        if all_deleted(&view.deletes_of_chunk(&chunk), chunk_times(&chunk)) {
            continue;
        }
        found.push(Found::new(chunk_times(&chunk), chunk.order, place, source));
    }
    let may_have = |file: &&Arc<ParquetFile>| {
        file.max_time_ns >= files_since_ns && selection.may_be_in(&file.keys)
    };
    for file in view.files.iter().filter(may_have) {
        let source = Source::File(Arc::clone(file));
        if all_deleted(&view.deletes_of_file(file), file_times(file)) {
            continue;
        }
        found.push(Found::new(file_times(file), file.order, file.id, source));
    }
    found.retain(|found| found.times.overlaps(selection.times));
    found.sort_unstable_by_key(|found| found.times.min_ns);
    let mut groups: Vec<(TimeRange, Vec<Found>)> = Vec::new();
    for found in found {
        match groups.last_mut() {
            Some((times, group)) if found.times.min_ns <= times.max_ns => {
                *times = times.to(found.times);
                group.push(found);
            }
            _ => groups.push((found.times, vec![found])),
        }
    }
    groups.retain(|(times, _)| times.max_ns >= since_ns);
    let in_precedence = |(_, mut group): (TimeRange, Vec<Found>)| {
        group.sort_unstable_by_key(|found| found.precedence);
        check_order(&group);
        group.into_iter().map(|found| found.source).collect()
    };
    Ok(groups.into_iter().map(in_precedence).collect())
}

/// True if a delete has taken every row of these times.
fn all_deleted(deletes: &[Arc<RowDelete>], times: TimeRange) -> bool {
    let is_all = |delete: &Arc<RowDelete>| {
        let (min_ns, max_ns) = delete.times_ns();
        delete.tags.is_empty() && TimeRange { min_ns, max_ns }.covers(times)
    };
    deletes.iter().any(is_all)
}

impl Segment {
    /// What is known of `sources` before any of them is read. `share` is the part of the rows that
    /// is selected, about.
    pub(super) fn new(
        sources: Vec<Source>,
        rows: &Rows,
        selection: &Selection,
        table: &TableSchema,
        share: f64,
    ) -> Result<Self> {
        let (mut times, mut rows_max, mut decoded, mut unsorted) = (TimeRange::NONE, 0, 0, 0);
        let mut has_deleted = false;
        for source in &sources {
            let (of_source, number) = match source {
                Source::File(file) => {
                    decoded += usize::from(rows.decoded.contains_key(&file.id));
                    has_deleted |= !rows.view.deletes_of_file(file).is_empty();
                    (file_times(file), file.row_count as usize)
                }
                Source::Chunk(number) => {
                    let chunk = rows.view.chunk(*number)?;
                    let newer: usize = chunk.unsorted.iter().map(RecordBatch::num_rows).sum();
                    let sorted = chunk.sorted.as_ref().map_or(0, |sorted| sorted.rows.num_rows());
                    unsorted += newer;
                    has_deleted |= !rows.view.deletes_of_chunk(&chunk).is_empty();
                    (chunk_times(&chunk), sorted + newer)
                }
            };
            times = times.to(of_source);
            rows_max += number;
        }
        let is_whole = selection.is_all_of(times) && !has_deleted;
        // Sorting may merge rows, and so may reading two sources.
        let is_exact = is_whole && unsorted == 0 && sources.len() == 1;
        let selected = if is_exact {
            Precision::Exact(rows_max)
        } else {
            Precision::Inexact((rows_max as f64 * share).ceil() as usize)
        };
        let times = times.and(selection.times);
        let in_order = is_in_order(&sources, rows, table)?;
        let rows = selected;
        Ok(Self { times, is_whole, rows, in_order, unsorted, decoded, has_deleted, sources })
    }

    /// The same if only rows with times in `wanted` are selected.
    pub(super) fn within(&self, wanted: TimeRange) -> Self {
        if wanted.covers(self.times) {
            return self.clone();
        }
        let times = self.times.and(wanted);
        Self { times, is_whole: false, rows: self.rows.to_inexact(), ..self.clone() }
    }

    /// The files among the sources.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<ParquetFile>> {
        self.sources.iter().filter_map(Source::file)
    }

    /// How many files have to be opened.
    pub(super) fn files_to_open(&self) -> usize {
        self.files().count() - self.decoded
    }

    /// True if all rows are one sorted run in memory: then any part of them is found at once.
    fn is_divisible(&self) -> bool {
        self.sources.len() == 1
            && self.unsorted == 0
            && self.files_to_open() == 0
            && !self.has_deleted
    }
}

/// What one reader takes of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The number of the segment.
    pub(super) segment: usize,
    /// The number of the part, from zero.
    number: usize,
    /// In so many parts the segment is read.
    pub(super) of: usize,
}

/// The parts in which segments are read, in order of time: up to `readers` of a segment that would
/// keep one of them busy while the others have nothing to do, each of a batch of rows or more.
pub(super) fn parts(segments: &[Segment], readers: usize, batch_rows: usize) -> Arc<[Part]> {
    let rows = |segment: &Segment| segment.rows.get_value().copied().unwrap_or(0);
    let fair = segments.iter().map(rows).sum::<usize>() / readers.max(1);
    let rows_min = (fair / 2).max(batch_rows).max(1);
    let of = |segment: &Segment| match segment.is_divisible() {
        true => (rows(segment) / rows_min).clamp(1, readers.max(1)),
        false => 1,
    };
    let numbered = segments.iter().map(of).enumerate();
    let parts = |(segment, of)| (0..of).map(move |number| Part { segment, number, of });
    numbered.flat_map(parts).collect()
}

impl Part {
    /// Its share of so many rows.
    pub(super) fn share(self, rows: usize) -> Range<usize> {
        rows * self.number / self.of..rows * (self.number + 1) / self.of
    }

    /// Its share of the rows in `spans`.
    pub(super) fn share_of(self, spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
        if self.of == 1 {
            return spans;
        }
        let wanted = self.share(spans.iter().map(Range::len).sum());
        let mut before = 0;
        let shared = |span: Range<usize>| {
            let at = |row: usize| span.start + row.clamp(before, before + span.len()) - before;
            let shared = at(wanted.start)..at(wanted.end);
            before += span.len();
            (!shared.is_empty()).then_some(shared)
        };
        spans.into_iter().filter_map(shared).collect()
    }
}

impl Source {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Arc<ParquetFile>> {
        match self {
            Self::File(file) => Some(file),
            Self::Chunk(_) => None,
        }
    }
}

/// True if the rows of all sources together come in key order.
fn is_in_order(sources: &[Source], rows: &Rows, table: &TableSchema) -> Result<bool> {
    Ok(match sources {
        [Source::File(file)] => {
            rows.decoded.get(&file.id).is_none_or(|rows| in_key_order(rows, table))
        }
        [Source::Chunk(number)] => {
            let chunk = rows.view.chunk(*number)?;
            match &chunk.sorted {
                Some(rows) => chunk.unsorted.is_empty() && in_key_order(rows, table),
                None => true, // one sort makes all of it
            }
        }
        _ => false,
    })
}

/// True unless the rows are ordered by a newer tag that is not known here.
fn in_key_order(rows: &SortedRows, table: &TableSchema) -> bool {
    rows.key.len() <= table.tags().count()
}

/// The part of the rows that `selection` takes, judged by the newest of them that are sorted and in
/// memory.
pub(super) fn share(segments: &[Vec<Source>], rows: &Rows, selection: &Selection) -> Result<f64> {
    if selection.is_every_series() {
        return Ok(1.0);
    }
    for source in segments.iter().rev().flatten().rev() {
        let sorted = match source {
            Source::File(file) => rows.decoded.get(&file.id).map(Arc::clone),
            Source::Chunk(number) => rows.view.chunk(*number)?.sorted.clone(),
        };
        if let Some(sorted) = sorted.filter(|s| s.series_starts.len() <= SERIES_ASKED_MAX) {
            return selection.share(&sorted);
        }
    }
    Ok(SHARE_GUESS)
}

/// What the times of a chunk's rows lie between.
pub(super) fn chunk_times(chunk: &ChunkView) -> TimeRange {
    TimeRange { min_ns: chunk.min_time_ns, max_ns: chunk.max_time_ns }
}

/// What the times of a file's rows lie between.
pub(super) fn file_times(file: &ParquetFile) -> TimeRange {
    TimeRange { min_ns: file.min_time_ns, max_ns: file.max_time_ns }
}
