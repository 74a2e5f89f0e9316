//! Statements put into a form that the engine works with as well or better, with the same meaning.
//!
//! - A chain of ANDs or ORs is read as a tree as deep as the chain is long, and everything in the
//!   engine walks trees recursively. Long chains are made balanced trees.
//! - `= ANY(…)` becomes `NOT (<> ALL(…))`, and the like: what the engine makes of ANY is false where
//!   it ought to be unknown (`NOT (1 = ANY(ARRAY[2, NULL]))`, DataFusion 55); ALL is right. With
//!   the elements written out both become comparisons, which a scan understands.
//! - `AT TIME ZONE` becomes a call of `at_time_zone`, whose page says why.
//! - `SIMILAR TO` becomes the regular expression that it means. The engine takes its pattern for one,
//!   to be found anywhere in the text (DataFusion 55: `'abc' SIMILAR TO 'b'` is true).
//! - `FETCH FIRST n ROWS ONLY` is the standard's way to say LIMIT.

use crate::query::functions::at_time_zone;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, LimitClause, ObjectName, Query, UnaryOperator, Value, ValueWithSpan,
    VisitMut, VisitorMut,
};
use std::convert::Infallible;
use std::ops::ControlFlow;

/// Shorter chains stay as they are.
const CHAIN_MIN: usize = 16;

/// Puts a statement into a better form.
pub(super) fn rewrite(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => {
            let ControlFlow::Continue(()) = statement.visit(&mut Rewrite);
        }
        Statement::Explain(explain) => rewrite(&mut explain.statement),
        _ => {}
    }
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        fetch_as_limit(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Some(op) = chain_of(expr) {
            balance(expr, &op);
        }
        if let Expr::SimilarTo { negated, expr: text, pattern, escape_char } = expr
            && let Some(matches) = similar(*negated, text, pattern, escape_char.as_ref())
        {
            *expr = matches;
        }
        if is_zoned(expr) {
            let zoned = std::mem::replace(expr, null());
            *expr = at_time_zone(zoned);
        }
        if matches!(expr, Expr::AnyOp { .. } | Expr::AllOp { .. }) {
            let quantified = std::mem::replace(expr, null());
            *expr = without_any(quantified);
        }
        ControlFlow::Continue(())
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// `SIMILAR TO` with a pattern that is written out.
fn similar(
    negated: bool,
    text: &Expr,
    pattern: &Expr,
    escape: Option<&ValueWithSpan>,
) -> Option<Expr> {
    let written = |value: &Value| match value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    };
    let Expr::Value(pattern) = pattern else { return None };
    let pattern = written(&pattern.value)?;
    let escape = match escape {
        None => Some('\\'),
        Some(escape) => {
            let escape = written(&escape.value)?;
            let mut letters = escape.chars();
            let first = letters.next();
            letters.next().is_none().then_some(first)?
        }
    };
    let op = if negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let regex = Value::SingleQuotedString(regex_of_similar(&pattern, escape));
    Some(Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(text.clone()),
        op,
        right: Box::new(Expr::Value(regex.into())),
    })))
}

/// The regular expression that matches what a pattern of `SIMILAR TO` matches.
fn regex_of_similar(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?s:");
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            _ if Some(letter) == escape => {
                if let Some(literal) = letters.next() {
                    if !literal.is_alphanumeric() && literal.is_ascii() {
                        regex.push('\\');
                    }
                    regex.push(literal);
                }
            }
            '%' if !in_class => regex.push_str(".*"),
            '_' if !in_class => regex.push('.'),
            '.' | '^' | '$' | '\\' if !in_class => regex.extend(['\\', letter]),
            _ => {
                in_class = (in_class || letter == '[') && letter != ']';
                regex.push(letter);
            }
        }
    }
    regex.push_str(")$");
    regex
}

fn is_zoned(expr: &Expr) -> bool {
    matches!(expr, Expr::AtTimeZone { time_zone, .. }
        if matches!(&**time_zone, Expr::Value(zone)
            if matches!(zone.value, Value::SingleQuotedString(_))))
}

