//! From bytes to words, literals and operators. A regular expression begins like a division, so it
//! is read only where the parser asks for one.

use super::ParseError;
use super::ast::Op;
use std::borrow::Cow;

const RESERVED: [&str; 76] = [
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BY",
    "CARDINALITY",
    "CREATE",
    "CONTINUOUS",
    "DATABASE",
    "DATABASES",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DESTINATIONS",
    "DIAGNOSTICS",
    "DISTINCT",
    "DROP",
    "DURATION",
    "END",
    "EVERY",
    "EXACT",
    "EXPLAIN",
    "FIELD",
    "FOR",
    "FROM",
    "GRANT",
    "GRANTS",
    "GROUP",
    "GROUPS",
    "IN",
    "INF",
    "INSERT",
    "INTO",
    "KEY",
    "KEYS",
    "KILL",
    "LIMIT",
    "MEASUREMENT",
    "MEASUREMENTS",
    "NAME",
    "OFFSET",
    "OR",
    "ON",
    "ORDER",
    "PASSWORD",
    "POLICY",
    "POLICIES",
    "PRIVILEGES",
    "QUERIES",
    "QUERY",
    "READ",
    "REPLICATION",
    "RESAMPLE",
    "RETENTION",
    "REVOKE",
    "SELECT",
    "SERIES",
    "SET",
    "SHOW",
    "SHARD",
    "SHARDS",
    "SLIMIT",
    "SOFFSET",
    "STATS",
    "SUBSCRIPTION",
    "SUBSCRIPTIONS",
    "TAG",
    "TO",
    "USER",
    "USERS",
    "VALUES",
    "WHERE",
];
const RESERVED_TOO: [&str; 2] = ["WITH", "WRITE"];

/// True if the word has to be quoted to be a name.
pub(super) fn is_reserved(word: &str) -> bool {
    let same = |other: &&str| word.eq_ignore_ascii_case(other);
    RESERVED.iter().chain(&RESERVED_TOO).any(same)
}

/// True if the word is a name as it stands.
pub(super) fn is_bare(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(is_word_byte)
        && !is_reserved(word)
        && !word.eq_ignore_ascii_case("true")
        && !word.eq_ignore_ascii_case("false")
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// One piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword or a name without quotes.
    Word(&'a str),
    /// A name in double quotes.
    Quoted(Cow<'a, str>),
    /// Text in single quotes.
    String(Cow<'a, str>),
    /// Digits.
    Integer(u64),
    /// Digits with a point or an exponent.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// `$name`
    Bind(Cow<'a, str>),
    /// An operator. `Op::Divide` may begin a regular expression, `Op::Multiply` be a wildcard.
    Op(Op),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `.`
    Dot,
    /// `::`
    Colons,
    /// A character that begins nothing.
    Unknown,
    /// The end of the text.
    End,
}

/// A token with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece<'a> {
    /// What it is.
    pub(super) token: Token<'a>,
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// Reads the piece at or after `from`.
pub(super) fn piece(text: &str, from: usize) -> Result<Piece<'_>, ParseError> {
    let start = skip_blanks(text, from)?;
    let rest = &text[start..];
    let bytes = rest.as_bytes();
    let simple = |token, length| Ok(Piece { token, start, end: start + length });
    let Some(first) = bytes.first() else { return simple(Token::End, 0) };
    let second = bytes.get(1).copied().unwrap_or_default();
    match (*first, second) {
        (b'(', _) => simple(Token::Open, 1),
        (b')', _) => simple(Token::Close, 1),
        (b',', _) => simple(Token::Comma, 1),
        (b';', _) => simple(Token::Semicolon, 1),
        (b':', b':') => simple(Token::Colons, 2),
        (b'!', b'=') | (b'<', b'>') => simple(Token::Op(Op::NotEqual), 2),
        (b'!', b'~') => simple(Token::Op(Op::MatchesNot), 2),
        (b'=', b'~') => simple(Token::Op(Op::Matches), 2),
        (b'<', b'=') => simple(Token::Op(Op::LessEqual), 2),
        (b'>', b'=') => simple(Token::Op(Op::GreaterEqual), 2),
        (b'=', _) => simple(Token::Op(Op::Equal), 1),
        (b'<', _) => simple(Token::Op(Op::Less), 1),
        (b'>', _) => simple(Token::Op(Op::Greater), 1),
        (b'*', _) => simple(Token::Op(Op::Multiply), 1),
        (b'/', _) => simple(Token::Op(Op::Divide), 1),
        (b'%', _) => simple(Token::Op(Op::Modulo), 1),
        (b'&', _) => simple(Token::Op(Op::BitAnd), 1),
        (b'+', _) => simple(Token::Op(Op::Add), 1),
        (b'-', _) => simple(Token::Op(Op::Subtract), 1),
        (b'|', _) => simple(Token::Op(Op::BitOr), 1),
        (b'^', _) => simple(Token::Op(Op::BitXor), 1),
        (b'.', b'0'..=b'9') | (b'0'..=b'9', _) => number(text, start),
        (b'.', _) => simple(Token::Dot, 1),
        (b'\'', _) => {
            let (value, end) = quoted(text, start, '\'')?;
            Ok(Piece { token: Token::String(value), start, end })
        }
        (b'"', _) => {
            let (value, end) = quoted(text, start, '"')?;
            Ok(Piece { token: Token::Quoted(value), start, end })
        }
        (b'$', b'"') => {
            let (value, end) = quoted(text, start + 1, '"')?;
            Ok(Piece { token: Token::Bind(value), start, end })
        }
        (b'$', _) => {
            let length = rest[1..].bytes().take_while(|b| is_word_byte(*b)).count();
            match length {
                0 => simple(Token::Unknown, 1),
                _ => simple(Token::Bind(rest[1..=length].into()), length + 1),
            }
        }
        (first, _) if first.is_ascii_alphabetic() || first == b'_' => {
            let length = rest.bytes().take_while(|b| is_word_byte(*b)).count();
            simple(Token::Word(&rest[..length]), length)
        }
        _ => simple(Token::Unknown, rest.chars().next().map_or(1, char::len_utf8)),
    }
}

/// Reads the regular expression whose slash is at `start`; returns it and where it ends.
pub(super) fn regex(text: &str, start: usize) -> Result<(String, usize), ParseError> {
    let mut pattern = String::new();
    let mut chars = text[start..].char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '/' => return Ok((pattern, start + at + 1)),
            '\n' => break,
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                pattern.push('/');
                chars.next();
            }
            // What follows is no end of the expression, unless it is a slash.
            '\\' => {
                pattern.push('\\');
                if let Some((_, next)) = chars.next_if(|(_, next)| *next == '\\') {
                    pattern.push(next);
                }
            }
            c => pattern.push(c),
        }
    }
    Err(at("unterminated regex literal", text.len()))
}

