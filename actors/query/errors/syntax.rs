//! Where the parser stopped, shown in the statement.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;
use std::error::Error;

/// Characters of a line that are shown before and behind the place.
const SHOWN_BEFORE: usize = 60;
const SHOWN_BEHIND: usize = 20;

/// The error of a parser that read `text`; others as they are.
pub(in super::super) fn in_statement(error: DataFusionError, text: &str) -> DataFusionError {
    let told = match parser_error(&error) {
        Some(ParserError::TokenizerError(told) | ParserError::ParserError(told)) => told,
        Some(ParserError::RecursionLimitExceeded) => {
            return super::beyond_limit("the statement is nested too deeply for the parser");
        }
        None => return error,
    };
    let (reason, place) = reason_and_place(told);
    let message = shown(&in_words(reason), place.unwrap_or_else(|| end(text)), text);
    DataFusionError::External(Box::new(QueryError { kind: ErrorKind::InvalidInput, message }))
}

fn parser_error(error: &DataFusionError) -> Option<&ParserError> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(DataFusionError::SQL(error, _)) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}

/// Line and column, both from 1.
type Place = (usize, usize);

/// Takes ` at Line: 1, Column: 8` off the end.
fn reason_and_place(told: &str) -> (&str, Option<Place>) {
    let place = told.rsplit_once(" at Line: ").and_then(|(reason, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        let place = (line.trim().parse().ok()?, column.trim().parse().ok()?);
        Some((reason, Some(place).filter(|(line, column)| *line > 0 && *column > 0)))
    });
    place.unwrap_or((told, None))
}

/// `Expected: a, found: b` as a person says it.
fn in_words(reason: &str) -> String {
    let reason = match reason.strip_prefix("Expected: ").and_then(|r| r.rsplit_once(", found: ")) {
        Some((expected, "EOF")) => format!("expected {expected}, found the end of the statement"),
        Some((expected, found)) => format!("expected {expected}, found {found}"),
        None => reason.to_owned(),
    };
    let mut letters = reason.chars();
    match (letters.next(), letters.clone().next()) {
        // Not where a word is written in capitals.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => reason,
    }
}

/// The place behind the last character.
fn end(text: &str) -> Place {
    let text = text.trim_end();
    let line = text.lines().count().max(1);
    (line, text.lines().last().unwrap_or_default().chars().count() + 1)
}

/// The message, the line, and a caret under the place.
fn shown(reason: &str, (line, column): Place, text: &str) -> String {
    let characters: Vec<char> = text.lines().nth(line - 1).unwrap_or_default().chars().collect();
    let at = (column - 1).min(characters.len());
    let first = at.saturating_sub(SHOWN_BEFORE);
    let last = (at + SHOWN_BEHIND).min(characters.len());
    let plain = |c: &char| if c.is_control() { ' ' } else { *c };
    let part: String = characters[first..last].iter().map(plain).collect();
    let (before, behind) =
        (if first > 0 { "…" } else { "" }, if last < characters.len() { "…" } else { "" });
    let indent = " ".repeat(at - first + before.chars().count());
    format!(
        "syntax error at line {line}, column {column}: {reason}\n  {before}{part}{behind}\n  \
         {indent}^"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(told: &str, text: &str, want: &str) {
        let error = ParserError::ParserError(told.to_owned());
        let error = DataFusionError::SQL(Box::new(error), None).context("outer");
        let error = super::super::from_engine(&in_statement(error, text));
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidInput, want));
    }

    #[test]
    fn the_place_is_shown() {
        check(
            "Expected: an SQL statement, found: SELEC at Line: 1, Column: 1",
            "SELEC 1",
            "syntax error at line 1, column 1: expected an SQL statement, found SELEC\n  \
             SELEC 1\n  ^",
        );
        check(
            "Expected: an expression, found: EOF",
            "SELECT é,\n\t",
            "syntax error at line 1, column 10: expected an expression, found the end of the \
             statement\n  SELECT é,\n           ^",
        );
        check(
            "Unterminated string literal at Line: 2, Column: 3",
            "SELECT 1,\n\t 'a",
            "syntax error at line 2, column 3: unterminated string literal\n    'a\n    ^",
        );
        check(
            "Expected: a, found: , found: b at Line: 9, Column: 9",
            "",
            "syntax error at line 9, column 9: expected a, found: , found b\n  \n  ^",
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("SELECT {}x x x {}", "a + ".repeat(100), "b".repeat(100));
        let want = format!(
            "syntax error at line 1, column 410: expected end, found x\n  …{}x {}x {}…\n  {}^",
            &text[349..407],
            "",
            &text[411..429],
            " ".repeat(61),
        );
        check("Expected: end, found: x at Line: 1, Column: 410", &text, &want);
    }

    #[test]
    fn other_errors_stay() {
        let error = DataFusionError::Plan("no".to_owned());
        assert_eq!(in_statement(error, "").to_string(), "Error during planning: no");
    }
}
