//! What is said about statements that make no sense.

use datafusion::error::DataFusionError;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;
use std::fmt::Display;

/// A statement that has no meaning.
pub(super) fn meaningless(message: impl Display) -> DataFusionError {
    DataFusionError::Plan(message.to_string())
}

/// The same, found where the parts of a SELECT statement are looked at together.
pub(super) fn inconsistent(message: impl Display) -> DataFusionError {
    meaningless(message)
        .context("gather information about select statement")
        .context("rewriting statement")
}

/// The same, about a condition on the time.
pub(super) fn in_condition(message: impl Display) -> DataFusionError {
    meaningless(message).context("split condition").context("rewriting statement")
}

/// The same, about a column of the result.
pub(super) fn in_projection(message: impl Display) -> DataFusionError {
    meaningless(message).context("expand projection").context("rewriting statement")
}

/// Something of the language that this server does not have.
pub(super) fn missing(message: impl Display) -> DataFusionError {
    let message = format!("This feature is not implemented: {message}");
    DataFusionError::External(Box::new(QueryError { kind: ErrorKind::NotImplemented, message }))
}
