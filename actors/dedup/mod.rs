//! Sorting rows by primary key and merging equal keys field by field.
//!
//! The primary key is all tags plus `time`. Rows are ordered by the tags in order of creation (a
//! missing tag before any value, values by their bytes) and then by `time`. Of rows with equal
//! keys one remains: for each field the last written value that is not null.
//!
//! Nothing here compares texts row by row. Tag values are ranked once for each distinct value,
//! tag sets once for each distinct set, and then rows are counted into place.

mod gather;
mod series;
mod split;
#[cfg(test)]
mod tests;

pub use gather::{concat_rows, last_values};
pub use split::sort_parts;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions,
    StringArray, TimestampNanosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{Int32Type, Schema, TimestampNanosecondType};
use arrow::error::ArrowError;
use protocols::messages::store::SortedRows;
use protocols::schema::{ColumnKind, ColumnSchema, TIME_COLUMN, TableSchema, time_field};
use series::{TagSets, UnifiedTag};
use std::sync::Arc;

/// Rows that go into the sort.
struct Input<'a> {
    rows: &'a RecordBatch,
    /// Where each run of one tag set begins, if known: the tags are then read once a run.
    series_starts: Option<&'a [u32]>,
}

/// Sorts and merges `batches`, which are in order of arrival and hold any of the table's columns,
/// `time` among them. The result has all columns of `table` in order of creation and `time` last.
///
/// # Errors
/// When a column has another type than the table says, or there are too many rows or too much
/// text for 32-bit offsets.
pub fn sort_dedup(batches: &[RecordBatch], table: &TableSchema) -> Result<SortedRows, ArrowError> {
    let inputs: Vec<Input<'_>> =
        batches.iter().map(|rows| Input { rows, series_starts: None }).collect();
    sort_inputs(&inputs, table)
}

/// Merges rows that are sorted already; where keys are equal, later inputs win.
///
/// # Errors
/// As [`sort_dedup`].
pub fn merge_sorted(inputs: &[&SortedRows], table: &TableSchema) -> Result<SortedRows, ArrowError> {
    let inputs: Vec<Input<'_>> = inputs
        .iter()
        .map(|i| Input { rows: &i.rows, series_starts: Some(&i.series_starts) })
        .collect();
    sort_inputs(&inputs, table)
}

