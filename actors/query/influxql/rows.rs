//! The rows of one measurement, as a SELECT statement asks for them.
//!
//! What is planned here has columns without names of the user's: `time`, `g0`… that are grouped
//! by, `k0`… that order rows of one time, and `c0`… that are selected.

use super::aggregates;
use super::condition::{self, Names};
use super::kind::Kind;
use super::limits;
use super::outline::Outline;
use super::planner::Planner;
use super::relation::Relation;
use super::scalar::{self, Resolve, Typed, cast_to};
use super::several;
use super::time_range::TimeRange;
use super::transformations;
use super::windows;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr as Engine, LogicalPlan, LogicalPlanBuilder, lit};
use protocols::influxql::{Cast, Expr, Fill};
use protocols::schema::TIME_COLUMN;

/// The rows of a measurement.
pub(super) struct Part {
    pub(super) measurement: String,
    pub(super) plan: LogicalPlan,
}

/// A column by the name that it has in a plan.
pub(super) fn column(name: impl Into<String>) -> Engine {
    Engine::Column(Column::new_unqualified(name))
}

/// What is grouped by.
pub(super) fn group(at: usize) -> Engine {
    column(format!("g{at}"))
}

/// What rows of one time are ordered by.
pub(super) fn key(at: usize) -> Engine {
    column(format!("k{at}"))
}

/// What is selected.
pub(super) fn result(at: usize) -> Engine {
    column(format!("c{at}"))
}

/// A window of time.
pub(super) const BIN: &str = "bin";

/// An instant as a constant.
pub(super) fn instant(ns: i64) -> Engine {
    lit(ScalarValue::TimestampNanosecond(Some(ns), None))
}

/// Rows on their way to the result, and what names and calls are in them.
pub(super) struct Stage {
    pub(super) plan: LogicalPlan,
    pub(super) variables: Vec<(Expr, Typed)>,
    pub(super) calls: Vec<(Expr, Typed)>,
}

impl Resolve for Stage {
    fn time(&self) -> Engine {
        column(TIME_COLUMN)
    }

    fn variable(&mut self, name: &str, cast: Option<Cast>) -> Result<Typed> {
        let variable = Expr::Variable { name: name.to_owned(), cast };
        let found = self.variables.iter().find(|(known, _)| *known == variable);
        Ok(found.map_or((Kind::Null.null(), Kind::Null), |(_, typed)| typed.clone()))
    }

    fn call(&mut self, call: &Expr) -> Result<Typed> {
        match self.calls.iter().find(|(known, _)| known == call) {
            Some((_, typed)) => Ok(typed.clone()),
            None => datafusion::common::internal_err!("{call} was not planned"),
        }
    }
}

/// Plans what `outline` asks for of one measurement; returns the kinds of its columns, too.
pub(super) fn rows(
    planner: &Planner<'_>,
    relation: &Relation,
    outline: &Outline,
) -> Result<(LogicalPlan, Vec<Kind>)> {
    let stage = base(planner, relation, outline)?;
    let calls = &outline.calls;
    if calls.several.is_some() {
        return several::several(planner, stage, outline);
    }
    if calls.distinct.is_some() {
        return several::distinct(planner, stage, outline);
    }
    if !calls.aggregates.is_empty() {
        return aggregates::aggregates(planner, stage, outline);
    }
    let stage = match calls.transforms {
        true => transformations::transform(stage, outline)?,
        false => stage,
    };
    raw(planner, stage, outline)
}

