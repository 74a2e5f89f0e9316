//! Which filters a scan answers by itself.

use super::times::TimeRange;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::{Between, BinaryExpr};
use datafusion::logical_expr::{Expr, Operator};
use protocols::schema::{ColumnKind, TIME_COLUMN, TableSchema};

/// A filter that a scan can answer exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanFilter {
    /// `time` lies in this span.
    Time(TimeRange),
    /// A condition on tags alone: the same for all rows of a series.
    Tags,
}

/// What a scan can do with one conjunct of a WHERE clause, if anything.
pub(super) fn classify(filter: &Expr, table: &TableSchema) -> Option<ScanFilter> {
    if let Some(range) = time_range(filter).or_else(|| constant(filter)) {
        return Some(ScanFilter::Time(range));
    }
    let columns = filter.column_refs();
    let on_tags = !columns.is_empty()
        && columns.iter().all(|c| table.column(&c.name).is_some_and(|c| c.kind == ColumnKind::Tag));
    let can_wait = filter.is_volatile() || filter.exists(|e| Ok(!is_plain(e))).unwrap_or(true);
    (on_tags && !can_wait).then_some(ScanFilter::Tags)
}

/// The span of a condition that has become a constant: the engine folds one that was accepted
/// before, such as `tag NOT IN ('a', NULL)`.
fn constant(filter: &Expr) -> Option<TimeRange> {
    match filter {
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => Some(TimeRange::ALL),
        Expr::Literal(ScalarValue::Boolean(_) | ScalarValue::Null, _) => Some(TimeRange::NONE),
        _ => None,
    }
}

/// Expressions that depend on nothing but the columns of one row. A text that is put together of
/// others is left to an operator, which gets rows only as there is room for what becomes of them.
fn is_plain(expr: &Expr) -> bool {
    if let Expr::BinaryExpr(pair) = expr {
        return pair.op != Operator::StringConcat;
    }
    matches!(
        expr,
        Expr::Alias(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::Column(_)
            | Expr::InList(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotNull(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsUnknown(_)
            | Expr::Like(_)
            | Expr::Literal(..)
            | Expr::Negative(_)
            | Expr::Not(_)
            | Expr::Placeholder(_)
            | Expr::ScalarFunction(_)
            | Expr::SimilarTo(_)
            | Expr::TryCast(_)
    )
}

/// The span that a comparison of `time` with a literal allows.
fn time_range(filter: &Expr) -> Option<TimeRange> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_time(left) => {
            compared(*op, instant(right)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_time(right) => {
            compared(op.swap()?, instant(left)?)
        }
        Expr::Between(Between { expr, negated: false, low, high }) if is_time(expr) => {
            Some(TimeRange { min_ns: instant(low)?, max_ns: instant(high)? })
        }
        _ => None,
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == TIME_COLUMN)
}

fn instant(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(value, None), _) => *value,
        // A plan that is made before its values are known: whatever they are, they are instants.
        Expr::Placeholder(placeholder) => {
            let kind = placeholder.field.as_ref().map(|field| field.data_type());
            (kind == Some(&DataType::Timestamp(TimeUnit::Nanosecond, None))).then_some(0)
        }
        _ => None,
    }
}

/// The span in which `time op at` holds.
fn compared(op: Operator, at: i64) -> Option<TimeRange> {
    let exactly = TimeRange { min_ns: at, max_ns: at };
    match op {
        Operator::Eq => Some(exactly),
        Operator::Lt => Some(exactly.before()),
        Operator::LtEq => Some(TimeRange { min_ns: i64::MIN, max_ns: at }),
        Operator::Gt => Some(exactly.after()),
        Operator::GtEq => Some(TimeRange { min_ns: at, max_ns: i64::MAX }),
        _ => None,
    }
}
