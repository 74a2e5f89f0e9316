//! What statements have in common that differ in the values they compare with.
//!
//! A dashboard sends the same statement again and again, with other times and other hosts. Here a
//! statement is read once from left to right, and the values of its WHERE clause are taken out,
//! those of the client's own placeholders too. What is left is its shape, a statement with
//! placeholders. Whatever is not understood for certain stays as it is, or leaves the statement
//! without a shape: it is then planned for itself.

use super::tokens::{Token, tokens};
use super::value::Value;
use protocols::messages::query::ParamValue;

/// Longer statements have no shape.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// More values than this are not taken out.
const VALUES_MAX: usize = 256;

/// A statement apart: its text with placeholders, and their values.
#[derive(Debug, Default, PartialEq)]
pub(in crate::query) struct Shape {
    /// The statement with a placeholder in the place of each value. The kind of the value is part
    /// of the placeholder's name: statements that compare with values of other kinds are planned
    /// differently.
    pub(in crate::query) text: String,
    /// The values, in the order of the text.
    pub(in crate::query) values: Vec<Value>,
}

impl Shape {
    /// What begins the names of the placeholders of a shape.
    pub(in crate::query) const PLACEHOLDER: &str = "$_v";

    /// The placeholder that stands for a value.
    pub(in crate::query) fn placeholder(number: usize, value: &Value) -> String {
        format!("{}{number}{}", Self::PLACEHOLDER, value.kind_letter())
    }
}

/// Words that make a plan depend on more than the text and the values, or a statement too
/// complicated to tell which values are compared.
const EXCLUDED: [&str; 23] = [
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

/// What a statement says with words alone.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct Given<'a> {
    /// What `now()` is, nanoseconds since 1970.
    pub(in crate::query) now_ns: i64,
    /// Values of the client's placeholders by name.
    pub(in crate::query) params: &'a [(String, ParamValue)],
}

