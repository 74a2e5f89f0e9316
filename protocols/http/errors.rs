//! Bodies of error answers.

use crate::line_protocol::LineError;
use serde::{Deserialize, Serialize};

/// The body of most errors that are told as JSON.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// What went wrong.
    pub error: &'a str,
    /// The refused lines of a write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RefusedLines>,
    /// How many lines were refused, if `data` does not list all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_lines: Option<usize>,
}

/// The refused lines of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RefusedLines {
    /// The line because of which the whole request was refused.
    First(RefusedLine),
    /// The lines that are missing after a partial write.
    All(Vec<RefusedLine>),
}

/// One refused line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLine {
    /// What is wrong with it.
    pub error_message: String,
    /// Its number, from 1.
    pub line_number: usize,
    /// The line as sent, or the beginning of a long one.
    pub original_line: String,
}

impl From<LineError> for RefusedLine {
    fn from(error: LineError) -> Self {
        Self {
            error_message: error.message,
            line_number: error.line_number,
            original_line: error.original_line,
        }
    }
}

/// The body of errors of the v2 write endpoint.
#[derive(Debug, Serialize)]
pub struct V2ErrorBody<'a> {
    /// Class of the error, for programs.
    pub code: &'a str,
    /// What went wrong, for people.
    pub message: &'a str,
    /// Number of the line that it is about, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}
