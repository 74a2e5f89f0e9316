//! Which conditions a cache can answer.

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_plan::PhysicalExpr;
use protocols::messages::caches::{KeyTest, KeyValue};
use std::sync::Arc;

/// The condition as a test of one key column: an equality, a list, their negations, and lists of
/// such of one column.
pub(super) fn key_test(filter: &Expr, keys: &[Arc<Field>]) -> Option<(usize, KeyTest)> {
    let key = |expr: &Expr| match expr {
        Expr::Column(column) => keys.iter().position(|key| *key.name() == column.name),
        _ => None,
    };
    let value = |at: usize, expr: &Expr| match expr {
        Expr::Literal(literal, _) => key_value(literal, keys[at].data_type()),
        _ => None,
    };
    let truth = |at: usize, truth: bool| {
        let is_truth = keys[at].data_type() == &DataType::Boolean;
        is_truth.then(|| (at, KeyTest::In(vec![KeyValue::Boolean(truth)])))
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            match (key_test(left, keys)?, key_test(right, keys)?) {
                ((a, KeyTest::In(mut values)), (b, KeyTest::In(more))) if a == b => {
                    values.extend(more);
                    Some((a, KeyTest::In(values)))
                }
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (key_test(left, keys)?, key_test(right, keys)?) {
                ((a, KeyTest::NotIn(mut values)), (b, KeyTest::NotIn(more))) if a == b => {
                    values.extend(more);
                    Some((a, KeyTest::NotIn(values)))
                }
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (at, value) = match (key(left), key(right)) {
                (Some(at), None) => (at, value(at, right)?),
                (None, Some(at)) => (at, value(at, left)?),
                _ => return None,
            };
            match op {
                Operator::Eq => Some((at, KeyTest::In(vec![value]))),
                Operator::NotEq => Some((at, KeyTest::NotIn(vec![value]))),
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated }) => {
            let at = key(expr)?;
            let values = list.iter().map(|item| value(at, item)).collect::<Option<Vec<_>>>()?;
            Some((at, if *negated { KeyTest::NotIn(values) } else { KeyTest::In(values) }))
        }
        Expr::Column(_) => truth(key(filter)?, true),
        Expr::Not(inner) => truth(key(inner)?, false),
        _ => None,
    }
}

fn key_value(literal: &ScalarValue, kind: &DataType) -> Option<KeyValue> {
    match (literal, kind) {
        (
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
            DataType::Utf8,
        ) => Some(KeyValue::Text(Arc::from(text.as_str()))),
        (ScalarValue::Int64(Some(number)), DataType::Int64) => Some(KeyValue::Integer(*number)),
        (ScalarValue::UInt64(Some(number)), DataType::UInt64) => Some(KeyValue::UInteger(*number)),
        (ScalarValue::Boolean(Some(truth)), DataType::Boolean) => Some(KeyValue::Boolean(*truth)),
        _ => None,
    }
}

/// True for a condition that a key equals a value or one of several, which may not be known yet.
pub(super) fn finds_key(filter: &Expr, keys: &[Arc<Field>]) -> bool {
    let is_key = |expr: &Expr| match expr {
        Expr::Column(column) => keys.iter().any(|key| *key.name() == column.name),
        _ => false,
    };
    let is_value = |expr: &Expr| matches!(expr, Expr::Literal(..) | Expr::Placeholder(_));
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            (is_key(left) && is_value(right)) || (is_value(left) && is_key(right))
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            is_key(expr) && list.iter().all(is_value)
        }
        _ => false,
    }
}

/// True for a condition that depends on nothing but the columns of one row and on values, which may
/// not be known yet.
pub(super) fn is_exact(filter: &Expr) -> bool {
    let depends = |expr: &Expr| {
        matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::OuterReferenceColumn(..)
        )
    };
    !filter.is_volatile() && !filter.exists(|e| Ok(depends(e))).unwrap_or(true)
}

/// All of `filters` as one expression on rows of `schema`.
///
/// # Errors
/// When the engine cannot make one.
pub(super) fn condition(
    state: &dyn Session,
    schema: &SchemaRef,
    filters: Vec<Expr>,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    // Filters name the function as the relation of their columns; rows have plain names.
    let plain = |filter: Expr| {
        let changed = filter.transform(|e| {
            Ok(match e {
                Expr::Column(column) => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
                }
                other => Transformed::no(other),
            })
        });
        changed.map(|changed| changed.data)
    };
    let filters = filters.into_iter().map(plain).collect::<Result<Vec<_>>>()?;
    let df_schema = DFSchema::try_from(Arc::clone(schema))?;
    conjunction(filters).map(|all| state.create_physical_expr(all, &df_schema)).transpose()
}
