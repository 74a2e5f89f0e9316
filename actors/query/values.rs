//! How large single values are: what is repeated for many rows is copied for each of them.

use super::scope;
use arrow::array::{AnyDictionaryArray, Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;

/// So much more at once is no matter.
const SMALL_BYTES: usize = 4 * 1024 * 1024;

/// True if values of the type are copied and may be of any size.
pub(super) fn is_variable(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => true,
        // Of a tag the key is copied, of a view where the value is.
        DataType::Dictionary(..) | DataType::Utf8View | DataType::BinaryView => false,
        kind => kind.is_nested(),
    }
}

/// Bytes of a value, as part of a column.
pub(super) fn bytes_of(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::List(list) => slice_bytes(list.as_ref()),
        ScalarValue::LargeList(list) => slice_bytes(list.as_ref()),
        ScalarValue::FixedSizeList(list) => slice_bytes(list.as_ref()),
        ScalarValue::Map(map) => slice_bytes(map.as_ref()),
        ScalarValue::Struct(fields) => slice_bytes(fields.as_ref()),
        // What it has beside itself.
        other => other.size().saturating_sub(size_of::<ScalarValue>()),
    }
}

/// Bytes of the texts of a batch, of tags as many as they may have once they are written out.
pub(super) fn text_bytes(batch: &RecordBatch) -> usize {
    let of_column = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(..) => {
            let values = column.as_any_dictionary_opt().map(AnyDictionaryArray::values);
            values.map_or(0, |values| largest(values, 0)).saturating_mul(column.len())
        }
        DataType::Utf8View => column.as_string_view().lengths().map(|n| n as usize).sum(),
        kind if kind.is_string() => slice_bytes(column.as_ref()),
        _ => 0,
    };
    batch.columns().iter().map(of_column).sum()
}

/// Whether the query may have any row of a batch so many times.
///
/// # Errors
/// When it has to stop.
pub(super) fn check_repeated(batch: &RecordBatch, times: usize) -> Result<()> {
    let variable = batch.columns().iter().filter(|column| is_variable(column.data_type()));
    let bytes: usize = variable.map(|column| largest(column, SMALL_BYTES / times.max(1))).sum();
    match bytes.saturating_mul(times) {
        bytes if bytes > SMALL_BYTES => scope::check_room(bytes),
        _ => Ok(()),
    }
}

/// Bytes of the largest value, not looked for where all together are less than `enough`.
fn largest(column: &ArrayRef, enough: usize) -> usize {
    let all = match column.data_type() {
        DataType::Utf8 => return longest(column.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => return longest(column.as_string::<i64>().offsets()),
        DataType::Binary => return longest(column.as_binary::<i32>().offsets()),
        DataType::LargeBinary => return longest(column.as_binary::<i64>().offsets()),
        _ => slice_bytes(column.as_ref()),
    };
    if all <= enough {
        return all;
    }
    let rows = 0..column.len();
    rows.map(|row| slice_bytes(column.slice(row, 1).as_ref())).max().unwrap_or(0)
}

fn longest<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
    offsets.lengths().max().unwrap_or(0)
}

fn slice_bytes(values: &dyn Array) -> usize {
    // It fails for types that the engine does not make.
    values.to_data().get_slice_memory_size().unwrap_or_else(|_| values.get_array_memory_size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ListArray, StringArray};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    #[test]
    fn the_largest_value_counts_and_not_what_it_is_cut_from() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "bcd", ""]));
        assert_eq!(largest(&texts, 0), 3);
        let lists = [1, 1_000, 2].map(|n| Some((0..n).map(Some)));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let bytes = largest(&lists, 0);
        assert!((8_000..9_000).contains(&bytes), "{bytes}");
        let small = ScalarValue::try_from_array(&lists, 2).unwrap();
        assert!(bytes_of(&small) < 100, "{}", bytes_of(&small));
    }
}
