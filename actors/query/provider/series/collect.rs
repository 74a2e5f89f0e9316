//! Keeping of rows that come in any order those that may be shown.

use super::super::groups::{GroupName, Groups};
use super::cells::{Row, shown};
use super::cut::Cut;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, interleave_record_batch, partition, take, take_record_batch};
use arrow::datatypes::{SchemaRef, TimestampNanosecondType};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::TryStreamExt;
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
    /// Who is told of which series no further row is needed.
    met: Option<Arc<Groups>>,
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
    /// For each column that is cut the best ranks, the worst of these first.
    best: Vec<BinaryHeap<i64>>,
    /// Rows of a higher rank are not shown.
    worst: Option<i64>,
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

impl Series {
    /// True if a row may be shown that has values in the columns that `is_there` says.
    fn takes(&mut self, rank: i64, wanted: usize, is_there: impl Fn(usize) -> bool) -> bool {
        if self.is_out || self.worst.is_some_and(|worst| rank > worst) {
            return false;
        }
        if wanted == usize::MAX {
            return (0..self.best.len()).any(is_there);
        }
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
}

impl Collect {
    /// Tells `met`, whose groups are the series, of which no further row is needed.
    pub(super) fn new(schema: SchemaRef, cut: Arc<Cut>, met: Option<Arc<Groups>>) -> Result<Self> {
        Ok(Self {
            names: converter(&schema, &cut.series)?,
            schema,
            cut,
            met,
            by_name: HashMap::new(),
            first: BTreeSet::new(),
            series: Vec::new(),
            batches: Vec::new(),
            kept: Vec::new(),
            compact_at: OUTDATED_ROWS_MAX,
        })
    }

    /// The rows of `rows` that are shown, in order.
    pub(super) async fn shown(
        mut self,
        mut rows: SendableRecordBatchStream,
        batch_rows: usize,
        baseline: BaselineMetrics,
    ) -> Result<Vec<RecordBatch>> {
        while let Some(batch) = rows.try_next().await? {
            let timer = baseline.elapsed_compute().timer();
            self.offer(&batch)?;
            if self.kept.len() > self.compact_at {
                self.compact()?;
            }
            timer.done();
        }
        let timer = baseline.elapsed_compute().timer();
        let shown = self.take()?;
        timer.done();
        let starts = (0..shown.num_rows()).step_by(batch_rows.max(1));
        let parts =
            starts.map(|start| shown.slice(start, batch_rows.max(1).min(shown.num_rows() - start)));
        let parts: Vec<RecordBatch> = parts.collect();
        baseline.record_output(shown.num_rows());
        Ok(parts)
    }

    fn offer(&mut self, batch: &RecordBatch) -> Result<()> {
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
        let names = self.names_of(&columns, &runs)?;
        let (mut chosen, mut met) = (Vec::new(), Vec::new());
        for (number, run) in runs.into_iter().enumerate() {
            let name = names.as_ref().map_or(&[][..], |names| names.row(number).data());
            let Some(id) = self.series_of(name) else { continue };
            let was_full = self.series[id].worst.is_some();
            for step in 0..run.len() {
                let row = match self.cut.descending {
                    true => run.end - 1 - step,
                    false => run.start + step,
                };
                let rank = self.rank(times.value(row));
                let is_there = |at: usize| match nulls.get(at) {
                    Some(Some(nulls)) => nulls.is_valid(row),
                    _ => true,
                };
                if self.series[id].takes(rank, self.cut.wanted(), is_there) {
                    let (batch, row_there) = (self.batches.len(), chosen.len());
                    self.kept.push(Kept { batch, row: row_there, series: id, rank });
                    chosen.push(row as u32);
                }
            }
            if !was_full && self.series[id].worst.is_some() {
                met.push(run.start as u32);
            }
        }
        if !chosen.is_empty() {
            self.batches.push(take_record_batch(batch, &UInt32Array::from(chosen))?);
        }
        self.tell(&columns, met)
    }

    /// Tells of which series no further row is needed; `heads` are rows of these.
    fn tell(&self, columns: &[ArrayRef], heads: Vec<u32>) -> Result<()> {
        let Some(met) = self.met.as_ref().filter(|_| !heads.is_empty()) else { return Ok(()) };
        let heads = UInt32Array::from(heads);
        let tags = columns.iter().map(|column| Ok(take(column, &heads, None)?));
        met.meet_all(tags.collect::<Result<_>>()?, heads.len())
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
                    self.series[id].is_out = true;
                }
            }
            self.first.insert(Box::from(name));
        }
        let best = vec![BinaryHeap::new(); self.cut.fields.len().max(1)];
        self.series.push(Series { best, worst: None, is_out: false });
        let id = self.series.len() - 1;
        self.by_name.insert(Box::from(name), id);
        Some(id)
    }

    /// Lets go of the rows that are not shown for certain.
    fn compact(&mut self) -> Result<()> {
        let series = &self.series;
        let may_be_shown = |kept: &Kept| {
            let series = &series[kept.series];
            !series.is_out && series.worst.is_none_or(|worst| kept.rank <= worst)
        };
        self.kept.retain(may_be_shown);
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
        self.kept.retain(|kept| places[kept.series].is_some());
        if self.batches.len() > 1 || self.kept.len() > 1 {
            self.compact()?;
        }
        let whole = match self.batches.first() {
            Some(_) => self.whole()?,
            None => return Ok(RecordBatch::new_empty(self.schema)),
        };
        let keys = match self.cut.keys.is_empty() {
            true => None,
            false => {
                let columns: Vec<ArrayRef> =
                    self.cut.keys.iter().map(|at| Arc::clone(whole.column(*at))).collect();
                Some(converter(&self.schema, &self.cut.keys)?.convert_columns(&columns)?)
            }
        };
        let rows = self.kept.iter().enumerate();
        let rows =
            rows.map(|(row, kept)| Row { series: places[kept.series], rank: kept.rank, row });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_unstable_by(|a, b| {
            let by_time = (a.series, a.rank).cmp(&(b.series, b.rank));
            let by_keys = || match &keys {
                Some(keys) => keys.row(a.row).cmp(&keys.row(b.row)),
                None => a.row.cmp(&b.row),
            };
            by_time.then_with(by_keys).then_with(|| a.row.cmp(&b.row))
        });
        shown(&self.schema, &whole, &rows, &self.cut)
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
