//! Which columns of a merged file have Bloom filters.
//!
//! A filter tells for each row group which values are not in it, so that queries for few values of a
//! column pass over row groups, and over files if no row group is left. It is of the kind that is part
//! of the format, which other readers use as well.

use super::encode::is_tag;
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use hashbrown::HashSet;
use parquet::file::properties::{BloomFilterPosition, WriterProperties};
use parquet::schema::types::ColumnPath;
use protocols::schema::IndexedColumns;

/// How often a filter takes a value for one that it has. A file is opened in vain if any of its filters
/// does, and it may have a hundred.
const FALSE_POSITIVES: f64 = 0.001;

/// Tags that are likely to have more values than this have filters unless columns were chosen. Of fewer
/// values most row groups have all.
const TAG_VALUES_MIN: f64 = 64.0;

/// The properties with filters for the columns that are `chosen`, or for the tags that it is worth it
/// for. `rows`, of so many series, are the first of the file.
///
/// The filters stand behind all rows, next to the page indexes: who wants them needs no row group.
/// Each is as large as its values need, for it is folded when the row group ends.
pub(crate) fn with_filters(
    properties: WriterProperties,
    rows: &RecordBatch,
    series: u64,
    chosen: Option<&IndexedColumns>,
) -> WriterProperties {
    let mut properties =
        properties.into_builder().set_bloom_filter_position(BloomFilterPosition::End);
    let mut is_first_tag = true;
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let is_tag = is_tag(field.data_type());
        let is_worth_it = match chosen {
            Some(chosen) => {
                let is_text = is_tag || *field.data_type() == DataType::Utf8;
                is_text && chosen.iter().any(|name| **name == **field.name())
            }
            // Rows are in the order of the first tag: what is where is known by its least and its
            // greatest value.
            None => is_tag && !is_first_tag && has_many_values(column, series),
        };
        is_first_tag &= !is_tag;
        if is_worth_it {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path, FALSE_POSITIVES);
        }
    }
    properties.build()
}

/// True if a tag that has these values in so many series is likely to have more in a whole file.
fn has_many_values(tag: &ArrayRef, series: u64) -> bool {
    let tag = tag.as_dictionary_opt::<Int32Type>();
    let Some((keys, texts)) =
        tag.and_then(|tag| Some((tag.keys(), tag.values().as_string_opt::<i32>()?)))
    else {
        return false;
    };
    // So many different ones would be expected of fewer values, if each were as likely as the others.
    let expected = TAG_VALUES_MIN * (1.0 - (-(series as f64) / TAG_VALUES_MIN).exp());
    let mut before = None;
    let mut found = HashSet::new();
    for key in keys.iter().flatten() {
        let is_new = before.replace(key) != Some(key) && found.insert(texts.value(key as usize));
        if is_new && found.len() as f64 > expected {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::DictionaryArray;
    use std::sync::Arc;

    /// A tag with so many values, each in so many series one after the other, or taking turns.
    fn tag(values: usize, series: usize, take_turns: bool) -> bool {
        let value = |at: usize| if take_turns { at % values } else { at * values / series };
        let texts: Vec<String> = (0..series).map(|at| value(at).to_string()).collect();
        let rows = texts.iter().flat_map(|text| [text.as_str(); 3]);
        let tag: DictionaryArray<Int32Type> = rows.collect();
        has_many_values(&(Arc::new(tag) as ArrayRef), series as u64)
    }

    #[test]
    fn tags_of_few_values_are_told_from_those_of_many() {
        for take_turns in [true, false] {
            assert!(tag(1_000, 1_000, take_turns), "one of its own for each series");
            assert!(tag(65, 10_000, take_turns));
            assert!(tag(12, 12, take_turns), "the first rows may be few series");
            assert!(!tag(60, 10_000, take_turns));
            assert!(!tag(9, 12, take_turns));
            assert!(!tag(1, 12, take_turns));
        }
    }
}