/// Takes a statement apart; `None` if it has no shape.
pub(in crate::query) fn shape(text: &str, given: Given<'_>) -> Option<Shape> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let tokens = tokens(text)?;
    if !is_word(tokens.first(), "select") {
        return None;
    }
    let clause = where_clause(&tokens)?;
    let reader = Reader { tokens: &tokens, given };
    let mut shape = Shape { text: String::with_capacity(text.len() + 16), values: Vec::new() };
    let (mut at, mut low_end) = (0, None);
    while at < tokens.len() {
        let taken = clause.contains(&at).then(|| reader.value_at(at, low_end)).flatten();
        let (value, used) = match taken {
            Some(taken) => taken,
            None => {
                if is_word(tokens.get(at), "now") || matches!(tokens[at], Token::Param(_)) {
                    return None;
                }
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
        if at.checked_sub(1).is_some_and(|before| is_word(tokens.get(before), "between")) {
            low_end = Some(at + used);
        }
        at += used;
    }
    (shape.values.len() <= VALUES_MAX).then_some(shape)
}

fn is_word(token: Option<&Token<'_>>, word: &str) -> bool {
    matches!(token, Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
}

/// Adds a token, with a blank before it where one may be needed.
fn push(text: &mut String, token: Token<'_>) {
    let (Token::Word(token)
    | Token::Name(token)
    | Token::Text(token)
    | Token::Number(token)
    | Token::Param(token)
    | Token::Sign(token)) = token;
    if !text.is_empty() && !text.ends_with('.') && token != "." {
        text.push(' ');
    }
    text.push_str(token);
}

/// The tokens of the WHERE clause, none without one; `None` if there is more than one query.
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
    Some(match begin {
        Some(begin) => begin..end.unwrap_or(tokens.len()),
        None => 0..0,
    })
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    given: Given<'a>,
}

impl Reader<'_> {
    /// The value that begins at a token and is compared with something, and how many tokens it
    /// takes. `low_end` is where the lower bound of the last BETWEEN ends.
    fn value_at(&self, at: usize, low_end: Option<usize>) -> Option<(Value, usize)> {
        let before = at.checked_sub(1).map(|before| self.tokens[before])?;
        let is_compared = match before {
            Token::Sign("=" | "<" | ">" | "<=" | ">=" | "<>" | "!=" | "(" | ",") => true,
            Token::Word(word) if word.eq_ignore_ascii_case("between") => true,
            Token::Word(word) if word.eq_ignore_ascii_case("and") => low_end == Some(at - 1),
            _ => false,
        };
        if !is_compared {
            return None;
        }
        let (value, used) = self.value(at)?;
        let after = self.tokens.get(at + used);
        let ends = match after {
            None | Some(Token::Sign(")" | ";")) => true,
            Some(Token::Word(word)) => is_end(word),
            _ => false,
        };
        let is_whole = match before {
            Token::Sign("(" | ",") => {
                (ends || after == Some(&Token::Sign(","))) && is_in_list(self.tokens, at)
            }
            _ => ends,
        };
        is_whole.then_some((value, used))
    }

    fn value(&self, at: usize) -> Option<(Value, usize)> {
        let next = |by: usize| self.tokens.get(at + by).copied();
        match self.tokens[at] {
            Token::Text(quoted) if next(1) == Some(Token::Sign("::")) => {
                let is_time = is_word(self.tokens.get(at + 2), "timestamp");
                is_time.then(|| Some((Value::instant(&unquoted(quoted))?, 3)))?
            }
            Token::Text(quoted) => Some((Value::Text(unquoted(quoted)), 1)),
            Token::Number(digits) => Some((Value::number(digits, false)?, 1)),
            Token::Sign("-") => match next(1)? {
                Token::Number(digits) => Some((Value::number(digits, true)?, 2)),
                _ => None,
            },
            Token::Param(name) => {
                let found = self.given.params.iter().find(|(param, _)| *param == name[1..]);
                Some((Value::of_param(&found?.1)?, 1))
            }
            Token::Word(word) if word.eq_ignore_ascii_case("timestamp") => match next(1)? {
                Token::Text(quoted) => Some((Value::instant(&unquoted(quoted))?, 2)),
                _ => None,
            },
            Token::Word(word) if word.eq_ignore_ascii_case("now") => self.now(at),
            _ => None,
        }
    }

    /// `now()`, less or more than that by intervals.
    fn now(&self, at: usize) -> Option<(Value, usize)> {
        if self.tokens.get(at + 1..at + 3)? != [Token::Sign("("), Token::Sign(")")] {
            return None;
        }
        let (mut value, mut used) = (Value::Instant(self.given.now_ns), 3);
        while let Some([Token::Sign(sign @ ("-" | "+")), interval, Token::Text(quoted)]) =
            self.tokens.get(at + used..at + used + 3)
        {
            if !is_word(Some(interval), "interval") {
                return None;
            }
            value = value.moved(&unquoted(quoted), *sign == "-")?;
            used += 3;
        }
        Some((value, used))
    }
}

fn is_end(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word == "and" || word == "or" || ENDS.contains(&word.as_str())
}

/// True if this token is in a list of values behind IN.
fn is_in_list(tokens: &[Token<'_>], at: usize) -> bool {
    let mut before = at;
    while let Some(previous) = before.checked_sub(1) {
        before = previous;
        match tokens[before] {
            Token::Text(_) | Token::Number(_) | Token::Param(_) | Token::Sign("," | "-") => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Given<'_> = Given { now_ns: 1_735_689_600_000_000_000, params: &[] };

    #[track_caller]
    fn check(text: &str, shaped: &str, values: &[Value]) {
        let found = shape(text, GIVEN).expect(text);
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
    fn times_are_instants_and_placeholders_have_values() {
        let hour = 3_600_000_000_000;
        let now = GIVEN.now_ns;
        check(
            "SELECT * FROM m WHERE time BETWEEN now() - interval '1 hour' AND now() AND a = 1",
            "SELECT * FROM m WHERE time BETWEEN $_v0n AND $_v1n AND a = $_v2i",
            &[Value::Instant(now - hour), Value::Instant(now), Value::Integer(1)],
        );
        check(
            "SELECT * FROM m WHERE time > NOW() - INTERVAL '1 month' + INTERVAL '1 hour'",
            "SELECT * FROM m WHERE time > $_v0n",
            &[Value::Instant(now - 31 * 24 * hour + hour)],
        );
        check(
            "SELECT * FROM m WHERE time < timestamp '2025-01-01 01:00:00' AND time > \
             '2025-01-01T00:00:00+01:00'::timestamp",
            "SELECT * FROM m WHERE time < $_v0n AND time > $_v1n",
            &[Value::Instant(now + hour), Value::Instant(now - hour)],
        );
        let params = [
            ("host".to_owned(), ParamValue::String("it's".to_owned())),
            ("1".to_owned(), ParamValue::UInteger(7)),
            ("none".to_owned(), ParamValue::Null),
        ];
        let given = Given { params: &params, ..GIVEN };
        let found = shape("SELECT * FROM m WHERE h = $host AND a IN ($1, 2)", given).unwrap();
        assert_eq!(found.text, "SELECT * FROM m WHERE h = $_v0t AND a IN ($_v1i , $_v2i )");
        assert_eq!(found.values, [t("it's"), Value::Integer(7), Value::Integer(2)]);
        for text in ["SELECT * FROM m WHERE a = $none", "SELECT $host FROM m WHERE a = $1"] {
            assert_eq!(shape(text, given), None, "{text}");
        }
    }

    #[test]
    fn statements_without_values_are_shapes_of_their_own() {
        check("SELECT 1", "SELECT 1", &[]);
        check("SELECT  * from m where a", "SELECT * from m where a", &[]);
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
            "SELECT now() FROM m WHERE a = 1",
            "SELECT * FROM m WHERE time > now() - interval '1' hour",
            "SELECT * FROM m WHERE time > now() - interval '1 hour' * 2",
            "SELECT * FROM m WHERE time > now() - interval 'x'",
            "SELECT * FROM m WHERE time > date_trunc('hour', now())",
            "SELECT * FROM m WHERE a = $a$b$a$",
            "SELECT * FROM m WHERE a = $$b$$",
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
            "EXPLAIN SELECT * FROM m WHERE a = 1",
            "WITH x AS (SELECT 1) SELECT * FROM m WHERE a = 1",
        ] {
            assert_eq!(shape(text, GIVEN), None, "{text}");
        }
    }
}
