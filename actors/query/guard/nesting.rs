//! Measures a statement token by token, before anything recursive sees it.

use crate::query::errors::beyond_limit;
use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::DollarQuotedString;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Limit: ANDs and ORs of a statement. The parser makes of them a tree as deep as the chain is
/// long, which is dropped recursively; the planner gets a balanced one (see `rewrite`).
const TERMS_MAX: usize = 50_000;
/// Limit: tokens between two commas, ANDs, ORs or arms of a CASE. A chain of operators is a tree as
/// deep as it is long. How deep the planner will go is found once the statement is parsed (see
/// `depth`); this bounds what the parser makes.
const CHAIN_TOKENS_MAX: usize = 20_000;
/// Limit: brackets inside brackets. The parser stops at 50 by itself, but not everywhere.
const BRACKETS_MAX: usize = 200;
/// Limit: brackets inside brackets of the kinds whose content is gone through more than once, so
/// that each level at least doubles the work.
const DOUBLINGS_MAX: usize = 12;
/// Limit: set operations of a statement, each a level of the plan.
const SET_OPERATIONS_MAX: usize = 1_000;
/// Limit: joined tables. The order of joins is planned in cubic time.
const JOINS_MAX: usize = 100;
/// Limit: functions called. Aggregates and windows are each compared with all others.
const CALLS_MAX: usize = 2_000;
/// Limit: calls of functions that make much of little, see `functions::bounded`. What each makes
/// is bounded too.
const GROWING_CALLS_MAX: usize = 50;
/// Limit: items behind SELECT. All plans are made of their names.
const SELECT_ITEMS_MAX: usize = 5_000;
/// Limit: sort keys, each compared with all others.
const SORT_KEYS_MAX: usize = 500;

/// Functions whose result has nothing to do with the size of their arguments.
const GROWING_WORDS: [&str; 9] = [
    "array_repeat",
    "array_resize",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "range",
    "repeat",
    "rpad",
];

/// Words before a bracket that is no list of arguments.
const OPERATOR_WORDS: [&str; 12] =
    ["all", "and", "any", "between", "else", "in", "like", "or", "some", "then", "when", "where"];

/// Words before a bracket that the parser tries as a syntax of its own and, if it cannot follow,
/// once more as a function; and those whose content the planner names again at each level.
const DOUBLING_WORDS: [&str; 24] = [
    "array",
    "case",
    "cast",
    "ceil",
    "convert",
    "current_date",
    "current_time",
    "current_timestamp",
    "exists",
    "extract",
    "filter",
    "floor",
    "interval",
    "localtime",
    "localtimestamp",
    "map",
    "not",
    "overlay",
    "safe_cast",
    "substr",
    "substring",
    "trim",
    "try_cast",
    "try_convert",
];

/// By how many powers of two such a bracket multiplies the work.
fn doublings(word: &str, is_alias: impl Fn(&str) -> bool) -> usize {
    match word {
        "position" => 2, // tried in three ways
        _ => usize::from(DOUBLING_WORDS.contains(&word) || is_alias(word)),
    }
}

/// Where in a query a token stands, as far as commas mean something there.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Clause {
    From,
    Order,
    Select,
    #[default]
    Other,
}

/// One level of brackets.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Tokens since the last comma.
    chain: usize,
    clause: Clause,
    /// What its bracket adds to those of the scan.
    doublings: usize,
    /// False until the first token.
    begun: bool,
}

#[derive(Default)]
struct Scan {
    outer: Vec<Level>,
    level: Level,
    doublings: usize,
    terms: usize,
    set_operations: usize,
    joins: usize,
    calls: usize,
    growing_calls: usize,
    select_items: usize,
    sort_keys: usize,
}

