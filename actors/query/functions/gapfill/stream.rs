//! From groups ordered by series and bin to filled series, in batches.

use super::bins::Bins;
use super::layout::{ColumnRole, Layout};
use super::series::{Series, instants};
use crate::query::runs;
use arrow::array::{Array, RecordBatch};
use arrow::compute::{BatchCoalescer, concat_batches};
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::StreamExt;
use std::ops::Range;
use std::sync::Arc;

/// The groups that come in, and what has become of them.
pub(super) struct GapFillStream {
    input: SendableRecordBatchStream,
    /// A batch that came in, up to where it was looked at.
    unread: Option<Unread>,
    /// The groups of the series that may still go on.
    groups: Vec<RecordBatch>,
    /// Where the last of them are, and the batch.
    place: Option<(RecordBatch, Range<usize>)>,
    /// Series without gaps, one behind the other in one batch, that are to be written as they are.
    whole: Option<(RecordBatch, Range<usize>)>,
    /// What tells this series from others, if anything does.
    key: Option<OwnedRow>,
    /// The series that is complete and is being written.
    writing: Option<Series>,
    /// Makes full batches of short series.
    written: BatchCoalescer,
    splitter: Splitter,
    bins: Bins,
    layout: Arc<Layout>,
    schema: SchemaRef,
    batch_rows: usize,
    ended: bool,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
}

/// A batch with the keys of its rows.
struct Unread {
    batch: RecordBatch,
    /// Where runs of rows with equal keys begin, and the key of each, if there are keys.
    runs: Option<(Vec<u32>, Rows)>,
    /// The first run and the first row that were not looked at.
    run: usize,
    from: usize,
}

/// Finds the keys of groups.
struct Splitter {
    columns: Vec<usize>,
    converter: Option<RowConverter>,
}

impl Splitter {
    fn try_new(schema: &SchemaRef, layout: &Layout) -> Result<Self> {
        let roles = layout.roles.iter().enumerate();
        let columns: Vec<usize> =
            roles.filter(|(_, role)| **role == ColumnRole::Series).map(|(at, _)| at).collect();
        let fields = columns.iter().map(|at| SortField::new(schema.field(*at).data_type().clone()));
        let converter = match columns.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields.collect())?),
        };
        Ok(Self { columns, converter })
    }

    fn read(&self, batch: RecordBatch) -> Result<Unread> {
        let runs = match &self.converter {
            Some(converter) if batch.num_rows() > 0 => {
                let columns = self.columns.iter().map(|at| Arc::clone(batch.column(*at)));
                let columns: Vec<_> = columns.collect();
                let starts = runs::starts(&columns, batch.num_rows())?;
                let keys = converter.convert_columns(&runs::heads(&columns, &starts)?)?;
                Some((starts, keys))
            }
            _ => None,
        };
        Ok(Unread { batch, runs, run: 0, from: 0 })
    }
}

impl Unread {
    /// Takes the next rows as long as they have the key. `None` when there are no more.
    fn take(&mut self, key: &mut Option<OwnedRow>) -> Option<RecordBatch> {
        let (from, rows) = (self.from, self.batch.num_rows());
        let Some((starts, keys)) = &self.runs else {
            self.from = rows;
            return (from < rows).then(|| self.batch.clone());
        };
        if from >= rows {
            return None;
        }
        let of_series = key.get_or_insert_with(|| keys.row(self.run).owned()).row();
        let is_same = |run: &usize| keys.row(*run) == of_series;
        self.run += (self.run..starts.len()).take_while(is_same).count();
        self.from = starts.get(self.run).map_or(rows, |start| *start as usize);
        Some(self.batch.slice(from, self.from - from))
    }

    fn is_read(&self) -> bool {
        self.from >= self.batch.num_rows()
    }
}

impl GapFillStream {
    /// Fills `input`.
    pub(super) fn try_new(
        input: SendableRecordBatchStream,
        schema: SchemaRef,
        layout: Arc<Layout>,
        metrics: BaselineMetrics,
        context: &TaskContext,
    ) -> Result<Self> {
        let batch_rows = context.session_config().batch_size();
        Ok(Self {
            input,
            unread: None,
            groups: Vec::new(),
            place: None,
            whole: None,
            key: None,
            writing: None,
            written: BatchCoalescer::new(Arc::clone(&schema), batch_rows),
            splitter: Splitter::try_new(&schema, &layout)?,
            bins: layout.bins.bins()?,
            layout,
            schema,
            batch_rows,
            ended: false,
            reservation: MemoryConsumer::new("GapFill").register(context.memory_pool()),
            metrics,
        })
    }

