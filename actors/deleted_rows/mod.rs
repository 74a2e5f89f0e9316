//! Finding the rows in sorted rows that deletes are about.

#[cfg(test)]
mod tests;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, TimestampNanosecondType};
use arrow::error::ArrowError;
use protocols::messages::store::SortedRows;
use protocols::row_deletes::RowDelete;
use protocols::schema::TIME_COLUMN;
use std::ops::Range;
use std::sync::Arc;

/// The rows that any of the deletes is about, in order, neighbours joined. The deletes are those for
/// the stretch of writes that the rows come from.
pub(crate) fn deleted_rows(
    sorted: &SortedRows,
    deletes: &[Arc<RowDelete>],
) -> Result<Vec<Range<usize>>, ArrowError> {
    let mut found: Vec<Range<usize>> = Vec::new();
    if deletes.is_empty() || sorted.rows.num_rows() == 0 {
        return Ok(found);
    }
    let times = sorted.rows.column_by_name(TIME_COLUMN);
    let times = times.and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
    let times = times.ok_or_else(|| ArrowError::SchemaError("rows without a time".to_owned()))?;
    for delete in deletes {
        let (min_ns, max_ns) = delete.times_ns();
        for series in series_with(sorted, &delete.tags)? {
            let run = &times.values()[series.clone()];
            let begin = series.start + run.partition_point(|time| *time < min_ns);
            let end = series.start + run.partition_point(|time| *time <= max_ns);
            if begin < end {
                found.push(begin..end);
            }
        }
    }
    found.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match joined.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => joined.push(range),
        }
    }
    Ok(joined)
}

/// The rows of `ranges` that are in none of `removed`. Both are in order, and those of each do not
/// overlap.
pub(crate) fn without(ranges: Vec<Range<usize>>, removed: &[Range<usize>]) -> Vec<Range<usize>> {
    if removed.is_empty() {
        return ranges;
    }
    let mut left = Vec::with_capacity(ranges.len() + removed.len());
    for range in ranges {
        let mut from = range.start;
        let first = removed.partition_point(|gone| gone.end <= range.start);
        for gone in removed[first..].iter().take_while(|gone| gone.start < range.end) {
            if from < gone.start {
                left.push(from..gone.start);
            }
            from = from.max(gone.end);
        }
        if from < range.end {
            left.push(from..range.end);
        }
    }
    left
}

/// The same rows without those.
pub(crate) fn copy_without(
    sorted: &SortedRows,
    removed: &[Range<usize>],
) -> Result<SortedRows, ArrowError> {
    let rows = sorted.rows.num_rows();
    let mut kept = BooleanBufferBuilder::new(rows);
    kept.append_n(rows, true);
    for row in removed.iter().cloned().flatten() {
        kept.set_bit(row, false);
    }
    let kept = BooleanArray::new(kept.finish(), None);
    let mut series_starts = Vec::with_capacity(sorted.series_starts.len());
    let mut before = 0;
    for series in all_series(sorted) {
        let left = kept.slice(series.start, series.len()).true_count() as u32;
        if left > 0 {
            series_starts.push(before);
        }
        before += left;
    }
    let rows = filter_record_batch(&sorted.rows, &kept)?;
    Ok(SortedRows { rows, series_starts, key: sorted.key.clone() })
}

/// The rows of each series.
fn all_series(sorted: &SortedRows) -> impl Iterator<Item = Range<usize>> {
    let starts = &sorted.series_starts;
    let ends = starts.iter().skip(1).map(|end| *end as usize).chain([sorted.rows.num_rows()]);
    starts.iter().zip(ends).map(|(start, end)| *start as usize..end)
}

/// The rows of each series that has all these tags.
fn series_with(
    sorted: &SortedRows,
    tags: &[(Arc<str>, Arc<str>)],
) -> Result<Vec<Range<usize>>, ArrowError> {
    let mut found: Vec<Range<usize>> = all_series(sorted).collect();
    for (tag, value) in tags {
        // Who lacks the tag has no value of it.
        let Some(column) = sorted.rows.column_by_name(tag) else { return Ok(Vec::new()) };
        let Some(column) = column.as_dictionary_opt::<Int32Type>() else {
            return Err(ArrowError::SchemaError(format!("{tag} is not stored as a tag")));
        };
        let Some(texts) = column.values().as_string_opt::<i32>() else {
            return Err(ArrowError::SchemaError(format!("{tag} is no text")));
        };
        let wanted: Vec<bool> = texts.iter().map(|text| text == Some(value.as_ref())).collect();
        let keys = column.keys();
        let has_value = |row: usize| keys.is_valid(row) && wanted[keys.value(row) as usize];
        found.retain(|series| has_value(series.start));
    }
    Ok(found)
}
