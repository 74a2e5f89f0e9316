//! Answers of all systems in one form, so that they can be compared: rows in a fixed order, columns
//! by name, absent values left out, times exact, other numbers within a tolerance.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::calendar;

/// Sums are added in another order elsewhere.
const TOLERANCE: f64 = 1e-9;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Absent,
    /// Nanoseconds since 1970
    Time(i64),
    Text(String),
    Number(f64),
}

impl Cell {
    /// Of a JSON value in a column of this name.
    fn of(column: &str, value: &Value) -> Result<Self> {
        Ok(match value {
            Value::Null => Self::Absent,
            Value::String(text) if column == "time" => {
                let time = calendar::parse_ns(text);
                Self::Time(time.with_context(|| format!("not a time: {text}"))?)
            }
            Value::Number(number) if column == "time" => {
                Self::Time(number.as_i64().with_context(|| format!("not a time: {number}"))?)
            }
            Value::String(text) => Self::Text(text.clone()),
            Value::Number(number) => {
                Self::Number(number.as_f64().with_context(|| format!("not a number: {number}"))?)
            }
            Value::Bool(truth) => Self::Text(truth.to_string()),
            Value::Array(_) | Value::Object(_) => bail!("{column} is nested: {value}"),
        })
    }

    fn order(&self, other: &Self) -> Ordering {
        let rank = |cell: &Self| match cell {
            Self::Absent => 0,
            Self::Time(_) => 1,
            Self::Text(_) => 2,
            Self::Number(_) => 3,
        };
        match (self, other) {
            (Self::Time(one), Self::Time(two)) => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.total_cmp(two),
            _ => rank(self).cmp(&rank(other)),
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => {
                (one - two).abs() <= TOLERANCE * one.abs().max(two.abs()).max(1.0)
            }
            _ => self == other,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// In alphabetical order.
    columns: Vec<String>,
    /// In the order of their texts and times, which are what tells rows apart, then of their
    /// numbers.
    rows: Vec<Vec<Cell>>,
}

impl Answer {
    fn new(columns: Vec<String>, mut rows: Vec<Vec<Cell>>) -> Self {
        let is_number = |cell: &Cell| matches!(cell, Cell::Number(_));
        rows.sort_by(|one, two| {
            let cells = || one.iter().zip(two);
            let keys = cells().filter(|(a, b)| !(is_number(a) && is_number(b)));
            let numbers = cells().filter(|(a, b)| is_number(a) && is_number(b));
            keys.chain(numbers)
                .map(|(a, b)| a.order(b))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        Self { columns, rows }
    }

    /// Of columns and rows as they came, in any order.
    pub(crate) fn of_table(columns: &[String], rows: &[Vec<Value>]) -> Result<Self> {
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by_key(|index| &columns[*index]);
        let cells = |row: &Vec<Value>| {
            ensure!(row.len() == columns.len(), "a row of {} values", row.len());
            order.iter().map(|index| Cell::of(&columns[*index], &row[*index])).collect()
        };
        let rows = rows.iter().map(cells).collect::<Result<Vec<Vec<Cell>>>>()?;
        Ok(Self::new(order.iter().map(|index| columns[*index].clone()).collect(), rows))
    }

    /// Of a JSON array with one object a row.
    pub(crate) fn of_objects(body: &[u8]) -> Result<Self> {
        let rows: Vec<serde_json::Map<String, Value>> =
            serde_json::from_slice(body).context("the answer is not an array of objects")?;
        let columns: BTreeSet<&String> = rows.iter().flat_map(serde_json::Map::keys).collect();
        let cells = |row: &serde_json::Map<String, Value>| {
            columns
                .iter()
                .map(|column| Cell::of(column, row.get(*column).unwrap_or(&Value::Null)))
                .collect()
        };
        let cells = rows.iter().map(cells).collect::<Result<Vec<Vec<Cell>>>>()?;
        Ok(Self::new(columns.into_iter().cloned().collect(), cells))
    }

    /// Of the results of InfluxQL's `/query`, with times in nanoseconds.
    pub(crate) fn of_influxql(body: &[u8]) -> Result<Self> {
        let body: Value = serde_json::from_slice(body).context("the answer is not JSON")?;
        let result = &body["results"][0];
        ensure!(result["error"].is_null(), "the query failed: {}", result["error"]);
        let mut columns: Vec<String> = Vec::new();
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for series in result["series"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let tags = series["tags"].as_object();
            let tags = || tags.into_iter().flatten();
            let fields = series["columns"].as_array().context("a series without columns")?;
            let names =
                fields.iter().filter_map(Value::as_str).chain(tags().map(|(k, _)| k.as_str()));
            let names: Vec<String> = names.map(str::to_owned).collect();
            ensure!(columns.is_empty() || columns == names, "series have different columns");
            columns = names;
            for row in series["values"].as_array().context("a series without values")? {
                let values = row.as_array().context("a row that is no array")?;
                rows.push(values.iter().chain(tags().map(|(_, value)| value)).cloned().collect());
            }
        }
        Self::of_table(&columns, &rows)
    }

    pub(crate) fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The number of a single cell.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.rows.as_slice() {
            [row] => match row.as_slice() {
                [Cell::Number(number)] => Some(*number),
                _ => None,
            },
            _ => None,
        }
    }

    /// Where two answers differ first.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.rows.len() != other.rows.len() {
            return Some(format!("{} rows, {} rows", self.rows.len(), other.rows.len()));
        }
        if self.rows.is_empty() {
            return None;
        }
        if self.columns != other.columns {
            return Some(format!("columns {:?}, columns {:?}", self.columns, other.columns));
        }
        for (index, (one, two)) in self.rows.iter().zip(&other.rows).enumerate() {
            for ((column, a), b) in self.columns.iter().zip(one).zip(two) {
                if !a.agrees(b) {
                    return Some(format!("row {index}, {column}: {a:?}, {b:?}"));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: &str = r#"[
        {"time":"2016-01-01T01:00:00","hostname":"host_1","mean":0.30000000000000004},
        {"time":"2016-01-01T00:00:00","hostname":"host_1","mean":2}]"#;
    const INFLUXQL: &str = r#"{"results":[{"series":[{"name":"cpu","tags":{"hostname":"host_1"},
        "columns":["time","mean"],
        "values":[[1451606400000000000,2.0],[1451610000000000000,0.3]]}]}]}"#;

    #[test]
    fn the_same_rows_in_other_forms_and_orders_agree() {
        let one = Answer::of_objects(OBJECTS.as_bytes()).unwrap();
        let two = Answer::of_influxql(INFLUXQL.as_bytes()).unwrap();
        assert_eq!(one.difference(&two), None);
        let columns = ["mean", "time", "hostname"].map(str::to_owned);
        let row = |text: &str| serde_json::from_str(text).unwrap();
        let rows = [
            row(r#"[2, 1451606400000000000, "host_1"]"#),
            row(r#"[0.3, 1451610000000000000, "host_1"]"#),
        ];
        assert_eq!(one.difference(&Answer::of_table(&columns, &rows).unwrap()), None);
    }

    #[test]
    fn differences_are_told() {
        let one = Answer::of_objects(OBJECTS.as_bytes()).unwrap();
        let changed = [
            ("\"mean\":2}", "\"mean\":2.001}", "mean"),
            ("T01:00:00", "T01:00:00.000000001", "time"),
            ("host_1\",\"mean\":2}", "host_2\",\"mean\":2}", "row 0"),
            ("\"mean\":2}", "\"mean\":null}", "mean"),
            ("\"mean\"", "\"other\"", "columns"),
        ];
        for (from, to, expected) in changed {
            let two = Answer::of_objects(OBJECTS.replace(from, to).as_bytes()).unwrap();
            let difference = one.difference(&two).unwrap_or_default();
            assert!(difference.contains(expected), "{from}: {difference}");
        }
        let fewer = Answer::of_objects(b"[]").unwrap();
        assert!(one.difference(&fewer).unwrap().contains("2 rows, 0 rows"));
    }

    #[test]
    fn failed_queries_and_other_texts_are_errors() {
        assert!(Answer::of_influxql(br#"{"results":[{"error":"no"}]}"#).is_err());
        assert!(Answer::of_objects(b"{}").is_err());
        let empty = Answer::of_influxql(br#"{"results":[{"statement_id":0}]}"#).unwrap();
        assert_eq!(empty.row_count(), 0);
    }

    #[test]
    fn a_single_number_is_found() {
        let answer = Answer::of_objects(br#"[{"count(*)":12}]"#).unwrap();
        assert_eq!(answer.number(), Some(12.0));
        assert_eq!(Answer::of_objects(b"[]").unwrap().number(), None);
    }
}