    /// The next batch of the result.
    pub(super) async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            if let Some(batch) = self.work()? {
                self.metrics.output_rows().add(batch.num_rows());
                return Ok(Some((batch, self)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.input.next().await {
                Some(batch) => self.unread = Some(self.splitter.read(batch?)?),
                None => self.ended = true,
            }
        }
    }

    /// Goes on until a batch is ready or more input is needed.
    fn work(&mut self) -> Result<Option<RecordBatch>> {
        let timer = self.metrics.elapsed_compute().clone();
        let _timer = timer.timer();
        loop {
            if let Some(batch) = self.written.next_completed_batch() {
                return Ok(Some(batch));
            }
            if let Some(series) = &mut self.writing {
                match series.next_batch(self.batch_rows)? {
                    Some(batch) => self.written.push_batch(batch)?,
                    None => {
                        self.writing = None;
                        self.reservation.free();
                    }
                }
            } else if let Some(unread) = self.unread.take() {
                self.collect(unread)?;
            } else if !self.ended {
                return Ok(None);
            } else if !self.groups.is_empty() {
                self.complete()?;
            } else {
                self.write_whole()?;
                self.written.finish_buffered_batch()?;
                return Ok(self.written.next_completed_batch());
            }
        }
    }

    /// Takes groups of this series; if others follow it is complete.
    fn collect(&mut self, mut unread: Unread) -> Result<()> {
        let from = unread.from;
        if let Some(groups) = unread.take(&mut self.key)
            && groups.num_rows() > 0
        {
            self.place = Some((unread.batch.clone(), from..unread.from));
            // Slices count as all that they were cut from.
            let (all, rows) = (unread.batch.get_array_memory_size(), unread.batch.num_rows());
            self.reservation.try_grow(all * groups.num_rows() / rows.max(1))?;
            self.groups.push(groups);
        }
        if !unread.is_read() {
            self.unread = Some(unread);
            self.complete()?;
        }
        Ok(())
    }

    /// Begins to write the series.
    fn complete(&mut self) -> Result<()> {
        self.key = None;
        let groups = std::mem::take(&mut self.groups);
        if let Some(first) = groups.first() {
            let rows = match groups.as_slice() {
                [all] => all.clone(),
                _ => concat_batches(&first.schema(), &groups)?,
            };
            let schema = Arc::clone(&self.schema);
            let bins = match self.layout.from_first_row {
                true => self.bins_from(&rows)?,
                false => self.bins.clone(),
            };
            if self.layout.keeps_rows() && self.has_all(&rows, bins.clone())? {
                let place = self.place.take().filter(|_| groups.len() == 1);
                self.add_whole(place.unwrap_or_else(|| (rows.clone(), 0..rows.num_rows())))?;
                self.reservation.free();
                return Ok(());
            }
            self.write_whole()?;
            self.writing = Some(Series::try_new(&rows, schema, &self.layout, bins)?);
        }
        Ok(())
    }

    /// Adds a series without gaps: to copy many at once takes far less than one after the other.
    fn add_whole(&mut self, (batch, rows): (RecordBatch, Range<usize>)) -> Result<()> {
        if let Some((last, written)) = &mut self.whole
            && written.end == rows.start
            && Arc::ptr_eq(last.column(0), batch.column(0))
        {
            written.end = rows.end;
            return Ok(());
        }
        self.write_whole()?;
        self.whole = Some((batch, rows));
        Ok(())
    }

    /// Writes the series without gaps.
    fn write_whole(&mut self) -> Result<()> {
        if let Some((batch, rows)) = self.whole.take() {
            let rows = batch.slice(rows.start, rows.len());
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), rows.columns().to_vec())?;
            self.written.push_batch(rows)?;
        }
        Ok(())
    }

    /// True if there is a row of each of `bins`, and no other.
    fn has_all(&self, rows: &RecordBatch, mut bins: Bins) -> Result<bool> {
        let Some(at) = self.layout.bin() else { return Ok(false) };
        let times = instants(rows.column(at))?;
        for time in &times {
            if time.is_none() || bins.peek() != time {
                return Ok(false);
            }
            bins.advance();
        }
        Ok(bins.peek().is_none())
    }

    /// The bins from that of the first of these rows on.
    fn bins_from(&self, rows: &RecordBatch) -> Result<Bins> {
        let mut range = self.layout.bins.clone();
        if let Some(at) = self.layout.bin() {
            let times = instants(rows.column(at))?;
            if !times.is_empty() && times.is_valid(0) {
                range.first_ns = times.value(0);
            }
        }
        range.bins()
    }
}