/// Refuses what is nested too deeply or has too many parts. `is_alias` knows the second names of
/// functions.
///
/// # Errors
/// When the statement is beyond a limit.
pub(super) fn check(text: &str, is_alias: impl Fn(&str) -> bool) -> Result<()> {
    // What is not even made of tokens is left to the parser, which says why.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else {
        return Ok(());
    };
    let mut scan = Scan::default();
    let mut before: Option<String> = None;
    for token in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        let mut name = None;
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let word = before.as_deref().unwrap_or_default();
                scan.calls += usize::from(before.is_some() && !OPERATOR_WORDS.contains(&word));
                scan.growing_calls += usize::from(GROWING_WORDS.contains(&word));
                scan.open(doublings(word, &is_alias));
            }
            Token::RParen | Token::RBracket | Token::RBrace => scan.close(),
            Token::Comma => scan.comma(),
            Token::SemiColon => scan.level = Level::default(),
            Token::Word(word) => {
                scan.level.chain += 1;
                let word_name = word.value.to_ascii_lowercase();
                if word.quote_style.is_none() {
                    scan.keyword(&word_name);
                }
                name = Some(word_name);
            }
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::NationalStringLiteral(text)
            | Token::UnicodeStringLiteral(text)
            | Token::DollarQuotedString(DollarQuotedString { value: text, .. }) => {
                scan.level.chain += 1;
                check_literal(&text)?;
            }
            _ => scan.level.chain += 1,
        }
        scan.level.begun |= scan.level.chain > 0;
        before = name;
        scan.verify()?;
    }
    Ok(())
}

/// Names of types are parsed recursively out of literals.
fn check_literal(text: &str) -> Result<()> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > BRACKETS_MAX {
            return Err(beyond_limit(format!(
                "brackets in a text are nested too deeply: there may be {BRACKETS_MAX} levels"
            )));
        }
    }
    Ok(())
}

impl Scan {
    fn open(&mut self, doublings: usize) {
        self.level.begun = true;
        self.outer.push(self.level);
        self.doublings += doublings;
        self.level = Level { doublings, ..Level::default() };
    }

    fn close(&mut self) {
        let inner = self.level;
        self.doublings -= inner.doublings;
        self.level = self.outer.pop().unwrap_or_default();
        self.level.chain = inner.chain.max(self.level.chain) + 1;
    }

    fn comma(&mut self) {
        self.level.chain = 0;
        match self.level.clause {
            Clause::From => self.joins += 1,
            Clause::Order => self.sort_keys += 1,
            Clause::Select => self.select_items += 1,
            Clause::Other => {}
        }
    }

    fn keyword(&mut self, word: &str) {
        match word {
            "from" => self.level.clause = Clause::From,
            "order" => self.level.clause = Clause::Order,
            "where" | "group" | "having" | "limit" | "offset" | "fetch" | "window" | "qualify" => {
                self.level.clause = Clause::Other;
            }
            "select" => {
                self.level.clause = Clause::Select;
                self.begin_query();
            }
            "with" | "values" => {
                self.level.clause = Clause::Other;
                self.begin_query();
            }
            "join" => self.joins += 1,
            "and" | "or" => {
                self.terms += 1;
                self.level.chain = 1;
            }
            "when" | "then" | "else" => self.level.chain = 1,
            "union" | "except" | "intersect" | "minus" => self.set_operations += 1,
            _ => {}
        }
    }

    /// A query in brackets.
    fn begin_query(&mut self) {
        if !self.level.begun && self.level.doublings == 0 && !self.outer.is_empty() {
            self.level.doublings = 1;
            self.doublings += 1;
        }
    }

    fn verify(&self) -> Result<()> {
        if self.level.chain > CHAIN_TOKENS_MAX
            || self.outer.len() > BRACKETS_MAX
            || self.doublings > DOUBLINGS_MAX
        {
            return Err(beyond_limit("the statement is nested too deeply"));
        }
        for (count, limit, what) in [
            (self.terms, TERMS_MAX, "ANDs and ORs"),
            (self.set_operations, SET_OPERATIONS_MAX, "set operations"),
            (self.joins, JOINS_MAX, "joined tables"),
            (self.calls, CALLS_MAX, "function calls"),
            (self.growing_calls, GROWING_CALLS_MAX, "calls of functions that make long values"),
            (self.select_items, SELECT_ITEMS_MAX, "items behind SELECT"),
            (self.sort_keys, SORT_KEYS_MAX, "sort keys"),
        ] {
            if count > limit {
                return Err(beyond_limit(format!("the statement has more than {limit} {what}")));
            }
        }
        Ok(())
    }
}
