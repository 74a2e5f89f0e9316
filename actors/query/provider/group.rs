//! Which inputs of a table have to be merged with each other, and which stand alone.

use super::chunk::{Kept, sort_chunk, unsorted_bytes};
use super::filters::TimeRange;
use super::merge::{Merge, MergeLayout};
use super::plan::Scan;
use super::select::{cut, project, times, within};
use crate::runtime::canary;
use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use protocols::messages::store::{ChunkView, KeepSorted, SortedRows, TableView};
use protocols::schema::TableSchema;
use protocols::snapshot::ParquetFile;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Chunks and files whose time ranges hang together, oldest values first. A key of one group
/// cannot occur in another.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// In the order of their precedence.
    pub(super) chunks: Vec<ChunkView>,
    /// In the order of their precedence, which is below that of any chunk.
    pub(super) files: Vec<Arc<ParquetFile>>,
    /// How many of the chunks are files whose rows are in memory.
    pub(super) decoded: usize,
}

impl Group {
    /// How many files have rows of the group, in memory or not.
    pub(super) fn files_read(&self) -> usize {
        self.files.len() + self.decoded
    }

    /// How many bytes of rows nobody has sorted before.
    pub(super) fn unsorted_bytes(&self) -> usize {
        self.chunks.iter().map(unsorted_bytes).sum()
    }

    /// How many rows there are at most.
    pub(super) fn rows_max(&self) -> usize {
        let rows = |chunk: &ChunkView| {
            let sorted = chunk.sorted.iter().map(|sorted| &sorted.rows);
            sorted.chain(&chunk.unsorted).map(RecordBatch::num_rows).sum::<usize>()
        };
        let files = self.files.iter().map(|file| file.row_count as usize);
        self.chunks.iter().map(rows).chain(files).sum()
    }

    /// True if the rows come in key order.
    pub(super) fn is_in_order(&self, scan: &Scan) -> bool {
        match self.chunks.as_slice() {
            [only] if self.files.is_empty() => match &only.sorted {
                Some(rows) => only.unsorted.is_empty() && in_key_order(rows, scan),
                None => true, // one sort makes all of it
            },
            _ => false,
        }
    }

    /// How many rows are selected, if that is known without reading any.
    pub(super) fn rows_exact(&self, scan: &Scan) -> Option<usize> {
        let [only] = self.chunks.as_slice() else { return None };
        let rows = only.sorted.as_ref().filter(|_| only.unsorted.is_empty())?;
        (self.files.is_empty() && self.extent(scan).1).then(|| rows.rows.num_rows())
    }

    /// Puts the rows of files that are in memory in the place of the files, unless some of the
    /// group's are not: their precedence is among each other.
    pub(super) fn take_decoded(
        &mut self,
        decoded: &HashMap<u64, Arc<SortedRows>>,
        table: &TableSchema,
    ) {
        let rows_of = |file: &Arc<ParquetFile>| {
            let rows = decoded.get(&file.id).filter(|rows| fits(&rows.rows, table))?;
            Some(ChunkView {
                chunk_id: u64::MAX - file.id,
                chunk_time_ns: file.chunk_time_ns,
                sorted: Some(Arc::clone(rows)),
                sorted_batches: 0,
                unsorted: Vec::new(),
                arrived_batches: 0,
                min_time_ns: file.min_time_ns,
                max_time_ns: file.max_time_ns,
            })
        };
        if let Some(rows) = self.files.iter().map(rows_of).collect::<Option<Vec<_>>>() {
            self.decoded = rows.len();
            self.chunks.splice(0..0, rows);
            self.files.clear();
        }
    }

    /// What the times of all rows lie between.
    pub(super) fn times(&self) -> TimeRange {
        let chunks = self.chunks.iter().map(chunk_times);
        let files = self.files.iter().map(|file| file_times(file));
        chunks.chain(files).fold(TimeRange::NONE, TimeRange::to)
    }

    /// What the times of the selected rows lie between, and whether all rows are selected.
    pub(super) fn extent(&self, scan: &Scan) -> (TimeRange, bool) {
        let all = self.times();
        let is_whole = scan.selection.is_every_series() && scan.selection.times.covers(all);
        (all.and(scan.selection.times), is_whole)
    }

