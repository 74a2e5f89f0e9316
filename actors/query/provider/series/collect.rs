//! Keeping of rows that come in any order those that may be shown.

use super::super::groups::{GroupName, Groups};
use super::cells::shown;
use super::cut::Cut;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, interleave_record_batch, partition, take, take_record_batch};
use arrow::datatypes::{SchemaRef, TimestampNanosecondType};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use hashbrown::HashMap;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;
use std::sync::Arc;

/// Rows that are kept although better ones came, at least.
const OUTDATED_ROWS_MAX: usize = 65_536;

/// The rows that may be shown.
pub(super) struct Collect {
    schema: SchemaRef,
    cut: Arc<Cut>,
    names: RowConverter,
    by_name: HashMap<GroupName, usize>,
    /// The names of the first series, where not all are shown.
    first: BTreeSet<GroupName>,
    series: Vec<Series>,
    batches: Vec<RecordBatch>,
    kept: Vec<Kept>,
    /// When rows that are not needed are let go of.
    compact_at: usize,
}

/// What is known of a series.
struct Series {
    /// For each column that is cut the best ranks, the worst of these first. Nothing as long as a row
    /// with all of them is the worst that is needed, if any is.
    best: Vec<BinaryHeap<i64>>,
    /// Rows of a higher rank are not shown.
    worst: Option<i64>,
    /// The lowest rank of all rows.
    first: i64,
    /// True if no further row is taken: all are known, or the series comes after as many others as are
    /// shown.
    is_closed: bool,
    /// True if it comes after as many others as are shown.
    is_out: bool,
}

/// A row that may be shown.
struct Kept {
    batch: usize,
    row: usize,
    series: usize,
    rank: i64,
}

/// A row in front of a series.
struct Candidate<'a> {
    rank: i64,
    /// True if each of the columns has a value.
    is_full: bool,
    /// True if the column has one.
    is_there: &'a dyn Fn(usize) -> bool,
}

impl Series {
    const NEW: Self =
        Self { best: Vec::new(), worst: None, first: i64::MAX, is_closed: false, is_out: false };

    /// True if a row may be shown of which so many values of so many columns are wanted.
    fn takes(&mut self, row: &Candidate<'_>, wanted: usize, columns: usize) -> bool {
        let Candidate { rank, is_full, is_there } = *row;
        self.first = self.first.min(rank);
        if self.is_closed || self.worst.is_some_and(|worst| rank > worst) {
            return false;
        }
        if wanted == usize::MAX || (self.best.is_empty() && self.worst == Some(rank)) {
            return is_full || (0..columns).any(is_there);
        }
        if wanted == 1 && is_full {
            // Older values of any column are not shown; that newer ones of some are known is no matter.
            self.worst = Some(rank);
            self.best.clear();
            return true;
        }
        if self.best.is_empty() {
            self.best = vec![self.worst.into_iter().collect(); columns];
        }
        self.takes_values(rank, wanted, is_there)
    }

    /// The same for a row that has some of the values.
    fn takes_values(&mut self, rank: i64, wanted: usize, is_there: &dyn Fn(usize) -> bool) -> bool {
        let (mut takes, mut has_changed) = (false, false);
        for (_, best) in self.best.iter_mut().enumerate().filter(|(at, _)| is_there(*at)) {
            if best.len() < wanted {
                best.push(rank);
                (takes, has_changed) = (true, true);
            } else if let Some(mut worst) = best.peek_mut() {
                takes |= rank <= *worst;
                if rank < *worst {
                    *worst = rank;
                    has_changed = true;
                }
            }
        }
        if has_changed && self.best.iter().all(|best| best.len() == wanted) {
            self.worst = self.best.iter().filter_map(BinaryHeap::peek).copied().max();
        }
        takes
    }

    /// True if a row may be shown that was taken.
    fn keeps(&self, rank: i64) -> bool {
        !self.is_out && self.worst.is_none_or(|worst| rank <= worst)
    }
}

/// Who is told of which series no further row is needed, and when.
#[derive(Clone, Copy)]
pub(super) enum Tells<'a> {
    Nobody,
    /// As soon as a row of it was there: it is a newest one.
    AtFirst(&'a Groups),
    /// As soon as there are so many that none after them is shown.
    AtLast(&'a Groups),
}

impl Tells<'_> {
    /// Tells of the series of the rows `heads` of `columns`.
    fn of(self, columns: &[ArrayRef], heads: Vec<u32>) -> Result<()> {
        let (Self::AtFirst(met) | Self::AtLast(met)) = self else { return Ok(()) };
        if heads.is_empty() {
            return Ok(());
        }
        let heads = UInt32Array::from(heads);
        let tags = columns.iter().map(|column| Ok(take(column, &heads, None)?));
        met.meet_all(tags.collect::<Result<_>>()?, heads.len())
    }
}

