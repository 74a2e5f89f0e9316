//! Objects as a person or a program reads them.

use crate::cli::debug::Shape;
use anyhow::{Context, Result};
use chrono::DateTime;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// An instant as text; numbers that are no instant stay numbers.
pub(super) fn time(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

/// Prints a value: as it is, or lists of objects as tables and objects as lines.
pub(super) fn print(value: &Value, shape: Shape) -> Result<()> {
    let text = match shape {
        Shape::Json => serde_json::to_string_pretty(value)?,
        Shape::Pretty => drawn(value),
    };
    match writeln!(std::io::stdout(), "{text}") {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result"),
    }
}

fn drawn(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) => table(rows),
        Value::Object(members) => {
            let lines = members.iter().map(|(name, value)| match value {
                Value::Array(rows) if rows.iter().any(Value::is_object) => {
                    format!("{name}:\n{}", drawn(value))
                }
                _ => format!("{name}: {}", cell(value)),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        _ => cell(value),
    }
}

fn table(rows: &[Value]) -> String {
    let objects = || rows.iter().filter_map(Value::as_object);
    let mut names: Vec<&String> = Vec::new();
    for name in objects().flat_map(|object| object.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(&names);
    for object in objects() {
        table.add_row(names.iter().map(|name| object.get(*name).map_or(String::new(), cell)));
    }
    table.to_string()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_become_tables_and_objects_lines() {
        let value = json!({"a": 1, "files": [{"x": 1}, {"x": 2, "y": "z"}]});
        let lines: Vec<String> = drawn(&value).lines().map(str::to_owned).collect();
        assert_eq!(lines[..2], ["a: 1", "files:"]);
        assert_eq!((lines[2].as_str(), lines.len()), ("| x | y |", 6));
        assert_eq!(drawn(&json!([1, 2])), "[1,2]");
    }
}
