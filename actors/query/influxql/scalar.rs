//! Arithmetic and scalar functions with the types of InfluxQL.

use super::arithmetic::{Operation, computed};
use super::faults::{in_projection, inconsistent, meaningless};
use super::kind::Kind;
use super::maths::{self, OF_ONE, OF_TWO};
use super::placeholders::value_of;
use super::relation::converted;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::functions::datetime::expr_fn::date_part;
use datafusion::functions::math::expr_fn::{abs, ceil, floor, round};
use datafusion::logical_expr::{Expr as Engine, Operator, binary_expr, cast, lit};
use protocols::influxql::{Cast, Expr, Literal, Op};

/// A value of a row with its kind.
pub(super) type Typed = (Engine, Kind);

/// Functions of one number whose result is of its kind.
const KEEP_KIND: [&str; 4] = ["abs", "ceil", "floor", "round"];

/// True for functions of single values.
pub(super) fn is_scalar(name: &str) -> bool {
    OF_ONE.contains(&name) || KEEP_KIND.contains(&name) || OF_TWO.contains(&name)
}

/// What variables and other calls are.
pub(super) trait Resolve {
    /// The time of a row.
    fn time(&self) -> Engine;
    /// A column.
    fn variable(&mut self, name: &str, cast: Option<Cast>) -> Result<Typed>;
    /// A call of a function that is not scalar.
    fn call(&mut self, call: &Expr) -> Result<Typed>;
}

/// The value of an expression.
pub(super) fn value(expr: &Expr, names: &mut dyn Resolve) -> Result<Typed> {
    match expr {
        Expr::Literal(literal) => constant(literal),
        Expr::Variable { name, cast } => names.variable(name, *cast),
        Expr::Negative(operand) => negative(operand, names),
        Expr::Binary { op, left, right } => {
            let (l, r) = (value(left, names)?, value(right, names)?);
            let literals = [left, right].map(|side| is_integer_literal(side));
            arithmetic(*op, l, r, literals)
        }
        Expr::Call { name, args } if is_scalar(name) => scalar_call(name, args, names),
        Expr::Call { name, args } if name == "date_part" => part(args, names),
        Expr::Call { .. } | Expr::Distinct(_) => names.call(expr),
        Expr::Bind(name) => value_of(name).ok_or_else(|| {
            meaningless(format!(
                "Bind parameter '${name}' was referenced in the InfluxQL statement but its value \
                 is undefined."
            ))
        }),
        Expr::Wildcard(_) | Expr::Logical { .. } => {
            Err(in_projection(format!("unsupported expression: {expr}")))
        }
    }
}

fn is_integer_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(Literal::Integer(_)) => true,
        Expr::Negative(operand) => is_integer_literal(operand),
        _ => false,
    }
}

fn constant(literal: &Literal) -> Result<Typed> {
    Ok(match literal {
        Literal::Integer(value) | Literal::Duration(value) => (lit(*value), Kind::Integer),
        Literal::Unsigned(value) => (lit(*value), Kind::Unsigned),
        Literal::Float(value) => (lit(*value), Kind::Float),
        Literal::String(value) => (lit(value.clone()), Kind::String),
        Literal::Boolean(value) => (lit(*value), Kind::Boolean),
        Literal::Regex(_) => {
            return Err(in_projection(format!("unsupported expression: {literal}")));
        }
    })
}

fn negative(operand: &Expr, names: &mut dyn Resolve) -> Result<Typed> {
    if let Expr::Literal(Literal::Unsigned(value)) = operand
        && let Ok(value) = i64::try_from(-i128::from(*value))
    {
        return Ok((lit(value), Kind::Integer));
    }
    let (value, kind) = value(operand, names)?;
    match kind {
        Kind::Float => Ok((Engine::Negative(Box::new(value)), kind)),
        // Subtraction wraps where a change of sign would fail.
        Kind::Integer => Ok((computed(Operation::Subtract, lit(0_i64), value), kind)),
        Kind::Unsigned => Ok((computed(Operation::Subtract, lit(0_u64), value), kind)),
        Kind::Null => Ok((value, kind)),
        _ => Err(in_projection(format!("incompatible operand for operator -: {}", kind.name()))),
    }
}

fn arithmetic(op: Op, left: Typed, right: Typed, literals: [bool; 2]) -> Result<Typed> {
    use Kind::{Boolean, Float, Integer, Null, Unsigned};
    let kinds = (left.1, right.1);
    let wrong = || {
        let (l, r) = (kinds.0.name(), kinds.1.name());
        in_projection(format!("incompatible operands for operator {op}: {l} and {r}"))
    };
    let kind = match kinds {
        (Null, _) | (_, Null) => return Ok((Float.null(), Float)),
        (Boolean, Boolean) => return logic(op, left.0, right.0).ok_or_else(wrong),
        (Integer, Unsigned) if literals[0] => Unsigned,
        (Unsigned, Integer) if literals[1] => Unsigned,
        (Integer, Unsigned) | (Unsigned, Integer) => {
            return Err(meaningless(format!(
                "cannot use {op} between an integer and unsigned, an explicit cast is required"
            )));
        }
        (a, b) if a.is_number() && b.is_number() => a.min(b),
        _ => return Err(wrong()),
    };
    let is_bitwise = matches!(op, Op::BitAnd | Op::BitOr | Op::BitXor);
    if is_bitwise && kind == Float {
        return Err(wrong());
    }
    let kind = if op == Op::Divide && kind == Integer { Float } else { kind };
    let (l, r) = (same_kind(left, kind), same_kind(right, kind));
    let (operator, operation) = match op {
        Op::Multiply => (Operator::Multiply, Some(Operation::Multiply)),
        Op::Add => (Operator::Plus, Some(Operation::Add)),
        Op::Subtract => (Operator::Minus, Some(Operation::Subtract)),
        Op::Divide => return Ok((computed(Operation::Divide, l, r), kind)),
        Op::Modulo => return Ok((computed(Operation::Remainder, l, r), kind)),
        Op::BitAnd => (Operator::BitwiseAnd, None),
        Op::BitOr => (Operator::BitwiseOr, None),
        Op::BitXor => (Operator::BitwiseXor, None),
        _ => return Err(wrong()),
    };
    if let (Some(operation), Integer | Unsigned) = (operation, kind) {
        return Ok((computed(operation, l, r), kind));
    }
    Ok((binary_expr(l, operator, r), kind))
}

