//! How much an operator takes for computing with its rows, beside the rows.
//!
//! A constant is repeated for each row that it becomes a part of, a text that is put together of
//! others is as long as these, and each computed column takes room of its own. None of this can be
//! stopped while a batch is computed with, so batches are cut before (`narrow`, `watched/`).

use super::scope;
use super::values::{bytes_of, text_bytes};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, LikeExpr, Literal};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// Limit: bytes that computing with one batch may take, about. A row may take more.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a computed value takes at least.
const VALUE_BYTES: usize = 8;
/// Constants of a row and texts put together in one are few up to here.
const FEW_BYTES: usize = 64;
const FEW_JOINTS: usize = 2;

/// What expressions take.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    /// Bytes a row, whatever the row has.
    row_bytes: usize,
    /// Constants that are known once the query runs.
    subqueries: Vec<Arc<dyn PhysicalExpr>>,
    /// How many times texts of the row are put together.
    joints: usize,
}

impl Growth {
    /// What the expressions of an operator take.
    pub(super) fn of_plan(plan: &dyn ExecutionPlan) -> Result<Self> {
        let mut growth = Self::default();
        plan.apply_expressions(&mut |expr| {
            growth.add(expr);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(growth)
    }

    /// What an expression takes.
    pub(super) fn of(expr: &Arc<dyn PhysicalExpr>) -> Self {
        let mut growth = Self::default();
        growth.add(expr);
        growth
    }

    fn add(&mut self, expr: &Arc<dyn PhysicalExpr>) {
        if !expr.is::<Column>() {
            self.row_bytes = self.row_bytes.saturating_add(VALUE_BYTES);
            self.add_parts(expr);
        }
    }

    fn add_parts(&mut self, expr: &Arc<dyn PhysicalExpr>) {
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            self.row_bytes = self.row_bytes.saturating_add(bytes_of(literal.value()));
        } else if expr.is::<ScalarSubqueryExpr>() {
            self.subqueries.push(Arc::clone(expr));
        } else if let Some(list) = expr.downcast_ref::<InListExpr>() {
            self.add_parts(list.expr());
        } else if let Some(like) = expr.downcast_ref::<LikeExpr>() {
            self.add_parts(like.expr());
        } else if let Some(pair) = expr.downcast_ref::<BinaryExpr>() {
            let joins = *pair.op() == Operator::StringConcat;
            self.joints += usize::from(joins);
            for part in [pair.left(), pair.right()] {
                // What is compared or added to each row is repeated for none.
                if joins || !part.is::<Literal>() {
                    self.add_parts(part);
                }
            }
        } else {
            expr.children().into_iter().for_each(|part| self.add_parts(part));
        }
    }

    /// True if batches of so many rows can be computed with as they are.
    pub(super) fn is_none(&self, rows: usize) -> bool {
        self.joints == 0
            && self.subqueries.is_empty()
            && self.row_bytes.saturating_mul(rows) <= BATCH_BYTES_MAX
    }

    /// True if what is computed of many rows at once may be much larger than these.
    pub(super) fn is_large(&self) -> bool {
        self.joints > FEW_JOINTS || !self.subqueries.is_empty() || self.row_bytes > FEW_BYTES
    }

    /// Bytes that computing with a batch takes, about.
    pub(super) fn bytes(&self, batch: &RecordBatch) -> Result<usize> {
        let mut row_bytes = self.row_bytes;
        for subquery in &self.subqueries {
            if let ColumnarValue::Scalar(value) = subquery.evaluate(batch)? {
                row_bytes = row_bytes.saturating_add(bytes_of(&value));
            }
        }
        let texts = match self.joints {
            0 => 0,
            joints => text_bytes(batch).saturating_mul(joints),
        };
        Ok(row_bytes.saturating_mul(batch.num_rows()).saturating_add(texts))
    }

    /// So many rows of a batch can be computed with at once, if all are alike.
    pub(super) fn rows_at_once(&self, batch: &RecordBatch) -> Result<usize> {
        let (bytes, rows) = (self.bytes(batch)?, batch.num_rows());
        match bytes > BATCH_BYTES_MAX {
            true => Ok((rows / bytes.div_ceil(BATCH_BYTES_MAX)).max(1)),
            false => Ok(rows.max(1)),
        }
    }

    /// Whether there is room for computing with a batch.
    ///
    /// # Errors
    /// When there is not.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<()> {
        match self.bytes(batch)? {
            bytes if bytes > BATCH_BYTES_MAX => scope::check_room(bytes),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use datafusion::physical_expr::expressions::{col, lit};

    #[test]
    fn what_is_repeated_or_put_together_counts_and_what_is_compared_does_not() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["12345678"; 1000]));
        let batch = RecordBatch::try_from_iter([("t", texts)]).unwrap();
        let binary = |left, op, right| Arc::new(BinaryExpr::new(left, op, right)) as _;
        let column = || col("t", &batch.schema()).unwrap();
        let bytes = |expr: &Arc<dyn PhysicalExpr>| Growth::of(expr).bytes(&batch).unwrap();

        assert_eq!(bytes(&column()), 0);
        let compared = binary(column(), Operator::Eq, lit("x".repeat(10_000)));
        assert_eq!(bytes(&compared), 1000 * VALUE_BYTES);
        let longer = binary(column(), Operator::StringConcat, lit("x".repeat(100)));
        let long = VALUE_BYTES + 100 + 8;
        assert!((1000 * long..1000 * (long + 8)).contains(&bytes(&longer)), "{}", bytes(&longer));
        assert_eq!(bytes(&lit("x".repeat(100))), 1000 * (VALUE_BYTES + 100));

        let growth = Growth::of(&lit("x".repeat(BATCH_BYTES_MAX / 10)));
        assert_eq!(growth.rows_at_once(&batch).unwrap(), 9);
        assert!(growth.is_large() && !growth.is_none(1000) && growth.is_none(1));
    }
}
