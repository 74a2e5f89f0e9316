//! Few rows of one series: what is spared with them.
//!
//! A series has some dozens of rows in a chunk. Whatever stands above a scan takes as long for the
//! columns of such a batch as for its rows, so that a batch in which nothing is wanted should not
//! come at all; and a column of tags has the texts of all series, which somebody who joins batches
//! would look through.

use super::selection::{ROWS_PER_SLICE_MIN, project};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch};
use datafusion::arrow::array::{DictionaryArray, RecordBatchOptions};
use datafusion::arrow::datatypes::{Int32Type, Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt, reassign_expr_columns};
use datafusion::physical_plan::PhysicalExpr;
use std::ops::Range;
use std::sync::Arc;

/// A condition that somebody above a scan applies, and that is quick to look at before.
#[derive(Clone, Debug)]
pub(super) struct Quick {
    condition: Arc<dyn PhysicalExpr>,
    /// The columns that it reads.
    schema: SchemaRef,
}

impl Quick {
    /// Those of `filters`, on columns of `schema`, that compare numbers and times with literals.
    pub(super) fn of(filters: &[Arc<dyn PhysicalExpr>], schema: &Schema) -> Option<Self> {
        let quick = filters.iter().filter(|filter| is_quick(filter)).map(Arc::clone);
        let condition = conjunction_opt(quick)?;
        let mut read: Vec<_> = collect_columns(&condition).iter().map(Column::index).collect();
        read.sort_unstable();
        let schema = schema.project(&read).ok().filter(is_cheap)?;
        let condition = reassign_expr_columns(condition, &schema).ok()?;
        Some(Self { condition, schema: Arc::new(schema) })
    }

    /// The parts of `spans` of `rows` that have a row for which the condition holds. Long spans
    /// stay as they are.
    pub(super) fn spans(
        &self,
        rows: &RecordBatch,
        spans: Vec<Range<usize>>,
    ) -> Result<Vec<Range<usize>>> {
        let rows = project(rows, &self.schema)?;
        let mut wanted = Vec::with_capacity(spans.len());
        for span in spans {
            if span.len() >= ROWS_PER_SLICE_MIN {
                wanted.push(span);
                continue;
            }
            let slice = rows.slice(span.start, span.len());
            let holds = self.condition.evaluate(&slice)?.into_array(span.len())?;
            let Some(holds) = holds.as_boolean_opt() else {
                wanted.push(span);
                continue;
            };
            let is_wanted = |row: &usize| holds.is_valid(*row) && holds.value(*row);
            if let Some(first) = (0..span.len()).find(is_wanted) {
                let last = (first..span.len()).rfind(is_wanted).unwrap_or(first);
                wanted.push(span.start + first..span.start + last + 1);
            }
        }
        Ok(wanted)
    }
}

/// True if the columns are numbers, times and the like, of which a slice costs next to nothing.
fn is_cheap(schema: &Schema) -> bool {
    let fields = schema.fields();
    !fields.is_empty() && fields.iter().all(|field| field.data_type().is_primitive())
}

/// True for comparisons of columns with literals, all of which have to hold or some.
fn is_quick(filter: &Arc<dyn PhysicalExpr>) -> bool {
    let Some(pair) = filter.downcast_ref::<BinaryExpr>() else { return false };
    let is_leaf = |part: &Arc<dyn PhysicalExpr>| part.is::<Column>() || part.is::<Literal>();
    match pair.op() {
        Operator::And | Operator::Or => is_quick(pair.left()) && is_quick(pair.right()),
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq => is_leaf(pair.left()) && is_leaf(pair.right()),
        _ => false,
    }
}

/// The same rows; a column of tags that has one value keeps only its text.
pub(super) fn compact(batch: RecordBatch) -> Result<RecordBatch> {
    if batch.num_rows() == 0 || batch.num_rows() >= ROWS_PER_SLICE_MIN {
        return Ok(batch);
    }
    let columns = batch.columns().iter().map(|column| {
        let Some(tags) = column.as_dictionary_opt::<Int32Type>() else { return Arc::clone(column) };
        one_value(tags).unwrap_or_else(|| Arc::clone(column))
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options)?)
}

/// The same values with a dictionary of one, if all of them are the same.
fn one_value(tags: &DictionaryArray<Int32Type>) -> Option<ArrayRef> {
    let keys = tags.keys();
    let first = *keys.values().first()?;
    if tags.values().len() <= 1
        || keys.null_count() > 0
        || keys.values().iter().any(|k| *k != first)
    {
        return None;
    }
    let value = tags.values().slice(usize::try_from(first).ok()?, 1);
    let keys = Int32Array::from_value(0, keys.len());
    Some(Arc::new(DictionaryArray::try_new(keys, value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::physical_expr::expressions::lit;

    fn numbers(values: Vec<Option<i64>>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values))]).unwrap()
    }

    #[test]
    fn spans_shrink_to_what_may_be_wanted() {
        let rows = numbers(vec![Some(1), Some(9), None, Some(8), Some(2), Some(3)]);
        let n: Arc<dyn PhysicalExpr> = Arc::new(Column::new("n", 0));
        let above: Arc<dyn PhysicalExpr> =
            Arc::new(BinaryExpr::new(Arc::clone(&n), Operator::Gt, lit(5_i64)));
        let quick = Quick::of(&[Arc::clone(&above)], rows.schema_ref()).expect("a comparison");
        assert_eq!(quick.spans(&rows, vec![0..5, 4..6, 0..2]).unwrap(), [1..4, 1..2]);
        let sum = Arc::new(BinaryExpr::new(Arc::clone(&n), Operator::Plus, lit(1_i64)));
        let slow = Arc::new(BinaryExpr::new(sum, Operator::Gt, lit(5_i64))) as _;
        assert!(Quick::of(&[slow], rows.schema_ref()).is_none(), "a sum may overflow");
    }

    #[test]
    fn one_value_keeps_one_text() {
        let tags = |keys: Vec<Option<i32>>| {
            let values = Arc::new(StringArray::from(vec!["a", "b", "c"]));
            DictionaryArray::<Int32Type>::try_new(keys.into(), values).unwrap()
        };
        let all_b = tags(vec![Some(1), Some(1)]);
        let compact = one_value(&all_b).expect("one value");
        let compact = compact.as_dictionary::<Int32Type>();
        assert_eq!(compact.values().len(), 1);
        assert_eq!(compact.values().as_string::<i32>().value(0), "b");
        for several in [vec![Some(1), Some(2)], vec![Some(1), None], vec![]] {
            assert!(one_value(&tags(several)).is_none());
        }
    }
}
