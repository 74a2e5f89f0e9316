//! The range of time that the filters below an aggregate let through.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, JoinType, ScalarValue, TableReference, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// The instants that a column can have, both ends included. `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TimeRange {
    first_ns: Option<i64>,
    last_ns: Option<i64>,
}

impl TimeRange {
    /// The first and the last instant.
    ///
    /// # Errors
    /// When a bound is missing.
    pub(super) fn validate(self) -> Result<(i64, i64)> {
        match (self.first_ns, self.last_ns) {
            (Some(first), Some(last)) => Ok((first, last)),
            (None, None) => {
                plan_err!("gap-filling query is missing both upper and lower time bounds")
            }
            (Some(_), None) => plan_err!("gap-filling query is missing upper time bound"),
            (None, Some(_)) => plan_err!("gap-filling query is missing lower time bound"),
        }
    }

    /// What is in both ranges.
    fn and(self, other: Self) -> Self {
        Self {
            first_ns: self.first_ns.max(other.first_ns),
            last_ns: self.last_ns.into_iter().chain(other.last_ns).min(),
        }
    }

    /// What is in either range.
    fn or(self, other: Self) -> Self {
        let first_ns = self.first_ns.zip(other.first_ns).map(|(a, b)| a.min(b));
        let last_ns = self.last_ns.zip(other.last_ns).map(|(a, b)| a.max(b));
        Self { first_ns, last_ns }
    }
}

/// The column whose instants an expression has: the column itself, or seen in a time zone.
pub(super) fn instants_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => instants_of(&alias.expr),
        Expr::ScalarFunction(call) if call.name() == "tz" => instants_of(call.args.first()?),
        _ => None,
    }
}

/// The range of a column of a plan. `constants` evaluates what the column is compared with.
///
/// # Errors
/// When a bound is not a time.
pub(super) fn time_range(
    plan: &LogicalPlan,
    column: &Column,
    constants: &ExprSimplifier,
) -> Result<TimeRange> {
    let bounds = |predicates: Vec<&Expr>| {
        predicates.into_iter().try_fold(TimeRange::default(), |range, predicate| {
            Ok(range.and(bound(predicate, column, constants)?))
        })
    };
    let below = |input: &LogicalPlan, column: &Column| time_range(input, column, constants);
    match plan {
        LogicalPlan::Filter(filter) => {
            let own = bounds(split_conjunction(&filter.predicate))?;
            Ok(own.and(below(&filter.input, column)?))
        }
        LogicalPlan::TableScan(scan) => {
            bounds(scan.filters.iter().flat_map(split_conjunction).collect())
        }
        LogicalPlan::SubqueryAlias(alias) => match position(plan, column) {
            Some(at) => below(&alias.input, &column_at(&alias.input, at)),
            None => Ok(TimeRange::default()),
        },
        LogicalPlan::Projection(projection) => {
            let expr = position(plan, column).and_then(|at| projection.expr.get(at));
            match expr.and_then(instants_of) {
                Some(column) => below(&projection.input, column),
                None => Ok(TimeRange::default()),
            }
        }
        LogicalPlan::Aggregate(aggregate) => {
            let expr = position(plan, column).and_then(|at| aggregate.group_expr.get(at));
            match expr.and_then(instants_of) {
                Some(column) => below(&aggregate.input, column),
                None => Ok(TimeRange::default()),
            }
        }
        LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => match plan.inputs().as_slice() {
            [input] if position(input, column).is_some() => below(input, column),
            _ => Ok(TimeRange::default()),
        },
        LogicalPlan::Join(join) => join_range(join, column, constants),
        LogicalPlan::Union(union) => {
            let Some(at) = position(plan, column) else {
                return Ok(TimeRange::default());
            };
            let ranges = union.inputs.iter().map(|input| below(input, &column_at(input, at)));
            let ranges = ranges.collect::<Result<Vec<_>>>()?;
            Ok(ranges.into_iter().reduce(TimeRange::or).unwrap_or_default())
        }
        _ => Ok(TimeRange::default()),
    }
}

/// What a join lets through of a column of one of its sides.
fn join_range(join: &Join, column: &Column, constants: &ExprSimplifier) -> Result<TimeRange> {
    let mut range = TimeRange::default();
    if join.join_type == JoinType::Inner {
        for predicate in join.filter.iter().flat_map(split_conjunction) {
            range = range.and(bound(predicate, column, constants)?);
        }
    }
    // Rows that an outer join adds have no time, so the bounds of either side hold.
    for side in [&join.left, &join.right] {
        if position(side, column).is_some() {
            range = range.and(time_range(side, column, constants)?);
        }
    }
    Ok(range)
}

fn position(plan: &LogicalPlan, column: &Column) -> Option<usize> {
    plan.schema().maybe_index_of_column(column)
}

fn column_at(plan: &LogicalPlan, at: usize) -> Column {
    Column::from(plan.schema().qualified_field(at))
}

/// What one condition says about a column.
fn bound(predicate: &Expr, column: &Column, constants: &ExprSimplifier) -> Result<TimeRange> {
    let mut range = TimeRange::default();
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, other) = if is_instant(left, column) {
                (Some(*op), right)
            } else if is_instant(right, column) {
                (op.swap(), left)
            } else {
                return Ok(range);
            };
            let value = |constants| constant(other, constants);
            match op {
                Some(Operator::Gt) => {
                    range.first_ns = value(constants)?.map(|ns| ns.saturating_add(1));
                }
                Some(Operator::GtEq) => range.first_ns = value(constants)?,
                Some(Operator::Lt) => {
                    range.last_ns = value(constants)?.map(|ns| ns.saturating_sub(1));
                }
                Some(Operator::LtEq) => range.last_ns = value(constants)?,
                _ => {}
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) if is_instant(expr, column) => {
            range.first_ns = constant(low, constants)?;
            range.last_ns = constant(high, constants)?;
        }
        _ => {}
    }
    Ok(range)
}

/// True if an expression has the instants of a column.
fn is_instant(expr: &Expr, column: &Column) -> bool {
    let same_table = |relation: &Option<TableReference>| {
        relation.is_none() || column.relation.is_none() || *relation == column.relation
    };
    match expr {
        // Comparing with a time of another unit or zone casts the column. A cast to a zone other
        // than UTC may read the column as local times.
        Expr::Cast(cast) => match cast.field.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                let utc = zone.as_deref().is_none_or(|zone| ["UTC", "+00:00"].contains(&zone));
                utc && is_instant(&cast.expr, column)
            }
            _ => false,
        },
        other => instants_of(other)
            .is_some_and(|found| found.name == column.name && same_table(&found.relation)),
    }
}

/// The instant that an expression without columns stands for.
fn constant(expr: &Expr, constants: &ExprSimplifier) -> Result<Option<i64>> {
    if expr.any_column_refs() {
        return Ok(None);
    }
    let Expr::Literal(value, _) = constants.simplify(expr.clone())? else {
        return Ok(None);
    };
    if !value.data_type().is_temporal() {
        return Ok(None);
    }
    match value.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, None))? {
        ScalarValue::TimestampNanosecond(ns, _) => Ok(ns),
        _ => Ok(None),
    }
}
