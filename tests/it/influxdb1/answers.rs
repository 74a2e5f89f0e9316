//! Answers, and whether two are the same.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What a statement was answered with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Error(String),
    /// By name and tags; columns and rows.
    Series(BTreeMap<String, (Vec<String>, Vec<Vec<Value>>)>),
}

/// So much may two numbers differ, in parts of the larger.
const TOLERANCE: f64 = 1e-9;

impl Told {
    pub(super) fn of(answer: &Value) -> Self {
        let result = &answer["results"][0];
        if let Some(error) = answer["error"].as_str().or_else(|| result["error"].as_str()) {
            return Self::Error(error.to_owned());
        }
        let mut found = BTreeMap::new();
        for series in result["series"].as_array().into_iter().flatten() {
            let name = format!("{} {}", series["name"], series["tags"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let columns = series["columns"].as_array().into_iter().flatten().map(text).collect();
            let row = |row: &Value| row.as_array().cloned().unwrap_or_default();
            let rows = series["values"].as_array().into_iter().flatten().map(row).collect();
            found.insert(name, (columns, rows));
        }
        Self::Series(found)
    }

    /// The same with nulls for the numbers `fills`, and without the rows that have nothing but a
    /// time then.
    pub(super) fn without_empty_rows(&self, fills: &[f64]) -> Self {
        let is_empty = |value: &Value| {
            value.is_null() || value.as_f64().is_some_and(|number| fills.contains(&number))
        };
        let Self::Series(series) = self else { return self.clone() };
        let mut with_nulls = series.clone();
        for row in with_nulls.values_mut().flat_map(|(_, rows)| rows) {
            row.iter_mut().skip(1).filter(|value| is_empty(value)).for_each(|v| *v = Value::Null);
        }
        Self::Series(with_nulls).with_rows(|row| row.iter().skip(1).any(|value| !value.is_null()))
    }

    /// The same without the rows of a span of time, in nanoseconds since 1970.
    pub(super) fn without_times(&self, first_ns: i64, last_ns: i64) -> Self {
        self.with_rows(|row| {
            row[0].as_i64().is_none_or(|time_ns| time_ns < first_ns || time_ns > last_ns)
        })
    }

    /// The same without the rows of series for whose times the other one has none in the series.
    pub(super) fn at_times_of(&self, other: &Self) -> Self {
        let (Self::Series(series), Self::Series(others)) = (self, other) else {
            return self.clone();
        };
        let mut kept = series.clone();
        for (name, (_, rows)) in &mut kept {
            let others = others.get(name).map_or(&[][..], |(_, rows)| rows);
            rows.retain(|row| others.iter().any(|other| other[0] == row[0]));
        }
        Self::Series(kept)
    }

    fn with_rows(&self, is_kept: impl Fn(&Row) -> bool) -> Self {
        let Self::Series(series) = self else { return self.clone() };
        let mut kept = series.clone();
        for (_, rows) in kept.values_mut() {
            rows.retain(&is_kept);
        }
        kept.retain(|_, (_, rows)| !rows.is_empty());
        Self::Series(kept)
    }

    pub(super) fn has_rows(&self) -> bool {
        matches!(self, Self::Series(series) if !series.is_empty())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let series = match self {
            Self::Error(error) => return write!(f, "error: {}", error.replace('\n', " / ")),
            Self::Series(series) => series,
        };
        let mut text = String::new();
        for (name, (columns, rows)) in series {
            text.push_str(&format!("{name} {columns:?}"));
            for row in rows.iter().take(12) {
                text.push_str(&format!(" {}", Value::from(row.clone())));
            }
            text.push_str(&format!(" [{}] ", rows.len()));
        }
        f.write_str(&text.chars().take(1_500).collect::<String>())
    }
}

/// True if two answers are the same. Of two errors the words do not matter.
pub(super) fn same(ours: &Told, theirs: &Told) -> bool {
    agree(ours, theirs, |ours, theirs| {
        let same_time = |(ours, theirs): (&Row, &Row)| ours[0] == theirs[0];
        ours.iter().zip(theirs).all(same_time) && same_rows(ours, theirs)
    })
}

/// True if two answers have the same rows.
pub(super) fn same_in_any_order(ours: &Told, theirs: &Told) -> bool {
    agree(ours, theirs, same_rows)
}

type Row = Vec<Value>;

fn agree(ours: &Told, theirs: &Told, same: impl Fn(&[Row], &[Row]) -> bool) -> bool {
    match (ours, theirs) {
        (Told::Error(_), Told::Error(_)) => true,
        (Told::Series(ours), Told::Series(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|((name, (columns, rows)), other)| {
                    let (other_name, (other_columns, other_rows)) = other;
                    name == other_name && columns == other_columns && same(rows, other_rows)
                })
        }
        _ => false,
    }
}

/// True for the same rows in any order.
fn same_rows(ours: &[Row], theirs: &[Row]) -> bool {
    let text = |value: &Value| match value.as_f64() {
        Some(number) => format!("{number:.6}"),
        None => value.to_string(),
    };
    let sorted = |rows: &[Row]| {
        let mut rows = rows.to_vec();
        rows.sort_by_cached_key(|row| {
            (row[0].as_i64(), row.iter().map(text).collect::<Vec<String>>())
        });
        rows
    };
    let same =
        |a: &Row, b: &Row| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b));
    ours.len() == theirs.len() && sorted(ours).iter().zip(&sorted(theirs)).all(|(a, b)| same(a, b))
}

fn same_value(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0),
        _ => ours == theirs,
    }
}
