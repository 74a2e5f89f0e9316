//! What goes wrong, as a gRPC status.

use protocols::error::ErrorKind;
use protocols::flight::command::CommandError;
use protocols::flight::ticket::TicketError;
use protocols::messages::query::QueryError;
use tonic::{Code, Status};

/// Limit: bytes of a message, which travels in a header.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// A status whose message is not too long for a header.
pub(super) fn status(code: Code, message: impl Into<String>) -> Status {
    let mut message: String = message.into();
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push_str("...");
    }
    Status::new(code, message)
}

/// What Arrow could not do.
pub(super) fn of_arrow(error: &impl std::fmt::Display) -> Status {
    status(Code::Internal, format!("cannot encode the answer: {error}"))
}

/// The call itself is at fault.
pub(super) fn invalid(message: impl Into<String>) -> Status {
    status(Code::InvalidArgument, message)
}

/// The statement could not be planned: `doing` says what was tried.
pub(super) fn of_planning(doing: &str, error: &QueryError) -> Status {
    match error.kind {
        ErrorKind::InvalidInput | ErrorKind::NotImplemented => {
            invalid(format!("{doing}: {}", one_line(&error.message)))
        }
        _ => of_query(error),
    }
}

/// The query failed.
pub(super) fn of_query(error: &QueryError) -> Status {
    status(code(error.kind), one_line(&error.message))
}

/// The ticket is none.
pub(super) fn of_ticket(error: &TicketError) -> Status {
    invalid(error.to_string())
}

/// The command is none.
pub(super) fn of_command(error: &CommandError) -> Status {
    invalid(error.to_string())
}

/// Levels of an error are told one after the other.
fn one_line(message: &str) -> String {
    message.replace("\ncaused by\n", ": ")
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput | ErrorKind::NotImplemented | ErrorKind::Conflict => {
            Code::InvalidArgument
        }
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Forbidden => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::LimitReached | ErrorKind::RateLimited => Code::ResourceExhausted,
        // The same may succeed a moment later.
        ErrorKind::Overloaded | ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let status = invalid("é".repeat(MESSAGE_BYTES_MAX));
        assert_eq!(status.message().len(), MESSAGE_BYTES_MAX + 3);
        assert!(status.message().ends_with("é..."));
        assert_eq!(invalid("short").message(), "short");
    }

    #[test]
    fn what_may_succeed_later_is_told_from_what_will_not() {
        let code = |kind| of_query(&QueryError { kind, message: String::new() }).code();
        assert_eq!(code(ErrorKind::LimitReached), Code::ResourceExhausted);
        assert_eq!(code(ErrorKind::Overloaded), Code::Unavailable);
    }

    #[test]
    fn levels_are_joined() {
        let message = "outer\ncaused by\ninner".to_owned();
        let error = QueryError { kind: ErrorKind::InvalidInput, message };
        let status = of_planning("Error while planning query", &error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "Error while planning query: outer: inner");
        let error = QueryError { kind: ErrorKind::NotFound, message: "nope".to_owned() };
        let status = of_planning("Error while planning query", &error);
        assert_eq!((status.code(), status.message()), (Code::NotFound, "nope"));
    }
}
