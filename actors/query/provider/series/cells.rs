//! What is shown of rows in order.

use super::cut::Cut;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, nullif};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use std::sync::Arc;

/// What `cut` shows of rows in order, with nulls for the values that are cut. `series` tells for each
/// row whose it is.
pub(super) fn shown(
    schema: &SchemaRef,
    rows: RecordBatch,
    series: &[usize],
    cut: &Cut,
) -> Result<RecordBatch> {
    let last = cut.fetch.map_or(usize::MAX, |fetch| cut.skip.saturating_add(fetch));
    let counts = cut.fields.len().max(1);
    let nulls: Vec<_> = cut.fields.iter().map(|at| rows.column(*at).logical_nulls()).collect();
    let mut hidden: Vec<Vec<bool>> = vec![Vec::with_capacity(series.len()); counts];
    let mut hides = vec![false; counts];
    let mut is_shown = Vec::with_capacity(series.len());
    let (mut seen, mut before) = (vec![0_usize; counts], None);
    for (at, series) in series.iter().enumerate() {
        if before.replace(series) != Some(series) {
            seen.fill(0);
        }
        let mut shows = false;
        for field in 0..counts {
            let is_there = nulls.get(field).and_then(Option::as_ref).is_none_or(|n| n.is_valid(at));
            seen[field] += usize::from(is_there);
            let is_within = is_there && seen[field] > cut.skip && seen[field] <= last;
            hidden[field].push(!is_within);
            hides[field] |= is_there && !is_within;
            shows |= is_within;
        }
        is_shown.push(shows);
    }
    let mut columns = rows.columns().to_vec();
    for ((at, hidden), _) in cut.fields.iter().zip(hidden).zip(hides).filter(|(_, hides)| *hides) {
        columns[*at] = nullif(&columns[*at], &BooleanArray::from(hidden))?;
    }
    let rows = RecordBatch::try_new(Arc::clone(schema), columns)?;
    match is_shown.iter().all(|is_shown| *is_shown) {
        true => Ok(rows),
        false => Ok(filter_record_batch(&rows, &BooleanArray::from(is_shown))?),
    }
}
