//! Statements without their literals, for whoever may see what was asked and not of what.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use protocols::influxql;
use protocols::messages::query::Language;

/// What is shown in the place of a statement whose literals cannot be told from the rest.
const HIDDEN: &str = "(hidden)";

/// The text with a question mark for each literal, and without comments. Names stay.
pub(super) fn redacted(language: Language, text: &str) -> String {
    let shown = match language {
        Language::Sql => without_literals(text),
        Language::InfluxQl | Language::InfluxQlV1 => influxql::without_literals(text),
    };
    shown.unwrap_or_else(|| HIDDEN.to_owned())
}

fn without_literals(text: &str) -> Option<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().ok()?;
    let mut shown = String::with_capacity(text.len());
    for token in tokens {
        match token {
            Token::Whitespace(_) if shown.ends_with(' ') => {}
            Token::Whitespace(_) => shown.push(' '),
            Token::Word(_) | Token::Placeholder(_) => shown.push_str(&token.to_string()),
            Token::Number(..) => shown.push('?'),
            Token::Char(_) => return None,
            // There are many kinds of texts, and only they hold more than signs.
            other => {
                let text = other.to_string();
                let is_sign = |b: u8| b.is_ascii_punctuation() && !matches!(b, b'\'' | b'"');
                shown.push_str(if text.bytes().all(is_sign) { &text } else { "'?'" });
            }
        }
    }
    Some(shown.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_go_and_names_stay() {
        let check = |text: &str, expected: &str| {
            assert_eq!(redacted(Language::Sql, text), expected, "{text}");
        };
        check(
            "SELECT \"a b\", temp*2.5 FROM m1 WHERE room = 'it''s secret' AND n >= 10",
            "SELECT \"a b\", temp*? FROM m1 WHERE room = '?' AND n >= ?",
        );
        check("SELECT 1 -- secret\n, $a /* secret */ , 2", "SELECT ? , $a , ?");
        check("SELECT now() - INTERVAL '5 minutes'", "SELECT now() - INTERVAL '?'");
        check("SELECT $$secret$$, E'secret', X'5ec7e7', N'secret'", "SELECT '?', '?', '?', '?'");
        check(
            "SELECT a ~ 'secret', b[1], c::text, d->'secret'",
            "SELECT a ~ '?', b[?], c::text, d->'?'",
        );
        check("SELECT 'secret", HIDDEN);
        assert_eq!(
            redacted(Language::InfluxQl, "SELECT a FROM m LIMIT 1"),
            "SELECT a FROM m LIMIT ?"
        );
    }
}
