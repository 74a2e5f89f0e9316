//! Turns a query that names the functions of gap filling into one that fills gaps.

use super::bins::BinRange;
use super::layout::{ColumnRole, Layout};
use super::node::GapFill;
use super::range::{instants_of, time_range};
use super::stubs::{BinStub, FillKind, FillStub};
use arrow::datatypes::DataType;
use chrono::DateTime;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const DAY_NS: i64 = 86_400_000_000_000;

/// The rule. It runs once types are settled and before filters move to where they cannot be seen.
#[derive(Debug)]
pub(in super::super::super) struct HandleGapFill {
    now_ns: Arc<AtomicI64>,
}

impl HandleGapFill {
    /// The rule for the queries of a session. It reads from `now_ns` when the present one began,
    /// nanoseconds since 1970.
    pub(in super::super::super) fn new(now_ns: Arc<AtomicI64>) -> Self {
        Self { now_ns }
    }
}

impl AnalyzerRule for HandleGapFill {
    fn name(&self) -> &str {
        "handle_gap_fill"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut is_concerned = false;
        plan.apply_with_subqueries(|node| {
            is_concerned |= has_stub(node)?;
            Ok(if is_concerned { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !is_concerned {
            return Ok(plan);
        }
        let now = DateTime::from_timestamp_nanos(self.now_ns.load(Ordering::Relaxed));
        let context = SimplifyContext::builder()
            .with_query_execution_start_time(Some(now))
            .with_config_options(Arc::new(config.clone()));
        let constants = ExprSimplifier::new(context.build());
        plan.transform_up_with_subqueries(|plan| handle_node(plan, &constants)).data()
    }
}

/// One node, whose inputs are done.
fn handle_node(plan: LogicalPlan, constants: &ExprSimplifier) -> Result<Transformed<LogicalPlan>> {
    if !has_stub(&plan)? {
        return Ok(Transformed::no(plan));
    }
    let plan = match plan {
        LogicalPlan::Aggregate(aggregate) => {
            handle_aggregate(aggregate, constants).map_err(|e| e.context("handle_aggregate"))?
        }
        LogicalPlan::Projection(_) | LogicalPlan::Window(_) => handle_fills(plan)?,
        other => other,
    };
    check_nothing_left(&plan)?;
    for input in plan.inputs() {
        check_nothing_left(input)?;
    }
    Ok(Transformed::yes(plan))
}

fn is_stub(expr: &Expr) -> bool {
    BinStub::of(expr).is_some() || FillStub::of(expr).is_some()
}

fn has_stub(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= expr.exists(|e| Ok(is_stub(e)))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Refuses the functions of gap filling where they mean nothing.
fn check_nothing_left(plan: &LogicalPlan) -> Result<()> {
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            let Expr::ScalarFunction(call) = expr else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let place = if BinStub::of(expr).is_some() {
                "as a GROUP BY expression"
            } else if FillStub::of(expr).is_some() {
                "in the SELECT list of a gap-filling query"
            } else {
                return Ok(TreeNodeRecursion::Continue);
            };
            plan_err!("{} may only be used {place}", call.name())
        })
    })?;
    Ok(())
}

/// An aggregate that groups by bin becomes one that does so plainly, with the gaps filled.
fn handle_aggregate(aggregate: Aggregate, constants: &ExprSimplifier) -> Result<LogicalPlan> {
    let Some(at) = bin_position(&aggregate.group_expr)? else {
        return Ok(LogicalPlan::Aggregate(aggregate));
    };
    build_gapfill_node(aggregate, at, constants).map_err(|e| e.context("build_gapfill_node"))
}

/// Where the call that asks for bins is among the grouping expressions.
fn bin_position(group_expr: &[Expr]) -> Result<Option<usize>> {
    let mut found = None;
    for (at, expr) in group_expr.iter().enumerate() {
        if let Some((stub, _)) = BinStub::of(without_alias(expr)) {
            if found.replace(at).is_some() {
                return plan_err!("{} specified more than once", stub.upper_name());
            }
            continue;
        }
        expr.apply(|expr| match BinStub::of(expr) {
            Some((stub, _)) => plan_err!(
                "{} must be a top-level expression in the GROUP BY clause when gap filling. \
                 It cannot be part of another expression or cast",
                stub.upper_name()
            ),
            None => Ok(TreeNodeRecursion::Continue),
        })?;
    }
    Ok(found)
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

fn build_gapfill_node(
    aggregate: Aggregate,
    at: usize,
    constants: &ExprSimplifier,
) -> Result<LogicalPlan> {
    let Aggregate { input, mut group_expr, aggr_expr, schema, .. } = aggregate;
    let Some((stub, [stride, source, origin @ ..])) = BinStub::of(without_alias(&group_expr[at]))
    else {
        return plan_err!("gap filling needs an interval and a time column");
    };
    let Some(column) = instants_of(source) else {
        return plan_err!("{} requires a column as the source argument", stub.upper_name());
    };
    let stride_ns = stride_ns(&constants.simplify(stride.clone())?)?;
    let origin = origin.first().map(|e| constants.simplify(e.clone())).transpose()?;
    let (first_ns, last_ns) = time_range(&input, column, constants)?
        .validate()
        .map_err(|e| e.context("validate time range"))?;
    let zone = match source.get_type(input.schema())? {
        DataType::Timestamp(_, zone) if stub.on_wallclock() => zone,
        _ => None,
    };
    let origin_ns = origin.as_ref().map_or(Ok(0), origin_ns)?;
    let bins = BinRange { stride_ns, origin_ns, zone, first_ns, last_ns };

    let stride = Expr::Literal(ScalarValue::new_interval_mdn(0, 0, stride_ns), None);
    let args = [stride, source.clone()].into_iter().chain(origin).collect();
    group_expr[at] = stub.bin(args).alias(schema.field(at).name());
    let mut roles = vec![ColumnRole::Series; group_expr.len()];
    roles[at] = ColumnRole::Bin;
    for (expr, field) in aggr_expr.iter().zip(&schema.fields()[group_expr.len()..]) {
        roles.push(ColumnRole::Value(value_of_no_rows(expr, field.data_type())?));
    }
    let binned = LogicalPlan::Aggregate(Aggregate::try_new(input, group_expr, aggr_expr)?);
    let node = GapFill::try_new(binned, Layout { bins, roles, from_first_row: false })?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// The length of a bin.
fn stride_ns(stride: &Expr) -> Result<i64> {
    let Expr::Literal(stride, _) = stride else {
        return plan_err!("gap filling requires a constant interval");
    };
    let total = match stride {
        ScalarValue::IntervalMonthDayNano(Some(stride)) if stride.months == 0 => {
            let days = i64::from(stride.days).checked_mul(DAY_NS);
            days.and_then(|days| days.checked_add(stride.nanoseconds))
        }
        ScalarValue::IntervalDayTime(Some(stride)) => {
            let days = i64::from(stride.days).checked_mul(DAY_NS);
            days.and_then(|days| days.checked_add(i64::from(stride.milliseconds) * 1_000_000))
        }
        ScalarValue::IntervalMonthDayNano(Some(_)) | ScalarValue::IntervalYearMonth(Some(_)) => {
            return plan_err!("gap filling does not support month intervals");
        }
        other => return plan_err!("gap filling requires an interval, got {other}"),
    };
    match total.and_then(i64::checked_abs) {
        Some(0) => plan_err!("DATE_BIN stride must be non-zero"),
        Some(ns) => Ok(ns),
        None => plan_err!("DATE_BIN stride argument is too large"),
    }
}

/// Where a bin starts.
fn origin_ns(origin: &Expr) -> Result<i64> {
    match origin {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(ns), _), _) => Ok(*ns),
        _ => plan_err!("gap filling requires a constant timestamp as origin"),
    }
}

/// What an aggregate is where there are no rows.
fn value_of_no_rows(expr: &Expr, kind: &DataType) -> Result<ScalarValue> {
    match without_alias(expr) {
        Expr::AggregateFunction(aggregate) => aggregate.func.default_value(kind),
        _ => ScalarValue::try_from(kind),
    }
}

/// Tells the gap filling below which aggregates to fill how, and takes the calls away.
fn handle_fills(plan: LogicalPlan) -> Result<LogicalPlan> {
    let Some(filled) = plan.inputs().first().and_then(|input| gap_fill_below(input)) else {
        return Ok(plan);
    };
    let mut fills = Fills { filled, in_place: Vec::new(), added: Vec::new() };
    let names = NamePreserver::new_for_projection();
    let mut exprs = Vec::new();
    for expr in plan.expressions() {
        let name = names.save(&expr);
        let plain = expr.transform_up(|expr| {
            let Some((stub, args)) = FillStub::of(&expr) else {
                return Ok(Transformed::no(expr));
            };
            let column = fills.column(args, stub.kind()).ok_or_else(|| {
                let name = expr_name(&expr);
                plan_datafusion_err!(
                    "{name} must be called on an aggregate column in a gap-filling query"
                )
            })?;
            Ok(Transformed::yes(Expr::Column(column)))
        });
        exprs.push(name.restore(plain?.data));
    }
    let Fills { in_place, added, .. } = fills;
    let below = plan.inputs().first().map(|input| with_fills(input, &in_place, &added));
    plan.with_new_exprs(exprs, below.transpose()?.into_iter().collect())
}

/// What is to be filled how.
struct Fills<'a> {
    filled: &'a GapFill,
    /// Columns of the gap filling.
    in_place: Vec<(usize, FillKind)>,
    /// Columns to be added: a part of an aggregate, or one that is filled otherwise already.
    added: Vec<(Expr, FillKind)>,
}

