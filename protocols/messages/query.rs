//! What the `Query` actor accepts.

use super::Command;
use crate::error::ErrorKind;
use crate::trace_id::TraceId;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use futures::stream::BoxStream;
use std::time::Duration;

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
    /// The trace that the request belongs to, for the query log.
    pub trace_id: Option<TraceId>,
}

impl Command for RunSql {
    type Reply = Result<QueryResult, QueryError>;
    const NAME: &'static str = "RunSql";
    fn cost_bytes(&self) -> usize {
        512 + self.text.len()
    }
}

/// The same for Flight, whose clients want to know the columns at once: the reply does not wait for
/// rows, so an error may come in their place.
#[derive(Clone, Debug)]
pub struct StreamSql {
    /// The statement.
    pub query: RunSql,
    /// Name of the Flight SQL command that it came with, if it came with one.
    pub command: Option<&'static str>,
}

impl Command for StreamSql {
    type Reply = Result<QueryResult, QueryError>;
    const NAME: &'static str = "StreamSql";
    fn cost_bytes(&self) -> usize {
        self.query.cost_bytes()
    }
}

/// Plans one SQL statement and tells its columns without running it. Sent by Flight.
#[derive(Clone, Debug)]
pub struct PlanSql {
    /// The statement.
    pub query: RunSql,
    /// Placeholders need no values yet.
    pub to_prepare: bool,
}

impl Command for PlanSql {
    type Reply = Result<PlannedSql, QueryError>;
    const NAME: &'static str = "PlanSql";
    fn cost_bytes(&self) -> usize {
        self.query.cost_bytes()
    }
}

/// What is known about a statement that does not run.
#[derive(Clone, Debug)]
pub struct PlannedSql {
    /// Columns of the result.
    pub schema: SchemaRef,
    /// The statement, in which every `?` has become a numbered placeholder.
    pub text: String,
    /// Placeholders with their `$`, numbered ones first, each with its type where that follows from
    /// the statement.
    pub placeholders: Vec<(String, Option<DataType>)>,
}

/// Lists the tables of a database, those that the server makes up included. Sent by Flight.
#[derive(Clone, Debug)]
pub struct ListTables {
    /// Name of the database.
    pub db: String,
}

impl Command for ListTables {
    type Reply = Result<Vec<ListedTable>, QueryError>;
    const NAME: &'static str = "ListTables";
}

/// One table of a database.
#[derive(Clone, Debug)]
pub struct ListedTable {
    /// The schema that it is in.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// True if it is computed from other tables by definition.
    pub is_view: bool,
    /// Its columns.
    pub columns: SchemaRef,
}

/// A Flight SQL command was answered that is no statement, so that only the query log has yet to
/// hear of it. Told by Flight.
#[derive(Clone, Debug)]
pub struct CommandAnswered {
    /// The command with what it asks for.
    pub text: String,
    /// The trace that the request belongs to.
    pub trace_id: Option<TraceId>,
    /// How long the answer took.
    pub took: Duration,
    /// True if the client got the rows.
    pub succeeded: bool,
}

impl Command for CommandAnswered {
    type Reply = ();
    const NAME: &'static str = "CommandAnswered";
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