    /// The same rows, with the sorted forms in `kept` in the place of what they were made from.
    pub(super) fn with_sorted(&self, kept: &[KeepSorted]) -> Self {
        let mut group = self.clone();
        for chunk in &mut group.chunks {
            if let Some(form) = kept.iter().find(|form| form.chunk_id == chunk.chunk_id) {
                chunk.sorted = Some(Arc::clone(&form.sorted));
                chunk.sorted_batches = form.sorted_batches;
                chunk.unsorted = Vec::new();
            }
        }
        group
    }
}

/// Divides a view into groups, in order of time.
pub(super) fn group_by_time(view: TableView) -> Vec<Group> {
    enum Input {
        Chunk(usize, ChunkView),
        File(Arc<ParquetFile>),
    }
    let chunks = view.chunks.into_iter().enumerate();
    let mut inputs: Vec<(TimeRange, Input)> = chunks
        .map(|(i, chunk)| (chunk_times(&chunk), Input::Chunk(i, chunk)))
        .chain(view.files.into_iter().map(|file| (file_times(&file), Input::File(file))))
        .collect();
    inputs.sort_by_key(|(range, _)| range.min_ns);

    let mut groups: Vec<(Group, Vec<(usize, ChunkView)>)> = Vec::new();
    let mut end = i64::MIN;
    for (range, input) in inputs {
        if groups.is_empty() || range.min_ns > end {
            groups.push(Default::default());
        }
        end = end.max(range.max_ns);
        match (groups.last_mut(), input) {
            (Some((_, chunks)), Input::Chunk(i, chunk)) => chunks.push((i, chunk)),
            (Some((group, _)), Input::File(file)) => group.files.push(file),
            (None, _) => {}
        }
    }
    let in_precedence = |(mut group, mut chunks): (Group, Vec<(usize, ChunkView)>)| {
        chunks.sort_by_key(|(i, _)| *i);
        group.chunks = chunks.into_iter().map(|(_, chunk)| chunk).collect();
        group.files.sort_by_key(|file| file.id);
        if canary::is("older-file-wins") {
            group.files.reverse();
        }
        group
    };
    groups.into_iter().map(in_precedence).collect()
}

/// True if the columns have the types that the table has for them.
fn fits(rows: &RecordBatch, table: &TableSchema) -> bool {
    let table = table.arrow_schema();
    rows.schema_ref().fields().iter().all(|field| {
        table.field_with_name(field.name()).is_ok_and(|f| f.data_type() == field.data_type())
    })
}

fn chunk_times(chunk: &ChunkView) -> TimeRange {
    TimeRange { min_ns: chunk.min_time_ns, max_ns: chunk.max_time_ns }
}

/// The times of a file's rows.
pub(super) fn file_times(file: &ParquetFile) -> TimeRange {
    TimeRange { min_ns: file.min_time_ns, max_ns: file.max_time_ns }
}

/// The selected rows of a group.
pub(super) struct GroupRows {
    /// What their times lie between.
    pub(super) times: TimeRange,
    /// True if every row of the inputs is selected.
    pub(super) is_whole: bool,
    /// Buffered rows that need no merging.
    pub(super) plain: Vec<RecordBatch>,
    /// True if `plain` is in key order.
    pub(super) in_order: bool,
    /// Files that need no merging.
    pub(super) files: Vec<Arc<ParquetFile>>,
    /// What has to be merged.
    pub(super) merge: Option<Merge>,
    /// Sorted forms that are worth keeping.
    pub(super) kept: Vec<Kept>,
}

impl GroupRows {
    /// How many selected rows there are at least, as far as that is known.
    pub(super) fn rows_min(&self) -> usize {
        let plain: usize = self.plain.iter().map(RecordBatch::num_rows).sum();
        let files = self.files.iter().filter(|_| self.is_whole);
        plain + files.map(|file| file.row_count as usize).sum::<usize>()
    }
}

/// A sorted run of buffered rows and what of it is selected.
struct Run {
    sorted: Arc<SortedRows>,
    /// The selected series, at all times.
    series: Vec<Range<usize>>,
    /// The selected rows.
    spans: Vec<Range<usize>>,
    /// What the times of the selected rows lie between.
    times: TimeRange,
}

