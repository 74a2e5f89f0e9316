//! What the `Query` actor accepts.

use super::Command;
use crate::error::ErrorKind;
use crate::principal::{Origin, Principal};
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

/// What a statement is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// SQL, as the engine has it.
    #[default]
    Sql,
    /// The language of InfluxDB 1.
    InfluxQl,
    /// The same, with the lists of databases and policies as version 1 shows them.
    InfluxQlV1,
}

/// A statement, whichever way it came in.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// What it is written in.
    pub language: Language,
    /// The statement.
    pub text: String,
    /// Values of `$name` placeholders.
    pub params: Vec<(String, ParamValue)>,
    /// Name of the database.
    pub db: String,
    /// On whose behalf it is asked.
    pub principal: Principal,
    /// Where the request came from, for the query log and the audit log.
    pub origin: Origin,
}

impl Statement {
    fn cost_bytes(&self) -> usize {
        512 + self.text.len()
    }
}

/// When a running statement is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// With its first rows, so that what fails before them is an error and not a broken stream.
    WithRows,
    /// As soon as its columns are known: an error may come in the place of rows.
    WithColumns {
        /// Name of the Flight SQL command that it came with, if it came with one.
        command: Option<&'static str>,
    },
}

/// Plans and starts one statement. Sent by HTTP handlers and Flight.
#[derive(Clone, Debug)]
pub struct RunStatement {
    /// The statement.
    pub statement: Statement,
    /// When the reply is wanted.
    pub delivery: Delivery,
}

impl Command for RunStatement {
    type Reply = Result<QueryResult, QueryError>;
    const NAME: &'static str = "RunStatement";
    fn cost_bytes(&self) -> usize {
        self.statement.cost_bytes()
    }
}

/// Plans one statement and tells its columns without running it. Sent by Flight.
#[derive(Clone, Debug)]
pub struct PlanStatement {
    /// The statement.
    pub statement: Statement,
    /// Placeholders need no values yet.
    pub to_prepare: bool,
}

impl Command for PlanStatement {
    type Reply = Result<PlannedStatement, QueryError>;
    const NAME: &'static str = "PlanStatement";
    fn cost_bytes(&self) -> usize {
        self.statement.cost_bytes()
    }
}

/// What is known about a statement that does not run.
#[derive(Clone, Debug)]
pub struct PlannedStatement {
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
    /// On whose behalf it is asked.
    pub principal: Principal,
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
    /// Name of the database.
    pub db: String,
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

/// Asks whether queries are answered: the answer takes the way of a query, through the actor and
/// the threads that look after queries to those that run them. Sent by housekeeping.
#[derive(Clone, Copy, Debug)]
pub struct AnswerProbe;

impl Command for AnswerProbe {
    type Reply = ();
    const NAME: &'static str = "AnswerProbe";
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
