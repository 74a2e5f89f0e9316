//! One batch of intervals: from the rows of the source to rows of the target.

use super::config::DownsamplesConfig;
use super::state::Wanted;
use crate::runtime::mailbox::AskError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use futures::StreamExt;
use protocols::downsamples::{Aggregate, DownsampleDef};
use protocols::limits::WRITE_DEADLINE_MS;
use protocols::line_protocol::{Precision, escaped_key, escaped_table, quoted};
use protocols::messages::ingest::WriteLines;
use protocols::messages::query::{Delivery, QueryResult, RunStatement, Statement};
use protocols::messages::rank;
use protocols::messages::wal::SyncMode;
use protocols::principal::{Origin, Principal};
use protocols::schema::{ColumnSchema, TableSchema};
use std::fmt::Write;
use std::time::Duration;
use tokio::time::Instant;

/// Lines of one write, in bytes.
const LINES_BYTES: usize = 1024 * 1024;
/// A statement has the limits of the server.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(365 * 24 * 3600);
/// The earliest time that a row can have.
const TIME_NS_MIN: i64 = i64::MIN + 2;

/// A name as SQL has it.
fn named(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The value of a field of the target, in SQL.
fn expression(aggregate: Aggregate, field: &ColumnSchema) -> String {
    let field = named(&field.name);
    match aggregate {
        Aggregate::Median | Aggregate::Stddev => {
            format!("{}(CAST({field} AS DOUBLE))", aggregate.name())
        }
        Aggregate::First | Aggregate::Last => {
            format!("selector_{}({field}, time)['value']", aggregate.name())
        }
        other => format!("{}({field})", other.name()),
    }
}

/// A statement, and what its columns behind the time are called: tags, then fields.
struct Question {
    sql: String,
    tags: Vec<String>,
    fields: Vec<String>,
}

/// What has to be asked; nothing if no field fits.
fn question(
    def: &DownsampleDef,
    table: &TableSchema,
    (start, end): (i64, i64),
) -> Result<Option<Question>, String> {
    let tags: Vec<&str> = table.tags().map(|tag| tag.name.as_ref()).collect();
    let (mut fields, mut columns) = (Vec::new(), String::new());
    tags.iter().for_each(|tag| columns += &format!(", {}", named(tag)));
    for field in &table.columns {
        for aggregate in def.aggregates.iter().filter(|aggregate| aggregate.takes(field.kind)) {
            let name = format!("{}_{}", field.name, aggregate.name());
            if tags.contains(&name.as_str()) {
                return Err(format!("field '{name}' would have the name of a tag"));
            }
            columns += &format!(", {} AS {}", expression(*aggregate, field), named(&name));
            fields.push(name);
        }
    }
    if fields.is_empty() {
        return Ok(None);
    }
    let (from_ns, behind_ns) = (def.start_ns(start).max(TIME_NS_MIN), def.start_ns(end));
    let groups = (1..=tags.len() + 1).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT date_bin(INTERVAL '{} nanoseconds', time) AS time{columns} FROM {} WHERE time >= \
         to_timestamp_nanos({from_ns}) AND time <= to_timestamp_nanos({}) GROUP BY {groups}",
        def.interval_ns,
        named(&table.name),
        behind_ns.saturating_sub(1).max(TIME_NS_MIN),
    );
    let tags = tags.into_iter().map(str::to_owned).collect();
    Ok(Some(Question { sql, tags, fields }))
}

fn no_source(def: &DownsampleDef) -> String {
    format!("table '{}' does not exist", def.source)
}

async fn ask(config: &DownsamplesConfig, db: &str, text: String) -> Result<QueryResult, String> {
    let statement =
        Statement { text, db: db.to_owned(), principal: Principal::Server, ..Statement::default() };
    let ask = RunStatement { statement, delivery: Delivery::WithRows };
    let deadline = Instant::now() + AS_LONG_AS_IT_TAKES;
    let answer = config.query.ask::<{ rank::DOWNSAMPLES }, _>(ask, deadline).await;
    answer.map_err(|error| error.to_string())?.map_err(|error| error.message)
}

/// The first and the last time of the rows since an instant.
pub(super) async fn history(
    config: &DownsamplesConfig,
    wanted: &Wanted,
    from_ns: i64,
) -> Result<Option<(i64, i64)>, String> {
    wanted.db.table(&wanted.def.source).ok_or_else(|| no_source(&wanted.def))?;
    let sql = format!(
        "SELECT min(time), max(time) FROM {} WHERE time >= to_timestamp_nanos({})",
        named(&wanted.def.source),
        from_ns.max(TIME_NS_MIN)
    );
    let mut answer = ask(config, &wanted.db.name, sql).await?;
    while let Some(rows) = answer.batches.next().await {
        let rows = rows.map_err(|error| error.message)?;
        let time = |column: &ArrayRef| {
            let times = column.as_primitive_opt::<TimestampNanosecondType>()?;
            (!times.is_empty() && times.is_valid(0)).then(|| times.value(0))
        };
        let mut times = rows.columns().iter().map(time);
        if let (Some(Some(min_ns)), Some(Some(max_ns))) = (times.next(), times.next()) {
            return Ok(Some((min_ns, max_ns)));
        }
    }
    Ok(None)
}

