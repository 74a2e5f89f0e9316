//! From a statement to the plan of its rows.

use super::condition::compiled;
use super::faults::missing;
use super::kind::Kind;
use super::outline::{Frame, Outline};
use super::relation::{Columns, Relation, unified};
use super::rows::{self, Part};
use super::time_range::TimeRange;
use crate::query::catalog_view::Catalogs;
use datafusion::common::plan_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, Expr as Engine, ScalarUDF, WindowUDF};
use protocols::influxql::{Dimension, Measurement, MeasurementName, Select, Source};
use protocols::principal::Visible;
use protocols::schema::TIME_COLUMN;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What statements are planned with.
pub(super) struct Planner<'a> {
    /// Knows the functions of the engine.
    pub(super) state: &'a SessionState,
    /// The database.
    pub(super) catalogs: &'a Catalogs,
    /// All databases.
    pub(super) visible: &'a Visible,
    /// When the statement began, nanoseconds since 1970.
    pub(super) now_ns: i64,
}

/// What a statement takes over from the one that it stands in.
#[derive(Clone, Default)]
pub(super) struct Outer {
    /// The instants that count.
    pub(super) range: TimeRange,
    /// What is grouped by there.
    pub(super) dimensions: Vec<Dimension>,
    pub(super) zone: Option<Arc<str>>,
    /// False for a statement that stands in no other.
    pub(super) is_inside: bool,
}

impl Outer {
    /// The tags that are grouped by outside.
    pub(super) fn tags(&self, columns: &Columns) -> Result<Vec<String>> {
        let tags = columns.iter().filter(|(_, kind)| **kind == Kind::Tag).map(|(name, _)| name);
        let mut found = Vec::new();
        for dimension in &self.dimensions {
            let regex = match dimension {
                Dimension::Regex(pattern) => Some(compiled(pattern)?),
                _ => None,
            };
            found.extend(
                tags.clone()
                    .filter(|tag| match (dimension, &regex) {
                        (Dimension::Tag(name), _) => name == tag.as_str(),
                        (Dimension::Wildcard, _) => true,
                        (_, Some(regex)) => regex.is_match(tag),
                        _ => false,
                    })
                    .cloned(),
            );
        }
        Ok(found)
    }
}

/// A SELECT statement with the rows of each of its measurements.
pub(super) struct Selected {
    pub(super) outline: Outline,
    pub(super) parts: Vec<Part>,
    /// What the columns of the result are.
    pub(super) kinds: Vec<Kind>,
}

