//! What clients send: line protocol whose every value says which line it is, and queries whose
//! results can be read back into lines.

use super::deletions::RowFilter;
use super::lines::{Line, RowKey, TableKey};
use super::model::{LINES_MAX, Model, Observed, stamp};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampNanosecondType};
use arrow::util::display::array_value_to_string;
use protocols::schema::TIME_COLUMN;
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Databases that clients use.
pub const DATABASES: u8 = 2;
/// Tables in each of them.
pub const TABLES: u8 = 3;
const HOSTS: u8 = 4;
const RACKS: u8 = 2;
/// One line in so many is bad in itself.
const BAD_LINES: u32 = 25;
/// One line in so many uses a column whose type is disputed.
const DISPUTED_LINES: u32 = 30;

/// Name of a database.
pub fn db_name(db: u8) -> String {
    format!("db{db}")
}

/// Name of a table.
pub fn table_name(table: u8) -> String {
    format!("t{table}")
}

/// What the generator needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// The wall clock.
    pub clock_ns: i64,
    /// Width of a chunk.
    pub gen1_ns: i64,
}

/// The lines of a new write.
pub fn lines(random: &mut StdRng, model: &Model, present: Present) -> Vec<Line> {
    let write = model.next_write();
    let db = random.random_range(0..DATABASES);
    let tables = [random.random_range(0..TABLES), random.random_range(0..TABLES)];
    let count = match random.random_range(0..10) {
        0 => random.random_range(1..LINES_MAX),
        _ => random.random_range(1..6),
    };
    // All lines have field sets of one kind: rows of one write differ in their keys.
    let mut found = Vec::with_capacity(count);
    for number in 0..count {
        let table = TableKey { db, table: tables[random.random_range(0..2)] };
        let key = key(random, model, table, present);
        found.push(line(random, table, key, stamp(write, number)));
    }
    found
}

fn key(random: &mut StdRng, model: &Model, table: TableKey, present: Present) -> RowKey {
    if random.random_bool(0.2)
        && let Some(used) = model.used_key(table, random.random_range(0..1 << 20))
    {
        return used;
    }
    let Present { clock_ns, gen1_ns } = present;
    let away = match random.random_range(0..10) {
        0..6 => random.random_range(-gen1_ns..gen1_ns / 2),
        6..9 => random.random_range(-20 * gen1_ns..2 * gen1_ns),
        _ => -clock_ns + random.random_range(-gen1_ns..gen1_ns),
    };
    // Whole tenths of seconds, so that keys meet now and then.
    let time_ns = clock_ns.saturating_add(away).div_euclid(100_000_000) * 100_000_000;
    let rack = random.random_bool(0.3).then(|| random.random_range(0..RACKS));
    RowKey { time_ns, host: random.random_range(0..HOSTS), rack }
}

/// What a delete of rows is about: all times, one key's, or a span of some chunks.
pub fn row_filter(random: &mut StdRng, model: &Model, present: Present) -> RowFilter {
    let (db, table) = (random.random_range(0..DATABASES), random.random_range(0..TABLES));
    let table = TableKey { db, table };
    let Present { clock_ns, gen1_ns } = present;
    let span_ns = match random.random_range(0..10) {
        0..3 => (i64::MIN, i64::MAX),
        3..5 => {
            let time_ns = key(random, model, table, present).time_ns;
            (time_ns, time_ns.saturating_add(random.random_range(0..2) * gen1_ns))
        }
        _ => {
            let from = clock_ns.saturating_sub(random.random_range(-gen1_ns..10 * gen1_ns));
            (from, from.saturating_add(random.random_range(0..10 * gen1_ns)))
        }
    };
    let host = random.random_bool(0.6).then(|| random.random_range(0..HOSTS));
    let rack = random.random_bool(0.2).then(|| random.random_range(0..RACKS));
    RowFilter { table, span_ns, host, rack }
}

fn line(random: &mut StdRng, table: TableKey, key: RowKey, stamp: u64) -> Line {
    let mut text = format!("t{},host=h{}", table.table, key.host);
    if let Some(rack) = key.rack {
        text += &format!(",rack=r{rack}");
    }
    let mut fields = vec!["w"];
    text += &format!(" w={stamp}i");
    if random.random_bool(0.5) {
        fields.push("f");
        text += &format!(",f={stamp}");
    }
    if random.random_bool(0.3) {
        fields.push("s");
        text += &format!(",s=\"v{stamp}\"");
    }
    let disputed = random.random_ratio(1, DISPUTED_LINES);
    if disputed {
        fields.push("c");
        let suffix = if random.random_bool(0.5) { "i" } else { "" };
        text += &format!(",c={stamp}{suffix}");
    }
    let refused = random.random_ratio(1, BAD_LINES);
    if refused {
        // The column comes before the fault: nobody may ever see it.
        text += ",trace=1i,broken=";
    }
    text += &format!(" {}", key.time_ns);
    Line { table, key, fields, text, disputed, refused }
}