impl Collect {
    /// Keeps nothing so far.
    pub(super) fn new(schema: SchemaRef, cut: Arc<Cut>) -> Result<Self> {
        Ok(Self {
            names: converter(&schema, &cut.series)?,
            schema,
            cut,
            by_name: HashMap::new(),
            first: BTreeSet::new(),
            series: Vec::new(),
            batches: Vec::new(),
            kept: Vec::new(),
            compact_at: OUTDATED_ROWS_MAX,
        })
    }

    /// Looks at all of `rows`.
    pub(super) async fn read(
        &mut self,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
        tells: Tells<'_>,
        baseline: &BaselineMetrics,
    ) -> Result<()> {
        while let Some(batch) = rows.try_next().await? {
            let timer = baseline.elapsed_compute().timer();
            self.offer(&batch, tells)?;
            if self.kept.len() > self.compact_at {
                self.compact()?;
            }
            timer.done();
        }
        Ok(())
    }

    /// Where a newest row of each series was read: closes the series of which nothing else is shown, and
    /// tells `met` of them unless these are all; the others begin anew. True if there are no others.
    pub(super) fn settle(&mut self, met: &Groups) -> Result<bool> {
        let mut is_all = true;
        for series in &mut self.series {
            if series.worst == Some(series.first) {
                series.is_closed = true;
            } else {
                (*series, is_all) = (Series::NEW, false);
            }
        }
        if is_all {
            return Ok(true);
        }
        let series = &self.series;
        self.kept.retain(|kept| series[kept.series].is_closed);
        if !self.kept.is_empty() {
            let rows = self.whole()?;
            let tags = self.cut.series.iter().map(|at| Arc::clone(rows.column(*at)));
            met.meet_all(tags.collect(), rows.num_rows())?;
        }
        Ok(false)
    }

    /// The rows that are shown, in order, in batches of so many.
    pub(super) fn shown(
        self,
        batch_rows: usize,
        baseline: &BaselineMetrics,
    ) -> Result<Vec<RecordBatch>> {
        let timer = baseline.elapsed_compute().timer();
        let shown = self.take()?;
        timer.done();
        let (rows, batch_rows) = (shown.num_rows(), batch_rows.max(1));
        let part = |start: usize| shown.slice(start, batch_rows.min(rows - start));
        baseline.record_output(rows);
        Ok((0..rows).step_by(batch_rows).map(part).collect())
    }

    fn offer(&mut self, batch: &RecordBatch, tells: Tells<'_>) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let times = batch.column(self.cut.time).as_primitive_opt::<TimestampNanosecondType>();
        let times = times.ok_or_else(|| exec_datafusion_err!("rows without a time column"))?;
        let columns: Vec<ArrayRef> =
            self.cut.series.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        let runs = match columns.is_empty() {
            true => std::iter::once(0..batch.num_rows()).collect(),
            false => partition(&columns)?.ranges(),
        };
        let nulls: Vec<Option<NullBuffer>> =
            self.cut.fields.iter().map(|at| batch.column(*at).logical_nulls()).collect();
        let any_null = nulls.iter().fold(None, |all: Option<NullBuffer>, nulls| {
            NullBuffer::union(all.as_ref(), nulls.as_ref())
        });
        let (wanted, counts) = (self.cut.wanted(), self.cut.fields.len().max(1));
        let names = self.names_of(&columns, &runs)?;
        let (mut chosen, mut heads) = (Vec::new(), Vec::new());
        for (number, run) in runs.into_iter().enumerate() {
            let name = names.as_ref().map_or(&[][..], |names| names.row(number).data());
            let Some(id) = self.series_of(name) else { continue };
            let (was_new, was_full) =
                (self.series[id].first == i64::MAX, self.series[id].worst.is_some());
            for step in 0..run.len() {
                let row = match self.cut.descending {
                    true => run.end - 1 - step,
                    false => run.start + step,
                };
                let rank = self.rank(times.value(row));
                let candidate = Candidate {
                    rank,
                    is_full: any_null.as_ref().is_none_or(|nulls| nulls.is_valid(row)),
                    is_there: &|at| match nulls.get(at) {
                        Some(Some(nulls)) => nulls.is_valid(row),
                        _ => true,
                    },
                };
                if self.series[id].takes(&candidate, wanted, counts) {
                    let (batch, row_there) = (self.batches.len(), chosen.len());
                    self.kept.push(Kept { batch, row: row_there, series: id, rank });
                    chosen.push(row as u32);
                }
            }
            let is_met = match tells {
                Tells::Nobody => false,
                Tells::AtFirst(_) => was_new,
                Tells::AtLast(_) => !was_full && self.series[id].worst.is_some(),
            };
            if is_met {
                heads.push(run.start as u32);
            }
        }
        if chosen.len() == batch.num_rows() && chosen.is_sorted() {
            self.batches.push(batch.clone());
        } else if !chosen.is_empty() {
            self.batches.push(take_record_batch(batch, &UInt32Array::from(chosen))?);
        }
        tells.of(&columns, heads)
    }

