//! `LIMIT`, `OFFSET`, `SLIMIT` and `SOFFSET`.

use super::condition::balanced;
use super::outline::{Outline, Way};
use super::planner::Planner;
use super::stage::{Stage, carried, column, group, key, result};
use crate::query::provider::{Cut, cut_series};
use datafusion::common::{ScalarValue, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    Expr as Engine, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, Operator, SortExpr,
    WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, lit, when,
};
use protocols::influxql::Expr;
use protocols::schema::TIME_COLUMN;

/// True where one of these columns of the result has a value.
pub(super) fn some_of(columns: &[usize]) -> Option<Engine> {
    let some: Vec<Engine> = columns.iter().map(|at| result(*at).is_not_null()).collect();
    (!some.is_empty()).then(|| balanced(some, Operator::Or))
}

/// The order of the rows of a series.
pub(super) fn in_time(outline: &Outline, with_keys: bool) -> Vec<SortExpr> {
    let keys = if with_keys { outline.key_columns() } else { 0 };
    let time = column(TIME_COLUMN).sort(!outline.descending, false);
    std::iter::once(time).chain((0..keys).map(|at| key(at).sort(true, false))).collect()
}

/// Groups in the order of the result.
pub(super) fn groups_in_order(outline: &Outline) -> Vec<SortExpr> {
    (0..outline.tags.len()).map(|at| group(at).sort(true, false)).collect()
}

fn groups(outline: &Outline) -> Vec<Engine> {
    (0..outline.tags.len()).map(group).collect()
}

/// A function that counts along the rows of a series.
pub(super) fn numbered(
    planner: &Planner<'_>,
    function: &str,
    partition: Vec<Engine>,
    order: Vec<SortExpr>,
) -> Result<Engine> {
    let call = WindowFunction::new(planner.window(function)?, Vec::new());
    let call = Engine::WindowFunction(Box::new(call)).order_by(order);
    match partition.is_empty() {
        true => call.build(),
        false => call.partition_by(partition).build(),
    }
}

/// Cuts rows whose columns `fields` have values. Several fields are cut each on its own: what is
/// left of a point is shown.
pub(super) fn limited(
    planner: &Planner<'_>,
    plan: LogicalPlan,
    outline: &Outline,
    fields: &[usize],
    with_keys: bool,
) -> Result<LogicalPlan> {
    match outline.way(fields.len()) {
        Way::All => Ok(plan),
        Way::Nothing => LogicalPlanBuilder::from(plan).filter(lit(false))?.build(),
        Way::Series => cut(plan, outline, fields, with_keys),
        Way::Numbers => {
            let plan = series_numbered(planner, plan, outline)?;
            match fields.len() <= 1 {
                true => rows_numbered(planner, plan, outline, with_keys),
                false => fields_numbered(planner, plan, outline, fields),
            }
        }
    }
}

/// Of the rows of each series those with the newest values of the fields that are asked for, or the
/// oldest: the rest need not be read. False if that is not possible.
pub(super) fn ends(stage: Stage, outline: &Outline, newest: bool) -> Result<(Stage, bool)> {
    let schema = stage.plan.schema();
    let place = |name: &str| schema.index_of_column_by_name(None, name);
    let field = |call: &Expr| {
        let Expr::Call { args, .. } = call else { return None };
        let known = stage.variables.iter().find(|(known, _)| args.first() == Some(known));
        match known {
            Some((_, (Engine::Column(column), kind))) if kind.is_field() => place(&column.name),
            _ => None,
        }
    };
    let fields: Option<Vec<usize>> = outline.calls.aggregates.iter().map(field).collect();
    let series: Option<Vec<usize>> =
        (0..outline.tags.len()).map(|at| place(&format!("g{at}"))).collect();
    let keys: Option<Vec<usize>> =
        (0..outline.key_columns()).map(|at| place(&format!("k{at}"))).collect();
    let (Some(fields), Some(series), Some(keys), Some(time)) =
        (fields, series, keys, place(TIME_COLUMN))
    else {
        return Ok((stage, false));
    };
    let cut = Cut {
        series,
        time,
        keys,
        fields,
        descending: newest,
        skip: 0,
        fetch: Some(1),
        series_skip: 0,
        series_fetch: None,
    };
    Ok((Stage { plan: cut_series(stage.plan, cut)?, ..stage }, true))
}

fn cut(
    plan: LogicalPlan,
    outline: &Outline,
    fields: &[usize],
    with_keys: bool,
) -> Result<LogicalPlan> {
    let place = |name: String| {
        let at = plan.schema().index_of_column_by_name(None, &name);
        at.ok_or_else(|| internal_datafusion_err!("rows without a column {name}"))
    };
    let key = |at: usize| match outline.shown_key(at) {
        Some(item) => place(format!("c{item}")),
        None => place(format!("k{at}")),
    };
    let keys = if with_keys { outline.key_columns() } else { 0 };
    let series = (0..outline.tags.len()).map(|at| place(format!("g{at}")));
    let rows = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let bounds = outline.bounds;
    let cut = Cut {
        series: series.collect::<Result<_>>()?,
        time: place(TIME_COLUMN.to_owned())?,
        keys: (0..keys).map(key).collect::<Result<_>>()?,
        fields: fields.iter().map(|at| place(format!("c{at}"))).collect::<Result<_>>()?,
        descending: outline.descending,
        skip: bounds.offset.map_or(0, rows),
        fetch: bounds.limit.map(rows),
        series_skip: bounds.soffset.filter(|_| !outline.tags.is_empty()).map_or(0, rows),
        series_fetch: bounds.slimit.filter(|_| !outline.tags.is_empty()).map(rows),
    };
    cut_series(plan, cut)
}

