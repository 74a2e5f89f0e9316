//! Functions whose values depend on the rows before, and forecasts.

use super::analysis::{Analysis, is_analysis};
use super::calls::{Class, class};
use super::faults::{inconsistent, meaningless};
use super::forecast;
use super::kind::Kind;
use super::outline::Outline;
use super::running::{Running, Step};
use super::scalar::{self, Typed};
use super::stage::{BIN, Stage, area_of, carried, column, group, key};
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr as Engine, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, WindowUDF, cast,
};
use protocols::influxql::{Expr, Literal};
use protocols::schema::{TIME_COLUMN, time_type};
use std::sync::Arc;

/// Nanoseconds that derivatives are per, where nothing else is said.
const SECOND_NS: i64 = 1_000_000_000;
/// The column with all points of a series.
const POINTS: &str = "points";
/// The column with the value of a point.
const VALUE: &str = "h";

/// True for expressions with such a function.
pub(super) fn is_within(expr: &Expr) -> bool {
    match expr {
        Expr::Call { name, args } => {
            matches!(class(name), Ok(Class::Transformation)) || args.iter().any(is_within)
        }
        Expr::Negative(operand) => is_within(operand),
        Expr::Binary { left, right, .. } => is_within(left) || is_within(right),
        _ => false,
    }
}

/// Adds a column for each call, those inside of others first.
pub(super) fn transform(mut stage: Stage, outline: &Outline) -> Result<Stage> {
    for item in &outline.items {
        add(&mut stage, outline, &item.expr)?;
    }
    Ok(stage)
}

