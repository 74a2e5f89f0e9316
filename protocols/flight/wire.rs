//! The protobuf messages, field by field. Field numbers and names are those of the Flight SQL
//! protocol and of the tickets that other servers of this kind hand out.

use crate::messages::query::ParamValue;
use prost::{Message, Oneof};

/// Type URL of a ticket.
pub const READ_INFO: &str = "type.googleapis.com/influxdata.iox.querier.v1.ReadInfo";
/// Type URL of the handle of a prepared statement.
pub const HANDLE: &str =
    "type.googleapis.com/influxdata.iox.querier.v1.FlightSqlPreparedStatementHandle";
/// What the type URLs of all Flight SQL messages begin with.
pub const FLIGHT_SQL: &str = "type.googleapis.com/arrow.flight.protocol.sql.";

/// `google.protobuf.Any`: a message and the name of its type.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// Name of the type.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Any {
    /// `message` under the name of its type.
    pub fn pack(type_url: &str, message: &impl Message) -> Vec<u8> {
        Self { type_url: type_url.to_owned(), value: message.encode_to_vec() }.encode_to_vec()
    }
}

/// A ticket.
#[derive(Clone, PartialEq, Message)]
pub struct ReadInfo {
    /// The database.
    #[prost(string, tag = "1")]
    pub namespace_name: String,
    /// The statement.
    #[prost(string, tag = "2")]
    pub sql_query: String,
    /// What the ticket holds, a `QueryType`.
    #[prost(enumeration = "QueryType", tag = "3")]
    pub query_type: i32,
    /// A Flight SQL command.
    #[prost(bytes = "vec", tag = "4")]
    pub flightsql_command: Vec<u8>,
    /// Means nothing here.
    #[prost(bool, tag = "5")]
    pub is_debug: bool,
    /// Values of placeholders.
    #[prost(message, repeated, tag = "6")]
    pub params: Vec<QueryParam>,
}

/// What a ticket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum QueryType {
    /// An SQL statement.
    Unspecified = 0,
    /// An SQL statement.
    Sql = 1,
    /// An InfluxQL statement.
    InfluxQl = 2,
    /// A Flight SQL command.
    FlightSqlMessage = 3,
}

/// A value of a placeholder.
#[derive(Clone, PartialEq, Message)]
pub struct QueryParam {
    /// Name of the placeholder, without its `$`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value.
    #[prost(oneof = "QueryParamValue", tags = "2, 3, 4, 5, 6, 7")]
    pub value: Option<QueryParamValue>,
}

/// A value on the wire.
#[derive(Clone, PartialEq, Oneof)]
pub enum QueryParamValue {
    /// SQL NULL, whatever the number.
    #[prost(int32, tag = "2")]
    Null(i32),
    /// Boolean.
    #[prost(bool, tag = "3")]
    Boolean(bool),
    /// A non-negative integer.
    #[prost(uint64, tag = "4")]
    UInt64(u64),
    /// An integer.
    #[prost(int64, tag = "5")]
    Int64(i64),
    /// A number with a fraction.
    #[prost(double, tag = "6")]
    Float64(f64),
    /// Text.
    #[prost(string, tag = "7")]
    String(String),
}

/// A prepared statement and the values that were bound to it.
#[derive(Clone, PartialEq, Message)]
pub struct PreparedStatementHandle {
    /// The statement.
    #[prost(string, tag = "1")]
    pub query: String,
    /// Values of its placeholders.
    #[prost(message, repeated, tag = "2")]
    pub params: Vec<QueryParam>,
}

/// For commands whose content changes nothing.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Ignored {}

/// `CommandStatementQuery`, and `ActionCreatePreparedStatementRequest`, which has the same fields.
#[derive(Clone, PartialEq, Message)]
pub struct StatementQuery {
    /// The statement.
    #[prost(string, tag = "1")]
    pub query: String,
}

/// `CommandPreparedStatementQuery`, `DoPutPreparedStatementResult` and
/// `ActionClosePreparedStatementRequest`: the handle alone.
#[derive(Clone, PartialEq, Message)]
pub struct HandleOnly {
    /// The handle.
    #[prost(bytes = "vec", tag = "1")]
    pub prepared_statement_handle: Vec<u8>,
}

/// `ActionCreatePreparedStatementResult`.
#[derive(Clone, PartialEq, Message)]
pub struct CreatedPreparedStatement {
    /// The handle.
    #[prost(bytes = "vec", tag = "1")]
    pub prepared_statement_handle: Vec<u8>,
    /// Columns of the result, as an Arrow schema message.
    #[prost(bytes = "vec", tag = "2")]
    pub dataset_schema: Vec<u8>,
    /// Placeholders, as an Arrow schema message.
    #[prost(bytes = "vec", tag = "3")]
    pub parameter_schema: Vec<u8>,
}

/// `CommandGetSqlInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct GetSqlInfo {
    /// Numbers of the facts that are asked for; none means all.
    #[prost(uint32, repeated, tag = "1")]
    pub info: Vec<u32>,
}

/// `CommandGetXdbcTypeInfo`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct GetXdbcTypeInfo {
    /// Number of the one type that is asked for.
    #[prost(int32, optional, tag = "1")]
    pub data_type: Option<i32>,
}

/// `CommandGetDbSchemas`.
#[derive(Clone, PartialEq, Message)]
pub struct GetDbSchemas {
    /// The catalog.
    #[prost(string, optional, tag = "1")]
    pub catalog: Option<String>,
    /// Pattern of schema names.
    #[prost(string, optional, tag = "2")]
    pub db_schema_filter_pattern: Option<String>,
}

/// `CommandGetTables`.
#[derive(Clone, PartialEq, Message)]
pub struct GetTables {
    /// The catalog.
    #[prost(string, optional, tag = "1")]
    pub catalog: Option<String>,
    /// Pattern of schema names.
    #[prost(string, optional, tag = "2")]
    pub db_schema_filter_pattern: Option<String>,
    /// Pattern of table names.
    #[prost(string, optional, tag = "3")]
    pub table_name_filter_pattern: Option<String>,
    /// Types of tables; none means all.
    #[prost(string, repeated, tag = "4")]
    pub table_types: Vec<String>,
    /// Answer with the columns of each table too.
    #[prost(bool, tag = "5")]
    pub include_schema: bool,
}

impl From<(String, ParamValue)> for QueryParam {
    fn from((name, value): (String, ParamValue)) -> Self {
        let value = match value {
            ParamValue::Null => QueryParamValue::Null(0),
            ParamValue::Boolean(v) => QueryParamValue::Boolean(v),
            ParamValue::UInteger(v) => QueryParamValue::UInt64(v),
            ParamValue::Integer(v) => QueryParamValue::Int64(v),
            ParamValue::Float(v) => QueryParamValue::Float64(v),
            ParamValue::String(v) => QueryParamValue::String(v),
        };
        Self { name, value: Some(value) }
    }
}

impl From<QueryParam> for (String, ParamValue) {
    fn from(param: QueryParam) -> Self {
        let value = match param.value {
            None | Some(QueryParamValue::Null(_)) => ParamValue::Null,
            Some(QueryParamValue::Boolean(v)) => ParamValue::Boolean(v),
            Some(QueryParamValue::UInt64(v)) => ParamValue::UInteger(v),
            Some(QueryParamValue::Int64(v)) => ParamValue::Integer(v),
            Some(QueryParamValue::Float64(v)) => ParamValue::Float(v),
            Some(QueryParamValue::String(v)) => ParamValue::String(v),
        };
        (param.name, value)
    }
}
