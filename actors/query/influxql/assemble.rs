//! From the rows of each measurement to one result.

use super::kind::Kind;
use super::outer::Outer;
use super::outline::{MEASUREMENT, Outline};
use super::planner::Planner;
use super::relation::joined;
use super::select::{self, Part, Selected};
use super::stage::{carried, column, group, key, result};
use super::windows::zoned;
use crate::query::in_order::{Order, in_order};
use datafusion::common::{DFSchema, ScalarValue, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr as Engine, LogicalPlan, LogicalPlanBuilder, Projection, SortExpr, lit,
};
use protocols::influxql::Select;
use protocols::schema::TIME_COLUMN;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Key of the schema's metadata that says which columns tell series apart.
const GROUP_KEY: &str = "iox::influxql::group_key::metadata";

/// The whole plan of a SELECT statement.
pub(super) fn select(planner: &Planner<'_>, select: &Select) -> Result<LogicalPlan> {
    let Selected { outline, parts, kinds } = select::select(planner, select, &Outer::default())?;
    let shape = Shape { outline: &outline };
    if parts.is_empty() {
        return shape.named(LogicalPlanBuilder::empty(false).build()?, None);
    }
    let has_keys = outline.has_keys() && outline.key_columns() > 0;
    let is_ordered_as_named = parts.len() == 1 && !has_keys && outline.frame.zone.is_none();
    let plan = union(parts, &outline)?;
    if outline.is_rows {
        let plan = shape.named(plan.0, Some(&kinds))?;
        let order = shape.order_of_rows(&plan)?;
        return in_order(plan, order);
    }
    if is_ordered_as_named {
        let plan = shape.named(plan.0, Some(&kinds))?;
        return sorted(plan, shape.order_as_named());
    }
    shape.named(shape.sorted(plan)?, Some(&kinds))
}

/// The name that the measurement of a row has until the end.
const SOURCE: &str = "m";
/// The name of the time on the clock of the statement's zone. It is there before rows are sorted:
/// what is computed afterwards may be on several threads, which keep no order among them.
const ZONED: &str = "z";

/// The rows of all measurements with their names.
fn union(parts: Vec<Part>, outline: &Outline) -> Result<(LogicalPlan, bool)> {
    let several = parts.len() > 1;
    let mut plans = Vec::with_capacity(parts.len());
    for Part { measurement, plan } in parts {
        let mut columns = vec![lit(measurement).alias(SOURCE), column(TIME_COLUMN)];
        columns.extend(carried(outline, outline.has_keys()));
        columns.extend((0..outline.items.len()).map(result));
        if let Some(zone) = &outline.frame.zone {
            columns.push(zoned(column(TIME_COLUMN), zone).alias(ZONED));
        }
        plans.push(LogicalPlanBuilder::from(plan).project(columns)?.build()?);
    }
    match joined(plans)? {
        Some(whole) => Ok((whole, several)),
        None => datafusion::common::internal_err!("a result of no measurement"),
    }
}

fn sorted(plan: LogicalPlan, order: Vec<SortExpr>) -> Result<LogicalPlan> {
    match order.is_empty() {
        true => Ok(plan),
        false => LogicalPlanBuilder::from(plan).sort(order)?.build(),
    }
}

struct Shape<'a> {
    outline: &'a Outline,
}

