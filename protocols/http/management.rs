//! Parameters and bodies of the endpoints that administer databases and tables.

use super::query::ResultFormat;
use crate::durations::parse_duration;
use crate::schema::FieldType;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Parameters of the list of databases.
#[derive(Debug, Deserialize)]
pub struct ListDatabasesParams {
    /// Format of the rows.
    pub format: ResultFormat,
    /// List deleted databases too.
    #[serde(default)]
    pub show_deleted: bool,
}

/// Body that creates a database or changes its retention period.
#[derive(Debug, Deserialize)]
pub struct DatabaseBody {
    /// Name of the database.
    pub db: String,
    /// How long rows are kept; for ever without it.
    pub retention_period: Option<RetentionPeriod>,
}

/// Parameters that set a retention period.
#[derive(Debug, Deserialize)]
pub struct SetRetentionParams {
    /// Name of the database.
    pub db: String,
    /// How long rows are kept.
    pub duration: String,
}

/// Parameters that name a database.
#[derive(Debug, Deserialize)]
pub struct DatabaseParams {
    /// Name of the database.
    pub db: String,
}

/// Parameters that delete a database.
#[derive(Debug, Deserialize)]
pub struct DeleteDatabaseParams {
    /// Name of the database.
    pub db: String,
    /// When its rows go.
    pub hard_delete_at: Option<String>,
}

/// Body that creates a table.
#[derive(Debug, Deserialize)]
pub struct CreateTableBody {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Tag columns in key order.
    pub tags: Vec<String>,
    /// Field columns.
    pub fields: Vec<FieldBody>,
}

/// A field column to create.
#[derive(Debug, Deserialize)]
pub struct FieldBody {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldTypeName,
}

/// Names of field types in bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldTypeName {
    /// Text.
    Utf8,
    /// Signed integer.
    Int64,
    /// Unsigned integer.
    UInt64,
    /// Float.
    Float64,
    /// True or false.
    Bool,
}

impl From<FieldTypeName> for FieldType {
    fn from(name: FieldTypeName) -> Self {
        match name {
            FieldTypeName::Utf8 => Self::String,
            FieldTypeName::Int64 => Self::Integer,
            FieldTypeName::UInt64 => Self::UInteger,
            FieldTypeName::Float64 => Self::Float,
            FieldTypeName::Bool => Self::Boolean,
        }
    }
}

/// Parameters that delete a table.
#[derive(Debug, Deserialize)]
pub struct DeleteTableParams {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// When its rows go.
    pub hard_delete_at: Option<String>,
}

/// Parameters that name a table.
#[derive(Debug, Deserialize)]
pub struct TableParams {
    /// Name of the database.
    pub db: String,
    /// Name of the table; where a deleted one is brought back, since its deletion or before.
    pub table: String,
}

/// A body that chooses the columns which files are indexed by.
#[derive(Debug, Deserialize)]
pub struct FileIndexBody {
    /// Name of the database.
    pub db: String,
    /// Name of the table; all that have no setting of their own if there is none.
    pub table: Option<String>,
    /// Names of columns.
    pub columns: Vec<String>,
}

/// Parameters that clear such a choice.
#[derive(Debug, Deserialize)]
pub struct FileIndexParams {
    /// Name of the database.
    pub db: String,
    /// Name of the table; all that have no setting of their own if there is none.
    pub table: Option<String>,
}

/// Parameters that set a table's retention period.
#[derive(Debug, Deserialize)]
pub struct SetTableRetentionParams {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// How long rows are kept.
    pub duration: String,
}

/// How long rows are kept, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPeriod(pub i64);

impl RetentionPeriod {
    /// Reads a duration as people write it: `7d`, `1d 6h`.
    ///
    /// # Errors
    /// When it is none, longer than 292 years, or zero: that would take every row away, and in
    /// older versions of the API it meant the opposite.
    pub fn parse(text: &str) -> Result<Self, String> {
        let nanos = parse_duration(text)?.as_nanos();
        if nanos == 0 {
            return Err(format!("`{text}` keeps no row; clear the period to keep all"));
        }
        i64::try_from(nanos).map(Self).map_err(|_| format!("`{text}` is too long"))
    }
}

impl<'de> Deserialize<'de> for RetentionPeriod {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_period_may_be_absent_or_null() {
        let period = |text: &str| {
            serde_json::from_str::<DatabaseBody>(text)
                .map(|body| body.retention_period.map(|p| p.0))
                .map_err(|e| e.to_string())
        };
        assert_eq!(period(r#"{"db":"d"}"#), Ok(None));
        assert_eq!(period(r#"{"db":"d","retention_period":null}"#), Ok(None));
        let day_ns = 86_400_000_000_000;
        assert_eq!(period(r#"{"db":"d","retention_period":"1d"}"#), Ok(Some(day_ns)));
        assert!(period(r#"{"db":"d","retention_period":"soon"}"#).is_err());
        assert!(period(r#"{"db":"d","retention_period":"900y"}"#).is_err());
        let zero = period(r#"{"db":"d","retention_period":"0s"}"#).expect_err("no row is kept");
        assert!(zero.contains("clear the period"), "{zero}");
    }

    #[test]
    fn a_table_needs_both_lists_and_known_types() {
        let body = |text: &str| serde_json::from_str::<CreateTableBody>(text);
        let text = r#"{"db":"d","table":"t","tags":[],"fields":[{"name":"u","type":"uint64"}]}"#;
        assert_eq!(body(text).expect("good body").fields[0].kind, FieldTypeName::UInt64);
        assert!(body(r#"{"db":"d","table":"t","tags":[]}"#).is_err());
        assert!(body(&text.replace("uint64", "decimal")).is_err());
    }
}