/// The rows that count, with the columns that are needed of them.
fn base(planner: &Planner<'_>, relation: &Relation, outline: &Outline) -> Result<Stage> {
    let mut builder = LogicalPlanBuilder::from(relation.plan.clone());
    if !relation.is_in_range {
        for bound in bounds(relation, outline.frame.read) {
            builder = builder.filter(bound)?;
        }
    }
    if let Some(condition) = &outline.frame.condition {
        let mut names = Names { relation, columns: &outline.columns };
        builder = builder.filter(condition::condition(condition, &mut names)?)?;
    }
    let mut columns = vec![relation.time.clone().alias(TIME_COLUMN)];
    if let Some(windows) = &outline.frame.windows {
        let zone = outline.frame.zone.as_deref();
        let bin = windows::bin(planner, windows, zone, relation.time.clone())?;
        columns.push(bin.alias(BIN));
    }
    for (at, tag) in outline.tags.iter().enumerate() {
        let kind = match outline.kind(tag) {
            Kind::Null => Kind::Tag,
            kind => kind,
        };
        columns.push(relation.column(tag, kind).alias(format!("g{at}")));
    }
    for (at, tag) in outline.keys.iter().enumerate() {
        columns.push(relation.column(tag, Kind::Tag).alias(format!("k{at}")));
    }
    let mut variables = Vec::new();
    for (at, variable) in outline.variables().into_iter().enumerate() {
        let Expr::Variable { name, cast } = &variable else { continue };
        let kind = outline.kind(name);
        let (value, kind) = cast_to((relation.column(name, kind), kind), *cast);
        let short = format!("v{at}");
        columns.push(value.alias(&short));
        variables.push((variable, (column(short), kind)));
    }
    let plan = builder.project(columns)?.build()?;
    Ok(Stage { plan, variables, calls: Vec::new() })
}

/// The range of time as conditions.
pub(super) fn bounds(relation: &Relation, range: TimeRange) -> Vec<Engine> {
    let first = range.first_ns.map(|ns| relation.time.clone().gt_eq(instant(ns)));
    let last = range.last_ns.map(|ns| relation.time.clone().lt_eq(instant(ns)));
    first.into_iter().chain(last).collect()
}

/// Columns that go along: the time, what is grouped by, and what orders rows.
pub(super) fn carried(outline: &Outline, with_keys: bool) -> Vec<Engine> {
    let keys = if with_keys { outline.keys.len() } else { 0 };
    let groups = (0..outline.tags.len()).map(group);
    groups.chain((0..keys).map(key)).collect()
}

/// The columns of the result.
pub(super) fn results(stage: &mut Stage, outline: &Outline) -> Result<(Vec<Engine>, Vec<Kind>)> {
    let (mut columns, mut kinds) = (Vec::new(), Vec::new());
    for (at, item) in outline.items.iter().enumerate() {
        let (value, kind) = scalar::value(&item.expr, stage)?;
        columns.push(value.alias(format!("c{at}")));
        kinds.push(kind);
    }
    Ok((columns, kinds))
}

/// A number that `FILL` names, as a value of a kind.
pub(super) fn fill_value(fill: Fill, kind: Kind) -> Result<Option<ScalarValue>> {
    let (integer, float) = match fill {
        Fill::Integer(value) => (value, value as f64),
        Fill::Float(value) => (value as i64, value),
        _ => return Ok(None),
    };
    Ok(Some(match kind {
        Kind::Float => ScalarValue::Float64(Some(float)),
        Kind::Integer => ScalarValue::Int64(Some(integer)),
        Kind::Unsigned => ScalarValue::UInt64(Some(u64::try_from(integer).unwrap_or(0))),
        Kind::Tag | Kind::Null => return Ok(None),
        kind => {
            let text = format!("no conversion from {integer} to {}", kind.arrow());
            return Err(super::faults::meaningless(text));
        }
    }))
}

/// A row for each point that has one of the fields.
fn raw(
    planner: &Planner<'_>,
    mut stage: Stage,
    outline: &Outline,
) -> Result<(LogicalPlan, Vec<Kind>)> {
    let (columns, kinds) = results(&mut stage, outline)?;
    let mut all = vec![column(TIME_COLUMN)];
    all.extend(carried(outline, true));
    all.extend(columns);
    let fields: Vec<usize> =
        (0..outline.items.len()).filter(|at| outline.has_field(&outline.items[*at])).collect();
    let mut builder = LogicalPlanBuilder::from(stage.plan).project(all)?;
    if let Some(some) = limits::some_of(&fields) {
        builder = builder.filter(some)?;
    }
    let mut plan = builder.build()?;
    if matches!(outline.fill, Fill::Integer(_) | Fill::Float(_)) && !outline.calls.transforms {
        let mut all = vec![column(TIME_COLUMN)];
        all.extend(carried(outline, true));
        for (at, kind) in kinds.iter().enumerate() {
            let value = match fill_value(outline.fill, *kind)? {
                Some(value) if fields.contains(&at) => coalesce(vec![result(at), lit(value)]),
                _ => result(at),
            };
            all.push(value.alias(format!("c{at}")));
        }
        plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
    }
    let plan = limits::limited(planner, plan, outline, &fields)?;
    Ok((plan, kinds))
}
