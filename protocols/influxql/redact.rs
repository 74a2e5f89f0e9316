//! Statements without their literals, for logs.

use super::ast::Op;
use super::lexer::{self, Token};

/// The text with a question mark for each number, text, time and regular expression, and without
/// comments. Names stay. `None` if it is not clear where they end.
pub fn without_literals(text: &str) -> Option<String> {
    let mut shown = String::with_capacity(text.len());
    let (mut from, mut is_operand) = (0, false);
    loop {
        let piece = lexer::piece(text, from).ok()?;
        if piece.start > from && !shown.is_empty() {
            shown.push(' ');
        }
        let mut end = piece.end;
        let after = match piece.token {
            Token::End => return Some(shown.trim_end().to_owned()),
            Token::Unknown => return None,
            Token::Integer(_) | Token::Float(_) | Token::Duration(_) => {
                shown.push('?');
                true
            }
            Token::String(_) => {
                shown.push_str("'?'");
                true
            }
            // A division, unless there is nothing to divide.
            Token::Op(Op::Divide) if !is_operand => {
                end = lexer::regex(text, piece.start).ok()?.1;
                shown.push_str("/?/");
                true
            }
            token => {
                shown.push_str(text.get(piece.start..piece.end)?);
                match token {
                    Token::Word(word) => !lexer::is_reserved(word),
                    Token::Quoted(_) | Token::Bind(_) | Token::Close => true,
                    _ => false,
                }
            }
        };
        (from, is_operand) = (end, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_go_and_names_stay() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(without_literals(text).as_deref(), expected, "{text}");
        };
        check(
            "SELECT mean(\"temp\")/2.5 FROM m1 WHERE room = 'it\\'s secret' AND time > now() - 5m",
            Some("SELECT mean(\"temp\")/? FROM m1 WHERE room = '?' AND time > now() - ?"),
        );
        check(
            "SELECT a FROM /secret\\/x/, m WHERE t =~ /^secret/ AND u !~/secret/ LIMIT 5",
            Some("SELECT a FROM /?/, m WHERE t =~ /?/ AND u !~/?/ LIMIT ?"),
        );
        check("SELECT /secret/ FROM m", Some("SELECT /?/ FROM m"));
        check("SELECT a /* secret */ FROM m -- secret", Some("SELECT a FROM m"));
        check("SELECT $a FROM m WHERE b = -1e5", Some("SELECT $a FROM m WHERE b = -?"));
        check("SELECT a FROM m WHERE b = 'secret", None);
        check("SELECT a FROM m WHERE b = ‘secret’", None);
        check("SELECT a FROM m WHERE b =~ /secret", None);
    }
}