impl Shape<'_> {
    fn sorted(&self, (plan, several): (LogicalPlan, bool)) -> Result<LogicalPlan> {
        let outline = self.outline;
        let mut order: Vec<SortExpr> = Vec::new();
        if several {
            order.push(column(SOURCE).sort(true, false));
        }
        order.extend(super::limits::groups_in_order(outline));
        if !outline.has_one_row() {
            order.extend(super::limits::in_time(outline, outline.has_keys()));
        }
        if outline.calls.distinct.is_some() {
            order.push(result(0).sort(true, false));
        }
        sorted(plan, order)
    }

    /// The order of the rows of one measurement, by the names of the user's.
    fn order_as_named(&self) -> Vec<SortExpr> {
        let outline = self.outline;
        let tags = outline.tags.iter().map(|tag| {
            let name = outline.selected(tag).map_or(tag, |item| &outline.names[item]);
            column(name).sort(true, false)
        });
        let time = column(&outline.time_name).sort(!outline.descending, false);
        let time = (!outline.has_one_row()).then_some(time);
        let distinct = outline.names.first().filter(|_| outline.calls.distinct.is_some());
        let distinct = distinct.map(|name| column(name).sort(true, false));
        tags.chain(time).chain(distinct).collect()
    }

    /// The order of rows as they are, by the columns of the named result.
    fn order_of_rows(&self, plan: &LogicalPlan) -> Result<Order> {
        let outline = self.outline;
        let schema = plan.schema();
        let place = |name: &String| {
            let at = schema.index_of_column_by_name(None, name);
            at.ok_or_else(|| internal_datafusion_err!("a result without a column {name}"))
        };
        let tag =
            |tag: &String| place(outline.selected(tag).map_or(tag, |item| &outline.names[item]));
        let shown = schema.fields().len() - outline.own_keys().count();
        let mut own = shown..;
        let keys = (0..outline.key_columns()).map(|at| match outline.shown_key(at) {
            Some(item) => place(&outline.names[item]),
            None => Ok(own.next().unwrap_or(shown)),
        });
        let fields = outline.fields().into_iter().map(|at| place(&outline.names[at]));
        Ok(Order {
            shown,
            series: outline.tags.iter().map(tag).collect::<Result<_>>()?,
            time: place(&outline.time_name)?,
            keys: keys.collect::<Result<_>>()?,
            fields: fields.collect::<Result<_>>()?,
            descending: outline.descending,
        })
    }

    /// A name for a column that rows are only ordered by.
    fn name_of_key(&self, at: usize) -> String {
        let mut name = format!("iox::key{at}");
        let outline = self.outline;
        while outline.names.iter().chain(&outline.tags).any(|known| *known == name)
            || outline.time_name == name
        {
            name.push('_');
        }
        name
    }

    /// The result under the names of the user's, and behind it what rows are only ordered by.
    /// Without kinds there are no rows.
    fn named(&self, plan: LogicalPlan, kinds: Option<&Vec<Kind>>) -> Result<LogicalPlan> {
        let outline = self.outline;
        let there = |value: Engine, null: ScalarValue| match kinds {
            Some(_) => value,
            None => lit(null),
        };
        let measurement = match kinds {
            Some(_) => column(SOURCE),
            None => lit(""),
        };
        let null = ScalarValue::TimestampNanosecond(None, None);
        let time = match &outline.frame.zone {
            Some(_) if kinds.is_some() => column(ZONED),
            Some(zone) => zoned(lit(null), zone),
            None => there(column(TIME_COLUMN), null),
        };
        let mut columns = vec![measurement.alias(MEASUREMENT), time.alias(&outline.time_name)];
        let mut tags = Vec::new();
        for (at, tag) in outline.tags.iter().enumerate() {
            match outline.selected(tag) {
                Some(item) => tags.push((tag, item, true)),
                None => {
                    tags.push((tag, columns.len(), false));
                    let kind = match outline.kind(tag) {
                        Kind::Null => Kind::Tag,
                        kind => kind,
                    };
                    columns.push(there(group(at), kind.null_value()).alias(tag));
                }
            }
        }
        let first_item = columns.len();
        for (at, name) in outline.names.iter().enumerate() {
            columns.push(there(result(at), Kind::Null.null_value()).alias(name));
        }
        if outline.is_rows && kinds.is_some() {
            columns.extend(outline.own_keys().map(|at| key(at).alias(self.name_of_key(at))));
        }
        let keys: Vec<Value> = tags
            .into_iter()
            .map(|(tag, at, is_projected)| {
                let at = if is_projected { first_item + at } else { at };
                let mut key = Map::new();
                key.insert("tagKey".to_owned(), json!(tag));
                key.insert("columnIndex".to_owned(), json!(at));
                if is_projected {
                    key.insert("isProjected".to_owned(), json!(true));
                }
                Value::Object(key)
            })
            .collect();
        let group_key = match keys.is_empty() {
            true => json!({}),
            false => json!({ "tagKeyColumns": keys }),
        };
        with_metadata(plan, columns, &[(GROUP_KEY, &group_key.to_string())])
    }
}

/// A projection whose schema has metadata.
pub(super) fn with_metadata(
    plan: LogicalPlan,
    columns: Vec<Engine>,
    metadata: &[(&str, &str)],
) -> Result<LogicalPlan> {
    let projection = Projection::try_new(columns, Arc::new(plan))?;
    let fields = projection.schema.iter().map(|(table, field)| (table.cloned(), Arc::clone(field)));
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let schema = DFSchema::new_with_metadata(fields.collect(), metadata)?;
    let Projection { expr, input, .. } = projection;
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(expr, input, Arc::new(schema))?))
}
