//! One series with all its bins, written in batches.

use super::bins::Bins;
use super::fill::{AddedRows, ColumnFill};
use super::layout::{ColumnRole, Layout};
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use datafusion::common::internal_err;
use datafusion::error::Result;

/// A series, from the bin that is written next.
pub(super) struct Series {
    schema: SchemaRef,
    columns: Vec<SeriesColumn>,
    /// The bins of the groups, ascending, nulls last.
    times: Int64Array,
    /// The first group that is not written.
    group: usize,
    bins: Bins,
}

enum SeriesColumn {
    Bin(DataType),
    Key(ArrayRef),
    Aggregate(ColumnFill),
}

impl Series {
    /// A series of the groups `rows`, which are ordered by bin.
    pub(super) fn try_new(
        rows: &RecordBatch,
        schema: SchemaRef,
        layout: &Layout,
        bins: Bins,
    ) -> Result<Self> {
        let mut times = None;
        let mut columns = Vec::with_capacity(layout.roles.len());
        for (role, values) in layout.roles.iter().zip(rows.columns()) {
            columns.push(match role {
                ColumnRole::Bin => {
                    times = Some(instants(values)?);
                    SeriesColumn::Bin(values.data_type().clone())
                }
                ColumnRole::Series => SeriesColumn::Key(values.slice(0, 1)),
                ColumnRole::Value(value) => {
                    SeriesColumn::Aggregate(ColumnFill::value(values, value.clone()))
                }
                ColumnRole::Filled(kind) => {
                    SeriesColumn::Aggregate(ColumnFill::filled(values, *kind)?)
                }
            });
        }
        match times {
            Some(times) => Ok(Self { schema, columns, times, group: 0, bins }),
            None => internal_err!("gap filling needs a bin"),
        }
    }

    /// The next rows, `rows_max` at most. `None` when all are written.
    pub(super) fn next_batch(&mut self, rows_max: usize) -> Result<Option<RecordBatch>> {
        let mut added = AddedRows { groups: vec![], times: vec![], groups_before: self.group };
        while added.groups.len() < rows_max {
            let Some((group, time)) = self.next_row() else {
                break;
            };
            added.groups.push(group);
            added.times.push(time);
        }
        if added.groups.is_empty() {
            return Ok(None);
        }
        let times = &self.times;
        let columns = self.columns.iter_mut().map(|column| match column {
            SeriesColumn::Bin(kind) => {
                let starts = TimestampNanosecondArray::from(added.times.clone());
                Ok(cast(&starts.with_timezone("UTC"), kind)?)
            }
            SeriesColumn::Key(key) => {
                let first = UInt64Array::from_value(0, added.groups.len());
                Ok(take(key, &first, None)?)
            }
            SeriesColumn::Aggregate(fill) => fill.fill(&added, times),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Some(RecordBatch::try_new(std::sync::Arc::clone(&self.schema), columns)?))
    }

    /// The next row: its group, if it has one, and its bin.
    fn next_row(&mut self) -> Option<(Option<u64>, Option<i64>)> {
        let group = (self.group < self.times.len()).then_some(self.group);
        let time = group.filter(|group| self.times.is_valid(*group)).map(|g| self.times.value(g));
        let (added, is_group) = match (self.bins.peek(), time) {
            (Some(bin), Some(time)) => (bin <= time, time <= bin),
            (Some(_), None) => (true, false),
            (None, _) => (false, true),
        };
        let bin = self.bins.peek();
        if added {
            self.bins.advance();
        }
        if !is_group {
            return Some((None, bin));
        }
        let group = group?;
        self.group += 1;
        Some((Some(group as u64), time))
    }
}

/// Times as numbers of nanoseconds.
pub(super) fn instants(times: &ArrayRef) -> Result<Int64Array> {
    let DataType::Timestamp(_, zone) = times.data_type() else {
        return internal_err!("gap filling needs times, got {}", times.data_type());
    };
    let nanos = cast(times, &DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))?;
    Ok(cast(&nanos, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}
