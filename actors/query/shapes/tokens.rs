//! The tokens of a statement, as far as they can be told for certain.

/// One token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    /// A name in double quotes, with them.
    Name(&'a str),
    /// A text in single quotes, with them.
    Text(&'a str),
    Number(&'a str),
    /// A placeholder, with its dollar sign.
    Param(&'a str),
    Sign(&'a str),
}

/// The tokens of a text; `None` where some would have to be read in a special way.
pub(super) fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token<'_>> = Vec::with_capacity(text.len() / 4);
    let (mut at, mut is_glued) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let (token, length) = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                is_glued = false;
                continue;
            }
            b'\'' => {
                let length = quoted(rest, '\'')?;
                if rest[..length].contains('\\') {
                    return None;
                }
                (Token::Text(&rest[..length]), length)
            }
            b'"' => {
                let length = quoted(rest, '"')?;
                (Token::Name(&rest[..length]), length)
            }
            b'0'..=b'9' => {
                let length = number(rest);
                (Token::Number(&rest[..length]), length)
            }
            b'.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => return None,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let length = word(rest);
                (Token::Word(&rest[..length]), length)
            }
            b'$' => {
                let length = 1 + word(&rest[1..]);
                if length == 1 {
                    return None;
                }
                (Token::Param(&rest[..length]), length)
            }
            _ => {
                let length = sign(rest)?;
                (Token::Sign(&rest[..length]), length)
            }
        };
        if let Some(before) = tokens.last()
            && is_special(*before, token, is_glued)
        {
            return None;
        }
        tokens.push(token);
        at += length;
        is_glued = true;
    }
    Some(tokens)
}

/// True if it matters whether there is a blank between two tokens: `0x1F`, `1_000` and `E'text'` are
/// one token to the engine, and a point belongs to a number or to a name.
fn is_special(before: Token<'_>, token: Token<'_>, is_glued: bool) -> bool {
    match (before, token) {
        (Token::Number(_), Token::Sign(".")) => true,
        (Token::Sign("."), Token::Word(_) | Token::Name(_) | Token::Sign("*")) => false,
        (Token::Sign("."), _) => true,
        (Token::Sign(_), _) | (_, Token::Sign(_)) => false,
        _ => is_glued,
    }
}

/// How long a text in quotes is, with them; two quotes in it stand for one.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find(quote)? + 1;
        if !text[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// How long a word is.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// How long a number is.
fn number(text: &str) -> usize {
    let digits = |from: usize| {
        text[from..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |n| from + n)
    };
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// How long an operator is. Comments and what is not known for certain are not read.
fn sign(text: &str) -> Option<usize> {
    if text.starts_with("--") || text.starts_with("/*") {
        return None;
    }
    for two in ["<=", ">=", "<>", "!=", "::", "||"] {
        if text.starts_with(two) {
            return Some(2);
        }
    }
    let known = ['(', ')', '[', ']', ',', ';', '.', '+', '-', '*', '/', '%', '=', '<', '>'];
    text.starts_with(known).then_some(1)
}