fn sort_inputs(inputs: &[Input<'_>], table: &TableSchema) -> Result<SortedRows, ArrowError> {
    let row_count: usize = inputs.iter().map(|i| i.rows.num_rows()).sum();
    if u32::try_from(row_count).is_err() {
        return Err(ArrowError::ComputeError(format!("{row_count} rows are too many to sort")));
    }
    let tags = table.tags().map(|t| UnifiedTag::of(inputs, t)).collect::<Result<Vec<_>, _>>()?;
    let sets = TagSets::of(inputs, &tags, row_count);
    let times = times_of(inputs, row_count)?;
    let order = order_rows(&sets, &times);
    let places = Places::of(&order, &sets, &times);

    let mut tag_columns = tags.iter().enumerate();
    let mut fields = FieldGather { inputs, order: &order, places: &places, plain: None };
    let mut columns = Vec::with_capacity(table.columns.len() + 1);
    for column in &table.columns {
        columns.push(match column.kind {
            ColumnKind::Tag => {
                let (i, tag) = tag_columns.next().ok_or_else(|| {
                    ArrowError::ComputeError("a tag is missing in the key".to_owned())
                })?;
                tag_column(tag, i, &sets, &places)?
            }
            ColumnKind::Field(_) => fields.column(column)?,
        });
    }
    let kept_times: Vec<i64> =
        places.first.iter().map(|at| times[order.row(*at) as usize]).collect();
    columns.push(Arc::new(TimestampNanosecondArray::from(kept_times)));

    let mut arrow_fields: Vec<_> = table.columns.iter().map(ColumnSchema::arrow_field).collect();
    arrow_fields.push(time_field());
    let options = RecordBatchOptions::new().with_row_count(Some(places.first.len()));
    let rows =
        RecordBatch::try_new_with_options(Arc::new(Schema::new(arrow_fields)), columns, &options)?;
    let key = table.tags().map(|t| Arc::clone(&t.name)).collect();
    Ok(SortedRows { rows, series_starts: places.series_starts, key })
}

/// All values of `time`, in order of arrival.
fn times_of(inputs: &[Input<'_>], row_count: usize) -> Result<Vec<i64>, ArrowError> {
    let mut times = Vec::with_capacity(row_count);
    for input in inputs {
        let column = input
            .rows
            .column_by_name(TIME_COLUMN)
            .and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>())
            .ok_or_else(|| ArrowError::SchemaError("rows without a time column".to_owned()))?;
        times.extend_from_slice(column.values());
    }
    Ok(times)
}

/// Which row of the inputs, counted over all of them, comes at each place of the sorted order.
enum Order {
    /// The rows arrived in order.
    AsArrived,
    /// Row number for each place.
    Rows(Vec<u32>),
}

impl Order {
    fn row(&self, place: u32) -> u32 {
        match self {
            Self::AsArrived => place,
            Self::Rows(rows) => rows[place as usize],
        }
    }
}

/// Orders rows by tag set and time; rows with equal keys stay in order of arrival.
fn order_rows(sets: &TagSets, times: &[i64]) -> Order {
    let in_order = sets
        .of_row
        .windows(2)
        .zip(times.windows(2))
        .all(|(set, time)| set[0] < set[1] || (set[0] == set[1] && time[0] <= time[1]));
    if in_order {
        return Order::AsArrived;
    }
    let mut next = vec![0_u32; sets.count + 1];
    for set in &sets.of_row {
        next[*set as usize + 1] += 1;
    }
    for i in 1..next.len() {
        next[i] += next[i - 1];
    }
    let mut rows = vec![0_u32; times.len()];
    for (row, set) in (0_u32..).zip(&sets.of_row) {
        let place = &mut next[*set as usize];
        rows[*place as usize] = row;
        *place += 1;
    }
    // `next[set]` has moved from the begin of the set to its end.
    let mut begin = 0;
    for end in &next[..sets.count] {
        let run = &mut rows[begin..*end as usize];
        if !run.is_sorted_by_key(|row| times[*row as usize]) {
            run.sort_by_key(|row| times[*row as usize]);
        }
        begin = *end as usize;
    }
    Order::Rows(rows)
}

/// Which places of the sorted order become one row of the result.
struct Places {
    /// Place at which each result row begins.
    first: Vec<u32>,
    /// Number of places.
    total: u32,
    /// Result row at which each tag set begins.
    series_starts: Vec<u32>,
}

impl Places {
    fn of(order: &Order, sets: &TagSets, times: &[i64]) -> Self {
        let mut first = Vec::with_capacity(times.len());
        let mut series_starts = Vec::with_capacity(sets.count);
        let mut last = None;
        for place in 0..times.len() as u32 {
            let row = order.row(place) as usize;
            let (set, time) = (sets.of_row[row], times[row]);
            match last {
                Some((s, t)) if s == set && t == time => continue,
                Some((s, _)) if s == set => {}
                _ => series_starts.push(first.len() as u32),
            }
            first.push(place);
            last = Some((set, time));
        }
        Self { first, total: times.len() as u32, series_starts }
    }

    fn has_duplicates(&self) -> bool {
        self.first.len() < self.total as usize
    }
}

/// A tag of the result: one value a series, repeated.
fn tag_column(
    tag: &UnifiedTag,
    index: usize,
    sets: &TagSets,
    places: &Places,
) -> Result<ArrayRef, ArrowError> {
    let row_count = places.first.len();
    let mut keys = Vec::with_capacity(row_count);
    let mut valid = Vec::new();
    for (set, begin) in places.series_starts.iter().enumerate() {
        let end = places.series_starts.get(set + 1).map_or(row_count, |e| *e as usize);
        let code = sets.code(set, index);
        if code == 0 && valid.is_empty() {
            valid.resize(row_count, true);
        }
        if code == 0 {
            valid[*begin as usize..end].fill(false);
        }
        keys.resize(end, code.saturating_sub(1) as i32);
    }
    let nulls = (!valid.is_empty()).then(|| NullBuffer::from(valid));
    let keys = Int32Array::try_new(keys.into(), nulls)?;
    let values: ArrayRef = Arc::new(StringArray::clone(&tag.values));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?))
}

/// Brings field columns into the order of the result.
struct FieldGather<'a> {
    inputs: &'a [Input<'a>],
    order: &'a Order,
    places: &'a Places,
    /// The rows to take where no null has to be looked past; the same for all such columns.
    plain: Option<UInt32Array>,
}

impl FieldGather<'_> {
    fn column(&mut self, column: &ColumnSchema) -> Result<ArrayRef, ArrowError> {
        let batches = self.inputs.iter().map(|i| i.rows);
        let values = concat_rows(batches, &column.name, &column.kind.arrow_type())?;
        let merges = self.places.has_duplicates();
        if !merges && matches!(self.order, Order::AsArrived) {
            return Ok(values);
        }
        if merges && values.null_count() > 0 && values.null_count() < values.len() {
            return take(&values, &self.rows(Some(values.as_ref())), None);
        }
        if self.plain.is_none() {
            self.plain = Some(self.rows(None));
        }
        match &self.plain {
            Some(rows) => take(&values, rows, None),
            None => Ok(values),
        }
    }

    /// The input row of each result row.
    fn rows(&self, values: Option<&dyn Array>) -> UInt32Array {
        match self.order {
            Order::AsArrived => last_values(&self.places.first, self.places.total, values, |p| p),
            Order::Rows(rows) => {
                last_values(&self.places.first, self.places.total, values, |p| rows[p as usize])
            }
        }
    }
}
