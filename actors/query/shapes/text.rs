//! What statements have in common that differ in the values they compare with.
//!
//! A dashboard sends the same statement again and again, with other times and other hosts. Here a
//! statement is read once from left to right, and the values of its WHERE clause are taken out.
//! What is left is its shape, a statement with placeholders. Whatever is not understood for certain
//! stays as it is, or leaves the statement without a shape: it is then planned for itself.

use super::value::Value;

/// Longer statements have no shape.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// More values than this are not taken out.
const VALUES_MAX: usize = 256;

/// What begins the names of the placeholders of a shape.
const PLACEHOLDER: &str = "$_v";

/// A statement apart: its text with placeholders, and their values.
#[derive(Debug, PartialEq)]
pub(in crate::query) struct Shape {
    /// The statement with a placeholder in the place of each value. The kind of the value is part
    /// of the placeholder's name: statements that compare with values of other kinds are planned
    /// differently.
    pub(in crate::query) text: String,
    /// The values, in the order of the text.
    pub(in crate::query) values: Vec<Value>,
}

impl Shape {
    /// The placeholder that stands for a value.
    pub(in crate::query) fn placeholder(number: usize, value: &Value) -> String {
        format!("{PLACEHOLDER}{number}{}", value.kind_letter())
    }
}

/// Words that make a plan depend on more than the text and the values, or a statement too
/// complicated to tell which values are compared.
const EXCLUDED: [&str; 24] = [
    "case",
    "current_date",
    "current_time",
    "current_timestamp",
    "date_bin_gapfill",
    "date_bin_wallclock_gapfill",
    "except",
    "exists",
    "explain",
    "interpolate",
    "intersect",
    "join",
    "localtime",
    "localtimestamp",
    "locf",
    "now",
    "over",
    "qualify",
    "today",
    "union",
    "values",
    "window",
    "with",
    "within",
];

/// Words behind which the WHERE clause has ended.
const ENDS: [&str; 7] = ["fetch", "group", "having", "limit", "offset", "order", "sort"];

