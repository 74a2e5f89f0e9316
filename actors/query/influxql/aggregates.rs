//! Aggregates and selectors, by series and window.

use super::arithmetic::{Operation, computed};
use super::collected::Collected;
use super::faults::meaningless;
use super::kind::Kind;
use super::limits::{self, aggregate_of, some_of};
use super::outline::Outline;
use super::planner::Planner;
use super::scalar::{self, Typed};
use super::stage::{
    BIN, Gathered, Stage, area_of, carried, column, fill_value, group, key, results,
};
use super::transformations;
use super::windows;
use crate::query::below::below;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::{coalesce, get_field};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    AggregateUDF, Expr as Engine, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use protocols::influxql::{Expr, Fill};
use protocols::schema::TIME_COLUMN;
use std::sync::Arc;

/// What one call needs.
struct Call {
    aggregates: Vec<Engine>,
    gathered: Vec<Gathered>,
}

/// The name of the column with the time of the row that was chosen.
const CHOSEN_TIME: &str = "chosen";

/// Aggregates rows. What a projection below makes of them is made by the aggregation itself: that is
/// a step less, and shows it what its groups are.
fn aggregated(
    plan: LogicalPlan,
    groups: Vec<Engine>,
    aggregates: Vec<Engine>,
) -> Result<LogicalPlanBuilder> {
    let (of_groups, of_aggregates) = (below(&plan, &groups)?, below(&plan, &aggregates)?);
    let (plan, groups, aggregates) = match (of_groups, of_aggregates) {
        (Some((plan, groups)), Some((_, aggregates))) => (plan, groups, aggregates),
        _ => (Arc::new(plan), groups, aggregates),
    };
    LogicalPlanBuilder::from(plan).aggregate(groups, aggregates)
}

