//! Which rows of a segment have to be merged with others, and which stand alone.

use super::context::Deletes;
use super::enough::Enough;
use super::segment::file_times;
use super::selection::{Selection, joined, rows_in, times};
use super::times::TimeRange;
use crate::deleted_rows::without;
use datafusion::error::Result;
use protocols::messages::store::SortedRows;
use protocols::snapshot::ParquetFile;
use std::ops::Range;
use std::sync::Arc;

/// A file, and the deletes that rows of it may be subject to.
#[derive(Clone, Debug)]
pub(super) struct FileRows {
    pub(super) file: Arc<ParquetFile>,
    pub(super) deletes: Deletes,
}

/// An input of a segment.
pub(super) enum Input {
    /// Sorted rows in memory, what their times lie between, and which of them are deleted.
    Sorted(Arc<SortedRows>, TimeRange, Vec<Range<usize>>),
    File(FileRows),
}

/// Selected rows of an input.
#[derive(Debug)]
pub(super) enum Piece {
    Rows(Arc<SortedRows>, Vec<Range<usize>>),
    File(FileRows),
}

/// The selected rows of a segment.
#[derive(Debug, Default)]
pub(super) struct Divided {
    /// Rows whose keys occur nowhere else.
    pub(super) alone: Vec<Piece>,
    /// Rows whose keys may occur in several of these, in the order of precedence.
    pub(super) merged: Vec<Piece>,
}

/// Puts rows that share their time with another input into a merge, and the others beside it.
/// Files that need a merge are merged as a whole: reading a part of them would cost as much.
/// `inputs` are in the order of their precedence.
///
/// What is `enough` of each series is there, and is right. If that is its newest row, it takes of each
/// run that of the series in that run: where the newest key of all inputs is in several of them, it is
/// the newest of each of these.
pub(super) fn divide(
    inputs: Vec<Input>,
    selection: &Selection,
    enough: Option<&Enough>,
) -> Result<Divided> {
    if let [Input::Sorted(only, bounds, deleted)] = inputs.as_slice()
        && enough.is_none()
        && selection.is_all_of(*bounds)
        && deleted.is_empty()
    {
        let every_row = std::iter::once(0..only.rows.num_rows()).collect();
        let alone = vec![Piece::Rows(Arc::clone(only), every_row)];
        return Ok(Divided { alone, merged: Vec::new() });
    }
    let inputs = selected(inputs, selection, enough)?;
    let mut shared = shared_times(wholes(inputs.iter()));
    let mut merged = within(&inputs, &shared)?;
    let has_rows = merged.iter().any(|piece| matches!(piece, Piece::Rows(..)));
    if merged.len() < 2 || !has_rows {
        // The times overlap, but the rows do not, unless some are in files.
        let files = inputs.iter().filter(|input| matches!(input, Selected::File(..)));
        shared = shared_times(wholes(files));
        merged = within(&inputs, &shared)?;
    }
    let apart = gaps(&shared);
    let mut alone = Vec::new();
    for input in inputs {
        alone.extend(match input {
            Selected::Run(run) if shared.is_empty() => Some(run.alone(enough)?),
            Selected::Run(run) => run.within(&apart)?,
            Selected::File(file, times) => {
                (!overlaps_any(times, &shared)).then_some(Piece::File(file))
            }
        });
    }
    Ok(Divided { alone, merged })
}

/// What is selected of an input.
enum Selected {
    Run(Run),
    /// A file, and what the times of its selected rows lie between.
    File(FileRows, TimeRange),
}

/// A sorted run of rows and what of it is selected.
struct Run {
    sorted: Arc<SortedRows>,
    /// The selected series without what is deleted of them, at all times, or what is enough of each.
    series: Vec<Range<usize>>,
    /// The selected rows.
    spans: Vec<Range<usize>>,
    /// What the times of the selected rows lie between.
    times: TimeRange,
    /// The span that is selected.
    wanted: TimeRange,
}

impl Selected {
    fn times(&self) -> TimeRange {
        match self {
            Self::Run(run) => run.times,
            Self::File(_, times) => *times,
        }
    }
}

impl Run {
    /// The selected rows whose times lie in `ranges`.
    fn within(&self, ranges: &[TimeRange]) -> Result<Option<Piece>> {
        let values = times(&self.sorted.rows)?;
        let found = ranges.iter().flat_map(|r| rows_in(values, &self.series, r.and(self.wanted)));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|span| span.start);
        Ok((!found.is_empty()).then(|| Piece::Rows(Arc::clone(&self.sorted), found)))
    }

    /// The selected rows, or what is enough of them: no other input has such keys.
    fn alone(self, enough: Option<&Enough>) -> Result<Piece> {
        let needed = enough.map(|e| e.alone(&self.sorted.rows, &self.series, self.wanted));
        let spans = needed.transpose()?.flatten().unwrap_or(self.spans);
        Ok(Piece::Rows(self.sorted, spans))
    }

    /// Makes `times` tight.
    fn look_at_times(&mut self) -> Result<()> {
        let values = times(&self.sorted.rows)?;
        let selected = self.spans.iter().flat_map(|span| &values[span.clone()]);
        self.times = selected
            .fold(TimeRange::NONE, |range, t| range.to(TimeRange { min_ns: *t, max_ns: *t }));
        Ok(())
    }
}

