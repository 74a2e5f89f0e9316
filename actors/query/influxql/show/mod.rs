//! `SHOW`: names from the catalog, and from rows where a condition asks for them.

mod series;

use super::assemble::with_metadata;
use super::condition::Names;
use super::condition::{compiled, condition};
use super::faults::meaningless;
use super::kind::Kind;
use super::limits::numbered;
use super::outline::MEASUREMENT;
use super::placeholders::instant;
use super::planner::Planner;
use super::relation::{Relation, joined, unified};
use super::stage::column;
use super::time_range::{Clock, TimeRange, split};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Engine, LogicalPlan, LogicalPlanBuilder, cast, lit};
use protocols::influxql::{
    Bounds, Expr, KeyMatch, Measurement, MeasurementMatch, MeasurementName, Show, ShowWhat, Source,
};
use protocols::messages::query::Language;
use protocols::schema::{ColumnKind, TableSchema};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What rows are looked at where nothing is said of time.
const DAY_NS: i64 = 86_400_000_000_000;

/// The plan of a list.
pub(super) fn plan(planner: &Planner<'_>, show: &Show, language: Language) -> Result<LogicalPlan> {
    if show.on.as_deref() == Some("*") {
        return Err(meaningless("can only perform queries on a single database"));
    }
    planner.check_database(show.on.as_deref())?;
    match &show.what {
        ShowWhat::Databases => databases(planner, language),
        ShowWhat::RetentionPolicies => policies(planner, show, language),
        ShowWhat::Measurements(filter) => measurements(planner, show, filter.as_ref()),
        ShowWhat::TagKeys => tag_keys(planner, show),
        ShowWhat::FieldKeys => field_keys(planner, show),
        ShowWhat::TagValues(keys) => values(planner, show, keys),
        ShowWhat::Series => series::series(planner, show, language),
        ShowWhat::Cardinality { of, exact } => {
            series::cardinality(planner, show, of, *exact, language)
        }
    }
}

/// Rows that are known already.
fn listed(columns: Vec<(&str, ArrayRef)>) -> Result<LogicalPlan> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), false))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let columns: Vec<ArrayRef> = columns.into_iter().map(|(_, values)| values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let batches = if batch.num_rows() == 0 { Vec::new() } else { vec![batch] };
    let table = MemTable::try_new(schema, vec![batches])?;
    let source = provider_as_source(Arc::new(table));
    LogicalPlanBuilder::scan("list", source, None)?.build()
}

fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

fn databases(planner: &Planner<'_>, language: Language) -> Result<LogicalPlan> {
    let mut all: Vec<_> = planner.visible.databases().collect();
    if language == Language::InfluxQlV1 {
        all.retain(|db| db.deletion.is_none());
        all.sort_by_key(|db| db.id);
        let constant = all.iter().map(|_| "databases");
        let names = all.iter().map(|db| db.name.as_ref());
        return listed(vec![(MEASUREMENT, texts(constant)), ("name", texts(names))]);
    }
    all.sort_by_key(|db| (db.deletion.is_some(), Arc::clone(&db.name)));
    let deleted: BooleanArray = all.iter().map(|db| Some(db.deletion.is_some())).collect();
    let names = all.iter().map(|db| db.name.as_ref());
    listed(vec![("iox::database", texts(names)), ("deleted", Arc::new(deleted))])
}

fn policies(planner: &Planner<'_>, show: &Show, language: Language) -> Result<LogicalPlan> {
    let own = planner.catalogs.db();
    let is_whole = show.on.is_none() && own.name.as_ref() == "_internal";
    let shown = match is_whole && language == Language::InfluxQl {
        true => planner.visible.live_databases(),
        false => vec![own],
    };
    let durations = shown.iter().map(|db| policy_duration(db.retention_ns.unwrap_or(0)));
    let durations = texts(durations.collect::<Vec<_>>());
    if language == Language::InfluxQlV1 {
        let constant = shown.iter().map(|_| "retention_policies");
        let names = shown.iter().map(|db| db.name.as_ref());
        let default = BooleanArray::from(vec![true; shown.len()]);
        return listed(vec![
            (MEASUREMENT, texts(constant)),
            ("name", texts(names)),
            ("duration", durations),
            ("default", Arc::new(default)),
        ]);
    }
    let split: Vec<(&str, &str)> = shown
        .iter()
        .map(|db| db.name.split_once('/').unwrap_or((db.name.as_ref(), "autogen")))
        .collect();
    listed(vec![
        ("iox::database", texts(split.iter().map(|(db, _)| *db))),
        ("name", texts(split.iter().map(|(_, policy)| *policy))),
        ("duration", durations),
    ])
}