/// `AT TIME ZONE 'zone'` as the call of a function.
fn at_time_zone(zoned: Expr) -> Expr {
    let Expr::AtTimeZone { timestamp, time_zone } = zoned else { return zoned };
    let arg = |expr: Box<Expr>| FunctionArg::Unnamed(FunctionArgExpr::Expr(*expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(at_time_zone::NAME)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![arg(timestamp), arg(time_zone)],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `FETCH FIRST n ROWS ONLY` where there is no other limit.
fn fetch_as_limit(query: &mut Query) {
    let Some(fetch) = query.fetch.take_if(|fetch| !fetch.with_ties && !fetch.percent) else {
        return;
    };
    let rows = fetch.quantity.clone().unwrap_or_else(|| {
        Expr::Value(Value::Number("1".to_owned(), false).into()) // as the standard says
    });
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
        Some(_) => query.fetch = Some(fetch),
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(rows),
                offset: None,
                limit_by: Vec::new(),
            });
        }
    }
}

/// The operator of a chain that is the same however it is bracketed.
fn chain_of(expr: &Expr) -> Option<BinaryOperator> {
    match expr {
        Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
            Some(op.clone())
        }
        _ => None,
    }
}

/// Makes a long chain a balanced tree. The terms keep their order.
fn balance(expr: &mut Expr, chain: &BinaryOperator) {
    let mut length = 1;
    let mut rest = &*expr;
    while let Expr::BinaryOp { left, op, .. } = rest
        && op == chain
    {
        length += 1;
        rest = left;
    }
    if length < CHAIN_MIN {
        return;
    }
    let mut terms = Vec::with_capacity(length);
    let mut rest = std::mem::replace(expr, null());
    loop {
        match rest {
            Expr::BinaryOp { left, op, right } if op == *chain => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                break;
            }
        }
    }
    terms.reverse();
    *expr = joined(terms, chain);
}

/// The terms as a balanced tree; no terms at all make NULL.
fn joined(mut terms: Vec<Expr>, op: &BinaryOperator) -> Expr {
    while terms.len() > 1 {
        let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => {
                    Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) }
                }
                None => left,
            });
        }
        terms = pairs;
    }
    terms.pop().unwrap_or_else(null)
}

/// A comparison with ANY or ALL of a list, said otherwise; what it compares with a query stays.
fn without_any(quantified: Expr) -> Expr {
    match quantified {
        Expr::AnyOp { left, compare_op, right, is_some } => match *right {
            Expr::Array(list) if !list.elem.is_empty() => {
                compared(*left, &compare_op, list.elem, &BinaryOperator::Or)
            }
            right @ Expr::Subquery(_) => {
                Expr::AnyOp { left, compare_op, right: Box::new(right), is_some }
            }
            right => match opposite(&compare_op) {
                Some(opposite) => Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(Expr::AllOp {
                        left,
                        compare_op: opposite,
                        right: Box::new(right),
                    }),
                },
                None => Expr::AnyOp { left, compare_op, right: Box::new(right), is_some },
            },
        },
        Expr::AllOp { left, compare_op, right } => match *right {
            Expr::Array(list) if !list.elem.is_empty() => {
                compared(*left, &compare_op, list.elem, &BinaryOperator::And)
            }
            right => Expr::AllOp { left, compare_op, right: Box::new(right) },
        },
        other => other,
    }
}

/// `left` compared with each element.
fn compared(left: Expr, op: &BinaryOperator, list: Vec<Expr>, chain: &BinaryOperator) -> Expr {
    let in_list = |negated| {
        Expr::Nested(Box::new(Expr::InList {
            expr: Box::new(left.clone()),
            list: list.clone(),
            negated,
        }))
    };
    match (op, chain) {
        (BinaryOperator::Eq, BinaryOperator::Or) => in_list(false),
        (BinaryOperator::NotEq, BinaryOperator::And) => in_list(true),
        _ => {
            let compare = |element| Expr::BinaryOp {
                left: Box::new(left.clone()),
                op: op.clone(),
                right: Box::new(element),
            };
            Expr::Nested(Box::new(joined(list.into_iter().map(compare).collect(), chain)))
        }
    }
}

/// The comparison that holds where this one does not.
fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_whole() {
        for (pattern, escape, regex) in [
            ("a(b|x)c", Some('\\'), "^(?s:a(b|x)c)$"),
            ("a%_.[%_.]*", Some('\\'), "^(?s:a.*.\\.[%_.]*)$"),
            ("100\\%", Some('\\'), "^(?s:100\\%)$"),
            ("a#_\\", Some('#'), "^(?s:a\\_\\\\)$"),
            ("[^a]$", None, "^(?s:[^a]\\$)$"),
        ] {
            assert_eq!(regex_of_similar(pattern, escape), regex, "{pattern}");
        }
    }
}
