//! What is let through to the engine: one statement that only reads, and no deeper than the
//! engine's recursive passes can stand.

use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Limit: tokens between two commas. A chain of operators is a tree as deep as it is long, and
/// trees are walked and dropped recursively.
const CHAIN_TOKENS_MAX: usize = 4_000;
/// Limit: brackets inside brackets. The parser stops at 50 by itself, but not everywhere.
const BRACKETS_MAX: usize = 200;
/// Limit: set operations and joined tables of a statement, each a level of the plan.
const LEVELS_MAX: usize = 1_000;
/// Texts up to this length cannot exceed a limit that would hurt, so they need no scan.
const HARMLESS_BYTES: usize = 200;

/// Parses the statement.
///
/// # Errors
/// When the text is not SQL, not exactly one statement, copies rows out, or nests too deeply.
pub(super) fn parse(state: &SessionState, text: &str) -> Result<Statement> {
    check_depth(text)?;
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(text, &dialect)?;
    if copies(&statement) {
        // Planned, it would ask for a file format first, of which there is none here.
        return plan_err!("DML not supported: COPY");
    }
    Ok(statement)
}

fn copies(statement: &Statement) -> bool {
    match statement {
        Statement::CopyTo(_) => true,
        Statement::Explain(explain) => copies(&explain.statement),
        _ => false,
    }
}

/// Refuses plans that would change anything.
///
/// # Errors
/// When the plan, or a part of it, is not a query.
pub(super) fn verify(plan: &LogicalPlan) -> Result<()> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
}

/// One level of brackets while scanning.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Tokens since the last comma.
    chain: usize,
    /// True between FROM and the next clause, where a comma joins.
    joins: bool,
}

/// Measures the statement before anything recursive sees it.
fn check_depth(text: &str) -> Result<()> {
    if text.len() <= HARMLESS_BYTES {
        return Ok(());
    }
    // What is not even made of tokens is left to the parser, which says why.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else {
        return Ok(());
    };
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut plan_levels = 0;
    for token in tokens {
        match token {
            Token::Whitespace(_) => {}
            Token::LParen | Token::LBracket | Token::LBrace => {
                outer.push(level);
                level = Level::default();
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let inner = level;
                level = outer.pop().unwrap_or_default();
                level.chain = inner.chain.max(level.chain) + 1;
            }
            Token::Comma => {
                level.chain = 0;
                plan_levels += usize::from(level.joins);
            }
            Token::SemiColon => level = Level::default(),
            Token::Word(word) => {
                level.chain += 1;
                if word.quote_style.is_none() {
                    plan_levels += note_keyword(&word.value, &mut level);
                }
            }
            _ => level.chain += 1,
        }
        let deep = level.chain > CHAIN_TOKENS_MAX
            || outer.len() > BRACKETS_MAX
            || plan_levels > LEVELS_MAX;
        if deep {
            return plan_err!("the statement is nested too deeply");
        }
    }
    Ok(())
}

/// How many levels of the plan the keyword stands for.
fn note_keyword(word: &str, level: &mut Level) -> usize {
    const ENDS_FROM: [&str; 9] =
        ["where", "group", "order", "having", "limit", "offset", "fetch", "window", "select"];
    let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
    if is("from") {
        level.joins = true;
    } else if ENDS_FROM.iter().any(|k| is(k)) {
        level.joins = false;
    }
    usize::from(["join", "union", "except", "intersect", "minus"].iter().any(|k| is(k)))
}
