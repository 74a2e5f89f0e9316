//! Conditions on tags as people write them: `room = "Kitchen" AND floor = '2'`.

use super::{CONDITIONS_MAX, TagValues};
use std::fmt::Write;
use std::sync::Arc;

/// Why a text is no condition on tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid predicate: {0}")]
pub struct PredicateError(String);

/// What a predicate consists of.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Equals,
}

/// Reads comparisons of tags with texts, joined by `AND`. Texts are in single or double quotes, and
/// so may names be; a quote within is written twice. None at all are no condition.
///
/// # Errors
/// Says what is wrong.
pub fn parse(text: &str) -> Result<TagValues, PredicateError> {
    let mut conditions = Vec::new();
    let mut tokens = tokens(text)?.into_iter().peekable();
    while tokens.peek().is_some() {
        if !conditions.is_empty() {
            match tokens.next() {
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("and") => {}
                _ => return error("conditions are joined by AND and by nothing else"),
            }
        }
        let tag = match tokens.next() {
            Some(Token::Word(word)) if is_operator(&word) => {
                return error(&format!("{word} is not supported: a tag has to equal a text"));
            }
            Some(Token::Word(name) | Token::Quoted(name)) => name,
            _ => return error("expected the name of a tag"),
        };
        if tokens.next() != Some(Token::Equals) {
            return error(&format!("expected = behind {tag}"));
        }
        let Some(Token::Quoted(value)) = tokens.next() else {
            return error(&format!("expected a text in quotes behind {tag} ="));
        };
        conditions.push((tag.into(), value.into()));
        if conditions.len() > CONDITIONS_MAX {
            return error(&format!("more than {CONDITIONS_MAX} conditions"));
        }
    }
    Ok(conditions)
}

/// The text of conditions, as [`parse`] reads it.
pub fn text(conditions: &[(Arc<str>, Arc<str>)]) -> String {
    let is_plain = |name: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(is_word) && !is_operator(name)
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut out = String::new();
    for (tag, value) in conditions {
        let and = if out.is_empty() { "" } else { " AND " };
        let tag = if is_plain(tag) { tag.to_string() } else { quoted(tag) };
        write!(out, "{and}{tag} = {}", quoted(value)).expect("a text takes what is written to it");
    }
    out
}

fn error<T>(why: &str) -> Result<T, PredicateError> {
    Err(PredicateError(why.to_owned()))
}

fn is_operator(word: &str) -> bool {
    ["and", "or", "not", "in", "is", "like", "between"]
        .iter()
        .any(|operator| word.eq_ignore_ascii_case(operator))
}

fn tokens(text: &str) -> Result<Vec<Token>, PredicateError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '=' => (Token::Equals, &rest[1..]),
            '"' | '\'' => quoted(first, &rest[1..])?,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "='\"()<>!~,;".contains(c));
                match end.unwrap_or(rest.len()) {
                    0 => return error(&format!("unexpected {first:?}")),
                    end => (Token::Word(rest[..end].to_owned()), &rest[end..]),
                }
            }
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// The text up to the closing quote, and what is behind that.
fn quoted(quote: char, text: &str) -> Result<(Token, &str), PredicateError> {
    let mut found = String::new();
    let mut rest = text;
    loop {
        let Some((part, after)) = rest.split_once(quote) else {
            return error("a quote is not closed");
        };
        found.push_str(part);
        match after.strip_prefix(quote) {
            Some(more) => {
                found.push(quote);
                rest = more;
            }
            None => return Ok((Token::Quoted(found), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(predicate: &str, expected: &[(&str, &str)]) {
        let expected: TagValues =
            expected.iter().map(|(tag, value)| ((*tag).into(), (*value).into())).collect();
        assert_eq!(parse(predicate), Ok(expected.clone()), "{predicate}");
        assert_eq!(parse(&text(&expected)), Ok(expected), "{predicate}");
    }

    #[track_caller]
    fn fails(predicate: &str, expected: &str) {
        let error = parse(predicate).expect_err(predicate).to_string();
        assert!(error.contains(expected), "{predicate}: {error}");
    }

    #[test]
    fn tags_equal_texts() {
        check("", &[]);
        check("  ", &[]);
        check("room = \"Kitchen\"", &[("room", "Kitchen")]);
        check("room='Kitchen'and floor= \"2\"", &[("room", "Kitchen"), ("floor", "2")]);
        check("\"a b\" = 'it''s' AND and_so = \"\"", &[("a b", "it's"), ("and_so", "")]);
        check("größe = 'ü\"='", &[("größe", "ü\"=")]);
    }

    #[test]
    fn everything_else_is_refused() {
        fails("a = 'b' OR a = 'c'", "joined by AND");
        fails("NOT a = 'b'", "not supported");
        fails("a IN ('b')", "unexpected '('");
        fails("a = b", "a text in quotes");
        fails("a = 1", "a text in quotes");
        fails("a != 'b'", "unexpected '!'");
        fails("(a = 'b')", "unexpected '('");
        fails("a = 'b' AND", "expected the name of a tag");
        fails("a = 'b", "not closed");
        fails("'a' 'b'", "expected = behind a");
        fails(&vec!["a = 'b'"; CONDITIONS_MAX + 1].join(" AND "), "more than 64 conditions");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in proptest::collection::vec((".{0,6}", ".{0,6}"), 0..5)) {
            let pairs: TagValues =
                pairs.into_iter().map(|(tag, value)| (tag.into(), value.into())).collect();
            prop_assert_eq!(parse(&text(&pairs)), Ok(pairs));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            drop(parse(&text));
        }
    }
}
