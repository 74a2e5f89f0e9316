//! Keeps batches small where rows are large.
//!
//! The engine counts a batch in rows, whatever these hold. A constant list of a million numbers
//! is a row like any other, and repeated for each row of a batch it would take all memory before
//! anybody counts it; and a list becomes as many rows as it has elements, of which a batch may
//! hold any number. Below operators that do such a thing batches are cut.

use crate::query::plan_kit::{new_children, no_expressions};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// What the constants of an operator may take, repeated for each row of a batch.
const CONSTANT_BYTES_MAX: usize = 1024 * 1024;
/// Smaller constants are not counted.
const SMALL_CONSTANT_BYTES_MAX: usize = 4 * 1024;
/// How many elements the lists of a batch may have when each becomes a row. A single row may have
/// more.
const ELEMENTS_MAX: usize = 64 * 1024;

/// Cuts batches below operators that would make much of each row.
#[derive(Debug)]
pub(super) struct NarrowLargeRows;

impl PhysicalOptimizerRule for NarrowLargeRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch_rows = config.execution.batch_size.get();
        let narrowed = plan.transform_up(|plan| {
            let lists: Vec<usize> = plan
                .downcast_ref::<UnnestExec>()
                .map(UnnestExec::list_column_indices)
                .map(|lists| lists.iter().map(|list| list.index_in_input_schema).collect())
                .unwrap_or_default();
            let rows_max = CONSTANT_BYTES_MAX / constant_bytes(plan.as_ref())?.max(1);
            if lists.is_empty() && rows_max >= batch_rows || plan.children().is_empty() {
                return Ok(Transformed::no(plan));
            }
            let rows_max = rows_max.clamp(1, batch_rows);
            let cut = Cut { rows_max, lists };
            let inputs = plan.children().into_iter().map(|c| NarrowExec::over(c, &cut)).collect();
            let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(plan.replace_children(inputs, anew)?))
        })?;
        Ok(narrowed.data)
    }

    fn name(&self) -> &str {
        "narrow_large_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The size of the constants that an operator computes with.
fn constant_bytes(plan: &dyn ExecutionPlan) -> Result<usize> {
    let mut bytes = 0;
    plan.apply_expressions(&mut |expr| {
        expr.apply(|expr| {
            if let Some(literal) = expr.downcast_ref::<Literal>() {
                let size = literal.value().size();
                // Small ones are many where they are not repeated, as behind IN.
                bytes += if size > SMALL_CONSTANT_BYTES_MAX { size } else { 0 };
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(bytes)
}

/// Where batches are cut.
#[derive(Clone, Debug)]
struct Cut {
    rows_max: usize,
    /// The columns whose elements become rows.
    lists: Vec<usize>,
}

impl Cut {
    /// How many rows from `first` on make the next part of a batch, at least one.
    fn rows(&self, batch: &RecordBatch, first: usize) -> usize {
        let rows = (batch.num_rows() - first).min(self.rows_max);
        let (mut elements, mut taken) = (0, 0);
        while taken < rows {
            let row = first + taken;
            let longest = self.lists.iter().map(|list| length(batch.column(*list), row)).max();
            elements += longest.unwrap_or(0);
            if elements > ELEMENTS_MAX && taken > 0 {
                break;
            }
            taken += 1;
        }
        taken.max(1)
    }

    /// The parts of a batch.
    fn parts(&self, batch: &RecordBatch) -> Vec<RecordBatch> {
        let (mut parts, mut first) = (Vec::new(), 0);
        while first < batch.num_rows() {
            let rows = self.rows(batch, first);
            parts.push(batch.slice(first, rows));
            first += rows;
        }
        parts
    }
}

/// How many elements a list has.
fn length(lists: &dyn Array, row: usize) -> usize {
    if lists.is_null(row) {
        return 0;
    }
    match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().value_length(row) as usize,
        DataType::LargeList(_) => lists.as_list::<i64>().value_length(row) as usize,
        DataType::FixedSizeList(_, length) => *length as usize,
        _ => 1,
    }
}

/// Cuts batches and hands the parts on one by one.
#[derive(Debug)]
struct NarrowExec {
    input: Arc<dyn ExecutionPlan>,
    cut: Cut,
}

impl NarrowExec {
    fn over(input: &Arc<dyn ExecutionPlan>, cut: &Cut) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: Arc::clone(input), cut: cut.clone() })
    }
}

impl DisplayAs for NarrowExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NarrowExec: rows={}", self.cut.rows_max)
    }
}

impl ExecutionPlan for NarrowExec {
    fn name(&self) -> &'static str {
        "NarrowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    no_expressions!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.as_slice() {
            [input] => Ok(Self::over(input, &self.cut)),
            _ => internal_err!("batches of exactly one input are cut"),
        }
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let cut = self.cut.clone();
        let batches = self.input.execute(partition, context)?;
        let parts =
            batches.map_ok(move |batch| stream::iter(cut.parts(&batch)).map(Ok)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::ListArray;
    use arrow::datatypes::Int64Type;

    #[test]
    fn parts_have_few_elements_or_one_row() {
        let lengths = [10, 0, ELEMENTS_MAX * 2, ELEMENTS_MAX - 10, 10, 1, 3];
        let lists = lengths.map(|n| Some(std::iter::repeat_n(Some(7), n).collect::<Vec<_>>()));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as _)]).unwrap();
        let rows = |cut: Cut| -> Vec<usize> {
            cut.parts(&batch).iter().map(RecordBatch::num_rows).collect()
        };
        assert_eq!(rows(Cut { rows_max: 100, lists: vec![0] }), [2, 1, 2, 2]);
        assert_eq!(rows(Cut { rows_max: 3, lists: vec![] }), [3, 3, 1]);
    }
}