/// Cuts each of several fields by running counts of its values.
fn fields_numbered(
    planner: &Planner<'_>,
    plan: LogicalPlan,
    outline: &Outline,
    fields: &[usize],
) -> Result<LogicalPlan> {
    let bounds = outline.bounds;
    if bounds.limit.is_none() && bounds.offset.is_none() {
        return Ok(plan);
    }
    let mut counts = Vec::with_capacity(fields.len());
    for at in fields {
        let frame = WindowFrame::new_bounds(
            WindowFrameUnits::Rows,
            WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
            WindowFrameBound::CurrentRow,
        );
        let count = WindowFunctionDefinition::AggregateUDF(planner.aggregate("count")?);
        let count = WindowFunction::new(count, vec![result(*at)]);
        let mut count = Engine::WindowFunction(Box::new(count))
            .order_by(in_time(outline, true))
            .window_frame(frame);
        if !outline.tags.is_empty() {
            count = count.partition_by(groups(outline));
        }
        counts.push(count.build()?.alias(format!("n{at}")));
    }
    let mut columns = vec![column(TIME_COLUMN)];
    columns.extend(carried(outline, true));
    for at in 0..outline.items.len() {
        columns.push(match fields.contains(&at) {
            true => when(within(outline, column(format!("n{at}"))), result(at))
                .end()?
                .alias(format!("c{at}")),
            false => result(at),
        });
    }
    let mut builder = LogicalPlanBuilder::from(plan).window(counts)?.project(columns)?;
    if let Some(some) = some_of(fields) {
        builder = builder.filter(some)?;
    }
    builder.build()
}

/// True for a number of a row, counted from one, that is shown.
fn within(outline: &Outline, number: Engine) -> Engine {
    let skipped = i64::try_from(outline.bounds.offset.unwrap_or(0)).unwrap_or(i64::MAX);
    let more = number.clone().gt(lit(skipped));
    match outline.bounds.limit {
        Some(limit) => {
            let last = skipped.saturating_add(i64::try_from(limit).unwrap_or(i64::MAX));
            more.and(number.lt_eq(lit(last)))
        }
        None => more,
    }
}

/// Cuts whole rows of each series by their numbers.
fn rows_numbered(
    planner: &Planner<'_>,
    plan: LogicalPlan,
    outline: &Outline,
    with_keys: bool,
) -> Result<LogicalPlan> {
    let bounds = outline.bounds;
    if bounds.limit.is_none() && bounds.offset.is_none() {
        return Ok(plan);
    }
    let order = in_time(outline, with_keys);
    let builder = LogicalPlanBuilder::from(plan);
    if outline.tags.is_empty() {
        let rows = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let skip = bounds.offset.map_or(0, rows);
        return builder.sort(order)?.limit(skip, bounds.limit.map(rows))?.build();
    }
    let number = numbered(planner, "row_number", groups(outline), order)?;
    let mut columns = vec![column(TIME_COLUMN)];
    columns.extend(carried(outline, with_keys));
    columns.extend((0..outline.items.len()).map(result));
    let builder = builder.window(vec![number.alias("n")])?;
    builder.filter(within(outline, as_signed(column("n"))))?.project(columns)?.build()
}

fn as_signed(number: Engine) -> Engine {
    datafusion::logical_expr::cast(number, arrow::datatypes::DataType::Int64)
}

/// Cuts whole series by their numbers.
fn series_numbered(
    planner: &Planner<'_>,
    plan: LogicalPlan,
    outline: &Outline,
) -> Result<LogicalPlan> {
    let bounds = outline.bounds;
    if outline.tags.is_empty() || (bounds.slimit.is_none() && bounds.soffset.is_none()) {
        return Ok(plan);
    }
    let skipped = bounds.soffset.unwrap_or(0);
    let columns: Vec<Engine> = plan.schema().columns().into_iter().map(Engine::Column).collect();
    let number = numbered(planner, "dense_rank", Vec::new(), groups_in_order(outline))?;
    let number = number.alias("s");
    let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
    let mut shown = as_signed(column("s")).gt(lit(skipped));
    if let Some(limit) = bounds.slimit {
        let last = skipped.saturating_add(i64::try_from(limit).unwrap_or(i64::MAX));
        shown = shown.and(as_signed(column("s")).lt_eq(lit(last)));
    }
    LogicalPlanBuilder::from(plan).window(vec![number])?.filter(shown)?.project(columns)?.build()
}

/// An aggregate of the engine as an expression.
pub(super) fn aggregate_of(
    planner: &Planner<'_>,
    function: &str,
    args: Vec<Engine>,
    distinct: bool,
) -> Result<Engine> {
    let function = planner.aggregate(function)?;
    let call = AggregateFunction::new_udf(function, args, distinct, None, Vec::new(), None);
    Ok(Engine::AggregateFunction(call))
}
