//! Merging sorted files in bounded memory.
//!
//! Of each input a batch of rows is decoded. All rows up to the least of the last keys of these
//! batches are known then, whatever comes later: they are merged as queries merge rows, and the input
//! whose batch is used up is read on. So an input that has nothing to say about a stretch of series
//! costs nothing there.

use super::read::RowGroup;
use crate::dedup::merge_sorted;
use crate::deleted_rows::{copy_without, deleted_rows};
use anyhow::Context;
use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, UInt32Array, new_null_array,
};
use arrow::compute::{cast, partition, take};
use arrow::datatypes::{DataType, Int32Type, Schema, TimestampNanosecondType};
use arrow::row::{RowConverter, Rows, SortField};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use protocols::messages::store::SortedRows;
use protocols::row_deletes::RowDelete;
use protocols::schema::{TIME_COLUMN, TableSchema};
use std::sync::Arc;

/// See the page of this file. The inputs are in the order in which they were written.
pub(super) struct Merge {
    table: Arc<TableSchema>,
    keys: Keys,
    inputs: Vec<Input>,
    batch_rows: usize,
    /// Rows that went in so far.
    pub(super) rows_in: u64,
    /// Rows of these that were deleted.
    pub(super) rows_deleted: u64,
    /// Rows that came out so far.
    pub(super) rows_out: u64,
}

/// What a step of the merge comes to.
pub(super) enum Step {
    /// Inputs of these numbers have to be read on first.
    Read(Vec<usize>),
    /// The next rows.
    Rows(SortedRows),
    /// There were some, which are all deleted.
    GoOn,
    /// There are no more.
    End,
}

#[derive(Default)]
struct Input {
    deletes: Vec<Arc<RowDelete>>,
    group: Option<ParquetRecordBatchReader>,
    batch: Option<Batch>,
    is_at_end: bool,
}

/// Decoded rows of an input.
struct Batch {
    rows: RecordBatch,
    /// Where each series begins, and the keys of these.
    starts: Vec<u32>,
    series: Rows,
    /// Rows that were merged already.
    done: usize,
}

/// How tags are compared.
struct Keys {
    tags: Vec<Arc<str>>,
    converter: RowConverter,
}

impl Merge {
    /// Merges rows of a table, of which `table` has the columns that any input has. Of each input there
    /// are the deletes that its rows are subject to.
    pub(super) fn new(
        table: &Arc<TableSchema>,
        inputs: Vec<Vec<Arc<RowDelete>>>,
        batch_rows: usize,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            table: Arc::clone(table),
            keys: Keys::new(table)?,
            inputs: inputs
                .into_iter()
                .map(|deletes| Input { deletes, ..Input::default() })
                .collect(),
            batch_rows,
            rows_in: 0,
            rows_deleted: 0,
            rows_out: 0,
        })
    }

    /// Takes what was read of an input: a row group, or that there is none any more.
    pub(super) fn read(&mut self, input: usize, group: Option<RowGroup>) -> anyhow::Result<()> {
        let input = self.inputs.get_mut(input).context("there is no such input")?;
        match group {
            Some(group) => input.group = Some(group.rows(self.batch_rows)?),
            None => input.is_at_end = true,
        }
        Ok(())
    }

    /// Goes on. Long work for a thread of its own.
    pub(super) fn step(&mut self) -> anyhow::Result<Step> {
        let unread = self.decode()?;
        if !unread.is_empty() {
            return Ok(Step::Read(unread));
        }
        let batches = self.inputs.iter().filter_map(|input| input.batch.as_ref());
        let ends = batches.map(Batch::last).collect::<anyhow::Result<Vec<_>>>()?;
        let Some(bound) = ends.into_iter().min() else { return Ok(Step::End) };
        let mut pieces = Vec::new();
        for input in &mut self.inputs {
            let Some(batch) = &mut input.batch else { continue };
            let end = batch.rows_up_to(&bound)?;
            if end > batch.done {
                let piece = batch.piece(end, &self.keys.tags);
                let before = piece.rows.num_rows() as u64;
                let piece = not_deleted(piece, &input.deletes)?;
                self.rows_in += before;
                self.rows_deleted += before - piece.rows.num_rows() as u64;
                pieces.push(piece);
                batch.done = end;
            }
            if batch.done == batch.rows.num_rows() {
                input.batch = None;
            }
        }
        pieces.retain(|piece| piece.rows.num_rows() > 0);
        if pieces.is_empty() {
            return Ok(Step::GoOn);
        }
        let pieces: Vec<&SortedRows> = pieces.iter().collect();
        let merged = merge_sorted(&pieces, &self.table)?;
        self.rows_out += merged.rows.num_rows() as u64;
        Ok(Step::Rows(merged))
    }

    /// Decodes the next rows of all inputs that have none. Returns those that have to be read.
    fn decode(&mut self) -> anyhow::Result<Vec<usize>> {
        let mut unread = Vec::new();
        for (number, input) in self.inputs.iter_mut().enumerate() {
            while input.batch.is_none() && !input.is_at_end {
                let Some(group) = &mut input.group else {
                    unread.push(number);
                    break;
                };
                match group.next().transpose()? {
                    Some(rows) if rows.num_rows() > 0 => {
                        input.batch = Some(Batch::new(rows, &self.keys)?);
                    }
                    Some(_) => {}
                    None => input.group = None,
                }
            }
        }
        Ok(unread)
    }
}

/// The rows without those that were deleted, before any of them is merged with a newer one: of that,
/// nothing is to be filled up with values of a deleted row.
fn not_deleted(piece: SortedRows, deletes: &[Arc<RowDelete>]) -> anyhow::Result<SortedRows> {
    let deleted = deleted_rows(&piece, deletes)?;
    match deleted.is_empty() {
        true => Ok(piece),
        false => Ok(copy_without(&piece, &deleted)?),
    }
}

