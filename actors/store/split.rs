//! Splits a batch whose rows lie in several chunks.

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, UInt32Array,
};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{ArrowNativeType, DataType, Int32Type, TimestampNanosecondType};
use protocols::snapshot::chunk_time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of a batch that belong to one chunk.
pub(super) struct Part {
    pub(super) chunk_time_ns: i64,
    pub(super) rows: RecordBatch,
    pub(super) min_time_ns: i64,
    pub(super) max_time_ns: i64,
}

/// Row numbers, smallest and largest time.
type Picked = (Vec<u32>, i64, i64);

/// Splits rows by the chunk they belong to. The parts share no memory with the batch nor with each
/// other: a part that is written and dropped gives back what it took.
pub(super) fn split(rows: &RecordBatch, gen1_duration_ns: i64) -> Vec<Part> {
    let times = rows.column(rows.num_columns() - 1).as_primitive::<TimestampNanosecondType>();
    let mut parts: BTreeMap<i64, Picked> = BTreeMap::new();
    for (row, time) in times.values().iter().enumerate() {
        let part = parts
            .entry(chunk_time(*time, gen1_duration_ns))
            .or_insert_with(|| (Vec::new(), i64::MAX, i64::MIN));
        part.0.push(row as u32);
        part.1 = part.1.min(*time);
        part.2 = part.2.max(*time);
    }
    let mut places = Vec::new();
    parts
        .into_iter()
        .map(|(chunk_time_ns, (indices, min_time_ns, max_time_ns))| {
            let part = take_record_batch(rows, &UInt32Array::from(indices))
                .expect("the indices are row numbers of the batch");
            let columns = part.columns().iter().map(|c| with_own_dictionary(c, &mut places));
            let rows = RecordBatch::try_new(part.schema(), columns.collect())
                .expect("a smaller dictionary changes neither type nor length");
            Part { chunk_time_ns, rows, min_time_ns, max_time_ns }
        })
        .collect()
}

/// The column with a dictionary of just the values it uses: the rows that were taken out of a
/// batch would otherwise each hold the whole dictionary of the batch.
///
/// `places` is where in the new dictionary each old value is. It comes in and goes out all -1, so
/// that a part costs as much as it has rows and not as much as the batch has values.
fn with_own_dictionary(column: &ArrayRef, places: &mut Vec<i32>) -> ArrayRef {
    let DataType::Dictionary(..) = column.data_type() else { return Arc::clone(column) };
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
        return Arc::clone(column);
    };
    let values = dictionary.values();
    if places.len() < values.len() {
        places.resize(values.len(), -1);
    }
    let mut used: Vec<u32> = Vec::new();
    let mut keys: Vec<i32> = Vec::with_capacity(dictionary.len());
    for key in dictionary.keys() {
        let Some(key) = key else {
            keys.push(0);
            continue;
        };
        let place = &mut places[key.as_usize()];
        if *place < 0 {
            *place = used.len() as i32;
            used.push(key as u32);
        }
        keys.push(*place);
    }
    for key in &used {
        places[*key as usize] = -1;
    }
    let keys = Int32Array::new(keys.into(), dictionary.nulls().cloned());
    let values = take(values, &UInt32Array::from(used), None)
        .expect("the keys are places of the dictionary");
    Arc::new(DictionaryArray::new(keys, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampNanosecondArray;
    use arrow::datatypes::{Field, Schema};
    use protocols::schema::time_field;

    #[test]
    fn parts_hold_only_the_tag_values_they_use() {
        let texts: Vec<Option<String>> =
            (0..10_000).map(|i| (i % 10 != 3).then(|| format!("a rather long host-{i}"))).collect();
        let tag: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
        let times = TimestampNanosecondArray::from_iter_values((0..10_000).map(|i| i * 100));
        let fields = vec![Field::new("t", tag.data_type().clone(), true), time_field()];
        let columns: Vec<ArrayRef> = vec![Arc::new(tag), Arc::new(times)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();

        let parts = split(&batch, 1000);
        assert_eq!(parts.len(), 1000);
        let bytes: usize = parts.iter().map(|p| p.rows.get_array_memory_size()).sum();
        let whole = batch.get_array_memory_size();
        assert!(bytes < whole * 3, "{bytes} bytes in parts of {whole}");
        for (part, texts) in parts.iter().zip(texts.chunks(10)) {
            let tag = part.rows.column(0).as_dictionary::<Int32Type>();
            let found: Vec<_> = tag
                .downcast_dict::<arrow::array::StringArray>()
                .unwrap()
                .into_iter()
                .map(|t| t.map(str::to_owned))
                .collect();
            assert_eq!(found, texts);
            assert_eq!(
                (part.min_time_ns, part.max_time_ns - 900),
                (part.chunk_time_ns, part.chunk_time_ns)
            );
        }
    }
}
