//! From a SELECT statement to the plans of the rows of its measurements.

use super::faults::missing;
use super::kind::Kind;
use super::outer::Outer;
use super::outline::{Frame, Outline};
use super::placeholders::Slots;
use super::planner::Planner;
use super::relation::{Relation, unified};
use super::rows;
use super::stage::{column, group, result};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use protocols::influxql::{Dimension, Expr, Select, Source};
use protocols::schema::TIME_COLUMN;
use std::collections::BTreeMap;

/// The rows of a measurement.
pub(super) struct Part {
    pub(super) measurement: String,
    pub(super) plan: LogicalPlan,
}

/// A SELECT statement with the rows of each of its measurements.
pub(super) struct Selected {
    pub(super) outline: Outline,
    pub(super) parts: Vec<Part>,
    /// What the columns of the result are.
    pub(super) kinds: Vec<Kind>,
}

/// Plans the rows of each measurement.
pub(super) fn select(planner: &Planner<'_>, select: &Select, outer: &Outer) -> Result<Selected> {
    let own = planner.slots.as_ref().map(Slots::next);
    let frame = Frame::new(select, outer, planner.now_ns, own)?;
    let mut dimensions = outer.dimensions.clone();
    let of_tags = |dimension: &&Dimension| !matches!(dimension, Dimension::Time { .. });
    dimensions.extend(select.dimensions.iter().filter(of_tags).cloned());
    let zone = frame.zone.clone();
    let inner = Outer { range: frame.read, dimensions, zone, is_inside: true };
    let sources = sources(planner, &select.from, &inner)?;
    let columns = unified(sources.values().flatten());
    let outline = Outline::new(select, outer, frame, columns, &sources)?;
    let (mut parts, mut kinds) = (Vec::new(), Vec::new());
    if outline.frame.range.is_empty() || !outline.items.iter().any(|i| outline.has_field(i)) {
        return Ok(Selected { outline, parts, kinds });
    }
    for (measurement, relations) in sources {
        let Some(relation) = Relation::union(relations, &outline.columns)? else { continue };
        if !has_a_field(&relation, &outline) {
            continue;
        }
        let (plan, found) = rows::rows(planner, &relation, &outline)?;
        kinds = found;
        parts.push(Part { measurement, plan });
    }
    Ok(Selected { outline, parts, kinds })
}

/// The rows of all sources, by measurement.
fn sources(
    planner: &Planner<'_>,
    from: &[Source],
    inner: &Outer,
) -> Result<BTreeMap<String, Vec<Relation>>> {
    let mut found: BTreeMap<String, Vec<Relation>> = BTreeMap::new();
    for source in from {
        match source {
            Source::Measurement(measurement) => {
                for (name, relation) in planner.measurements(measurement)? {
                    found.entry(name).or_default().push(relation);
                }
            }
            Source::Subquery(select) => {
                let selected = self::select(planner, select, inner)?;
                for (name, relation) in as_relations(selected) {
                    found.entry(name).or_default().push(relation);
                }
            }
        }
    }
    check_mixed(found.values().flatten())?;
    Ok(found)
}

/// True if a measurement has one of the fields that are asked for.
fn has_a_field(relation: &Relation, outline: &Outline) -> bool {
    let is_field = |name: &str| relation.columns.get(name).is_some_and(|(_, k)| k.is_field());
    outline.variables().iter().any(|variable| match variable {
        Expr::Variable { name, .. } => is_field(name),
        _ => false,
    })
}

/// A result as rows that another statement selects from.
fn as_relations(selected: Selected) -> Vec<(String, Relation)> {
    let Selected { outline, parts, kinds } = selected;
    let mut columns = BTreeMap::new();
    let mut tags = Vec::new();
    for (at, tag) in outline.tags.iter().enumerate() {
        let kind = match outline.kind(tag) {
            Kind::Null => Kind::Tag,
            kind => kind,
        };
        columns.insert(tag.clone(), (group(at), kind));
        tags.push(tag.clone());
    }
    for (at, (name, kind)) in outline.names.iter().zip(&kinds).enumerate() {
        if *kind == Kind::Tag && !tags.contains(name) {
            tags.push(name.clone());
        }
        if *kind != Kind::Null {
            columns.entry(name.clone()).or_insert((result(at), *kind));
        }
    }
    let relation = |part: Part| {
        let relation = Relation {
            plan: part.plan,
            time: column(TIME_COLUMN),
            columns: columns.clone(),
            tags: tags.clone(),
            is_in_range: true,
        };
        (part.measurement, relation)
    };
    parts.into_iter().map(relation).collect()
}

/// Fails if a name is a tag in one subquery and a field in another.
fn check_mixed<'a>(relations: impl Iterator<Item = &'a Relation>) -> Result<()> {
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    for relation in relations.filter(|relation| relation.is_in_range) {
        for (name, (_, kind)) in &relation.columns {
            let is_tag = *kind == Kind::Tag;
            if *known.entry(name).or_insert(is_tag) != is_tag {
                return Err(missing(format!(
                    "cannot mix tag and field columns with the same name: {name}"
                )));
            }
        }
    }
    Ok(())
}