/// Sorts the chunks of a group and finds out what has to be merged. What the sorting takes is added
/// to `memory`.
pub(super) fn read_group(
    group: &Group,
    scan: &Scan,
    memory: &MemoryReservation,
) -> Result<GroupRows> {
    let mut kept = Vec::new();
    let mut sorted = Vec::new();
    for chunk in &group.chunks {
        let chunk_rows = sort_chunk(chunk, scan, memory)?;
        kept.extend(chunk_rows.kept);
        let within = chunk_times(chunk).and(scan.selection.times);
        sorted.extend(chunk_rows.runs.into_iter().map(|run| (run, within)));
    }
    let (times, is_whole) = group.extent(scan);
    let mut rows = GroupRows {
        times,
        is_whole,
        plain: Vec::new(),
        in_order: false,
        files: Vec::new(),
        merge: None,
        kept,
    };
    if let ([(only, _)], true, true) = (sorted.as_slice(), is_whole, group.files.is_empty()) {
        let every_row = std::iter::once(0..only.rows.num_rows()).collect::<Vec<_>>();
        rows.plain = cut(&project(&only.rows, &scan.schema)?, &every_row, scan.batch_rows)?;
        rows.in_order = in_key_order(only, scan);
        return Ok(rows);
    }
    divide(selected_runs(sorted, scan)?, group.files.clone(), scan, &mut rows)?;
    Ok(rows)
}

/// Puts rows that share their time with another input into a merge, and the others beside it.
/// Files that need a merge are merged as a whole: reading a part of them would cost as much.
fn divide(
    runs: Vec<Run>,
    files: Vec<Arc<ParquetFile>>,
    scan: &Scan,
    rows: &mut GroupRows,
) -> Result<()> {
    let wanted = scan.selection.times;
    let of_files: Vec<TimeRange> = files.iter().map(|f| file_times(f).and(wanted)).collect();
    let of_runs = runs.iter().map(|run| run.times);
    let mut shared = shared_times(of_runs.chain(of_files.iter().copied()).collect());
    let rows_in = |run: &Run, ranges: &[TimeRange]| -> Result<Vec<Range<usize>>> {
        let values = times(&run.sorted.rows)?;
        let found = ranges.iter().flat_map(|r| within(values, &run.series, r.and(wanted)));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|span| span.start);
        Ok(found)
    };
    let mut inputs = Vec::new();
    for run in &runs {
        let spans = if shared.is_empty() { Vec::new() } else { rows_in(run, &shared)? };
        if !spans.is_empty() {
            inputs.push((&run.sorted, spans));
        }
    }
    let is_shared = |shared: &[TimeRange], i: usize| {
        shared.iter().any(|range| !range.and(of_files[i]).is_empty())
    };
    let merged_files = (0..files.len()).filter(|i| is_shared(&shared, *i)).count();
    if inputs.is_empty() || inputs.len() + merged_files < 2 {
        // The times overlap, but the rows do not.
        inputs.clear();
        shared = shared_times(of_files.clone());
    }

    let apart = gaps(&shared);
    for run in &runs {
        let spans = if shared.is_empty() { run.spans.clone() } else { rows_in(run, &apart)? };
        rows.plain.extend(cut(&project(&run.sorted.rows, &scan.schema)?, &spans, scan.batch_rows)?);
    }
    rows.in_order = match runs.as_slice() {
        [only] => in_key_order(&only.sorted, scan),
        _ => false,
    };
    let (merged, alone): (Vec<_>, Vec<_>) =
        files.into_iter().enumerate().partition(|(i, _)| is_shared(&shared, *i));
    rows.files = alone.into_iter().map(|(_, file)| file).collect();
    if inputs.is_empty() && merged.is_empty() {
        return Ok(());
    }
    let layout = MergeLayout::new(scan);
    let first_number = merged.len();
    let numbered = inputs.iter().enumerate();
    let buffered = numbered.map(|(i, (run, spans))| {
        cut(&layout.number(&run.rows, first_number + i)?, spans, scan.batch_rows)
    });
    let buffered = buffered.collect::<Result<_>>()?;
    let files = merged.into_iter().map(|(_, file)| file).collect();
    rows.merge = Some(Merge { layout, files, buffered });
    Ok(())
}

