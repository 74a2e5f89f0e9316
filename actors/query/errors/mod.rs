//! What the engine's errors mean to a client: whose fault it is, and in whose words it is told.

mod syntax;
mod words;

use crate::runtime::mailbox::AskError;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;
use protocols::principal::Denied;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

pub(super) use syntax::in_statement;

/// How the engine says that there is more than one statement. The original has a status for that.
const SINGLE_STATEMENT: &str = "The context currently only supports a single SQL statement";

/// The database of the query does not exist.
pub(super) fn database_not_found(db: &str) -> QueryError {
    QueryError { kind: ErrorKind::NotFound, message: format!("database not found: {db}") }
}

/// Who asks may not.
pub(super) fn denied(denied: &Denied) -> QueryError {
    QueryError { kind: ErrorKind::Forbidden, message: denied.to_string() }
}

/// The token by which a query was begun is refused by now.
pub(super) fn token_ended() -> QueryError {
    let message = "the query was stopped because its token was deleted or has expired".to_owned();
    QueryError { kind: ErrorKind::Unauthenticated, message }
}

/// As many queries run as may run at once.
pub(super) fn too_many_queries(max: usize) -> QueryError {
    let message = format!("{max} queries are running already, try again later");
    QueryError { kind: ErrorKind::Overloaded, message }
}

/// As many queries of the token run as may run at once.
pub(super) fn token_runs_too_many(max: usize) -> QueryError {
    let message = format!(
        "{max} queries of this token are running already (--token-max-queries), try again later"
    );
    QueryError { kind: ErrorKind::RateLimited, message }
}

/// The token's queries have the most of the places that there are.
pub(super) fn token_has_its_share(running: usize) -> QueryError {
    let message = format!(
        "{running} queries of this token are running already, and the other places are kept for \
         others, try again later"
    );
    QueryError { kind: ErrorKind::RateLimited, message }
}

/// A statement is beyond a limit that no waiting and no option moves, as `text` says.
pub(super) fn beyond_limit(text: impl Into<String>) -> DataFusionError {
    let message =
        format!("{}; this limit is fixed, it bounds the planning of a statement", text.into());
    DataFusionError::External(Box::new(QueryError { kind: ErrorKind::LimitReached, message }))
}

/// The query would read more files than a query may.
pub(super) fn too_many_files(files: usize) -> QueryError {
    let message = format!(
        "Query would scan {files} Parquet files, exceeding the file limit. InfluxDB 3 Core caps \
         file access to prevent performance degradation and memory issues. Use a narrower time \
         range, or increase the limit with --query-file-limit (this may cause slower queries or \
         instability)."
    );
    QueryError { kind: ErrorKind::InvalidInput, message }
}

/// The query took longer than the server allows.
pub(super) fn timed_out(limit: Duration) -> QueryError {
    let message =
        format!("the query was stopped because it ran longer than {limit:?} (--query-timeout)");
    QueryError { kind: ErrorKind::Timeout, message }
}

/// The reader of the query's rows did not take any for too long.
pub(super) fn reader_is_idle(limit: Duration) -> QueryError {
    let message = format!(
        "the query was stopped because its reader took no rows for {limit:?} \
         (--query-idle-timeout)"
    );
    QueryError { kind: ErrorKind::Timeout, message }
}

/// The query was told to stop, and whoever asked knows why.
pub(super) fn stopped() -> QueryError {
    let message = "the query was stopped".to_owned();
    QueryError { kind: ErrorKind::Unavailable, message }
}

/// The query takes more memory than one query may.
pub(super) fn takes_too_much(share: usize) -> QueryError {
    let message = format!(
        "the query was stopped because it takes more than {share} bytes of memory, the share that \
         one query may have (--query-memory-share)"
    );
    QueryError { kind: ErrorKind::LimitReached, message }
}

/// The query takes the most memory of those that run, and together they take too much.
pub(super) fn pool_is_empty(pool: usize) -> QueryError {
    let message = format!(
        "the query was stopped because all that run took more than {pool} bytes of memory \
         (--exec-mem-pool-bytes), and it the most of them; try again later"
    );
    QueryError { kind: ErrorKind::Overloaded, message }
}

/// There are as many queries as memory can be counted for.
pub(super) fn too_many_accounts() -> QueryError {
    let message = "too many queries are running already, try again later".to_owned();
    QueryError { kind: ErrorKind::Overloaded, message }
}

/// The system has no thread for the query.
pub(super) fn no_threads(error: &std::io::Error) -> QueryError {
    let message = format!("there is no thread to run the query on ({error}), try again later");
    QueryError { kind: ErrorKind::Overloaded, message }
}

/// The object store does not give a file that is there.
pub(super) fn store_fails(path: &str, error: &object_store::Error) -> QueryError {
    let message = format!("the Parquet file {path} cannot be read, try again later: {error}");
    QueryError { kind: ErrorKind::Timeout, message }
}

/// A part of the query panicked.
pub(super) fn panicked() -> QueryError {
    let message = "internal error: the query failed unexpectedly".to_owned();
    QueryError { kind: ErrorKind::Internal, message }
}