/// How long rows are kept, as version 1 writes it: `168h0m0s`.
fn policy_duration(ns: i64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        0 => "0s".to_owned(),
        _ => format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// The tables that a list is about, by name.
fn tables(planner: &Planner<'_>, from: &[Source]) -> Result<Vec<Arc<TableSchema>>> {
    let all = planner.catalogs.db().live_tables();
    if from.is_empty() {
        return Ok(all.into_iter().cloned().collect());
    }
    let mut named = BTreeSet::new();
    for source in from {
        match source {
            Source::Measurement(Measurement { name: MeasurementName::Name(name), .. }) => {
                named.insert(name.clone());
            }
            Source::Measurement(Measurement { name: MeasurementName::Regex(pattern), .. }) => {
                let regex = compiled(pattern)?;
                let names = all.iter().map(|table| table.name.to_string());
                named.extend(names.filter(|name| regex.is_match(name)));
            }
            Source::Subquery(_) => {
                return Err(meaningless("subqueries are not supported in SHOW queries"));
            }
        }
    }
    Ok(all.into_iter().filter(|table| named.contains(table.name.as_ref())).cloned().collect())
}

/// The range of time as conditions.
fn bounds(relation: &Relation, range: TimeRange) -> Vec<Engine> {
    let first = range.first_ns.map(|ns| relation.time.clone().gt_eq(instant(ns)));
    let last = range.last_ns.map(|ns| relation.time.clone().lt_eq(instant(ns)));
    first.into_iter().chain(last).collect()
}

/// What is shown of so many.
fn cut<T>(all: Vec<T>, bounds: Bounds) -> impl Iterator<Item = T> {
    let rows = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let limit = bounds.limit.map_or(usize::MAX, rows);
    all.into_iter().skip(bounds.offset.map_or(0, rows)).take(limit)
}

fn measurements(
    planner: &Planner<'_>,
    show: &Show,
    filter: Option<&MeasurementMatch>,
) -> Result<LogicalPlan> {
    let regex = match filter {
        Some(MeasurementMatch::Matches(pattern)) => Some(compiled(pattern)?),
        _ => None,
    };
    let mut shown = tables(planner, &show.from)?;
    shown.retain(|table| match (filter, &regex) {
        (Some(MeasurementMatch::Is(name)), _) => name == table.name.as_ref(),
        (_, Some(regex)) => regex.is_match(&table.name),
        _ => true,
    });
    let Some(condition) = &show.condition else {
        let shown: Vec<_> = cut(shown, show.bounds).collect();
        let constant = shown.iter().map(|_| "measurements");
        let names = shown.iter().map(|table| table.name.as_ref());
        return listed(vec![(MEASUREMENT, texts(constant)), ("name", texts(names))]);
    };
    let mut whole = Whole::default();
    for table in shown {
        let wanted = Some(condition);
        let Some(rows) = rows_of(planner, &table, wanted, Some(DAY_NS))? else { continue };
        let columns =
            [lit("measurements").alias(MEASUREMENT), lit(table.name.as_ref()).alias("name")];
        whole.add(rows.plan.limit(0, Some(1))?.project(columns)?)?;
    }
    let Some(plan) = whole.plan()? else { return empty(&[MEASUREMENT, "name"]) };
    let rows = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let skipped = show.bounds.offset.map_or(0, rows);
    let plan = plan.sort(vec![column("name").sort(true, false)])?;
    match (show.bounds.limit, skipped) {
        (None, 0) => plan.build(),
        (limit, skipped) => plan.limit(skipped, limit.map(rows))?.build(),
    }
}

/// Lists put together.
#[derive(Default)]
struct Whole {
    parts: Vec<LogicalPlan>,
}

impl Whole {
    fn of(values: Vec<Values>) -> Result<Self> {
        let mut whole = Self::default();
        for values in values {
            let columns = values.columns();
            whole.add(values.rows.project(columns)?)?;
        }
        Ok(whole)
    }

    fn add(&mut self, part: LogicalPlanBuilder) -> Result<()> {
        self.parts.push(part.build()?);
        Ok(())
    }

    fn plan(self) -> Result<Option<LogicalPlanBuilder>> {
        Ok(joined(self.parts)?.map(LogicalPlanBuilder::from))
    }
}

fn empty(columns: &[&str]) -> Result<LogicalPlan> {
    let nothing: [&str; 0] = [];
    listed(columns.iter().map(|name| (*name, texts(nothing))).collect())
}

/// The rows of a measurement that a list goes by.
struct Rows {
    relation: Relation,
    plan: LogicalPlanBuilder,
}

/// The rows that a condition lets through: of the last `age_ns`, unless it says something of time.
fn rows_of(
    planner: &Planner<'_>,
    table: &TableSchema,
    wanted: Option<&Expr>,
    age_ns: Option<i64>,
) -> Result<Option<Rows>> {
    let Some((table, rows)) = planner.catalogs.open_table(&table.name) else { return Ok(None) };
    let relation = Relation::of_table(&table, rows)?;
    let clock = Clock { now_ns: planner.now_ns, zone: None };
    let (wanted, mut range) = match wanted {
        Some(wanted) => split(wanted, clock)?,
        None => (None, TimeRange::default()),
    };
    if !range.is_bounded() {
        range.first_ns = age_ns.map(|age| planner.now_ns.saturating_sub(age));
    }
    let mut plan = LogicalPlanBuilder::from(relation.plan.clone());
    for bound in bounds(&relation, range) {
        plan = plan.filter(bound)?;
    }
    if let Some(wanted) = wanted {
        let columns = unified(std::iter::once(&relation));
        let mut names = Names { relation: &relation, columns: &columns };
        plan = plan.filter(condition(&wanted, &mut names)?)?;
    }
    Ok(Some(Rows { relation, plan }))
}

/// Names of the tags of a table, sorted.
fn tags_of(table: &TableSchema) -> Vec<String> {
    let mut tags: Vec<String> = table.tags().map(|tag| tag.name.to_string()).collect();
    tags.sort();
    tags
}

fn tag_keys(planner: &Planner<'_>, show: &Show) -> Result<LogicalPlan> {
    let shown = tables(planner, &show.from)?;
    if show.condition.is_none() {
        let (mut names, mut keys) = (Vec::new(), Vec::new());
        for table in shown {
            for key in cut(tags_of(&table), show.bounds) {
                names.push(Arc::clone(&table.name));
                keys.push(key);
            }
        }
        return listed(vec![(MEASUREMENT, texts(names)), ("tagKey", texts(keys))]);
    }
    let mut whole = Whole::default();
    for table in shown {
        for key in tags_of(&table) {
            let Some(rows) = rows_of(planner, &table, show.condition.as_ref(), Some(DAY_NS))?
            else {
                continue;
            };
            let tag = rows.relation.column(&key, Kind::Tag);
            let columns = [lit(table.name.as_ref()).alias(MEASUREMENT), lit(key).alias("tagKey")];
            let one = rows.plan.filter(tag.is_not_null())?.limit(0, Some(1))?;
            whole.add(one.project(columns)?)?;
        }
    }
    cut_by(planner, whole, show.bounds, &[MEASUREMENT], "tagKey")
}

fn field_keys(planner: &Planner<'_>, show: &Show) -> Result<LogicalPlan> {
    let (mut names, mut keys, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables(planner, &show.from)? {
        let fields = table.columns.iter().filter(|column| column.kind != ColumnKind::Tag);
        let mut fields: Vec<(String, &str)> = fields
            .map(|field| (field.name.to_string(), Kind::of_column(field.kind).name()))
            .collect();
        fields.sort();
        for (key, kind) in cut(fields, show.bounds) {
            names.push(Arc::clone(&table.name));
            keys.push(key);
            kinds.push(kind);
        }
    }
    listed(vec![
        (MEASUREMENT, texts(names)),
        ("fieldKey", texts(keys)),
        ("fieldType", texts(kinds)),
    ])
}

fn values(planner: &Planner<'_>, show: &Show, keys: &KeyMatch) -> Result<LogicalPlan> {
    let mut found = tag_values(planner, show, keys, Some(DAY_NS))?;
    let groups = [MEASUREMENT, "key"];
    let is_cut = show.bounds.limit.is_some() || show.bounds.offset.is_some();
    if found.len() == 1
        && !is_cut
        && let Some(only) = found.pop()
    {
        // As tags they are known in order, not as texts.
        let columns = only.columns().into_iter().chain([only.tag.clone().alias(TAG)]);
        let rows = only.rows.project(columns)?.sort([column(TAG).sort(true, true)])?.build()?;
        let all = groups.into_iter().chain(["value"]).map(column).collect();
        return with_metadata(rows, all, &[]);
    }
    cut_by(planner, Whole::of(found)?, show.bounds, &groups, "value")
}

/// The name of a tag that rows are only ordered by.
const TAG: &str = "tag";

/// The values of a tag of a table.
struct Values {
    /// Each value once, in no order.
    rows: LogicalPlanBuilder,
    tag: Engine,
    table: Arc<str>,
    key: String,
}

impl Values {
    fn columns(&self) -> [Engine; 3] {
        [
            lit(self.table.as_ref()).alias(MEASUREMENT),
            lit(self.key.as_str()).alias("key"),
            cast(self.tag.clone(), DataType::Utf8).alias("value"),
        ]
    }
}

/// The values of all keys that match.
fn tag_values(
    planner: &Planner<'_>,
    show: &Show,
    keys: &KeyMatch,
    age_ns: Option<i64>,
) -> Result<Vec<Values>> {
    let regex = match keys {
        KeyMatch::Matches(pattern) | KeyMatch::MatchesNot(pattern) => Some(compiled(pattern)?),
        _ => None,
    };
    let is_shown = |key: &str| match (keys, &regex) {
        (KeyMatch::Is(name), _) => key == name,
        (KeyMatch::IsNot(name), _) => key != name,
        (KeyMatch::In(names), _) => names.iter().any(|name| name == key),
        (KeyMatch::MatchesNot(_), Some(regex)) => !regex.is_match(key),
        (_, Some(regex)) => regex.is_match(key),
        _ => false,
    };
    let mut found = Vec::new();
    for table in tables(planner, &show.from)? {
        for key in tags_of(&table).into_iter().filter(|key| is_shown(key)) {
            let Some(rows) = rows_of(planner, &table, show.condition.as_ref(), age_ns)? else {
                continue;
            };
            let tag = rows.relation.column(&key, Kind::Tag);
            let nothing = Vec::<Engine>::new();
            let rows =
                rows.plan.filter(tag.clone().is_not_null())?.aggregate([tag.clone()], nothing)?;
            found.push(Values { rows, tag, table: Arc::clone(&table.name), key });
        }
    }
    Ok(found)
}

/// A sorted list, cut for each combination of `groups`.
fn cut_by(
    planner: &Planner<'_>,
    whole: Whole,
    bounds: Bounds,
    groups: &[&str],
    value: &str,
) -> Result<LogicalPlan> {
    let names: Vec<&str> = groups.iter().copied().chain([value]).collect();
    let Some(mut plan) = whole.plan()? else { return empty(&names) };
    let all: Vec<Engine> = names.iter().map(|name| column(*name)).collect();
    if bounds.limit.is_some() || bounds.offset.is_some() {
        let partition = groups.iter().map(|name| column(*name)).collect();
        let order = vec![column(value).sort(true, false)];
        let number = numbered(planner, "row_number", partition, order)?.alias("n");
        let skipped = i64::try_from(bounds.offset.unwrap_or(0)).unwrap_or(i64::MAX);
        let limit = bounds.limit.map_or(i64::MAX, |l| i64::try_from(l).unwrap_or(i64::MAX));
        let number_signed = cast(column("n"), DataType::Int64);
        let last = skipped.saturating_add(limit);
        let shown = number_signed.clone().gt(lit(skipped)).and(number_signed.lt_eq(lit(last)));
        plan = plan.window(vec![number])?.filter(shown)?;
    }
    let order = names.iter().map(|name| column(*name).sort(true, false)).collect::<Vec<_>>();
    let plan = plan.sort(order)?.build()?;
    with_metadata(plan, all, &[])
}
