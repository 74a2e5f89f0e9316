//! Rows with names: a measurement, or the result of a subquery.

use super::kind::Kind;
use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union, cast, try_cast};
use protocols::schema::{TIME_COLUMN, TableSchema};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names of a statement's sources with what they are.
pub(super) type Columns = BTreeMap<String, Kind>;

/// Rows whose columns have names.
#[derive(Clone)]
pub(super) struct Relation {
    /// The rows.
    pub(super) plan: LogicalPlan,
    /// The time of a row.
    pub(super) time: Expr,
    /// Its columns.
    pub(super) columns: BTreeMap<String, (Expr, Kind)>,
    /// Names of its tags, in the order of its key.
    pub(super) tags: Vec<String>,
    /// True if its rows are those of the range of time already.
    pub(super) is_in_range: bool,
}

impl Relation {
    /// The rows of a measurement.
    pub(super) fn of_table(table: &TableSchema, rows: Arc<dyn TableProvider>) -> Result<Self> {
        let qualifier = TableReference::bare(table.name.to_string());
        let source = provider_as_source(rows);
        let plan = LogicalPlanBuilder::scan(qualifier.clone(), source, None)?.build()?;
        let column =
            |name: &str| Expr::Column(Column::new(Some(qualifier.clone()), name.to_owned()));
        let columns = table.columns.iter().map(|known| {
            (known.name.to_string(), (column(&known.name), Kind::of_column(known.kind)))
        });
        Ok(Self {
            columns: columns.collect(),
            time: column(TIME_COLUMN),
            plan,
            tags: table.tags().map(|tag| tag.name.to_string()).collect(),
            is_in_range: false,
        })
    }

    /// Several with the same name as one. Columns are found by name.
    pub(super) fn union(relations: Vec<Self>, unified: &Columns) -> Result<Option<Self>> {
        let mut relations = relations.into_iter();
        let (first, second) = (relations.next(), relations.next());
        let (Some(first), Some(second)) = (first.clone(), second) else { return Ok(first) };
        let mut tags = first.tags.clone();
        // A filter does no harm to rows that it lets through.
        let mut is_in_range = first.is_in_range;
        let mut parts = vec![first.aligned(unified)?];
        for other in std::iter::once(second).chain(relations) {
            tags.extend(
                other.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect::<Vec<_>>(),
            );
            is_in_range &= other.is_in_range;
            parts.push(other.aligned(unified)?);
        }
        let Some(plan) = joined(parts)? else { return Ok(None) };
        let column = |name: &String| Expr::Column(Column::new_unqualified(name.clone()));
        let columns = unified.iter().map(|(name, kind)| (name.clone(), (column(name), *kind)));
        let time = Expr::Column(Column::new_unqualified(ALIGNED_TIME));
        Ok(Some(Self { plan, time, columns: columns.collect(), tags, is_in_range }))
    }

    fn aligned(self, unified: &Columns) -> Result<LogicalPlan> {
        let time = self.time.clone().alias(ALIGNED_TIME);
        let columns = unified.iter().map(|(name, kind)| self.column(name, *kind).alias(name));
        let columns: Vec<Expr> = std::iter::once(time).chain(columns).collect();
        LogicalPlanBuilder::from(self.plan).project(columns)?.build()
    }

    /// A column as what its name stands for in the statement.
    pub(super) fn column(&self, name: &str, kind: Kind) -> Expr {
        match self.columns.get(name) {
            Some((column, own)) if *own == kind => column.clone(),
            Some((column, own)) => converted(column.clone(), *own, kind),
            None => kind.null(),
        }
    }
}

/// Rows of several plans with the same columns, side by side. `None` if there is no plan.
pub(super) fn joined(mut parts: Vec<LogicalPlan>) -> Result<Option<LogicalPlan>> {
    if parts.len() <= 1 {
        return Ok(parts.pop());
    }
    let parts = parts.into_iter().map(Arc::new).collect();
    Ok(Some(LogicalPlan::Union(Union::try_new_with_loose_types(parts)?)))
}

/// Where sources are joined, no column can have this name but the time.
const ALIGNED_TIME: &str = "time";

/// Values as another kind. Numbers are converted, nothing else.
pub(super) fn converted(column: Expr, from: Kind, to: Kind) -> Expr {
    match (from, to) {
        (from, to) if from == to => column,
        (Kind::Tag, Kind::String) => cast(column, DataType::Utf8),
        (from, to) if from.is_number() && to.is_number() => try_cast(column, to.arrow()),
        _ => to.null(),
    }
}

/// What the names of several sources are.
pub(super) fn unified<'a>(relations: impl Iterator<Item = &'a Relation>) -> Columns {
    let mut unified = Columns::new();
    for (name, (_, kind)) in relations.flat_map(|relation| &relation.columns) {
        let known = unified.entry(name.clone()).or_insert(*kind);
        *known = (*known).min(*kind);
    }
    unified
}
