//! Instants and values in plans: as constants, or as placeholders of what is known later.

use super::kind::Kind;
use super::time_range::TimeRange;
use crate::query::shapes::{Shape, Value};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr as Engine, lit};
use protocols::schema::time_type;
use std::cell::Cell;
use std::sync::Arc;

/// An instant as a constant.
pub(super) fn instant(ns: i64) -> Engine {
    lit(ScalarValue::TimestampNanosecond(Some(ns), None))
}

/// Instants that follow from what a statement says of time, in the order of their placeholders.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instant {
    /// The first one that the statement is about.
    First,
    /// The first one whose rows are read.
    ReadFirst,
    /// The last one whose rows are read.
    ReadLast,
    /// The start of the first window.
    Start,
}

/// How many there are of each SELECT.
pub(super) const INSTANTS: usize = 4;

/// What the placeholders of a plan are named by.
#[derive(Debug)]
pub(super) struct Slots {
    /// The ranges of time of all SELECT clauses, the outer before the inner.
    ranges: Vec<TimeRange>,
    /// The number of the first instant.
    first: usize,
    /// How many SELECT clauses were planned.
    planned: Cell<usize>,
}

impl Slots {
    /// Of SELECT clauses with these ranges of time, the outer before the inner; `first` is the
    /// number of the first instant.
    pub(super) fn new(ranges: Vec<TimeRange>, first: usize) -> Self {
        Self { ranges, first, planned: Cell::new(0) }
    }

    /// The range of time of the next SELECT clause, and the number of its first instant.
    pub(super) fn next(&self) -> (TimeRange, usize) {
        let at = self.planned.replace(self.planned.get() + 1);
        (self.ranges.get(at).copied().unwrap_or_default(), self.first + at * INSTANTS)
    }
}

/// The placeholder of an instant, where those of its SELECT clause begin with number `first`.
pub(super) fn instant_of(first: usize, instant: Instant) -> Engine {
    let name = Shape::placeholder(first + instant as usize, &Value::Instant(0));
    placeholder(name, time_type())
}

fn placeholder(id: String, kind: DataType) -> Engine {
    let field = Some(Arc::new(Field::new("", kind, true)));
    Engine::Placeholder(Placeholder { id, field })
}

/// A value that was taken out, as an expression. `None` for a parameter of the user's.
pub(super) fn value_of(name: &str) -> Option<(Engine, Kind)> {
    if !name.starts_with(Shape::PLACEHOLDER) {
        return None;
    }
    let kind = match name.chars().last()? {
        't' => Kind::String,
        'i' => Kind::Integer,
        'f' => Kind::Float,
        _ => return None,
    };
    Some((placeholder(name.to_owned(), kind.arrow()), kind))
}

/// A value that is compared with a column of another kind in the type of that, where a placeholder
/// is one.
pub(super) fn as_compared(value: Engine, kind: Kind, with: Kind) -> Engine {
    match (value, kind, with) {
        (Engine::Placeholder(slot), Kind::String, Kind::Tag)
        | (Engine::Placeholder(slot), Kind::Integer, Kind::Float | Kind::Unsigned) => {
            placeholder(slot.id, with.arrow())
        }
        (value, ..) => value,
    }
}
