//! What the parser does as a whole: texts, schema rules, limits, and what refused lines leave.

mod rows;
mod schema_rules;
mod texts;

use super::{ParseOptions, ParsedWrite, Precision, SchemaLimits, parse};
use crate::columns::{Column, ColumnData, TableRows};
use crate::ids::{ColumnId, DbId, TableId};
use crate::schema::{ColumnKind, ColumnSchema, DatabaseSchema, TableSchema};
use std::sync::Arc;

/// When the requests of these tests arrive.
const NOW_NS: i64 = 1_700_000_000_123_456_789;

fn options() -> ParseOptions {
    ParseOptions {
        precision: Precision::Nanosecond,
        received_at_ns: NOW_NS,
        accept_partial: true,
        limits: SchemaLimits::default(),
        live_tables: 0,
        immutable_tags: false,
        oldest_ns: None,
    }
}

fn write(body: &str) -> ParsedWrite {
    parse(body.as_bytes(), None, &options()).unwrap()
}

fn write_to(database: &DatabaseSchema, options: &ParseOptions, body: &str) -> ParsedWrite {
    parse(body.as_bytes(), Some(database), options).unwrap()
}

/// The only fault of a body.
fn fault(body: &str) -> String {
    let write = write(body);
    let [error] = write.errors.as_slice() else { panic!("{body}: {:?}", write.errors) };
    error.message.clone()
}

fn messages(write: &ParsedWrite) -> Vec<&str> {
    write.errors.iter().map(|error| error.message.as_str()).collect()
}

/// A database with one table.
fn database(table: &str, columns: &[(&str, ColumnKind)]) -> DatabaseSchema {
    let columns = columns.iter().enumerate().map(|(i, (name, kind))| ColumnSchema {
        id: ColumnId(i as u32 + 10),
        name: Arc::from(*name),
        kind: *kind,
    });
    let name: Arc<str> = Arc::from(table);
    let table = TableSchema::new(TableId(1), Arc::clone(&name), columns.collect(), None);
    DatabaseSchema {
        id: DbId(0),
        name: "db".into(),
        retention_ns: None,
        tables: [(name, Arc::new(table))].into_iter().collect(),
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    }
}

fn column<'a>(table: &'a TableRows, name: &str) -> &'a Column {
    table.columns.iter().find(|column| &*column.name == name).expect("the column is there")
}

/// The values of a column as text, `-` for null.
fn values(table: &TableRows, name: &str) -> Vec<String> {
    let column = column(table, name);
    assert_eq!(column.data.len(), table.times.len(), "{name} has a value a row");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let show = |row: usize| match &column.data {
        _ if column.validity.as_ref().is_some_and(|validity| !validity.get(row)) => "-".to_owned(),
        ColumnData::Tag { keys, dictionary } => text(dictionary.get(keys[row] as usize)),
        ColumnData::Float(values) => format!("{:?}", values[row]),
        ColumnData::Integer(values) => format!("{}i", values[row]),
        ColumnData::UInteger(values) => format!("{}u", values[row]),
        ColumnData::String(values) => format!("\"{}\"", text(values.get(row))),
        ColumnData::Boolean(values) => values.get(row).to_string(),
    };
    (0..table.times.len()).map(show).collect()
}

/// The whole result as text: a line a row, columns in order of appearance.
fn show(write: &ParsedWrite) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &write.tables {
        let columns: Vec<_> = table.columns.iter().map(|c| values(table, &c.name)).collect();
        for (row, time) in table.times.iter().enumerate() {
            let mut line = table.name.to_string();
            for (column, values) in table.columns.iter().zip(&columns) {
                line += &format!(" {}={}", column.name, values[row]);
            }
            lines.push(format!("{line} {time}"));
        }
    }
    lines
}
