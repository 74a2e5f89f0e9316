//! `WHERE` without its comparisons of time.

use super::faults::{in_condition, meaningless};
use super::kind::Kind;
use super::placeholders::as_compared;
use super::relation::{Columns, Relation};
use super::scalar::{self, Resolve, Typed, cast_to};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr as Engine, Operator, binary_expr, cast, lit};
use protocols::influxql::{Cast, Expr, Literal, Logic, Op};
use regex::Regex;

/// The names of a relation.
pub(super) struct Names<'a> {
    pub(super) relation: &'a Relation,
    pub(super) columns: &'a Columns,
}

impl Resolve for Names<'_> {
    fn time(&self) -> Engine {
        self.relation.time.clone()
    }

    fn variable(&mut self, name: &str, cast: Option<Cast>) -> Result<Typed> {
        let kind = self.columns.get(name).copied().unwrap_or(Kind::Null);
        Ok(cast_to((self.relation.column(name, kind), kind), cast))
    }

    fn call(&mut self, call: &Expr) -> Result<Typed> {
        let text = "invalid expression, the only valid function calls are 'now' with no \
                    arguments, date_part(<literal>, time), or scalar math functions";
        Err(in_condition(format!("{text}: {call}")))
    }
}

/// Compiles a regular expression.
///
/// # Errors
/// When it is none, or would take too much memory.
pub(super) fn compiled(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(meaningless)
}

/// The condition as the engine has it. Whatever is unknown counts as false.
pub(super) fn condition(expr: &Expr, names: &mut Names<'_>) -> Result<Engine> {
    match expr {
        Expr::Logical { logic, operands } => {
            let conditions = operands.iter().map(|operand| condition(operand, names));
            let conditions = conditions.collect::<Result<Vec<_>>>()?;
            Ok(match logic {
                Logic::And => balanced(conditions, Operator::And),
                Logic::Or => match one_of(&conditions) {
                    Some(one_of) => one_of,
                    None => balanced(conditions, Operator::Or),
                },
            })
        }
        Expr::Binary { op, left, right } if op.is_comparison() => {
            comparison(*op, left, right, names)
        }
        other => match scalar::value(other, names)? {
            (value, Kind::Boolean) => Ok(value),
            _ => Ok(lit(false)),
        },
    }
}

/// A list of the values that one column is compared with, if all conditions do that.
fn one_of(conditions: &[Engine]) -> Option<Engine> {
    let compared = conditions.iter().map(|condition| match condition {
        Engine::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let is_value = matches!(**right, Engine::Literal(..) | Engine::Placeholder(_));
            (matches!(**left, Engine::Column(_)) && is_value).then_some((&**left, &**right))
        }
        _ => None,
    });
    let compared = compared.collect::<Option<Vec<_>>>()?;
    let (column, _) = *compared.first()?;
    let values = compared.iter().filter(|(other, _)| *other == column);
    let values: Vec<Engine> = values.map(|(_, value)| Engine::clone(value)).collect();
    (values.len() == compared.len()).then(|| column.clone().in_list(values, false))
}

/// Many conditions as a tree that is not deep.
pub(super) fn balanced(mut conditions: Vec<Engine>, operator: Operator) -> Engine {
    match conditions.len() {
        0 => lit(true),
        1 => conditions.remove(0),
        length => {
            let right = conditions.split_off(length / 2);
            binary_expr(balanced(conditions, operator), operator, balanced(right, operator))
        }
    }
}

fn comparison(op: Op, left: &Expr, right: &Expr, names: &mut Names<'_>) -> Result<Engine> {
    if let Expr::Literal(Literal::Regex(pattern)) = right {
        let left = scalar::value(left, names)?;
        return matches(left, pattern, op == Op::MatchesNot);
    }
    let (left, right) = (scalar::value(left, names)?, scalar::value(right, names)?);
    let kinds = (left.1, right.1);
    let left = (as_compared(left.0, kinds.0, kinds.1), kinds.0);
    let right = (as_compared(right.0, kinds.1, kinds.0), kinds.1);
    Ok(match (left, right) {
        ((tag, Kind::Tag), (text, Kind::String)) => of_tag(op, tag, text),
        ((text, Kind::String), (tag, Kind::Tag)) => of_tag(op, tag, text),
        ((a, Kind::Tag), (b, Kind::Tag)) => match operator(op) {
            Some(operator @ (Operator::Eq | Operator::NotEq)) => binary_expr(a, operator, b),
            _ => lit(false),
        },
        ((a, ak), (b, bk)) if comparable(ak, bk) => match operator(op) {
            Some(operator) => binary_expr(a, operator, b),
            None => lit(false),
        },
        _ => lit(false),
    })
}

fn comparable(a: Kind, b: Kind) -> bool {
    a.is_number() && b.is_number() || a == b && matches!(a, Kind::String | Kind::Boolean)
}

fn operator(op: Op) -> Option<Operator> {
    Some(match op {
        Op::Equal => Operator::Eq,
        Op::NotEqual => Operator::NotEq,
        Op::Less => Operator::Lt,
        Op::LessEqual => Operator::LtEq,
        Op::Greater => Operator::Gt,
        Op::GreaterEqual => Operator::GtEq,
        _ => return None,
    })
}

/// A tag compared with a text. A missing tag is the empty text.
fn of_tag(op: Op, tag: Engine, text: Engine) -> Engine {
    let is_empty = match &text {
        Engine::Literal(value, _) => value.try_as_str().flatten().map(str::is_empty),
        // Only others are left open.
        Engine::Placeholder(_) => Some(false),
        _ => None,
    };
    match (op, is_empty) {
        (Op::Equal, Some(false)) => tag.eq(text),
        (Op::Equal, Some(true)) => tag.clone().is_null().or(tag.eq(text)),
        (Op::NotEqual, Some(false)) => tag.clone().is_null().or(tag.not_eq(text)),
        (Op::NotEqual, Some(true)) => tag.clone().is_not_null().and(tag.not_eq(text)),
        (Op::Equal, None) => cast(tag, DataType::Utf8).eq(text),
        (Op::NotEqual, None) => cast(tag, DataType::Utf8).not_eq(text),
        _ => lit(false),
    }
}

fn matches((text, kind): Typed, pattern: &str, negated: bool) -> Result<Engine> {
    let regex = compiled(pattern)?;
    let operator = if negated { Operator::RegexNotMatch } else { Operator::RegexMatch };
    let matched = |text: Engine| binary_expr(text, operator, lit(pattern));
    Ok(match kind {
        Kind::String => matched(text),
        Kind::Tag => {
            let found = matched(cast(text.clone(), DataType::Utf8));
            match regex.is_match("") != negated {
                true => text.is_null().or(found),
                false => found,
            }
        }
        _ => lit(false),
    })
}