/// A key: the tags in a form that compares as they do, and the time.
type Key = (Box<[u8]>, i64);

impl Batch {
    fn new(rows: RecordBatch, keys: &Keys) -> anyhow::Result<Self> {
        let tags: Vec<ArrayRef> = keys
            .tags
            .iter()
            .filter_map(|tag| rows.column_by_name(tag))
            .map(|column| match column.as_dictionary_opt::<Int32Type>() {
                Some(dictionary) => Arc::new(dictionary.keys().clone()) as ArrayRef,
                None => Arc::clone(column),
            })
            .collect();
        let starts: Vec<u32> = match tags.is_empty() {
            true => vec![0],
            false => partition(&tags)?.ranges().iter().map(|range| range.start as u32).collect(),
        };
        let heads = keys.heads(&rows, &starts)?;
        let series = keys.of(&heads)?;
        let rows = with_heads(rows, &keys.tags, &heads, &starts)?;
        Ok(Self { rows, starts, series, done: 0 })
    }

    fn times(&self) -> anyhow::Result<&[i64]> {
        let column = self.rows.column_by_name(TIME_COLUMN);
        let times = column.and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
        Ok(times.context("rows without a time column")?.values())
    }

    fn last(&self) -> anyhow::Result<Key> {
        let series = self.series.num_rows().checked_sub(1).context("a batch without rows")?;
        let time = self.times()?.last().copied().context("a batch without rows")?;
        Ok((self.series.row(series).data().into(), time))
    }

    /// How many rows, from the first, have no larger key.
    fn rows_up_to(&self, (series, time): &Key) -> anyhow::Result<usize> {
        let first_where = |is_less: &dyn Fn(&[u8]) -> bool| {
            let (mut from, mut to) = (0, self.series.num_rows());
            while from < to {
                let middle = usize::midpoint(from, to);
                match is_less(self.series.row(middle).data()) {
                    true => from = middle + 1,
                    false => to = middle,
                }
            }
            from
        };
        let row_of = |series: usize| {
            self.starts.get(series).map_or(self.rows.num_rows(), |start| *start as usize)
        };
        let begin = row_of(first_where(&|found| found < series.as_ref()));
        let end = row_of(first_where(&|found| found <= series.as_ref()));
        let same_series = self.times()?.get(begin..end).unwrap_or_default();
        Ok(begin + same_series.partition_point(|found| found <= time))
    }

    /// The rows from those that were merged already up to `end`.
    fn piece(&self, end: usize, tags: &[Arc<str>]) -> SortedRows {
        let first = self.starts.partition_point(|start| *start as usize <= self.done);
        let within = self.starts[first..].iter().take_while(|start| (**start as usize) < end);
        let later = within.map(|start| start - self.done as u32);
        SortedRows {
            rows: self.rows.slice(self.done, end - self.done),
            series_starts: std::iter::once(0).chain(later).collect(),
            key: tags.to_vec(),
        }
    }
}

impl Keys {
    fn new(table: &TableSchema) -> anyhow::Result<Self> {
        let tags: Vec<Arc<str>> = table.tags().map(|tag| Arc::clone(&tag.name)).collect();
        // Without tags all rows are of one series: as if they had a column of nulls.
        let fields = tags.len().max(1);
        let converter = RowConverter::new(vec![SortField::new(DataType::Utf8); fields])?;
        Ok(Self { tags, converter })
    }

    /// Of each tag the values in the rows at `starts`.
    fn heads(&self, rows: &RecordBatch, starts: &[u32]) -> anyhow::Result<Vec<ArrayRef>> {
        let at = UInt32Array::from(starts.to_vec());
        let column = |tag: &Arc<str>| -> anyhow::Result<ArrayRef> {
            match rows.column_by_name(tag) {
                Some(column) => Ok(cast(&take(column, &at, None)?, &DataType::Utf8)?),
                None => Ok(new_null_array(&DataType::Utf8, starts.len())),
            }
        };
        match self.tags.is_empty() {
            true => Ok(vec![new_null_array(&DataType::Utf8, starts.len())]),
            false => self.tags.iter().map(column).collect(),
        }
    }

    /// The keys of series, without times.
    fn of(&self, heads: &[ArrayRef]) -> anyhow::Result<Rows> {
        Ok(self.converter.convert_columns(heads)?)
    }
}

/// The rows with tags whose dictionaries have no values but those of these rows: a file has one
/// dictionary for very many rows, and whoever merges rows looks at all of it.
fn with_heads(
    rows: RecordBatch,
    tags: &[Arc<str>],
    heads: &[ArrayRef],
    starts: &[u32],
) -> anyhow::Result<RecordBatch> {
    let ends = starts.iter().skip(1).map(|end| *end as usize).chain([rows.num_rows()]);
    let mut series = Vec::with_capacity(rows.num_rows());
    for (number, end) in (0_i32..).zip(ends) {
        series.resize(end, number);
    }
    let schema = rows.schema();
    let mut columns = rows.columns().to_vec();
    for (tag, values) in tags.iter().zip(heads) {
        let Ok(at) = schema.index_of(tag) else { continue };
        let is_valid = |number: &i32| values.is_valid(*number as usize);
        let keys: Int32Array = match values.null_count() {
            0 => Int32Array::from(series.clone()),
            _ => series.iter().map(|number| is_valid(number).then_some(*number)).collect(),
        };
        columns[at] = Arc::new(DictionaryArray::try_new(keys, Arc::clone(values))?);
    }
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<_> = fields
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