/// The client's view of an engine error: whose fault it is, and the engine's text in the user's
/// words.
pub(super) fn from_engine(error: &DataFusionError) -> QueryError {
    if let Some(own) = own_error(error) {
        return own;
    }
    if error.to_string().contains(NO_ROOM_ON_DISK) {
        return no_room_on_disk();
    }
    QueryError {
        kind: engine_kind(error),
        message: words::in_users_words(&error.strip_backtrace()),
    }
}

/// What the engine says, as a mere text, when what operators may write to disk comes to an end.
const NO_ROOM_ON_DISK: &str = "The used disk space during the spilling process has exceeded";

fn no_room_on_disk() -> QueryError {
    let message = "the query was stopped because there is no more room on disk for what queries \
                   cannot hold in memory (--query-spill-bytes)";
    QueryError { kind: ErrorKind::LimitReached, message: message.to_owned() }
}

/// An error of this server that came up through the engine unchanged.
fn own_error(error: &DataFusionError) -> Option<QueryError> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(own) = error.downcast_ref::<QueryError>() {
            return Some(own.clone());
        }
        if let Some(ask) = error.downcast_ref::<AskError>() {
            return Some(QueryError { kind: ask.kind(), message: ask.to_string() });
        }
        source = error.source();
    }
    None
}

/// The kind that the innermost error stands for.
fn engine_kind(error: &DataFusionError) -> ErrorKind {
    let mut kind = ErrorKind::Internal;
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(engine) = error.downcast_ref::<DataFusionError>() {
            kind = kind_of(engine).unwrap_or(kind);
        } else if let Some(engine) = error.downcast_ref::<Arc<DataFusionError>>() {
            kind = kind_of(engine).unwrap_or(kind);
        } else if let Some(arrow) = error.downcast_ref::<ArrowError>() {
            kind = kind_of_arrow(arrow).unwrap_or(kind);
        }
        source = error.source();
    }
    kind
}

/// `None` for errors that only wrap another one.
fn kind_of(error: &DataFusionError) -> Option<ErrorKind> {
    match error {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Execution(_) => Some(ErrorKind::InvalidInput),
        DataFusionError::NotImplemented(text) if text.starts_with(SINGLE_STATEMENT) => {
            Some(ErrorKind::NotImplemented)
        }
        // The request is understood, the statement asks for what is not there.
        DataFusionError::NotImplemented(_) => Some(ErrorKind::InvalidInput),
        // Contention has errors of its own.
        DataFusionError::ResourcesExhausted(_) => Some(ErrorKind::LimitReached),
        DataFusionError::ArrowError(..)
        | DataFusionError::External(_)
        | DataFusionError::Diagnostic(..)
        | DataFusionError::Collection(_)
        | DataFusionError::Shared(_) => None,
        // What comes below says no more than that it is the parser's of the library.
        DataFusionError::Context(text, _) if text == "Invalid regex" => {
            Some(ErrorKind::InvalidInput)
        }
        DataFusionError::Context(..) => None,
        _ => Some(ErrorKind::Internal),
    }
}

/// Values that cannot be computed, cast or parsed are the query's fault.
fn kind_of_arrow(error: &ArrowError) -> Option<ErrorKind> {
    match error {
        ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::InvalidArgumentError(_)
        | ArrowError::NotYetImplemented(_)
        | ArrowError::SchemaError(_) => Some(ErrorKind::InvalidInput),
        ArrowError::ExternalError(_) => None,
        _ => Some(ErrorKind::Internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: DataFusionError, kind: ErrorKind, message: &str) {
        let got = from_engine(&error);
        assert_eq!((got.kind, got.message.as_str()), (kind, message));
    }

    #[test]
    fn the_innermost_error_decides() {
        let plan = DataFusionError::Plan("no".to_owned());
        let shown = "outer\ncaused by\ninner\ncaused by\nError during planning: no";
        check(plan.context("inner").context("outer"), ErrorKind::InvalidInput, shown);

        let lost = DataFusionError::NotImplemented("x".to_owned());
        let through_arrow = DataFusionError::from(ArrowError::from(lost));
        assert_eq!(from_engine(&through_arrow).kind, ErrorKind::InvalidInput);
        let two = DataFusionError::NotImplemented(SINGLE_STATEMENT.to_owned());
        assert_eq!(from_engine(&two).kind, ErrorKind::NotImplemented);

        let full = DataFusionError::ResourcesExhausted("memory".to_owned());
        let shared = DataFusionError::Shared(Arc::new(full));
        check(shared, ErrorKind::LimitReached, "Resources exhausted: memory");
    }

    #[test]
    fn a_value_that_cannot_be_computed_is_the_querys_fault() {
        let error = DataFusionError::from(ArrowError::DivideByZero);
        check(error, ErrorKind::InvalidInput, "Divide by zero error");
        let error = DataFusionError::from(ArrowError::MemoryError("m".to_owned()));
        assert_eq!(from_engine(&error).kind, ErrorKind::Internal);
    }

    #[test]
    fn own_errors_pass_through() {
        let own = AskError::Full("store");
        let error = DataFusionError::External(Box::new(own)).context("scan");
        check(error, ErrorKind::Overloaded, "store is overloaded, try again later");
        let own = database_not_found("nope");
        assert_eq!(from_engine(&DataFusionError::External(Box::new(own.clone()))), own);
    }
}
