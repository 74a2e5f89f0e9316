//! The types of InfluxQL.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use protocols::schema::{ColumnKind, FieldType};

/// What the values of a column are. Of a name that is several things the first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
    Tag,
    /// No such column: nothing but nulls.
    Null,
}

impl Kind {
    /// The Arrow type of such a column.
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Float => ColumnKind::Field(FieldType::Float).arrow_type(),
            Self::Integer => ColumnKind::Field(FieldType::Integer).arrow_type(),
            Self::Unsigned => ColumnKind::Field(FieldType::UInteger).arrow_type(),
            Self::String | Self::Null => ColumnKind::Field(FieldType::String).arrow_type(),
            Self::Boolean => ColumnKind::Field(FieldType::Boolean).arrow_type(),
            Self::Tag => ColumnKind::Tag.arrow_type(),
        }
    }

    /// The kind of a column that a table has.
    pub(super) fn of_column(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Tag => Self::Tag,
            ColumnKind::Field(FieldType::Float) => Self::Float,
            ColumnKind::Field(FieldType::Integer) => Self::Integer,
            ColumnKind::Field(FieldType::UInteger) => Self::Unsigned,
            ColumnKind::Field(FieldType::String) => Self::String,
            ColumnKind::Field(FieldType::Boolean) => Self::Boolean,
        }
    }

    /// What error texts call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Tag => "tag",
            Self::Null => "unknown",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Float | Self::Integer | Self::Unsigned)
    }

    /// True for what is selected, not grouped by.
    pub(super) fn is_field(self) -> bool {
        !matches!(self, Self::Tag | Self::Null)
    }

    /// A missing value.
    pub(super) fn null(self) -> Expr {
        lit(self.null_value())
    }

    /// A missing value.
    pub(super) fn null_value(self) -> ScalarValue {
        ScalarValue::try_from(self.arrow()).unwrap_or(ScalarValue::Null)
    }
}