/// What the times of the inputs lie between, those of the parts of one chunk or window together: such
/// parts have no key in common. `inputs` are in the order of their precedence.
fn wholes<'a>(inputs: impl Iterator<Item = &'a Selected>) -> Vec<TimeRange> {
    let mut ranges: Vec<(TimeRange, Option<&ParquetFile>)> = Vec::new();
    for input in inputs {
        let file = match input {
            Selected::File(rows, _) => Some(rows.file.as_ref()),
            Selected::Run(_) => None,
        };
        match (ranges.last_mut(), file) {
            (Some((times, Some(before))), Some(file)) if before.is_part_with(file) => {
                *times = times.to(input.times());
            }
            _ => ranges.push((input.times(), file)),
        }
    }
    ranges.into_iter().map(|(times, _)| times).collect()
}

/// What has to be read for the rows in `ranges`: of a file all of it.
fn within(inputs: &[Selected], ranges: &[TimeRange]) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for input in inputs.iter().filter(|input| overlaps_any(input.times(), ranges)) {
        pieces.extend(match input {
            Selected::Run(run) => run.within(ranges)?,
            Selected::File(file, _) => Some(Piece::File(file.clone())),
        });
    }
    Ok(pieces)
}

fn overlaps_any(times: TimeRange, ranges: &[TimeRange]) -> bool {
    ranges.iter().any(|range| range.overlaps(times))
}

/// What is selected of each input; runs of which nothing is are left out.
fn selected(
    inputs: Vec<Input>,
    selection: &Selection,
    enough: Option<&Enough>,
) -> Result<Vec<Selected>> {
    let wanted = selection.times;
    let mut found = Vec::new();
    for input in inputs {
        match input {
            Input::File(file) => {
                let times = file_times(&file.file).and(wanted);
                found.push(Selected::File(file, times));
            }
            Input::Sorted(sorted, bounds, deleted) => {
                let mut series = without(selection.series(&sorted)?, &deleted);
                if let Some(enough) = enough {
                    series = enough.beside_others(&sorted, series, wanted)?;
                }
                let spans = match wanted.covers(bounds) {
                    true => joined(&series),
                    false => rows_in(times(&sorted.rows)?, &series, wanted),
                };
                if !spans.is_empty() {
                    let times = bounds.and(wanted);
                    found.push(Selected::Run(Run { sorted, series, spans, times, wanted }));
                }
            }
        }
    }
    // The bounds are those of a whole chunk. Looking at all times makes them tight; the largest
    // run is spared that, because its times are no more than what the others are held against.
    let mut runs: Vec<&mut Run> = Vec::new();
    for input in &mut found {
        if let Selected::Run(run) = input {
            runs.push(run);
        }
    }
    runs.sort_by_key(|run| run.spans.iter().map(Range::len).sum::<usize>());
    runs.pop();
    runs.into_iter().try_for_each(Run::look_at_times)?;
    Ok(found)
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
    use protocols::ids::{DbId, TableId};
    use protocols::snapshot::{Compacted, Keys, Stamps};

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

    /// A part of a compacted window.
    fn part(id: u64, nonce: u64, times: (i64, i64)) -> Selected {
        let file = ParquetFile {
            id,
            db: DbId(1),
            table: TableId(1),
            chunk_time_ns: 0,
            wal_file: 0,
            part: id as u32,
            size_bytes: 1,
            row_count: 1,
            min_time_ns: times.0,
            max_time_ns: times.1,
            crc32: 0,
            order: Stamps { lo: 1, hi: 2 },
            keys: Keys::default(),
            compacted: Some(Compacted { generation: 5, nonce, deletes_through: 0 }),
        };
        let file = FileRows { file: Arc::new(file), deletes: Vec::new() };
        Selected::File(file, range(times))
    }

    #[test]
    fn parts_of_one_window_share_no_time_with_each_other() {
        let parts = [part(1, 7, (0, 20)), part(2, 7, (5, 30)), part(3, 7, (0, 25))];
        assert_eq!(wholes(parts.iter()), [range((0, 30))]);
        let with_another = [part(1, 7, (0, 20)), part(2, 7, (5, 30)), part(3, 8, (0, 25))];
        let ranges = wholes(with_another.iter());
        assert_eq!(ranges, [range((0, 30)), range((0, 25))]);
        assert_eq!(shared_times(ranges), [range((0, 25))]);
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