/// What is selected of each run; runs of which nothing is are left out.
fn selected_runs(sorted: Vec<(Arc<SortedRows>, TimeRange)>, scan: &Scan) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for (sorted, bounds) in sorted {
        let series = scan.selection.series(&sorted)?;
        let spans = within(times(&sorted.rows)?, &series, scan.selection.times);
        if !spans.is_empty() {
            runs.push(Run { sorted, series, spans, times: bounds });
        }
    }
    // The bounds are those of a whole chunk. Looking at all times makes them tight; the largest
    // run is spared that, because its times are no more than what the others are held against.
    let rows = |run: &Run| run.spans.iter().map(Range::len).sum::<usize>();
    let largest = (0..runs.len()).max_by_key(|i| rows(&runs[*i]));
    for i in (0..runs.len()).filter(|i| Some(*i) != largest) {
        let values = times(&runs[i].sorted.rows)?;
        let selected = runs[i].spans.iter().flat_map(|span| &values[span.clone()]);
        let exact = selected
            .fold(TimeRange::NONE, |range, t| range.to(TimeRange { min_ns: *t, max_ns: *t }));
        runs[i].times = exact;
    }
    Ok(runs)
}

/// True unless the rows are ordered by a newer tag that is not known here.
fn in_key_order(rows: &SortedRows, scan: &Scan) -> bool {
    rows.key.len() <= scan.table.tags().count()
}

/// The times that lie in more than one of `ranges`, in order.
fn shared_times(mut ranges: Vec<TimeRange>) -> Vec<TimeRange> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.min_ns);
    let mut shared: Vec<TimeRange> = Vec::new();
    let mut end: Option<i64> = None;
    for range in ranges {
        if let Some(end) = end.filter(|end| range.min_ns <= *end) {
            let both = TimeRange { min_ns: range.min_ns, max_ns: range.max_ns.min(end) };
            match shared.last_mut() {
                Some(last) if both.min_ns <= last.max_ns => *last = last.to(both),
                _ => shared.push(both),
            }
        }
        end = end.max(Some(range.max_ns));
    }
    shared
}

/// The times that lie in none of `ranges`, which are in order.
fn gaps(ranges: &[TimeRange]) -> Vec<TimeRange> {
    let mut gaps = Vec::with_capacity(ranges.len() + 1);
    let mut rest = TimeRange::ALL;
    for range in ranges {
        gaps.push(rest.and(range.before()));
        rest = rest.and(range.after());
    }
    gaps.push(rest);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range((min_ns, max_ns): (i64, i64)) -> TimeRange {
        TimeRange { min_ns, max_ns }
    }

    #[track_caller]
    fn check(ranges: &[(i64, i64)], want: &[(i64, i64)]) {
        let shared = shared_times(ranges.iter().copied().map(range).collect());
        assert_eq!(shared, want.iter().copied().map(range).collect::<Vec<_>>());
        let gaps = gaps(&shared);
        for t in -5..40 {
            let at = range((t, t));
            let covers = |ranges: &[TimeRange]| ranges.iter().filter(|r| r.covers(at)).count();
            let all: Vec<_> = ranges.iter().copied().map(range).collect();
            assert_eq!(covers(&shared), usize::from(covers(&all) > 1), "{t}");
            assert_eq!(covers(&gaps), usize::from(covers(&shared) == 0), "{t}");
        }
    }

    #[test]
    fn only_times_of_several_inputs_are_shared() {
        check(&[], &[]);
        check(&[(0, 9)], &[]);
        check(&[(0, 9), (10, 19)], &[]);
        check(&[(0, 9), (9, 19)], &[(9, 9)]);
        check(&[(0, 30), (5, 6), (8, 9)], &[(5, 6), (8, 9)]);
        check(&[(0, 10), (5, 20), (15, 30)], &[(5, 10), (15, 20)]);
        check(&[(0, 10), (0, 10), (0, 10)], &[(0, 10)]);
        check(
            &[(i64::MIN, i64::MAX), (i64::MIN, 3), (30, i64::MAX)],
            &[(i64::MIN, 3), (30, i64::MAX)],
        );
    }
}
