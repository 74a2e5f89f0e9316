//! What the `Query` actor accepts.

use super::Command;
use crate::error::ErrorKind;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::stream::BoxStream;

/// A value bound to a placeholder of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// SQL NULL.
    Null,
    /// Boolean.
    Boolean(bool),
    /// A non-negative integer.
    UInteger(u64),
    /// A negative integer.
    Integer(i64),
    /// A number with point or exponent.
    Float(f64),
    /// Text.
    String(String),
}

/// Plans and starts one SQL statement. Sent by the HTTP handlers.
#[derive(Clone, Debug)]
pub struct RunSql {
    /// Name of the database.
    pub db: String,
    /// The statement.
    pub text: String,
    /// Values of `$name` placeholders.
    pub params: Vec<(String, ParamValue)>,
}

impl Command for RunSql {
    type Reply = Result<QueryResult, QueryError>;
    const NAME: &'static str = "RunSql";
    fn cost_bytes(&self) -> usize {
        512 + self.text.len()
    }
}

/// The rows of a running query. Dropping it cancels the query.
pub struct QueryResult {
    /// Columns of the result.
    pub schema: SchemaRef,
    /// Batches as they are computed. After an error nothing follows.
    pub batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
}

/// Why a query failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What the caller has to do about it.
    pub kind: ErrorKind,
    /// Text for the client.
    pub message: String,
}
