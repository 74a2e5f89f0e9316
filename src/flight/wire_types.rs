//! Types that every client can read: no dictionaries and no views, nested ones included.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The schema as it is sent.
pub(super) fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(wire_field);
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The rows as they are sent; `schema` is what `wire_schema` made of theirs.
///
/// # Errors
/// When a column cannot be written out as its plain type.
pub(super) fn wire_batch(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let plain = |(column, field): (&ArrayRef, &FieldRef)| match field.data_type() {
        wanted if column.data_type() == wanted => Ok(Arc::clone(column)),
        wanted => cast(column, wanted),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(plain);
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn wire_field(field: &FieldRef) -> FieldRef {
    match wire_type(field.data_type()) {
        plain if plain == *field.data_type() => Arc::clone(field),
        plain => Arc::new(Field::clone(field).with_data_type(plain)),
    }
}

/// The plain type that stands for `data_type`.
pub(super) fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => wire_type(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(wire_field(item)),
        DataType::LargeList(item) => DataType::LargeList(wire_field(item)),
        DataType::FixedSizeList(item, n) => DataType::FixedSizeList(wire_field(item), *n),
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, DictionaryArray, StringArray, StringViewArray, StructArray};
    use arrow::datatypes::Int32Type;

    #[test]
    fn dictionaries_and_views_become_plain_at_any_depth() {
        let tag: DictionaryArray<Int32Type> = [Some("a"), None, Some("a")].into_iter().collect();
        let tag: ArrayRef = Arc::new(tag);
        let view: ArrayRef = Arc::new(StringViewArray::from(vec!["x", "y", "z"]));
        let key = "iox::column::type".to_owned();
        let field = Field::new("t", tag.data_type().clone(), true)
            .with_metadata([(key, "iox::column_type::tag".to_owned())].into());
        let nested = StructArray::from(vec![(Arc::new(field.clone()), Arc::clone(&tag))]);
        let schema = Schema::new(vec![
            field,
            Field::new("v", view.data_type().clone(), false),
            Field::new("s", nested.data_type().clone(), false),
        ]);
        let columns = vec![tag, view, Arc::new(nested) as ArrayRef];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();

        let schema = wire_schema(batch.schema_ref());
        let plain = wire_batch(&batch, &schema).unwrap();
        assert_eq!(plain.schema_ref(), &schema);
        let expected = StringArray::from(vec![Some("a"), None, Some("a")]);
        assert_eq!(plain.column(0).as_ref(), &expected);
        assert_eq!(plain.column(1).as_ref(), &StringArray::from(vec!["x", "y", "z"]));
        let nested = plain.column(2).as_any().downcast_ref::<StructArray>().unwrap();
        assert_eq!(nested.column(0).as_ref(), &expected);
        assert_eq!(schema.field(0).metadata(), batch.schema_ref().field(0).metadata());
    }
}
