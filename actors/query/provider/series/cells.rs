//! What is shown of rows in order.

use super::cut::Cut;
use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, nullif, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use std::sync::Arc;

/// A row that may be shown.
pub(super) struct Row {
    /// The place of its series.
    pub(super) series: Option<usize>,
    /// The lower, the earlier it is shown.
    pub(super) rank: i64,
    /// Which of the rows it is.
    pub(super) row: usize,
}

/// Of the rows of `whole` those that `cut` shows, in the order of `order`, with nulls for the
/// values that are cut.
pub(super) fn shown(
    schema: &SchemaRef,
    whole: &RecordBatch,
    order: &[Row],
    cut: &Cut,
) -> Result<RecordBatch> {
    let places = UInt32Array::from_iter_values(order.iter().map(|row| row.row as u32));
    let rows = take_record_batch(whole, &places)?;
    let last = cut.fetch.map_or(usize::MAX, |fetch| cut.skip.saturating_add(fetch));
    let counts = cut.fields.len().max(1);
    let nulls: Vec<_> = cut.fields.iter().map(|at| rows.column(*at).logical_nulls()).collect();
    let mut hidden: Vec<Vec<bool>> = vec![Vec::with_capacity(order.len()); counts];
    let mut is_shown = Vec::with_capacity(order.len());
    let (mut seen, mut series) = (vec![0_usize; counts], None);
    for (at, row) in order.iter().enumerate() {
        if series.replace(row.series) != Some(row.series) {
            seen.fill(0);
        }
        let mut shows = false;
        for field in 0..counts {
            let is_there = nulls.get(field).and_then(Option::as_ref).is_none_or(|n| n.is_valid(at));
            seen[field] += usize::from(is_there);
            let is_within = is_there && seen[field] > cut.skip && seen[field] <= last;
            hidden[field].push(!is_within);
            shows |= is_within;
        }
        is_shown.push(shows);
    }
    let mut columns = rows.columns().to_vec();
    for (at, hidden) in cut.fields.iter().zip(hidden) {
        columns[*at] = nullif(&columns[*at], &BooleanArray::from(hidden))?;
    }
    let rows = RecordBatch::try_new(Arc::clone(schema), columns)?;
    Ok(filter_record_batch(&rows, &BooleanArray::from(is_shown))?)
}
