//! Finds the queries that need only the newest row of each group.

use super::super::table::StoredTable;
use super::exec::Yields;
use super::table::NewestRows;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::DefaultTableSource;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment, Sort};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, TableScan};
use datafusion::optimizer::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use protocols::schema::{ColumnKind, TIME_COLUMN};
use std::sync::Arc;

/// Replaces the scan below an aggregate that only looks at the newest rows of its groups:
/// `DISTINCT ON (tags) … ORDER BY tags, time DESC`, `last_value(… ORDER BY time)`,
/// `first_value(… ORDER BY time DESC)` and `max(time)`, each grouped by tags or not at all. If any
/// row of the newest time will do, the scan yields one of them, and there is nothing to aggregate.
#[derive(Debug)]
pub(in crate::query) struct ReadNewest;

impl OptimizerRule for ReadNewest {
    fn name(&self) -> &'static str {
        "read_newest"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let projected = values_of_one_row(aggregate);
        let yields = if projected.is_some() { Yields::OneRow } else { Yields::Candidates };
        let Some(scan) = newest_scan(aggregate, yields) else { return Ok(Transformed::no(plan)) };
        let input = Arc::new(LogicalPlan::TableScan(scan));
        if let Some(values) = projected {
            let schema = Arc::clone(&aggregate.schema);
            let projection = Projection::try_new_with_schema(values, input, schema)?;
            return Ok(Transformed::yes(LogicalPlan::Projection(projection)));
        }
        let aggregate = Aggregate::try_new_with_schema(
            input,
            aggregate.group_expr.clone(),
            aggregate.aggr_expr.clone(),
            Arc::clone(&aggregate.schema),
        )?;
        Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
    }
}

/// The scan of the newest rows that `aggregate` can do with, if it can.
fn newest_scan(aggregate: &Aggregate, yields: Yields) -> Option<TableScan> {
    let LogicalPlan::TableScan(scan) = aggregate.input.as_ref() else { return None };
    let source = scan.source.downcast_ref::<DefaultTableSource>()?;
    let table = source.table_provider.downcast_ref::<StoredTable>()?;
    let is_tag = |column: &Column| {
        table.table().column(&column.name).is_some_and(|c| c.kind == ColumnKind::Tag)
    };
    let key = aggregate.group_expr.iter().map(|expr| match expr {
        Expr::Column(column) if is_tag(column) => Some(column),
        _ => None,
    });
    let key: Vec<&Column> = key.collect::<Option<_>>()?;
    let newest = |expr: &Expr| match expr.clone().unalias() {
        Expr::AggregateFunction(function) => is_of_newest(&function, &key),
        _ => false,
    };
    if scan.fetch.is_some() || !aggregate.aggr_expr.iter().all(newest) {
        return None;
    }
    // The largest time of all rows is known without reading any.
    let is_max = |expr: &Expr| matches!(expr, Expr::AggregateFunction(f) if f.func.name() == "max");
    if key.is_empty() && aggregate.aggr_expr.iter().all(is_max) {
        return None;
    }
    let key = key.iter().map(|column| column.name.clone()).collect();
    let newest = NewestRows::new(table.clone(), key, yields);
    let source = Arc::new(DefaultTableSource::new(Arc::new(newest)));
    Some(TableScan { source, ..scan.clone() })
}

/// The columns of an aggregate over groups that have one row each, of the newest time. `None` if
/// it matters which row of the newest time that is, or there is a row without any group.
fn values_of_one_row(aggregate: &Aggregate) -> Option<Vec<Expr>> {
    if aggregate.group_expr.is_empty() {
        return None;
    }
    let value = |expr: &Expr| {
        let Expr::AggregateFunction(function) = expr.clone().unalias() else { return None };
        let ends_with_time = match function.params.order_by.last() {
            Some(sort) => is_time(&sort.expr),
            None => true,
        };
        let [value] = function.params.args.as_slice() else { return None };
        ends_with_time.then(|| value.clone())
    };
    let values = aggregate.aggr_expr.iter().map(value).collect::<Option<Vec<_>>>()?;
    let columns = aggregate.group_expr.iter().cloned().chain(values);
    let names = aggregate.schema.iter();
    Some(columns.zip(names).map(|(value, (q, field))| named(value, q, field.name())).collect())
}

/// `value` under another name, unless that is its own.
fn named(value: Expr, qualifier: Option<&TableReference>, name: &str) -> Expr {
    match &value {
        Expr::Column(column) if column.relation.as_ref() == qualifier && column.name == name => {
            value
        }
        _ => value.alias_qualified(qualifier.cloned(), name),
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == TIME_COLUMN)
}

/// True if no row but those of the newest time of a group matters to `function`.
fn is_of_newest(function: &AggregateFunction, key: &[&Column]) -> bool {
    let params = &function.params;
    if params.filter.is_some()
        || params.distinct
        || params.null_treatment == Some(NullTreatment::IgnoreNulls)
    {
        return false;
    }
    // Within a group the tags of its key are equal, so that they order nothing.
    let is_key = |sort: &&Sort| matches!(&sort.expr, Expr::Column(c) if key.contains(&c));
    let order = params.order_by.iter().find(|sort| !is_key(sort)).filter(|s| is_time(&s.expr));
    match (function.func.name(), order) {
        ("first_value", Some(order)) => !order.asc,
        ("last_value", Some(order)) => order.asc,
        ("max", _) => params.order_by.is_empty() && params.args.iter().all(is_time),
        _ => false,
    }
}