/// One token.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// A name in double quotes, with them.
    Name(&'a str),
    /// A text in single quotes, with them.
    Text(&'a str),
    Number(&'a str),
    Sign(&'a str),
}

/// Takes a statement apart; `None` if it has no shape.
pub(in crate::query) fn shape(text: &str) -> Option<Shape> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let tokens = tokens(text)?;
    let is = |at: usize, word: &str| matches!(tokens.get(at), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
    if !is(0, "select") {
        return None;
    }
    let clause = where_clause(&tokens)?;
    let mut shape = Shape { text: String::with_capacity(text.len() + 16), values: Vec::new() };
    let mut at = 0;
    while at < tokens.len() {
        let taken = clause.contains(&at).then(|| value_at(&tokens, at)).flatten();
        let (value, used) = match taken {
            Some(taken) => taken,
            None => {
                push(&mut shape.text, tokens[at]);
                at += 1;
                continue;
            }
        };
        let placeholder = Shape::placeholder(shape.values.len(), &value);
        if !shape.text.ends_with(['(', ' ']) {
            shape.text.push(' ');
        }
        shape.text.push_str(&placeholder);
        shape.values.push(value);
        at += used;
    }
    (!shape.values.is_empty() && shape.values.len() <= VALUES_MAX).then_some(shape)
}

/// Adds a token, with a blank before it where one may be needed.
fn push(text: &mut String, token: Token<'_>) {
    let (Token::Word(token)
    | Token::Name(token)
    | Token::Text(token)
    | Token::Number(token)
    | Token::Sign(token)) = token;
    if !text.is_empty() && !text.ends_with('.') && token != "." {
        text.push(' ');
    }
    text.push_str(token);
}

/// The tokens of the one WHERE clause; `None` if there is none, or more than one query.
fn where_clause(tokens: &[Token<'_>]) -> Option<std::ops::Range<usize>> {
    let (mut depth, mut queries) = (0_usize, 0);
    let (mut begin, mut end) = (None, None);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign("(" | "[") => depth += 1,
            Token::Sign(")" | "]") => depth = depth.checked_sub(1)?,
            Token::Word(word) => {
                let word = word.to_ascii_lowercase();
                queries += usize::from(word == "select");
                if EXCLUDED.contains(&word.as_str()) || queries > 1 {
                    return None;
                }
                match begin {
                    None if depth == 0 && word == "where" => begin = Some(at + 1),
                    Some(_) if depth == 0 && ENDS.contains(&word.as_str()) => {
                        end = end.or(Some(at));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Some(begin?..end.unwrap_or(tokens.len()))
}

/// The value that begins at a token and is compared with something, and how many tokens it takes.
fn value_at(tokens: &[Token<'_>], at: usize) -> Option<(Value, usize)> {
    let is_negative = tokens[at] == Token::Sign("-");
    let (literal, used) = match is_negative {
        true => (*tokens.get(at + 1)?, 2),
        false => (tokens[at], 1),
    };
    let value = match literal {
        Token::Text(quoted) if !is_negative => Value::Text(unquoted(quoted)),
        Token::Number(digits) => Value::number(digits, is_negative)?,
        _ => return None,
    };
    let before = at.checked_sub(1).map(|before| tokens[before])?;
    let after = tokens.get(at + used);
    let ends = match after {
        None | Some(Token::Sign(")" | ";")) => true,
        Some(Token::Sign(",")) => false,
        Some(Token::Word(word)) => is_end(word),
        _ => false,
    };
    let compared = match before {
        Token::Sign("=" | "<" | ">" | "<=" | ">=" | "<>" | "!=") => ends,
        Token::Word(word) if word.eq_ignore_ascii_case("between") => ends,
        Token::Word(word) if word.eq_ignore_ascii_case("and") => ends && closes_between(tokens, at),
        Token::Sign("(" | ",") => {
            (ends || after == Some(&Token::Sign(","))) && is_in_list(tokens, at)
        }
        _ => false,
    };
    compared.then_some((value, used))
}

fn is_end(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word == "and" || word == "or" || ENDS.contains(&word.as_str())
}

/// True if the AND before this token is that of `BETWEEN value AND`.
fn closes_between(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(low) = at.checked_sub(2) else { return false };
    if !matches!(tokens[low], Token::Text(_) | Token::Number(_)) {
        return false;
    }
    let is_minus = |at: usize| tokens[at] == Token::Sign("-");
    let before = match low.checked_sub(1) {
        Some(before) if is_minus(before) => before.checked_sub(1),
        before => before,
    };
    let word = before.map(|before| tokens[before]);
    matches!(word, Some(Token::Word(word)) if word.eq_ignore_ascii_case("between"))
}

/// True if this token is in a list of values behind IN.
fn is_in_list(tokens: &[Token<'_>], at: usize) -> bool {
    let mut before = at;
    while let Some(previous) = before.checked_sub(1) {
        before = previous;
        match tokens[before] {
            Token::Text(_) | Token::Number(_) | Token::Sign("," | "-") => {}
            Token::Sign("(") => {
                let word = before.checked_sub(1).map(|at| tokens[at]);
                return matches!(word, Some(Token::Word(w)) if w.eq_ignore_ascii_case("in"));
            }
            _ => return false,
        }
    }
    false
}

fn unquoted(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].replace("''", "'")
}

/// The tokens of a text; `None` where some would have to be read in a special way.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
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
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let length = end.unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shaped: &str, values: &[Value]) {
        let found = shape(text).expect(text);
        assert_eq!(found.text, shaped);
        assert_eq!(found.values, values);
    }

    fn t(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn compared_values_are_taken_out() {
        check(
            "SELECT max(a) FROM m WHERE host = 'it''s' AND time >= '2024' and x > -1.5e3;",
            "SELECT max ( a ) FROM m WHERE host = $_v0t AND time >= $_v1t and x > $_v2f ;",
            &[t("it's"), t("2024"), Value::Float(-1500.0)],
        );
        check(
            "SELECT \"A\".b FROM m WHERE (a IN ('x', 'y') OR b NOT IN (1)) AND c BETWEEN -2 AND 3 ORDER BY 1",
            "SELECT \"A\".b FROM m WHERE ( a IN ($_v0t , $_v1t ) OR b NOT IN ($_v2i ) ) AND c \
             BETWEEN $_v3i AND $_v4i ORDER BY 1",
            &[t("x"), t("y"), Value::Integer(1), Value::Integer(-2), Value::Integer(3)],
        );
        check(
            "SELECT date_bin(INTERVAL '1 minute', time) FROM m WHERE a=1 GROUP BY 1 LIMIT 5",
            "SELECT date_bin ( INTERVAL '1 minute' , time ) FROM m WHERE a = $_v0i GROUP BY 1 \
             LIMIT 5",
            &[Value::Integer(1)],
        );
    }

    #[test]
    fn what_is_not_simply_compared_stays() {
        check(
            "SELECT * FROM m WHERE a > 1 + 2 AND f(3) AND a = 1 AND b = interval '1 hour'",
            "SELECT * FROM m WHERE a > 1 + 2 AND f ( 3 ) AND a = $_v0i AND b = interval '1 hour'",
            &[Value::Integer(1)],
        );
        check(
            "SELECT * FROM m WHERE a = 1::text AND 3 < b AND c = 2",
            "SELECT * FROM m WHERE a = 1 :: text AND 3 < b AND c = $_v0i",
            &[Value::Integer(2)],
        );
    }

    #[test]
    fn statements_without_a_shape() {
        for text in [
            "",
            "SELECT 1",
            "SELECT * FROM m",
            "SELECT * FROM m WHERE a",
            "SELECT * FROM m WHERE time > now() - interval '1 hour' AND a = 1",
            "SELECT * FROM m WHERE a = (SELECT 1)",
            "SELECT * FROM m WHERE a = 1 UNION SELECT 2",
            "SELECT * FROM m WHERE a = 1 -- x",
            "SELECT * FROM m /* x */ WHERE a = 1",
            "SELECT * FROM m WHERE a = E'x'",
            "SELECT 0x1F FROM m WHERE a = 1",
            "SELECT 1_000 FROM m WHERE a = 1",
            "SELECT b FROM m WHERE a = 1 ORDER BY b LIMIT 1x",
            "SELECT 1 . e5 FROM m WHERE a = 1",
            "SELECT m. 5 FROM m WHERE a = 1",
            "SELECT a\"b\" FROM m WHERE a = 1",
            "SELECT * FROM m WHERE a = 'x\\'",
            "SELECT * FROM m WHERE a = $1",
            "SELECT * FROM m WHERE a = 'x",
            "SELECT * FROM m WHERE a = 99999999999999999999",
            "EXPLAIN SELECT * FROM m WHERE a = 1",
            "WITH x AS (SELECT 1) SELECT * FROM m WHERE a = 1",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }
}