impl Planner<'_> {
    /// Plans the rows of each measurement.
    pub(super) fn select(&self, select: &Select, outer: &Outer) -> Result<Selected> {
        let frame = Frame::new(select, outer, self.now_ns)?;
        let mut dimensions = outer.dimensions.clone();
        let of_tags = |dimension: &&Dimension| !matches!(dimension, Dimension::Time { .. });
        dimensions.extend(select.dimensions.iter().filter(of_tags).cloned());
        let zone = frame.zone.clone();
        let inner = Outer { range: frame.read, dimensions, zone, is_inside: true };
        let sources = self.sources(&select.from, &inner)?;
        let columns = unified(sources.values().flatten());
        let all = sources.values().flatten();
        let outline = Outline::new(select, outer, frame, columns, all)?;
        let (mut parts, mut kinds) = (Vec::new(), Vec::new());
        if outline.frame.range.is_empty() || !outline.items.iter().any(|i| outline.has_field(i)) {
            return Ok(Selected { outline, parts, kinds });
        }
        for (measurement, relations) in sources {
            let Some(relation) = Relation::union(relations, &outline.columns)? else { continue };
            if !has_a_field(&relation, &outline) {
                continue;
            }
            let (plan, found) = rows::rows(self, &relation, &outline)?;
            kinds = found;
            parts.push(Part { measurement, plan });
        }
        Ok(Selected { outline, parts, kinds })
    }

    /// The rows of all sources, by measurement.
    fn sources(&self, from: &[Source], inner: &Outer) -> Result<BTreeMap<String, Vec<Relation>>> {
        let mut found: BTreeMap<String, Vec<Relation>> = BTreeMap::new();
        for source in from {
            match source {
                Source::Measurement(measurement) => {
                    for (name, relation) in self.measurements(measurement)? {
                        found.entry(name).or_default().push(relation);
                    }
                }
                Source::Subquery(select) => {
                    let selected = self.select(select, inner)?;
                    for (name, relation) in as_relations(selected) {
                        found.entry(name).or_default().push(relation);
                    }
                }
            }
        }
        check_mixed(found.values().flatten())?;
        Ok(found)
    }

    /// The measurements that a source names.
    pub(super) fn measurements(&self, source: &Measurement) -> Result<Vec<(String, Relation)>> {
        self.check_database(source.database.as_deref())?;
        let names = match &source.name {
            MeasurementName::Name(name) => vec![name.clone()],
            MeasurementName::Regex(pattern) => {
                let regex = compiled(pattern)?;
                let tables = self.catalogs.db().live_tables();
                let names = tables.iter().map(|table| table.name.to_string());
                names.filter(|name| regex.is_match(name)).collect()
            }
        };
        let open = |name: String| {
            let (table, rows) = self.catalogs.open_table(&name)?;
            Some(Relation::of_table(&table, rows).map(|relation| (name, relation)))
        };
        names.into_iter().filter_map(open).collect()
    }

    /// Refuses another database than the one that the statement runs in.
    pub(super) fn check_database(&self, named: Option<&str>) -> Result<()> {
        let own = &self.catalogs.db().name;
        let is_own = |named: &str| {
            let rest = own.strip_prefix(named);
            rest.is_some_and(|policy| policy.is_empty() || policy.starts_with('/'))
        };
        match named {
            Some(named) if !is_own(named) => Err(missing(format!(
                "database prefix in qualified measurement syntax: {named}, where the statement \
                 runs in {own}"
            ))),
            _ => Ok(()),
        }
    }

    /// A function of the engine that makes one value of many.
    pub(super) fn aggregate(&self, name: &str) -> Result<Arc<AggregateUDF>> {
        let found = self.state.aggregate_functions().get(name).cloned();
        found.ok_or_else(|| plan_datafusion_err!("Invalid function '{name}'"))
    }

    /// A function of the engine that looks at the rows around.
    pub(super) fn window(&self, name: &str) -> Result<Arc<WindowUDF>> {
        let found = self.state.window_functions().get(name).cloned();
        found.ok_or_else(|| plan_datafusion_err!("Invalid function '{name}'"))
    }

    /// A call of a function of the engine.
    pub(super) fn scalar(&self, name: &str, args: Vec<Engine>) -> Result<Engine> {
        let found: Option<Arc<ScalarUDF>> = self.state.scalar_functions().get(name).cloned();
        let found = found.ok_or_else(|| plan_datafusion_err!("Invalid function '{name}'"))?;
        Ok(found.call(args))
    }
}

/// True if a measurement has one of the fields that are asked for.
fn has_a_field(relation: &Relation, outline: &Outline) -> bool {
    let is_field = |name: &str| relation.columns.get(name).is_some_and(|(_, k)| k.is_field());
    outline.variables().iter().any(|variable| match variable {
        protocols::influxql::Expr::Variable { name, .. } => is_field(name),
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
        columns.insert(tag.clone(), (rows::group(at), kind));
        tags.push(tag.clone());
    }
    for (at, (name, kind)) in outline.names.iter().zip(&kinds).enumerate() {
        if *kind == Kind::Tag && !tags.contains(name) {
            tags.push(name.clone());
        }
        if *kind != Kind::Null {
            columns.entry(name.clone()).or_insert((rows::result(at), *kind));
        }
    }
    let relation = |part: Part| {
        let relation = Relation {
            plan: part.plan,
            time: rows::column(TIME_COLUMN),
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