    /// The lower, the earlier a row is shown.
    fn rank(&self, time_ns: i64) -> i64 {
        if self.cut.descending { !time_ns } else { time_ns }
    }

    fn names_of(&self, columns: &[ArrayRef], runs: &[Range<usize>]) -> Result<Option<Rows>> {
        if columns.is_empty() {
            return Ok(None);
        }
        let heads = UInt32Array::from_iter_values(runs.iter().map(|run| run.start as u32));
        let heads = columns.iter().map(|column| take(column, &heads, None));
        let heads = heads.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Some(self.names.convert_columns(&heads)?))
    }

    /// The number of a series. `None` if it is not shown.
    fn series_of(&mut self, name: &[u8]) -> Option<usize> {
        if let Some(id) = self.by_name.get(name) {
            return Some(*id);
        }
        if !self.cut.has_all_series() {
            if self.first.len() >= self.cut.series_wanted() {
                if self.first.last().is_none_or(|last| **last < *name) {
                    return None;
                }
                if let Some(last) = self.first.pop_last()
                    && let Some(id) = self.by_name.remove(&last)
                {
                    (self.series[id].is_closed, self.series[id].is_out) = (true, true);
                }
            }
            self.first.insert(Box::from(name));
        }
        self.series.push(Series::NEW);
        let id = self.series.len() - 1;
        self.by_name.insert(Box::from(name), id);
        Some(id)
    }

    /// Lets go of the rows that are not shown for certain.
    fn compact(&mut self) -> Result<()> {
        let series = &self.series;
        self.kept.retain(|kept| series[kept.series].keeps(kept.rank));
        let whole = self.whole()?;
        for (row, kept) in self.kept.iter_mut().enumerate() {
            (kept.batch, kept.row) = (0, row);
        }
        self.batches = vec![whole];
        self.compact_at = OUTDATED_ROWS_MAX.max(2 * self.kept.len());
        Ok(())
    }

    /// The kept rows in their order.
    fn whole(&self) -> Result<RecordBatch> {
        let rows: Vec<(usize, usize)> = self.kept.iter().map(|k| (k.batch, k.row)).collect();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Ok(match rows.is_empty() {
            true => RecordBatch::new_empty(Arc::clone(&self.schema)),
            false => interleave_record_batch(&batches, &rows)?,
        })
    }

    /// The rows that are shown.
    fn take(mut self) -> Result<RecordBatch> {
        let mut names: Vec<(&GroupName, &usize)> = self.by_name.iter().collect();
        names.sort_unstable();
        let fetch = self.cut.series_fetch.unwrap_or(usize::MAX);
        let mut places: Vec<Option<usize>> = vec![None; self.series.len()];
        let names = names.into_iter().skip(self.cut.series_skip).take(fetch);
        for (place, (_, id)) in names.enumerate() {
            places[*id] = Some(place);
        }
        let series = &self.series;
        let is_shown =
            |kept: &Kept| places[kept.series].is_some() && series[kept.series].keeps(kept.rank);
        self.kept.retain(is_shown);
        self.kept.sort_unstable_by_key(|k| (places[k.series], k.rank, k.batch, k.row));
        let rows = self.by_keys(self.whole()?)?;
        let series: Vec<usize> = self.kept.iter().map(|kept| kept.series).collect();
        shown(&self.schema, rows, &series, &self.cut)
    }

    /// The kept rows, those of one series and time in the order of their keys.
    fn by_keys(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let is_same = |a: &Kept, b: &Kept| (a.series, a.rank) == (b.series, b.rank);
        if self.cut.keys.is_empty() || !self.kept.windows(2).any(|two| is_same(&two[0], &two[1])) {
            return Ok(rows);
        }
        let keys = self.cut.keys.iter().map(|at| Arc::clone(rows.column(*at)));
        let keys: Vec<ArrayRef> = keys.collect();
        let keys = converter(&self.schema, &self.cut.keys)?.convert_columns(&keys)?;
        let key = |row: u32| keys.row(row as usize);
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        let mut rest = order.as_mut_slice();
        for same in self.kept.chunk_by(is_same) {
            let (rows, later) = rest.split_at_mut(same.len());
            rows.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)).then_with(|| a.cmp(b)));
            rest = later;
        }
        Ok(take_record_batch(&rows, &UInt32Array::from(order))?)
    }
}

/// Encodes columns so that their bytes are in the order of the values, missing ones last.
fn converter(schema: &SchemaRef, columns: &[usize]) -> Result<RowConverter> {
    let options = SortOptions { descending: false, nulls_first: false };
    let fields = columns
        .iter()
        .map(|at| SortField::new_with_options(schema.field(*at).data_type().clone(), options));
    Ok(RowConverter::new(fields.collect())?)
}
