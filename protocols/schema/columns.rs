//! Columns and the kinds of their values.

use crate::ids::ColumnId;
use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Name of the timestamp column that every table has.
pub const TIME_COLUMN: &str = "time";
/// Second reserved column name, kept free for the order of chunks.
pub const CHUNK_ORDER_COLUMN: &str = "__chunk_order";
/// What people call the type of the column `time`.
pub const TIMESTAMP_PLAIN_NAME: &str = "timestamp";
/// Metadata key that tells a client what a column is.
pub const COLUMN_TYPE_KEY: &str = "iox::column::type";

/// Type of a field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// 64-bit IEEE float.
    Float,
    /// Signed 64-bit integer.
    Integer,
    /// Unsigned 64-bit integer.
    UInteger,
    /// UTF-8 text.
    String,
    /// True or false.
    Boolean,
}

/// What a column is: part of the key, or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Part of the primary key; dictionary-encoded text.
    Tag,
    /// A value of the given type.
    Field(FieldType),
}

impl ColumnKind {
    /// True for columns of texts: tags and fields.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Tag | Self::Field(FieldType::String))
    }

    /// The name that field metadata uses, for example `iox::column_type::field::float`.
    pub fn influx_name(self) -> &'static str {
        match self {
            Self::Tag => "iox::column_type::tag",
            Self::Field(FieldType::Float) => "iox::column_type::field::float",
            Self::Field(FieldType::Integer) => "iox::column_type::field::integer",
            Self::Field(FieldType::UInteger) => "iox::column_type::field::uinteger",
            Self::Field(FieldType::String) => "iox::column_type::field::string",
            Self::Field(FieldType::Boolean) => "iox::column_type::field::boolean",
        }
    }

    /// The name that people use.
    pub fn plain_name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Field(FieldType::Float) => "float",
            Self::Field(FieldType::Integer) => "integer",
            Self::Field(FieldType::UInteger) => "unsigned integer",
            Self::Field(FieldType::String) => "string",
            Self::Field(FieldType::Boolean) => "boolean",
        }
    }

    /// The Arrow type of the column in queries and files.
    pub fn arrow_type(self) -> DataType {
        match self {
            Self::Tag => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Field(FieldType::Float) => DataType::Float64,
            Self::Field(FieldType::Integer) => DataType::Int64,
            Self::Field(FieldType::UInteger) => DataType::UInt64,
            Self::Field(FieldType::String) => DataType::Utf8,
            Self::Field(FieldType::Boolean) => DataType::Boolean,
        }
    }
}

/// Arrow type of the `time` column: nanoseconds since 1970, no zone.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

/// A tag or field column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Identity inside the table.
    pub id: ColumnId,
    /// Name as written by the client, case-sensitive.
    pub name: Arc<str>,
    /// Tag, or field with its type. Never changes.
    pub kind: ColumnKind,
}

impl ColumnSchema {
    /// The column as an Arrow field, with the metadata that clients read.
    pub fn arrow_field(&self) -> Field {
        Field::new(self.name.as_ref(), self.kind.arrow_type(), true).with_metadata(
            [(COLUMN_TYPE_KEY.to_owned(), self.kind.influx_name().to_owned())].into(),
        )
    }
}

/// The `time` column as an Arrow field: never null.
pub fn time_field() -> Field {
    Field::new(TIME_COLUMN, time_type(), false).with_metadata(
        [(COLUMN_TYPE_KEY.to_owned(), "iox::column_type::timestamp".to_owned())].into(),
    )
}
