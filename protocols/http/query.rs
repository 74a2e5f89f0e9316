//! Parameters of the native query endpoints.

use crate::messages::query::ParamValue;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;

/// How rows are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultFormat {
    /// One Parquet file.
    Parquet,
    /// Comma-separated values with a header line.
    Csv,
    /// A table for people.
    Pretty,
    /// One array of objects.
    Json,
    /// One object a line.
    #[serde(rename = "json_lines", alias = "jsonl")]
    JsonLines,
}

impl ResultFormat {
    /// The media type of an answer in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Csv => "text/csv",
            Self::Pretty => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonl",
        }
    }
}

/// Parameters of a query in a query string.
#[derive(Debug, Deserialize)]
pub struct QueryParams<Db = String> {
    /// Name of the database; optional where the statement may name it.
    pub db: Db,
    /// The statement.
    pub q: String,
    /// Format of the rows.
    pub format: Option<ResultFormat>,
    /// Values of placeholders: the text of a JSON object.
    pub params: Option<String>,
}

/// Parameters of a query in a JSON body.
#[derive(Debug, Deserialize)]
pub struct QueryBody<Db = String> {
    /// Name of the database; optional where the statement may name it.
    pub db: Db,
    /// The statement.
    pub q: String,
    /// Format of the rows.
    pub format: Option<ResultFormat>,
    /// Values of placeholders.
    pub params: Option<StatementParams>,
}

/// Values of a statement's placeholders by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatementParams(pub Vec<(String, ParamValue)>);

impl<'de> Deserialize<'de> for StatementParams {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = StatementParams;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(String, ParamValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let value = param_value(value).map_err(A::Error::custom)?;
                    // As in any JSON object, the last of several values of a name counts.
                    pairs.retain(|(known, _)| *known != name);
                    pairs.push((name, value));
                }
                Ok(StatementParams(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

fn param_value(value: Value) -> Result<ParamValue, &'static str> {
    Ok(match value {
        Value::Null => ParamValue::Null,
        Value::Bool(b) => ParamValue::Boolean(b),
        Value::String(s) => ParamValue::String(s),
        Value::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
            (Some(n), _, _) => ParamValue::UInteger(n),
            (None, Some(n), _) => ParamValue::Integer(n),
            (None, None, Some(n)) => ParamValue::Float(n),
            (None, None, None) => return Err("JSON number is out of range"),
        },
        Value::Array(_) => {
            return Err("JSON arrays are not supported as query parameters. \
                 Expected null, boolean, number, or string.");
        }
        Value::Object(_) => {
            return Err("JSON objects are not supported as query parameters. \
                 Expected null, boolean, number, or string");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Result<Vec<(String, ParamValue)>, String> {
        serde_json::from_str::<StatementParams>(text).map(|p| p.0).map_err(|e| e.to_string())
    }

    #[test]
    fn values_keep_their_types() {
        let expected = [
            ("a", ParamValue::UInteger(1)),
            ("b", ParamValue::Integer(-1)),
            ("c", ParamValue::Float(1.5)),
            ("d", ParamValue::String("x".to_owned())),
            ("e", ParamValue::Null),
            ("f", ParamValue::Boolean(true)),
            ("g", ParamValue::Float(1.0)),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let text = r#"{"a":1,"b":-1,"c":1.5,"d":"x","e":null,"f":true,"g":1.0}"#;
        assert_eq!(params(text), Ok(expected));
        assert_eq!(params(r#"{"a":1,"a":2}"#), Ok(vec![("a".into(), ParamValue::UInteger(2))]));
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let wrong = [
            (
                r#"{"a":[1]}"#,
                "JSON arrays are not supported as query parameters. \
                 Expected null, boolean, number, or string. at line 1 column 9",
            ),
            (
                r#"{"a":{"b":1}}"#,
                "JSON objects are not supported as query parameters. \
                 Expected null, boolean, number, or string at line 1 column 13",
            ),
        ];
        for (text, message) in wrong {
            assert_eq!(params(text), Err(message.to_owned()));
        }
        assert!(params("\"x\"").expect_err("not an object").contains("expected a map"));
    }

    #[test]
    fn both_spellings_of_json_lines() {
        let body = |format: &str| {
            let text = format!(r#"{{"db":"d","q":"SELECT 1","format":"{format}"}}"#);
            serde_json::from_str::<QueryBody>(&text).map(|b| b.format).map_err(|e| e.to_string())
        };
        assert_eq!(body("jsonl"), Ok(Some(ResultFormat::JsonLines)));
        assert_eq!(body("json_lines"), Ok(Some(ResultFormat::JsonLines)));
        let error = body("bogus").expect_err("unknown format");
        let text = "unknown variant `bogus`, expected one of \
            `parquet`, `csv`, `pretty`, `json`, `json_lines`, `jsonl`";
        assert!(error.starts_with(text), "{error}");
    }
}
