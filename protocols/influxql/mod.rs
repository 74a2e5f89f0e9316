//! InfluxQL as text: statements are read into a tree, and a tree is written as a statement.
//!
//! Invariants: reading takes time and memory in proportion to the text, and stack in proportion to
//! [`NESTING_MAX`]; no text makes it panic. A statement that is written and read again is the same
//! statement. What the words mean for rows is not decided here.

mod ast;
mod display;
mod lexer;
mod parser;
mod redact;
#[cfg(test)]
mod tests;

pub use ast::{
    Bounds, Cast, Counted, Dimension, Explain, Expr, Field, Fill, KeyMatch, Literal, Logic,
    Measurement, MeasurementMatch, MeasurementName, Op, Order, PolicySettings, Select, Show,
    ShowWhat, Source, Statement, WildcardKind,
};
pub use display::format_duration;
pub use parser::{ParsedStatement, parse};
pub use redact::without_literals;

/// Parentheses, calls, signs and subqueries that may stand inside each other.
pub const NESTING_MAX: usize = 64;

/// Operators that may follow each other without parentheses.
pub const CHAIN_MAX: usize = 256;

/// Parts that the expressions of one statement may have.
pub const PARTS_MAX: usize = 20_000;

/// Why a text is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What was expected and where, in bytes from the beginning of the text.
    pub message: String,
}
