//! `IN` with a subquery is unknown where it ought to be.
//!
//! `x IN (SELECT …)` is true when an element is `x`, else unknown when `x` or an element is NULL and
//! there are elements, else false. DataFusion 55 makes a join of it, which knows true and false
//! (apache/datafusion#8241, #25340, #25347, #25336). That is enough where a row is kept or not kept
//! because it is true. `NOT IN` becomes a join that looks for NULL, which is right as long as there
//! is one key: `x` is computed from a column, and the subquery stands on its own. Everything else
//! is written here with EXISTS, which is never unknown.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, ScalarValue, not_impl_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Case, Exists, InSubquery};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(super) struct ThreeValued;

impl AnalyzerRule for ThreeValued {
    fn name(&self) -> &str {
        "three_valued_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

/// Where a condition stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It decides alone whether a row is kept.
    Top,
    /// False does for unknown: there are only ANDs and ORs around it.
    Kept,
    /// Unknown is not the same as false.
    Exact,
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            if !has_subquery(&predicate)? {
                return Ok(Transformed::no(LogicalPlan::Filter(Filter::new(predicate, input))));
            }
            let predicate = condition(predicate, Place::Top, input.schema())?;
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, input)?)))
        }
        plan => {
            // The engine joins for the conditions of filters only.
            plan.apply_expressions(|expr| {
                if has_subquery(expr)? {
                    return not_impl_err!(
                        "IN and EXISTS with a query outside of WHERE, HAVING and QUALIFY"
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(Transformed::no(plan))
        }
    }
}

fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| Ok(matches!(expr, Expr::InSubquery(_) | Expr::Exists(_))))
}

fn condition(expr: Expr, place: Place, outer: &DFSchema) -> Result<Expr> {
    if !has_subquery(&expr)? {
        return Ok(expr);
    }
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let place = match (place, op) {
                (Place::Top, Operator::Or) => Place::Kept,
                (place, _) => place,
            };
            let left = Box::new(condition(*left, place, outer)?);
            let right = Box::new(condition(*right, place, outer)?);
            Ok(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Not(negated) => match *negated {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                membership(InSubquery { expr, subquery, negated: !negated }, place, outer)
            }
            other => Ok(Expr::Not(Box::new(condition(other, Place::Exact, outer)?))),
        },
        Expr::InSubquery(membership_of) => membership(membership_of, place, outer),
        Expr::Exists(exists) => {
            check_correlation(&exists.subquery)?;
            Ok(Expr::Exists(exists))
        }
        other => {
            let parts = other
                .map_children(|part| Ok(Transformed::yes(condition(part, Place::Exact, outer)?)))?;
            Ok(parts.data)
        }
    }
}

/// `x IN (SELECT …)` or `NOT IN`.
fn membership(membership: InSubquery, place: Place, outer: &DFSchema) -> Result<Expr> {
    let InSubquery { expr, subquery, negated } = membership;
    check_correlation(&subquery)?;
    let element = Expr::Column(Column::from(subquery.subquery.schema().qualified_field(0)));
    let is_constant = expr.column_refs().is_empty();
    let is_known =
        !is_constant && !expr.nullable(outer)? && !element.nullable(subquery.subquery.schema())?;
    let joined = match (negated, place) {
        _ if is_known => true,
        (true, Place::Top) => !is_constant && subquery.outer_ref_columns.is_empty(),
        (false, Place::Top) => !is_constant,
        _ => false,
    };
    if joined {
        return Ok(Expr::InSubquery(InSubquery { expr, subquery, negated }));
    }
    if has_limit(&subquery.subquery)? && !subquery.outer_ref_columns.is_empty() {
        return not_impl_err!("IN with a query that has LIMIT and depends on the query around it");
    }
    let is_it = Expr::BinaryExpr(BinaryExpr {
        left: Box::new(element),
        op: Operator::Eq,
        right: Box::new(seen_from_inside(*expr, outer)?),
    });
    let exists = |condition: Expr, negated: bool| -> Result<Expr> {
        let inner = LogicalPlan::clone(&subquery.subquery);
        let inner = LogicalPlanBuilder::from(inner).filter(condition)?.build()?;
        let subquery = Subquery {
            outer_ref_columns: inner.all_out_ref_exprs(),
            subquery: Arc::new(inner),
            spans: subquery.spans.clone(),
        };
        Ok(Expr::Exists(Exists { subquery, negated }))
    };
    if place != Place::Exact {
        return match negated {
            true => exists(Expr::IsNotFalse(Box::new(is_it)), true),
            false => exists(is_it, false),
        };
    }
    let value = |value: Option<bool>| Box::new(Expr::Literal(ScalarValue::Boolean(value), None));
    let found = Box::new(exists(is_it.clone(), false)?);
    let unknown = Box::new(exists(Expr::IsUnknown(Box::new(is_it)), false)?);
    Ok(Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(found, value(Some(!negated))), (unknown, value(None))],
        else_expr: Some(value(Some(negated))),
    }))
}

/// An expression of the query around as one of a subquery.
fn seen_from_inside(expr: Expr, outer: &DFSchema) -> Result<Expr> {
    let seen = expr.transform_up(|expr| match expr {
        Expr::Column(column) => {
            let field = Arc::clone(outer.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        Expr::OuterReferenceColumn(..) => {
            not_impl_err!("NOT IN with a value from outside of the query around it")
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(seen.data)
}

fn has_limit(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|plan| Ok(matches!(plan, LogicalPlan::Limit(_))))
}

/// The engine groups by what a subquery depends on, so that an aggregate over no rows, which is a
/// row like any other, is not there.
fn check_correlation(subquery: &Subquery) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(());
    }
    let aggregates = subquery.subquery.exists(|plan| {
        Ok(matches!(plan, LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty()))
    })?;
    if aggregates {
        return not_impl_err!(
            "IN and EXISTS with an aggregate that depends on the query around it, compare with the \
             query instead"
        );
    }
    Ok(())
}