impl Fills<'_> {
    /// The column that has what a call with these arguments asks for, if they are an aggregate or
    /// a part of one.
    fn column(&mut self, args: &[Expr], kind: FillKind) -> Option<Column> {
        let [arg] = args else { return None };
        let arg = without_alias(arg);
        let source = match arg {
            Expr::ScalarFunction(call) if call.func.name() == "get_field" => call.args.first()?,
            whole => whole,
        };
        let (column, at) = aggregate_column(source, self.filled)?;
        if source == arg {
            let chosen = self.in_place.iter().find(|(column, _)| *column == at);
            let before = match self.filled.role(at)? {
                ColumnRole::Filled(before) => Some(*before),
                _ => chosen.map(|(_, kind)| *kind),
            };
            if before.is_none() {
                self.in_place.push((at, kind));
            }
            if before.unwrap_or(kind) == kind {
                return Some(column);
            }
        }
        let name = format!("{}({})", kind.function(), arg.schema_name());
        let column = Column::new_unqualified(name.clone());
        let is_known = self.filled.schema().has_column(&column)
            || self.added.iter().any(|(added, _)| added.schema_name().to_string() == name);
        if !is_known {
            self.added.push((arg.clone().alias(name), kind));
        }
        Some(column)
    }
}

fn expr_name(call: &Expr) -> &str {
    match call {
        Expr::ScalarFunction(call) => call.name(),
        _ => "the function",
    }
}

