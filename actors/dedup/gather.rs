//! The two steps that every merge of rows consists of: columns laid end to end, and the choice
//! of the value that a merged row keeps.

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The column `name` of all batches, one after the other; nulls where a batch does not have it.
///
/// # Errors
/// When a batch has the column with another type.
pub fn concat_rows<'a>(
    batches: impl Iterator<Item = &'a RecordBatch>,
    name: &str,
    data_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let mut parts: Vec<ArrayRef> = Vec::new();
    let mut missing = 0;
    for batch in batches {
        match batch.column_by_name(name) {
            Some(column) if column.data_type() == data_type => {
                if missing > 0 {
                    parts.push(new_null_array(data_type, missing));
                    missing = 0;
                }
                parts.push(ArrayRef::clone(column));
            }
            Some(column) => {
                let found = column.data_type();
                return Err(ArrowError::SchemaError(format!(
                    "column {name} is {found} where {data_type} was expected"
                )));
            }
            None => missing += batch.num_rows(),
        }
    }
    if missing > 0 {
        parts.push(new_null_array(data_type, missing));
    }
    match parts.as_slice() {
        [] => Ok(new_empty_array(data_type)),
        [one] => Ok(ArrayRef::clone(one)),
        many => concat(&many.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()),
    }
}

/// Which row each merged row takes its value of one column from.
///
/// Places `first[i]..first[i + 1]` (up to `total` for the last) have equal keys and are in order
/// of arrival; `row_at` says which row is at a place. Chosen is the last row whose value in
/// `column` is not null, or any when all are. Without a column: the last row.
pub fn last_values(
    first: &[u32],
    total: u32,
    column: Option<&dyn Array>,
    row_at: impl Fn(u32) -> u32,
) -> UInt32Array {
    let ends = first.iter().skip(1).copied().chain([total]);
    let chosen = first.iter().zip(ends).map(|(begin, end)| {
        let last = row_at(end - 1);
        match column {
            Some(values) if end - begin > 1 => (*begin..end)
                .rev()
                .map(&row_at)
                .find(|row| values.is_valid(*row as usize))
                .unwrap_or(last),
            _ => last,
        }
    });
    UInt32Array::from_iter_values(chosen)
}
