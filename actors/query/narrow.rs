//! Keeps batches small where rows are large.
//!
//! The engine counts a batch in rows, whatever these hold or become. A constant list of a million
//! numbers is a row like any other, and repeated for each row of a batch it would take all memory
//! before anybody counts it; and a list becomes as many rows as it has elements, of which a batch
//! may hold any number. Below operators that do such a thing batches are cut. Those that compute
//! with all their rows at once, which are sorts and windows, get a batch only if there is room for
//! what it becomes together with those before.

use super::growth::Growth;
use super::scope;
use super::values::check_repeated;
use crate::query::plan_kit::{new_children, no_expressions};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use std::fmt;
use std::sync::Arc;

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
            // The conditions of joins look after themselves.
            if plan.children().is_empty() || plan.name().ends_with("JoinExec") {
                return Ok(Transformed::no(plan));
            }
            let cut = Cut::below(plan.as_ref())?;
            let is_idle = match cut.is_for_all {
                true => !cut.growth.is_large(),
                false => cut.growth.is_none(batch_rows),
            };
            if cut.lists.is_empty() && is_idle {
                return Ok(Transformed::no(plan));
            }
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

/// Where batches are cut.
#[derive(Clone, Debug, Default)]
struct Cut {
    growth: Growth,
    /// True if all rows are computed with at once.
    is_for_all: bool,
    /// The columns whose elements become rows.
    lists: Vec<usize>,
}

impl Cut {
    fn below(plan: &dyn ExecutionPlan) -> Result<Self> {
        let unnest = plan.downcast_ref::<UnnestExec>();
        let lists = unnest.iter().flat_map(|unnest| unnest.list_column_indices());
        let is_window = plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>();
        Ok(Self {
            growth: Growth::of_plan(plan)?,
            is_for_all: is_window || plan.is::<SortExec>() && plan.fetch().is_none(),
            lists: lists.map(|list| list.index_in_input_schema).collect(),
        })
    }

    /// How many rows from `first` on make the next part of a batch, at least one and at most
    /// `rows_max`.
    fn rows(&self, batch: &RecordBatch, first: usize, rows_max: usize) -> usize {
        let rows = (batch.num_rows() - first).min(rows_max);
        if self.lists.is_empty() {
            return rows;
        }
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

    /// The part, if there is room for what becomes of it.
    fn checked(&self, part: RecordBatch) -> Result<RecordBatch> {
        self.growth.check(&part)?;
        let lists = self.lists.iter().map(|list| part.column(*list));
        let rows = 0..part.num_rows();
        let longest = lists.flat_map(|list| rows.clone().map(|row| length(list, row))).max();
        if let Some(elements) = longest {
            let others = (0..part.num_columns()).filter(|column| !self.lists.contains(column));
            check_repeated(&part.project(&others.collect::<Vec<_>>())?, elements)?;
        }
        Ok(part)
    }

    /// The parts of a batch.
    fn parts(&self, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let rows_max = self.growth.rows_at_once(batch)?;
        let (mut parts, mut first) = (Vec::new(), 0);
        while first < batch.num_rows() {
            let rows = self.rows(batch, first, rows_max);
            parts.push(batch.slice(first, rows));
            first += rows;
        }
        Ok(parts)
    }

    /// The batches, of which there may be as many as there is room for all together.
    fn all(self, batches: SendableRecordBatchStream) -> impl Stream<Item = Result<RecordBatch>> {
        let mut bytes = 0_usize;
        batches.and_then(move |batch| {
            let checked = self.growth.bytes(&batch).and_then(|more| {
                bytes = bytes.saturating_add(more);
                scope::check_room(bytes)
            });
            future::ready(checked.map(|()| batch))
        })
    }

    /// The batches in parts.
    fn each(self, batches: SendableRecordBatchStream) -> impl Stream<Item = Result<RecordBatch>> {
        let parts = batches.and_then(move |batch| {
            let cut = self.clone();
            let parts = cut.parts(&batch).map(|parts| stream::iter(parts).map(Ok));
            let parts =
                parts.map(|parts| parts.and_then(move |part| future::ready(cut.checked(part))));
            future::ready(parts)
        });
        parts.try_flatten()
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
        f.write_str("NarrowExec")
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
        let batches = self.input.execute(partition, context)?;
        let cut = self.cut.clone();
        let rows = match cut.is_for_all {
            true => cut.all(batches).boxed(),
            false => cut.each(batches).boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
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
            cut.parts(&batch).unwrap().iter().map(RecordBatch::num_rows).collect()
        };
        assert_eq!(rows(Cut { lists: vec![0], ..Cut::default() }), [2, 1, 2, 2]);
        assert_eq!(rows(Cut::default()), [7]);
    }
}