/// The gap filling whose columns a SELECT list sees.
fn gap_fill_below(plan: &LogicalPlan) -> Option<&GapFill> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        // HAVING, QUALIFY and window functions stand between.
        LogicalPlan::Filter(filter) => gap_fill_below(&filter.input),
        LogicalPlan::Window(window) => gap_fill_below(&window.input),
        _ => None,
    }
}

/// The column that an expression is, if it is an aggregate.
fn aggregate_column(expr: &Expr, filled: &GapFill) -> Option<(Column, usize)> {
    let Expr::Column(column) = without_alias(expr) else {
        return None;
    };
    let at = filled.schema().maybe_index_of_column(column)?;
    let is_aggregate = matches!(filled.role(at)?, ColumnRole::Value(_) | ColumnRole::Filled(_));
    is_aggregate.then(|| (column.clone(), at))
}

/// The plan with the gap filling below it told about `fills` and columns to be `added`.
fn with_fills(
    plan: &LogicalPlan,
    fills: &[(usize, FillKind)],
    added: &[(Expr, FillKind)],
) -> Result<LogicalPlan> {
    if let LogicalPlan::Extension(extension) = plan
        && let Some(filled) = extension.node.as_any().downcast_ref::<GapFill>()
    {
        let node = Arc::new(filled.with_fills(fills, added)?);
        return Ok(LogicalPlan::Extension(Extension { node }));
    }
    // Nothing but what `gap_fill_below` looks through.
    let inputs = plan.inputs().into_iter().map(|input| with_fills(input, fills, added));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    plan.with_new_exprs(plan.expressions(), inputs)
}
