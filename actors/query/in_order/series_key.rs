//! What rows of one time are ordered by: the values of all tags in one column.
//!
//! One column is planned, carried and compared sooner than a dozen. Its bytes are in the order of
//! the tags' values, and of neighbours with the same tags they are made once.

use arrow::array::{ArrayRef, BinaryArray, DictionaryArray, Int32Array, UInt32Array};
use arrow::compute::{SortOptions, partition, take};
use arrow::datatypes::{DataType, Int32Type, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use std::sync::Arc;

/// The key of a row with such tags, in the order of their importance.
pub(in crate::query) fn series_key(tags: Vec<Expr>) -> Expr {
    function().call(tags)
}

fn function() -> Arc<ScalarUDF> {
    let signature = Signature::variadic_any(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(SeriesKey { signature }))
}

/// The same in a physical plan.
pub(super) fn series_key_of(
    tags: Vec<Arc<dyn PhysicalExpr>>,
    schema: &Schema,
    config: &Arc<ConfigOptions>,
) -> Result<Arc<dyn PhysicalExpr>> {
    Ok(Arc::new(ScalarFunctionExpr::try_new(function(), tags, schema, Arc::clone(config))?))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SeriesKey {
    signature: Signature,
}

impl ScalarUDFImpl for SeriesKey {
    fn name(&self) -> &'static str {
        "influxql_series_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let tags = args.args.iter().map(|tag| tag.to_array(args.number_rows));
        Ok(ColumnarValue::Array(keys(&tags.collect::<Result<Vec<_>>>()?, args.number_rows)?))
    }
}

fn keys(tags: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let runs = match rows {
        0 => Vec::new(),
        _ => partition(tags)?.ranges(),
    };
    let heads = UInt32Array::from_iter_values(runs.iter().map(|run| run.start as u32));
    let heads = tags.iter().map(|tag| take(tag, &heads, None));
    let heads = heads.collect::<std::result::Result<Vec<_>, _>>()?;
    let options = SortOptions { descending: false, nulls_first: false };
    let fields =
        tags.iter().map(|tag| SortField::new_with_options(tag.data_type().clone(), options));
    let encoded = RowConverter::new(fields.collect())?.convert_columns(&heads)?;
    let values = BinaryArray::from_iter_values(encoded.iter().map(|key| key.data()));
    let runs = runs.into_iter().enumerate();
    let places = runs.flat_map(|(at, run)| std::iter::repeat_n(at as i32, run.len()));
    let places = Int32Array::from_iter_values(places);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(places, Arc::new(values))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::compute::sort_to_indices;

    #[test]
    fn keys_are_in_the_order_of_the_tags() {
        let tags = |values: &[Option<&str>]| -> ArrayRef {
            Arc::new(values.iter().copied().collect::<DictionaryArray<Int32Type>>())
        };
        let first = tags(&[Some("b"), Some("a"), None, Some("a"), Some("a")]);
        let second = tags(&[Some("x"), None, Some("x"), Some("y"), Some("y")]);
        let keys = keys(&[first, second], 5).expect("tags");
        let order = sort_to_indices(&keys, None, None).expect("bytes");
        assert_eq!(order.values()[2..], [1, 0, 2], "missing ones last");
        let none = super::keys(&[tags(&[])], 0).expect("tags");
        assert_eq!(none.len(), 0);
    }
}