/// A row for each series and window.
pub(super) fn aggregates(
    planner: &Planner<'_>,
    mut stage: Stage,
    outline: &Outline,
) -> Result<(LogicalPlan, Vec<Kind>)> {
    let is_one = outline.calls.is_one_selector();
    let mut is_end = false;
    if let Some(newest) = outline.end() {
        (stage, is_end) = limits::ends(stage, outline, newest)?;
    }
    if let (true, true, [call @ Expr::Call { args, .. }]) =
        (is_end, is_one, outline.calls.aggregates.as_slice())
    {
        // One row is left of each series, and it has everything.
        stage.calls = vec![(call.clone(), scalar::value(&args[0], &mut stage)?)];
        return finished(planner, stage, outline);
    }
    let keeps_time = is_one && outline.frame.windows.is_none();
    let brought: Vec<(Expr, Typed)> = match is_one && outline.calls.plain {
        true => plain_variables(outline, &stage),
        false => Vec::new(),
    };
    let keys: Vec<Engine> = (0..outline.key_columns()).map(key).collect();
    let (mut aggregates, mut gathered, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for (at, call) in outline.calls.aggregates.iter().enumerate() {
        if outline.frame.windows.is_some() {
            transformations::add_areas(&mut stage, outline, call, at)?;
        }
        let chooses = keeps_time || !brought.is_empty();
        let one = one_call(planner, &mut stage, call, at, &keys, chooses.then_some(&brought))?;
        let kind = one.gathered.first().map_or(Kind::Null, |gathered| gathered.kind);
        calls.push((call.clone(), (column(format!("a{at}")), kind)));
        aggregates.extend(one.aggregates);
        gathered.extend(one.gathered);
    }
    let mut groups = carried(outline, false);
    if outline.frame.windows.is_some() {
        groups.push(column(BIN));
    }
    let is_alone = groups.is_empty();
    if is_alone {
        aggregates.push(aggregate_of(planner, "count", vec![lit(1_i64)], false)?.alias("rows"));
    }
    let mut builder = aggregated(stage.plan, groups.clone(), aggregates)?;
    if is_alone {
        // Without rows there is no result, not one of nulls.
        builder = builder.filter(column("rows").gt(lit(0_i64)))?;
    }
    let mut columns = groups;
    columns.extend(gathered.iter().map(|one| one.value.clone().alias(&one.name)));
    let mut plan = builder.project(columns)?.build()?;
    if let Some(windows) = &outline.frame.windows {
        plan = windows::filled(plan, windows, outline, &gathered)?;
    }
    plan = with_values(plan, outline, &gathered)?;
    let time = match () {
        () if outline.frame.windows.is_some() => column(BIN),
        () if keeps_time => column(CHOSEN_TIME),
        () => outline.frame.first(),
    };
    let mut all = vec![time.alias(TIME_COLUMN)];
    all.extend(carried(outline, false));
    all.extend(gathered.iter().map(|one| column(&one.name)));
    plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
    if keeps_time && (outline.end().is_some() || is_percentile(&outline.calls.aggregates)) {
        // Where no row was chosen there is none in the result.
        plan = LogicalPlanBuilder::from(plan).filter(column(TIME_COLUMN).is_not_null())?.build()?;
    }
    let variables = brought
        .into_iter()
        .enumerate()
        .map(|(at, (variable, (_, kind)))| {
            // What is grouped by is the same in all windows, with rows or without.
            let value = match outline.tags.iter().position(|tag| is_named(&variable, tag)) {
                Some(tag) => group(tag),
                None => column(format!("x{at}")),
            };
            (variable, (value, kind))
        })
        .collect();
    let mut stage = Stage { plan, variables, calls };
    if outline.calls.transforms {
        stage = transformations::transform(stage, outline)?;
    }
    if let Some(call) = &outline.calls.forecast {
        stage = transformations::forecast(stage, outline, call)?;
    }
    finished(planner, stage, outline)
}

fn is_percentile(calls: &[Expr]) -> bool {
    matches!(calls, [Expr::Call { name, .. }] if name == "percentile")
}

fn is_named(variable: &Expr, tag: &str) -> bool {
    matches!(variable, Expr::Variable { name, cast: None } if name == tag)
}

fn finished(
    planner: &Planner<'_>,
    mut stage: Stage,
    outline: &Outline,
) -> Result<(LogicalPlan, Vec<Kind>)> {
    let (columns, kinds) = results(&mut stage, outline)?;
    let mut all = vec![column(TIME_COLUMN)];
    all.extend(carried(outline, false));
    all.extend(columns);
    let mut builder = LogicalPlanBuilder::from(stage.plan).project(all)?;
    if outline.calls.transforms
        && let Some(start) = outline.frame.start()?
    {
        builder = builder.filter(column(TIME_COLUMN).gt_eq(start))?;
    }
    let transformed = |at: &usize| transformations::is_within(&outline.items[*at].expr);
    let items: Vec<usize> = (0..outline.items.len()).collect();
    if items.iter().all(transformed)
        && let Some(some) = some_of(&items)
    {
        builder = builder.filter(some)?;
    }
    Ok((limits::limited(planner, builder.build()?, outline, &[], false)?, kinds))
}

/// The columns that stand outside of all calls.
fn plain_variables(outline: &Outline, stage: &Stage) -> Vec<(Expr, Typed)> {
    fn outside<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
        match expr {
            Expr::Variable { .. } => found.push(expr),
            Expr::Negative(operand) => outside(operand, found),
            Expr::Binary { left, right, .. } => {
                outside(left, found);
                outside(right, found);
            }
            Expr::Call { name, args } if scalar::is_scalar(name) => {
                args.iter().for_each(|arg| outside(arg, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    outline.items.iter().for_each(|item| outside(&item.expr, &mut found));
    let is_found = |known: &Expr| found.contains(&known);
    stage.variables.iter().filter(|(known, _)| is_found(known)).cloned().collect()
}

/// Nulls of windows become what `FILL` names.
fn with_values(plan: LogicalPlan, outline: &Outline, gathered: &[Gathered]) -> Result<LogicalPlan> {
    if outline.frame.windows.is_none() || !matches!(outline.fill, Fill::Integer(_) | Fill::Float(_))
    {
        return Ok(plan);
    }
    let mut columns = carried(outline, false);
    columns.push(column(BIN));
    for one in gathered {
        columns.push(match fill_value(outline.fill, one.kind)? {
            Some(value) if !one.is_brought => {
                coalesce(vec![column(&one.name), lit(value)]).alias(&one.name)
            }
            _ => column(&one.name),
        });
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Plans one call; `keys` order points of one time. A selector may bring other columns of its row
/// along, and then its time.
fn one_call(
    planner: &Planner<'_>,
    stage: &mut Stage,
    call: &Expr,
    at: usize,
    keys: &[Engine],
    brought: Option<&Vec<(Expr, Typed)>>,
) -> Result<Call> {
    let Expr::Call { name, args } = call else {
        return Err(meaningless(format!("{call} is no aggregate")));
    };
    let (of, distinct) = match &args[0] {
        Expr::Distinct(name) => (Expr::Variable { name: name.clone(), cast: None }, true),
        Expr::Call { args, .. } => (args[0].clone(), true),
        of => (of.clone(), false),
    };
    let value = argument(name, scalar::value(&of, stage)?)?;
    let plain = |aggregates: Vec<Engine>, value: Engine, kind: Kind| {
        let gathered = Gathered {
            name: format!("a{at}"),
            value,
            kind,
            is_count: name == "count",
            is_brought: false,
        };
        Call { aggregates, gathered: vec![gathered] }
    };
    let raw = |part: &str| format!("r{at}{part}");
    let (value, kind) = value;
    if let ("first" | "last" | "min" | "max" | "percentile", Some(brought)) =
        (name.as_str(), brought)
    {
        return selector(planner, call, at, (value, kind), brought);
    }
    let one = |function: &str, value: Engine, kind: Kind| -> Result<Call> {
        let aggregate = aggregate_of(planner, function, vec![value], false)?;
        Ok(plain(vec![aggregate.alias(raw(""))], column(raw("")), kind))
    };
    match name.as_str() {
        "count" => {
            let count = aggregate_of(planner, "count", vec![value], distinct)?;
            Ok(plain(vec![count.alias(raw(""))], column(raw("")), Kind::Integer))
        }
        // Sums wrap around, where those of SQL are an error.
        "sum" => Ok(plain(vec![sum(value).alias(raw(""))], column(raw("")), kind)),
        "min" | "max" => one(name, value, kind),
        // That of integers is one, too: what lies between two of them is cut off.
        "median" => {
            let median = aggregate_of(planner, name, vec![value], false)?;
            let whole = cast(column(raw("")), kind.arrow());
            Ok(plain(vec![median.alias(raw(""))], whole, kind))
        }
        "integral" if stage.plan.schema().has_column_with_unqualified_name(&area_of(at)) => {
            one("sum", column(area_of(at)), Kind::Float)
        }
        "mean" => one("avg", cast(value, DataType::Float64), Kind::Float),
        "stddev" => one("stddev", cast(value, DataType::Float64), Kind::Float),
        "spread" => {
            let max = aggregate_of(planner, "max", vec![value.clone()], false)?;
            let min = aggregate_of(planner, "min", vec![value], false)?;
            let aggregates = vec![max.alias(raw("max")), min.alias(raw("min"))];
            let (max, min) = (column(raw("max")), column(raw("min")));
            let spread = match kind {
                Kind::Integer | Kind::Unsigned => computed(Operation::Subtract, max, min),
                _ => max - min,
            };
            Ok(plain(aggregates, spread, kind))
        }
        "first" | "last" => {
            let function = format!("selector_{name}");
            let args = vec![value, column(TIME_COLUMN)];
            let row = aggregate_of(planner, &function, args, false)?;
            Ok(plain(vec![row.alias(raw(""))], get_field(column(raw("")), "value"), kind))
        }
        _ => {
            let collected = Collected::of(name, args.get(1))?;
            let kind = if name == "integral" { Kind::Float } else { kind };
            let mut values = vec![value, column(TIME_COLUMN)];
            if name == "integral" {
                values.extend(keys.iter().cloned());
            }
            let row = collected_call(collected, values);
            Ok(plain(vec![row.alias(raw(""))], get_field(column(raw("")), "value"), kind))
        }
    }
}

fn collected_call(collected: Collected, args: Vec<Engine>) -> Engine {
    let function = Arc::new(AggregateUDF::new_from_impl(collected));
    Engine::AggregateFunction(AggregateFunction::new_udf(
        function,
        args,
        false,
        None,
        Vec::new(),
        None,
    ))
}

/// A call that chooses a row, with the time of the row and other columns of it.
fn selector(
    planner: &Planner<'_>,
    call: &Expr,
    at: usize,
    (value, kind): Typed,
    brought: &[(Expr, Typed)],
) -> Result<Call> {
    let Expr::Call { name, args } = call else {
        return Err(meaningless(format!("{call} is no selector")));
    };
    let mut values = vec![value, column(TIME_COLUMN)];
    values.extend(brought.iter().map(|(_, (value, _))| value.clone()));
    let row = match name.as_str() {
        "percentile" => collected_call(Collected::of(name, args.get(1))?, values),
        _ => aggregate_of(planner, &format!("selector_{name}"), values, false)?,
    };
    let raw = format!("r{at}");
    let part = |name: String, part: &str, kind: Kind, is_brought: bool| Gathered {
        name,
        value: get_field(column(&raw), part),
        kind,
        is_count: false,
        is_brought,
    };
    let mut gathered = vec![
        part(format!("a{at}"), "value", kind, false),
        part(CHOSEN_TIME.to_owned(), "time", Kind::Null, true),
    ];
    gathered.extend(brought.iter().enumerate().map(|(number, (_, (_, kind)))| {
        part(format!("x{number}"), &format!("other_{}", number + 1), *kind, true)
    }));
    Ok(Call { aggregates: vec![row.alias(&raw)], gathered })
}

/// Checks the kind of what a function is called with. A tag is no value, and one that is unknown
/// is null.
fn argument(name: &str, (value, kind): Typed) -> Result<Typed> {
    let kind = if kind == Kind::Tag { Kind::Null } else { kind };
    let takes_all = matches!(name, "count" | "first" | "last" | "mode" | "min" | "max");
    match kind {
        Kind::Null if matches!(name, "first" | "last" | "mode") => Ok((Kind::Null.null(), kind)),
        Kind::Null => Ok((Kind::Float.null(), Kind::Float)),
        Kind::String | Kind::Boolean if !takes_all => {
            let text = format!("{name} does not support inputs of type {}", kind.arrow());
            Err(meaningless(text))
        }
        kind => Ok((value, kind)),
    }
}