/// An operand as the kind of the result. A literal wraps around.
fn same_kind((value, kind): Typed, to: Kind) -> Engine {
    match (&value, to) {
        (Engine::Literal(scalar, _), Kind::Unsigned) => match scalar {
            datafusion::common::ScalarValue::Int64(Some(number)) => lit(*number as u64),
            _ => value,
        },
        (Engine::Literal(datafusion::common::ScalarValue::Int64(Some(n)), _), Kind::Float) => {
            lit(*n as f64)
        }
        _ => match kind == to {
            true => value,
            false => cast(value, to.arrow()),
        },
    }
}

fn logic(op: Op, left: Engine, right: Engine) -> Option<Typed> {
    let result = match op {
        Op::BitAnd => left.and(right),
        Op::BitOr => left.or(right),
        Op::BitXor => left.not_eq(right),
        _ => return None,
    };
    Some((result, Kind::Boolean))
}

/// Fails unless there are as many arguments as there have to be.
pub(super) fn count_args(name: &str, args: &[Expr], min: usize, max: usize) -> Result<()> {
    if (min..=max).contains(&args.len()) {
        return Ok(());
    }
    let expected = match (min, max) {
        (min, max) if min == max => format!("expected {min}"),
        (min, usize::MAX) => format!("expected at least {min}"),
        (min, max) => format!("expected at least {min} but no more than {max}"),
    };
    let got = args.len();
    let text = format!("invalid number of arguments for {name}, {expected}, got {got}");
    Err(inconsistent(text))
}

fn scalar_call(name: &str, args: &[Expr], names: &mut dyn Resolve) -> Result<Typed> {
    let expected = if OF_TWO.contains(&name) { 2 } else { 1 };
    count_args(name, args, expected, expected)?;
    let mut values = Vec::with_capacity(args.len());
    let mut kinds = Vec::with_capacity(args.len());
    for arg in args {
        let (value, kind) = value(arg, names)?;
        if !kind.is_number() && kind != Kind::Null {
            let kind = kind.name();
            return Err(in_projection(format!("invalid argument type for {name}: {kind}")));
        }
        kinds.push(kind);
        values.push((value, kind));
    }
    if kinds.contains(&Kind::Null) {
        return Ok((Kind::Float.null(), Kind::Float));
    }
    let kind = kinds[0];
    let (first, _) = values[0].clone();
    if KEEP_KIND.contains(&name) {
        return Ok((kept(name, first, kind), kind));
    }
    let float = |(value, kind): Typed| same_kind((value, kind), Kind::Float);
    let args = values.into_iter().map(float).collect();
    Ok((maths::called(name, args), Kind::Float))
}

fn kept(name: &str, value: Engine, kind: Kind) -> Engine {
    match (name, kind) {
        ("abs", Kind::Unsigned) => value,
        ("abs", _) => abs(value),
        ("ceil", Kind::Float) => ceil(value),
        ("floor", Kind::Float) => floor(value),
        ("round", Kind::Float) => round(vec![value]),
        // Integers have nothing to round.
        _ => value,
    }
}

fn part(args: &[Expr], names: &mut dyn Resolve) -> Result<Typed> {
    count_args("date_part", args, 2, 2)?;
    let (Expr::Literal(Literal::String(part)), Expr::Variable { name, .. }) = (&args[0], &args[1])
    else {
        return Err(inconsistent("date_part requires a part and the time"));
    };
    let parts = [
        "year",
        "quarter",
        "month",
        "week",
        "day",
        "hour",
        "minute",
        "second",
        "millisecond",
        "microsecond",
        "nanosecond",
        "dow",
        "doy",
        "epoch",
    ];
    if !name.eq_ignore_ascii_case("time") || !parts.contains(&part.as_str()) {
        return Err(inconsistent(format!("invalid date_part(): {part}")));
    }
    let value = date_part(lit(part.clone()), names.time());
    Ok((cast(value, DataType::Int64), Kind::Integer))
}

/// A column as what a cast says.
pub(super) fn cast_to((column, kind): Typed, to: Option<Cast>) -> Typed {
    let to = match to {
        None | Some(Cast::Field | Cast::Tag) => return (column, kind),
        Some(Cast::Float) => Kind::Float,
        Some(Cast::Integer) => Kind::Integer,
        Some(Cast::Unsigned) => Kind::Unsigned,
        Some(Cast::String) => Kind::String,
        Some(Cast::Boolean) => Kind::Boolean,
    };
    (converted(column, kind, to), to)
}