/// Computes the intervals from the first up to the one before the second, and writes what comes of
/// them. Returns how many rows that are, once they are durable.
pub(super) async fn compute(
    config: &DownsamplesConfig,
    wanted: &Wanted,
    intervals: (i64, i64),
) -> Result<u64, String> {
    let Wanted { db, def } = wanted;
    let table = db.table(&def.source);
    let table = table.ok_or_else(|| no_source(def))?;
    let Some(Question { sql, tags, fields }) = question(def, table, intervals)? else {
        return Ok(0);
    };
    let mut answer = ask(config, &db.name, sql).await?;
    let (mut lines, mut rows) = (String::new(), 0);
    let target = escaped_table(&def.target);
    let escaped = |names: &[String]| names.iter().map(|name| escaped_key(name)).collect();
    let (tags, fields): (Vec<String>, Vec<String>) = (escaped(&tags), escaped(&fields));
    while let Some(batch) = answer.batches.next().await {
        let batch = batch.map_err(|error| error.message)?;
        let columns = Columns::of(&batch, &tags, &fields)?;
        for row in 0..batch.num_rows() {
            rows += u64::from(columns.add_line(&mut lines, &target, row));
            if lines.len() >= LINES_BYTES {
                write(config, wanted, std::mem::take(&mut lines)).await?;
            }
        }
    }
    if !lines.is_empty() {
        write(config, wanted, lines).await?;
    }
    Ok(rows)
}

/// A column and its name.
type Named<'a> = (&'a str, ArrayRef);

/// Rows of an answer on their way to lines.
struct Columns<'a> {
    times: ArrayRef,
    tags: Vec<Named<'a>>,
    fields: Vec<Named<'a>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &RecordBatch, tags: &'a [String], fields: &'a [String]) -> Result<Self, String> {
        let text = |error: arrow::error::ArrowError| error.to_string();
        if batch.num_columns() != 1 + tags.len() + fields.len() {
            return Err("the rows have other columns than were asked for".to_owned());
        }
        let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let times = cast(batch.column(0), &time).map_err(text)?;
        let columns = batch.columns().get(1..).unwrap_or_default();
        let (of_tags, of_fields) = columns.split_at(tags.len());
        let as_text = |(name, column): (&'a String, &ArrayRef)| -> Result<Named<'a>, String> {
            Ok((name.as_str(), cast(column, &DataType::Utf8).map_err(text)?))
        };
        let plain = |(name, column): (&'a String, &ArrayRef)| match column.data_type() {
            DataType::Float64 | DataType::Int64 | DataType::UInt64 | DataType::Boolean => {
                Ok((name.as_str(), ArrayRef::clone(column)))
            }
            _ => as_text((name, column)),
        };
        Ok(Self {
            times,
            tags: tags.iter().zip(of_tags).map(as_text).collect::<Result<_, String>>()?,
            fields: fields.iter().zip(of_fields).map(plain).collect::<Result<_, String>>()?,
        })
    }

    /// Adds a row as a line. False if none of its fields has a value.
    fn add_line(&self, lines: &mut String, target: &str, row: usize) -> bool {
        let begin = lines.len();
        lines.push_str(target);
        for (name, values) in &self.tags {
            let value = values.as_string::<i32>();
            if value.is_valid(row) && !value.value(row).is_empty() {
                *lines += &format!(",{name}={}", escaped_key(value.value(row)));
            }
        }
        let mut separator = ' ';
        for (name, values) in &self.fields {
            if let Some(value) = value(values, row) {
                write!(lines, "{separator}{name}={value}").expect("a string takes any text");
                separator = ',';
            }
        }
        if separator == ' ' {
            lines.truncate(begin);
            return false;
        }
        let time_ns = self.times.as_primitive::<TimestampNanosecondType>().value(row);
        writeln!(lines, " {time_ns}").expect("a string takes any text");
        true
    }
}

/// A value as line protocol has it; nothing for what it cannot hold.
fn value(values: &ArrayRef, row: usize) -> Option<String> {
    if values.is_null(row) {
        return None;
    }
    Some(match values.data_type() {
        DataType::Float64 => {
            let value = values.as_primitive::<Float64Type>().value(row);
            return value.is_finite().then(|| format!("{value:?}"));
        }
        DataType::Int64 => format!("{}i", values.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => format!("{}u", values.as_primitive::<UInt64Type>().value(row)),
        DataType::Boolean => values.as_boolean().value(row).to_string(),
        _ => quoted(values.as_string::<i32>().value(row)),
    })
}

async fn write(config: &DownsamplesConfig, wanted: &Wanted, lines: String) -> Result<(), String> {
    let Wanted { db, def } = wanted;
    let catalog = config.log.catalog();
    let now = catalog.databases.values().find(|known| known.id == db.id);
    let now = now.and_then(|db| db.downsamples.all.iter().find(|known| known.id == def.id));
    if now.is_none_or(|now| now.disabled) {
        return Err("it was switched off meanwhile".to_owned());
    }
    if catalog.database(&def.target_db).is_none() {
        return Err(format!("database '{}' does not exist", def.target_db));
    }
    let write = WriteLines {
        db: def.target_db.to_string(),
        // Only admins make downsamples.
        principal: Principal::Server,
        origin: Origin::default(),
        body: lines.into(),
        precision: Precision::Nanosecond,
        accept_partial: false,
        makes_empty_database: false,
        sync: SyncMode::Durable,
        received_at_ns: config.clock.now_ns(),
    };
    let deadline = Instant::now() + Duration::from_millis(WRITE_DEADLINE_MS);
    match config.ingest.ask_from_edge(write, deadline).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("table '{}' cannot be written: {error}", def.target)),
        Err(AskError::Deadline(_)) => Err("it is not known whether rows were written".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
