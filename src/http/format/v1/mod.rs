//! Results in the form of version 1: statements, their series, and the rows of these.

mod csv;
mod json;
mod msgpack;
mod rows;

pub(in crate::http) use rows::{Layout, Rows};

use protocols::messages::query::QueryError;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Form {
    /// `{"results":[…]}`
    Json {
        /// For people: with line breaks and blanks.
        pretty: bool,
    },
    /// The same in MessagePack.
    MsgPack,
    /// Lines of values.
    Csv,
}

impl Form {
    /// The media type of the answer.
    pub(in crate::http) fn content_type(self) -> &'static str {
        match self {
            Self::Json { .. } => "application/json",
            Self::MsgPack => "application/x-msgpack",
            Self::Csv => "application/csv",
        }
    }
}

/// How times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Epoch {
    /// As text.
    Text,
    /// As a number of such units since 1970, in nanoseconds.
    Units(i64),
}

/// What is known of a series before its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Series {
    /// The measurement.
    pub(in crate::http) name: String,
    /// Its tags, if it is one of several by tags. A missing tag is empty.
    pub(in crate::http) tags: Vec<(String, String)>,
}

/// Why a row cannot be written.
#[derive(Debug)]
pub(in crate::http) enum WriteError {
    /// A number that JSON does not have: `+Inf` or `-Inf`.
    Infinite(&'static str),
    /// A value that cannot be shown.
    Query(QueryError),
}

impl From<arrow::error::ArrowError> for WriteError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Query(super::encode_error(&error))
    }
}

/// Bytes that take the place of others.
pub(in crate::http) struct Change {
    /// Where, from the first byte that was put aside.
    pub(in crate::http) at: usize,
    pub(in crate::http) bytes: Vec<u8>,
}

/// Writes an answer, one event after the other, into the bytes that are sent next.
pub(in crate::http) trait WriteV1: Send {
    /// False while bytes that were written are still to be changed, so that none may leave.
    fn is_complete(&self) -> bool {
        true
    }
    /// So many bytes are put aside until all is complete, and the next ones go to an empty place.
    fn put_aside(&mut self, _bytes: usize) {}
    /// What is to be changed of the bytes that were put aside, now that all is complete.
    fn changes(&mut self) -> Vec<Change> {
        Vec::new()
    }
    /// A series of a statement begins.
    fn open(&mut self, statement: usize, series: &Series, columns: &[String], out: &mut Vec<u8>);
    /// A row of the series.
    fn row(&mut self, rows: &Rows<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError>;
    /// The series ends, or goes on in the next document.
    fn close(&mut self, goes_on: bool, out: &mut Vec<u8>);
    /// The statement ends, or goes on in the next document.
    fn end(&mut self, statement: usize, goes_on: bool, out: &mut Vec<u8>);
    /// The statement fails.
    fn fail(&mut self, statement: usize, error: &str, out: &mut Vec<u8>);
    /// The answer ends.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// The writer of a form. In documents of their own are the parts of an answer that is `chunked`.
pub(in crate::http) fn writer(form: Form, chunked: bool) -> Box<dyn WriteV1> {
    match form {
        Form::Json { pretty } => Box::new(json::Json::new(chunked, pretty)),
        Form::MsgPack => Box::new(msgpack::MsgPack::new(chunked)),
        Form::Csv => Box::<csv::Csv>::default(),
    }
}
