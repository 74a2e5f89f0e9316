//! How a command fails, for its exit code.

use std::fmt;
use std::process::ExitCode;

/// What exit codes mean, as the help tells it.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the server refused or the command failed, 2 the command line is wrong, 3 no \
server answers, 4 done in part";

/// Kinds of failures that have an exit code of their own. Any other error is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The command line is wrong or lacks something.
    Usage,
    /// No server answers.
    NoServer,
    /// Some of it is done, the rest is not.
    Partly,
}

/// An error of one of these kinds.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    text: String,
}

impl Failure {
    /// The command line is wrong.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, text: text.into() }
    }

    /// No server answers.
    pub(super) fn no_server(text: impl Into<String>) -> Self {
        Self { kind: Kind::NoServer, text: text.into() }
    }

    /// Some of it is done.
    pub(super) fn partly(text: impl Into<String>) -> Self {
        Self { kind: Kind::Partly, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// An error of the same kind as `error` that says `text`.
pub(super) fn with_text(error: &anyhow::Error, text: String) -> anyhow::Error {
    match kind(error) {
        Some(kind) => Failure { kind, text }.into(),
        None => anyhow::Error::msg(text),
    }
}

fn kind(error: &anyhow::Error) -> Option<Kind> {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map(|failure| failure.kind)
}

/// The exit code of a command that ended with `error`.
pub(super) fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(match kind(error) {
        None => 1,
        Some(Kind::Usage) => 2,
        Some(Kind::NoServer) => 3,
        Some(Kind::Partly) => 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn each_kind_has_its_code_whatever_is_said_around_it() {
        let code = |error: anyhow::Error| format!("{:?}", exit_code(&error));
        let number = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(anyhow::anyhow!("refused")), number(1));
        assert_eq!(code(Failure::usage("no").into()), number(2));
        assert_eq!(code(Failure::partly("half").into()), number(4));
        let inner: Result<(), Failure> = Err(Failure::no_server("none"));
        let outer = inner.context("outer").unwrap_err();
        assert_eq!(code(with_text(&outer, "other words".to_owned())), number(3));
        assert_eq!(code(outer), number(3));
    }
}
