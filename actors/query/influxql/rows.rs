//! The rows of one measurement, as a SELECT statement asks for them.

use super::aggregates;
use super::condition::{self, Names};
use super::kind::Kind;
use super::limits;
use super::outline::{Outline, Way};
use super::planner::Planner;
use super::relation::Relation;
use super::scalar::cast_to;
use super::several;
use super::stage::{BIN, Stage, carried, column, fill_value, result, results};
use super::transformations;
use super::windows;
use crate::query::in_order::series_key;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr as Engine, LogicalPlan, LogicalPlanBuilder, lit};
use protocols::influxql::Expr;
use protocols::schema::TIME_COLUMN;

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
        let [first, last] = outline.frame.reads();
        if let Some(first) = first {
            builder = builder.filter(relation.time.clone().gt_eq(first))?;
        }
        if let Some(last) = last {
            builder = builder.filter(relation.time.clone().lt_eq(last))?;
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
    let mut keys: Vec<Engine> =
        outline.keys.iter().map(|tag| relation.column(tag, Kind::Tag)).collect();
    if keys.len() > outline.key_columns() {
        keys = vec![series_key(keys)];
    }
    columns.extend(outline.own_keys().map(|at| keys[at].clone().alias(format!("k{at}"))));
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
    let fields = outline.fields();
    let mut builder = LogicalPlanBuilder::from(stage.plan).project(all)?;
    let fills = outline.fills_rows();
    // What cuts fields lets go of rows without any of them, but counts their series; so does what
    // puts rows in order.
    let is_cut = matches!(outline.way(fields.len()), Way::Series)
        && outline.bounds.slimit.is_none()
        && outline.bounds.soffset.is_none()
        && !fills;
    let is_done_later = is_cut || outline.is_rows;
    if !is_done_later && let Some(some) = limits::some_of(&fields) {
        builder = builder.filter(some)?;
    }
    let mut plan = builder.build()?;
    if fills {
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
    let plan = limits::limited(planner, plan, outline, &fields, true)?;
    Ok((plan, kinds))
}