/// The body of a write.
pub fn body(lines: &[Line]) -> String {
    let mut body = String::new();
    for line in lines {
        body.push_str(&line.text);
        body.push('\n');
    }
    body
}

/// What a query asks for.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// All rows.
    All,
    /// The rows of a span of time, both ends included.
    Span(i64, i64),
    /// So many of the newest rows.
    Newest(usize),
    /// The number of rows in a span of time.
    Count(i64, i64),
}

impl Ask {
    /// A question, mostly about everything.
    pub fn choose(random: &mut StdRng, present: Present) -> Self {
        let Present { clock_ns, gen1_ns } = present;
        let from = clock_ns.saturating_sub(random.random_range(0..20) * gen1_ns);
        let to = from.saturating_add(random.random_range(0..5) * gen1_ns);
        match random.random_range(0..10) {
            0..5 => Self::All,
            5..7 => Self::Span(from, to),
            7 => Self::Newest(random.random_range(1..20)),
            8 => Self::Count(from, to),
            _ => Self::Count(i64::MIN, i64::MAX),
        }
    }

    /// The statement.
    pub fn sql(self, table: u8) -> String {
        let span = |from: i64, to: i64| match (from, to) {
            (i64::MIN, i64::MAX) => String::new(),
            _ => format!(
                " WHERE time >= arrow_cast({from}, 'Timestamp(Nanosecond, None)') \
                 AND time <= arrow_cast({to}, 'Timestamp(Nanosecond, None)')"
            ),
        };
        let table = table_name(table);
        match self {
            Self::All => format!("SELECT * FROM {table}"),
            Self::Span(from, to) => format!("SELECT * FROM {table}{}", span(from, to)),
            Self::Newest(rows) => {
                format!("SELECT * FROM {table} ORDER BY time DESC LIMIT {rows}")
            }
            Self::Count(from, to) => format!("SELECT COUNT(*) FROM {table}{}", span(from, to)),
        }
    }
}

/// The rows of a result.
///
/// # Errors
/// When a column is there that no accepted line has named, or a key is missing.
pub fn rows(batches: &[RecordBatch]) -> Result<Vec<Observed>, String> {
    let mut found = Vec::new();
    for batch in batches {
        let time = column(batch, TIME_COLUMN)?;
        let time = cast(time, &DataType::Timestamp(TimeUnit::Nanosecond, None))
            .map_err(|e| e.to_string())?;
        let times = time.as_primitive::<TimestampNanosecondType>();
        for row in 0..batch.num_rows() {
            let mut values = texts(batch, row)?;
            let number = |tag: Option<String>, sign| {
                tag.and_then(|tag| tag.strip_prefix(sign).and_then(|n| n.parse::<u8>().ok()))
            };
            let host = number(values.remove("host"), 'h').ok_or("a row without host")?;
            let rack = number(values.remove("rack"), 'r');
            let key = RowKey { time_ns: times.value(row), host, rack };
            found.push(Observed { key, values });
        }
    }
    Ok(found)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, String> {
    batch.column_by_name(name).map(AsRef::as_ref).ok_or_else(|| format!("no column {name}"))
}

/// The values of a row that are not null, without `time`.
fn texts(batch: &RecordBatch, row: usize) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if !["time", "host", "rack", "w", "f", "s", "c"].contains(&field.name().as_str()) {
            return Err(format!("column {} is of a refused line", field.name()));
        }
        if field.name() != TIME_COLUMN && !column.is_null(row) {
            let text = array_value_to_string(column, row).map_err(|e| e.to_string())?;
            if !text.is_empty() {
                values.insert(field.name().clone(), text);
            }
        }
    }
    Ok(values)
}

/// The number in the one row of a result.
///
/// # Errors
/// When it has another shape.
pub fn count(batches: &[RecordBatch]) -> Result<u64, String> {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).ok_or("no count")?;
    let text = array_value_to_string(batch.column(0), 0).map_err(|e| e.to_string())?;
    text.parse().map_err(|_| format!("{text} is no count"))
}

/// The rows in a short form, for the digest.
pub fn digest_text(rows: &[Observed]) -> String {
    let mut sorted: Vec<&Observed> = rows.iter().collect();
    sorted.sort();
    let mut text = String::new();
    for row in sorted {
        write!(text, "{:?}{:?};", row.key, row.values).ok();
    }
    text
}