/// An error with its place.
pub(super) fn at(message: &str, position: usize) -> ParseError {
    ParseError { message: format!("{message} at pos {position}") }
}

/// Where the blanks and comments from `from` on end.
fn skip_blanks(text: &str, from: usize) -> Result<usize, ParseError> {
    let bytes = text.as_bytes();
    let mut position = from;
    loop {
        match (bytes.get(position), bytes.get(position + 1)) {
            (Some(b' ' | b'\t' | b'\n' | b'\r'), _) => position += 1,
            (Some(b'-'), Some(b'-')) => {
                let line = memchr::memchr(b'\n', &bytes[position..]);
                position = line.map_or(bytes.len(), |length| position + length);
            }
            (Some(b'/'), Some(b'*')) => {
                let length = memchr::memmem::find(&bytes[position + 2..], b"*/");
                let missing = || at("invalid inline comment, missing closing */", position);
                position += length.ok_or_else(missing)? + 4;
            }
            _ => return Ok(position),
        }
    }
}

/// Reads what stands between the quotes, the first of which is at `start`.
fn quoted(text: &str, start: usize, quote: char) -> Result<(Cow<'_, str>, usize), ParseError> {
    let inside = &text[start + 1..];
    // Mostly it is there as it stands.
    if let Some(length) = memchr::memchr3(quote as u8, b'\\', b'\n', inside.as_bytes())
        && inside[length..].starts_with(quote)
    {
        return Ok((inside[..length].into(), start + length + 2));
    }
    let mut value = String::new();
    let mut chars = text[start..].char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value.into(), start + offset + 1)),
            '\n' if quote == '"' => break,
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, '\\')) => value.push('\\'),
                Some((_, c)) if c == quote => value.push(c),
                _ => {
                    let text = format!(r"invalid escape sequence, expected \\, \{quote} or \n");
                    return Err(at(&text, start + offset));
                }
            },
            c => value.push(c),
        }
    }
    match quote {
        '"' => Err(at("unterminated identifier", text.len())),
        _ => Err(at("unterminated string literal", text.len())),
    }
}

/// Reads an integer, a float or a duration.
fn number(text: &str, start: usize) -> Result<Piece<'_>, ParseError> {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let byte = |at: usize| text.as_bytes().get(at).copied().unwrap_or_default();
    let mut end = start + digits(start);
    let is_whole = byte(end) != b'.' || !byte(end + 1).is_ascii_digit();
    if !is_whole {
        end += 1;
        end += digits(end);
    }
    let exponent = exponent_length(&text[end..]);
    if !is_whole || exponent > 0 {
        end += exponent;
        let overflow = || at("unable to parse float", start);
        let value: f64 = text[start..end].parse().map_err(|_| overflow())?;
        let value = Some(value).filter(|value| value.is_finite()).ok_or_else(overflow)?;
        return Ok(Piece { token: Token::Float(value), start, end });
    }
    if unit_at(&text[end..]).is_some() {
        return duration(text, start);
    }
    let overflow = |_| at("unable to parse integer due to overflow", start);
    let value = text[start..end].parse::<u64>().map_err(overflow)?;
    Ok(Piece { token: Token::Integer(value), start, end })
}

/// Bytes of `e5`, `E+5` and the like.
fn exponent_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    if !matches!(bytes.first(), Some(b'e' | b'E')) {
        return 0;
    }
    let sign = usize::from(matches!(bytes.get(1), Some(b'+' | b'-')));
    match bytes[1 + sign..].iter().take_while(|b| b.is_ascii_digit()).count() {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

/// The units of durations, longer spellings first.
pub(super) const UNITS: [(&str, i64); 9] = [
    ("ns", 1),
    ("ms", 1_000_000),
    ("u", 1_000),
    ("µ", 1_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

fn unit_at(rest: &str) -> Option<(&'static str, i64)> {
    UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))
}

fn duration(text: &str, start: usize) -> Result<Piece<'_>, ParseError> {
    let overflow = || at("unable to parse duration due to overflow", start);
    let (mut total_ns, mut end) = (0_i64, start);
    loop {
        let digits = text[end..].bytes().take_while(u8::is_ascii_digit).count();
        let Some((unit, unit_ns)) = unit_at(&text[end + digits..]).filter(|_| digits > 0) else {
            return Ok(Piece { token: Token::Duration(total_ns), start, end });
        };
        let count: i64 = text[end..end + digits].parse().map_err(|_| overflow())?;
        total_ns = count
            .checked_mul(unit_ns)
            .and_then(|ns| total_ns.checked_add(ns))
            .ok_or_else(overflow)?;
        end += digits + unit.len();
    }
}
