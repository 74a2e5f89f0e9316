//! `SHOW SERIES` and `SHOW … CARDINALITY`. What is counted is counted exactly, whatever is asked
//! for; without `EXACT` series and measurements are counted over the whole database.

use super::{Whole, cut_by, empty, listed, rows_of, tables, tag_values, tags_of, texts};
use crate::query::influxql::faults::meaningless;
use crate::query::influxql::kind::Kind;
use crate::query::influxql::limits::aggregate_of;
use crate::query::influxql::outline::MEASUREMENT;
use crate::query::influxql::planner::Planner;
use crate::query::influxql::stage::column;
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::functions::string::expr_fn::{concat, replace};
use datafusion::logical_expr::{Expr as Engine, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use protocols::influxql::{Counted, Show};
use protocols::messages::query::Language;
use protocols::schema::{ColumnKind, TableSchema};
use std::sync::Arc;

/// The name of the column of counts.
const COUNT: &str = "count";

/// The keys of all series, as line protocol writes them.
pub(super) fn series(
    planner: &Planner<'_>,
    show: &Show,
    language: Language,
) -> Result<LogicalPlan> {
    let mut whole = Whole::default();
    for table in tables(planner, &show.from)? {
        let Some(tags) = tag_sets(planner, show, &table)? else { continue };
        let mut parts = vec![lit(escaped(&table.name))];
        for tag in tags_of(&table) {
            let text = cast(column(&tag), DataType::Utf8);
            let pair = concat(vec![lit(format!(",{}=", escaped(&tag))), escaped_value(text)]);
            parts.push(when(column(&tag).is_not_null(), pair).otherwise(lit(""))?);
        }
        let name = match language {
            Language::InfluxQlV1 => "",
            _ => table.name.as_ref(),
        };
        whole.add(tags.project([lit(name).alias(MEASUREMENT), concat(parts).alias("key")])?)?;
    }
    cut_by(planner, whole, show.bounds, &[MEASUREMENT], "key")
}

fn escaped(name: &str) -> String {
    name.replace(',', "\\,").replace(' ', "\\ ").replace('=', "\\=")
}

fn escaped_value(text: Engine) -> Engine {
    [(",", "\\,"), (" ", "\\ "), ("=", "\\=")]
        .into_iter()
        .fold(text, |text, (from, to)| replace(text, lit(from), lit(to)))
}

/// The combinations of tags of a table, under the names of the tags. A table without tags has one
/// row if it has any.
fn tag_sets(
    planner: &Planner<'_>,
    show: &Show,
    table: &TableSchema,
) -> Result<Option<LogicalPlanBuilder>> {
    let Some(rows) = rows_of(planner, table, show.condition.as_ref(), None)? else {
        return Ok(None);
    };
    let tags = tags_of(table);
    if tags.is_empty() {
        let one = rows.plan.limit(0, Some(1))?.project([lit(1_i64).alias("one")])?;
        return Ok(Some(one));
    }
    let groups: Vec<Engine> = tags.iter().map(|tag| rows.relation.column(tag, Kind::Tag)).collect();
    let named = groups.iter().zip(&tags).map(|(group, tag)| group.clone().alias(tag));
    let named: Vec<Engine> = named.collect();
    Ok(Some(rows.plan.aggregate(groups, Vec::<Engine>::new())?.project(named)?))
}

/// How many there are.
pub(super) fn cardinality(
    planner: &Planner<'_>,
    show: &Show,
    of: &Counted,
    exact: bool,
    language: Language,
) -> Result<LogicalPlan> {
    match of {
        Counted::Series => series_count(planner, show, exact, language),
        Counted::Measurements => {
            check_plain(show)?;
            let count = tables(planner, &show.from)?.len();
            let counts: ArrayRef = Arc::new(Int64Array::from(vec![count as i64]));
            let name = name_of_whole(language);
            listed(vec![(MEASUREMENT, texts([name])), (title(exact, language), counts)])
        }
        Counted::TagKeys => keys_count(planner, show, |kind| kind == ColumnKind::Tag),
        Counted::FieldKeys => keys_count(planner, show, |kind| kind != ColumnKind::Tag),
        Counted::TagValues(keys) => {
            let values = Whole::of(tag_values(planner, show, keys, None)?)?;
            let Some(values) = values.plan()? else {
                return empty(&[MEASUREMENT, COUNT]);
            };
            let count = aggregate_of(planner, "count", vec![lit(1_i64)], false)?.alias(COUNT);
            values
                .aggregate([column(MEASUREMENT)], [count])?
                .sort([column(MEASUREMENT).sort(true, false)])?
                .build()
        }
    }
}

/// Counts of names do not look at rows.
fn check_plain(show: &Show) -> Result<()> {
    match show.condition {
        None => Ok(()),
        Some(_) => Err(meaningless("WHERE is not supported where names are counted")),
    }
}

fn name_of_whole(language: Language) -> &'static str {
    match language {
        Language::InfluxQlV1 => "",
        _ => "cardinality",
    }
}

fn title(exact: bool, language: Language) -> &'static str {
    match language {
        Language::InfluxQlV1 if !exact => "cardinality estimation",
        _ => COUNT,
    }
}

fn keys_count(
    planner: &Planner<'_>,
    show: &Show,
    counts: impl Fn(ColumnKind) -> bool,
) -> Result<LogicalPlan> {
    check_plain(show)?;
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    for table in tables(planner, &show.from)? {
        let count = table.columns.iter().filter(|column| counts(column.kind)).count();
        if count > 0 {
            names.push(Arc::clone(&table.name));
            numbers.push(count as i64);
        }
    }
    listed(vec![(MEASUREMENT, texts(names)), (COUNT, Arc::new(Int64Array::from(numbers)))])
}

fn series_count(
    planner: &Planner<'_>,
    show: &Show,
    exact: bool,
    language: Language,
) -> Result<LogicalPlan> {
    let mut whole = Whole::default();
    for table in tables(planner, &show.from)? {
        let Some(tags) = tag_sets(planner, show, &table)? else { continue };
        let count = aggregate_of(planner, "count", vec![lit(1_i64)], false)?.alias(COUNT);
        let counted = tags.aggregate(Vec::<Engine>::new(), [count])?;
        let name = lit(table.name.as_ref()).alias(MEASUREMENT);
        whole.add(counted.project([name, column(COUNT)])?)?;
    }
    let Some(counts) = whole.plan()? else { return empty(&[MEASUREMENT, COUNT]) };
    if exact {
        let counts = counts.filter(column(COUNT).gt(lit(0_i64)))?;
        return counts.sort([column(MEASUREMENT).sort(true, false)])?.build();
    }
    let sum = aggregate_of(planner, "sum", vec![column(COUNT)], false)?.alias(COUNT);
    let name = lit(name_of_whole(language)).alias(MEASUREMENT);
    let sum = counts.aggregate(Vec::<Engine>::new(), [sum])?;
    sum.project([name, column(COUNT).alias(title(exact, language))])?.build()
}
