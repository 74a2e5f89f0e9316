//! The instants and compared values of a statement as placeholders of its plan.
//!
//! A dashboard sends the same statement again and again, with other times and other hosts. Here
//! these are taken out of the tree: the literals that WHERE compares columns with, and all that
//! follows from its comparisons of time. What is left is the shape of the statement, whose plan is
//! kept (see `shapes`).

use super::outer::Outer;
use super::outline::Frame;
use super::placeholders::{INSTANTS, Slots};
use super::time_range::{Clock, TimeRange, is_time, split};
use super::windows::{WINDOWS_MAX, count_of};
use super::{bind, is_time_zone};
use crate::query::shapes::{Shape, Value};
use protocols::influxql::{Dimension, Expr, Literal, Op, Select, Source, Statement, parse};
use protocols::messages::query::Statement as Asked;

/// Longer statements have no shape.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// More values than this are not taken out.
const VALUES_MAX: usize = 256;

/// A statement apart.
#[derive(Debug)]
pub(in crate::query) struct Apart {
    /// What it has in common with others, and its own values.
    pub(in crate::query) shape: Shape,
    /// The tree with placeholders, without comparisons of time.
    pub(super) select: Select,
    pub(super) slots: Slots,
}

/// Takes a statement apart. `None` if it has no shape, or is none.
pub(in crate::query) fn apart(asked: &Asked, now_ns: i64) -> Option<Apart> {
    if asked.text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut statements = parse(&asked.text, is_time_zone).ok()?;
    let one = statements.pop().filter(|_| statements.is_empty())?;
    let Statement::Select(select) = bind::statement(one.statement, &asked.params).ok()? else {
        return None;
    };
    let mut reader = Reader { now_ns, values: Vec::new(), frames: Vec::new() };
    let select = reader.select(*select, &Outer::default())?;
    let Reader { mut values, frames, .. } = reader;
    let first = values.len();
    let mut text = format!("influxql {}", Statement::Select(Box::new(select.clone())));
    let mut ranges = Vec::with_capacity(frames.len());
    for ReadFrame { own, instants } in frames {
        text.push(if own.first_ns.is_some() { 'f' } else { '-' });
        text.push(if own.last_ns.is_some() { 'l' } else { '-' });
        values.extend(instants.map(Value::Instant));
        ranges.push(own);
    }
    let slots = Slots::new(ranges, first);
    let shape = Shape { text, values };
    (shape.values.len() <= VALUES_MAX).then_some(Apart { shape, select, slots })
}

/// What a SELECT clause says of time.
struct ReadFrame {
    own: TimeRange,
    instants: [i64; INSTANTS],
}

struct Reader {
    now_ns: i64,
    values: Vec<Value>,
    frames: Vec<ReadFrame>,
}

impl Reader {
    fn select(&mut self, mut select: Select, outer: &Outer) -> Option<Select> {
        let depends_on_now = |dimension: &Dimension| match dimension {
            Dimension::Time { offset: Some(offset), .. } => has_call(offset),
            _ => false,
        };
        if select.dimensions.iter().any(depends_on_now) {
            return None;
        }
        let frame = Frame::new(&select, outer, self.now_ns, None).ok()?;
        if frame.range.is_empty() {
            return None;
        }
        let mut start_ns = 0;
        if let Some(windows) = &frame.windows {
            if count_of(windows.interval_ns, frame.read).is_some_and(|n| n > WINDOWS_MAX) {
                return None;
            }
            if let Some(first) = frame.range.first_ns {
                start_ns = windows.start(first, frame.zone.as_deref()).ok()?;
            }
        }
        let (range, read) = (frame.range, frame.read);
        let own = match &select.condition {
            Some(condition) => {
                split(condition, Clock { now_ns: self.now_ns, zone: frame.zone.as_deref() }).ok()?.1
            }
            None => TimeRange::default(),
        };
        self.frames.push(ReadFrame {
            own,
            instants: [
                range.first_ns.unwrap_or(0),
                read.first_ns.unwrap_or(0),
                read.last_ns.unwrap_or(0),
                start_ns,
            ],
        });
        select.condition = frame.condition.map(|condition| self.condition(condition));
        let inner = Outer { range: read, zone: frame.zone, is_inside: true, ..Outer::default() };
        let mut from = Vec::with_capacity(select.from.len());
        for source in select.from {
            from.push(match source {
                Source::Subquery(select) => {
                    Source::Subquery(Box::new(self.select(*select, &inner)?))
                }
                other => other,
            });
        }
        Some(Select { from, ..select })
    }

    fn condition(&mut self, condition: Expr) -> Expr {
        match condition {
            Expr::Logical { logic, operands } => {
                let operands = operands.into_iter().map(|operand| self.condition(operand));
                Expr::Logical { logic, operands: operands.collect() }
            }
            Expr::Binary { op, left, right } if is_taken(op) => {
                let (left, right) = match (&*left, &*right) {
                    (Expr::Variable { .. }, Expr::Literal(_)) if !is_time(&left) => {
                        (left, Box::new(self.taken(*right)))
                    }
                    (Expr::Literal(_), Expr::Variable { .. }) if !is_time(&right) => {
                        (Box::new(self.taken(*left)), right)
                    }
                    _ => (left, right),
                };
                Expr::Binary { op, left, right }
            }
            other => other,
        }
    }

    /// A placeholder for a literal, if its value does not decide what the plan is.
    fn taken(&mut self, literal: Expr) -> Expr {
        let value = match &literal {
            Expr::Literal(Literal::Integer(value)) => Value::Integer(*value),
            Expr::Literal(Literal::Float(value)) => Value::Float(*value),
            // The empty text stands for a missing tag.
            Expr::Literal(Literal::String(text)) if !text.is_empty() => Value::Text(text.clone()),
            _ => return literal,
        };
        let name = Shape::placeholder(self.values.len(), &value);
        self.values.push(value);
        Expr::Bind(name)
    }
}

fn is_taken(op: Op) -> bool {
    matches!(
        op,
        Op::Equal | Op::NotEqual | Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual
    )
}

fn has_call(expr: &Expr) -> bool {
    match expr {
        Expr::Call { .. } => true,
        Expr::Negative(operand) => has_call(operand),
        Expr::Binary { left, right, .. } => has_call(left) || has_call(right),
        _ => false,
    }
}