fn add(stage: &mut Stage, outline: &Outline, expr: &Expr) -> Result<()> {
    match expr {
        Expr::Negative(operand) => add(stage, outline, operand),
        Expr::Binary { left, right, .. } => {
            add(stage, outline, left)?;
            add(stage, outline, right)
        }
        Expr::Call { name, args } => {
            for arg in args {
                add(stage, outline, arg)?;
            }
            let is_known = stage.calls.iter().any(|(known, _)| known == expr);
            if is_known || !matches!(class(name), Ok(Class::Transformation)) {
                return Ok(());
            }
            let typed = window(stage, outline, name, args)?;
            stage.calls.push((expr.clone(), typed));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Adds a column with the area at each row, within its window, if `call` wants that.
pub(super) fn add_areas(
    stage: &mut Stage,
    outline: &Outline,
    call: &Expr,
    at: usize,
) -> Result<()> {
    let (Expr::Call { name, args }, Some(windows)) = (call, &outline.frame.windows) else {
        return Ok(());
    };
    if name != "integral" {
        return Ok(());
    }
    let (value, kind) = scalar::value(&args[0], stage)?;
    if !kind.is_number() {
        return Ok(()); // told where the call is planned
    }
    let unit_ns = match args.get(1) {
        Some(Expr::Literal(Literal::Duration(ns))) => *ns,
        _ => SECOND_NS,
    };
    let step = Step::Area { unit_ns, interval_ns: windows.interval_ns };
    let args = vec![value, column(TIME_COLUMN), column(BIN)];
    let call = along(&stage.plan, outline, step, args)?.alias(area_of(at));
    stage.plan = LogicalPlanBuilder::from(stage.plan.clone()).window(vec![call])?.build()?;
    Ok(())
}

/// A call that goes along the points of each series.
fn along(plan: &LogicalPlan, outline: &Outline, step: Step, args: Vec<Engine>) -> Result<Engine> {
    let function = Arc::new(WindowUDF::new_from_impl(Running::new(step)));
    // What was gathered has no keys any more.
    let has_keys = plan.schema().has_column_with_unqualified_name("k0");
    let keys = (0..outline.key_columns()).filter(|_| has_keys);
    let keys = keys.map(|at| key(at).sort(true, false));
    let order = std::iter::once(column(TIME_COLUMN).sort(true, false)).chain(keys).collect();
    let call = Engine::WindowFunction(Box::new(WindowFunction::new(function, args)));
    let mut call = call.order_by(order);
    if !outline.tags.is_empty() {
        call = call.partition_by((0..outline.tags.len()).map(group).collect());
    }
    call.build()
}

/// Adds the column of one call.
fn window(stage: &mut Stage, outline: &Outline, name: &str, args: &[Expr]) -> Result<Typed> {
    let (value, kind) = scalar::value(&args[0], stage)?;
    let kind = if matches!(kind, Kind::Null | Kind::Tag) { Kind::Float } else { kind };
    if !kind.is_number() && name != "elapsed" {
        let text = format!("{name} does not support inputs of type {}", kind.arrow());
        return Err(meaningless(text));
    }
    let step = match is_analysis(name) {
        true => Step::Analysis(Analysis::of(name, args)?),
        false => step(outline, name, args.get(1)),
    };
    let kind = match step {
        Step::Derivative { .. } | Step::MovingAverage(_) | Step::Analysis(_) => Kind::Float,
        Step::Elapsed { .. } => Kind::Integer,
        _ => kind,
    };
    let short = format!("t{}", stage.calls.len());
    let call = along(&stage.plan, outline, step, vec![value, column(TIME_COLUMN)])?.alias(&short);
    stage.plan = LogicalPlanBuilder::from(stage.plan.clone()).window(vec![call])?.build()?;
    Ok((column(short), kind))
}

fn step(outline: &Outline, name: &str, parameter: Option<&Expr>) -> Step {
    let parameter = match parameter {
        Some(Expr::Literal(Literal::Integer(n) | Literal::Duration(n))) => Some(*n),
        _ => None,
    };
    let interval = outline.frame.windows.as_ref().map(|windows| windows.interval_ns);
    let unit_ns = parameter.or(interval).unwrap_or(SECOND_NS);
    match name {
        "difference" => Step::Difference { non_negative: false },
        "non_negative_difference" => Step::Difference { non_negative: true },
        "derivative" => Step::Derivative { unit_ns, non_negative: false },
        "non_negative_derivative" => Step::Derivative { unit_ns, non_negative: true },
        "cumulative_sum" => Step::CumulativeSum,
        "moving_average" => {
            Step::MovingAverage(parameter.and_then(|n| usize::try_from(n).ok()).unwrap_or(2))
        }
        _ => Step::Elapsed {
            unit_ns: parameter.unwrap_or(1),
            // Windows without a value are windows all the same.
            counts_nulls: outline.frame.windows.is_some(),
        },
    }
}

/// Puts the last points and those to come in the place of the known ones.
pub(super) fn forecast(mut stage: Stage, outline: &Outline, call: &Expr) -> Result<Stage> {
    let (Expr::Call { name, args }, Some(windows)) = (call, &outline.frame.windows) else {
        return Err(inconsistent(format!("{call} requires a GROUP BY interval")));
    };
    let (value, kind) = scalar::value(&args[0], &mut stage)?;
    if !kind.is_number() {
        let text = format!("{name} does not support inputs of type {}", kind.arrow());
        return Err(inconsistent(text));
    }
    let of = vec![cast(value, DataType::Float64), column(TIME_COLUMN)];
    let all = forecast::call(name, args, windows.interval_ns, of)?.alias(POINTS);
    let points = Column::new_unqualified(POINTS);
    let part = |name: &str| get_field(column(POINTS), name);
    let mut columns = carried(outline, false);
    columns.push(cast(part("time"), time_type()).alias(TIME_COLUMN));
    columns.push(part("value").alias(VALUE));
    let plan = LogicalPlanBuilder::from(stage.plan)
        .aggregate(carried(outline, false), vec![all])?
        .unnest_column(points)?
        .filter(column(POINTS).is_not_null())?
        .project(columns)?
        .build()?;
    let calls = vec![(call.clone(), (column(VALUE), Kind::Float))];
    Ok(Stage { plan, variables: Vec::new(), calls })
}
