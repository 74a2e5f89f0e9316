//! Rows on their way to the result, and the names of their columns.
//!
//! What is planned has columns without names of the user's: `time`, `g0`… that are grouped by, `k0`…
//! that order rows of one time, and `c0`… that are selected.

use super::faults::meaningless;
use super::kind::Kind;
use super::outline::Outline;
use super::scalar::{self, Resolve, Typed};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Engine, LogicalPlan};
use protocols::influxql::{Cast, Expr, Fill};
use protocols::schema::TIME_COLUMN;

/// A column by the name that it has in a plan.
pub(super) fn column(name: impl Into<String>) -> Engine {
    Engine::Column(Column::new_unqualified(name))
}

/// What is grouped by.
pub(super) fn group(at: usize) -> Engine {
    column(format!("g{at}"))
}

/// What rows of one time are ordered by.
pub(super) fn key(at: usize) -> Engine {
    column(format!("k{at}"))
}

/// What is selected.
pub(super) fn result(at: usize) -> Engine {
    column(format!("c{at}"))
}

/// A window of time.
pub(super) const BIN: &str = "bin";

/// Rows on their way to the result, and what names and calls are in them.
pub(super) struct Stage {
    pub(super) plan: LogicalPlan,
    pub(super) variables: Vec<(Expr, Typed)>,
    pub(super) calls: Vec<(Expr, Typed)>,
}

impl Resolve for Stage {
    fn time(&self) -> Engine {
        column(TIME_COLUMN)
    }

    fn variable(&mut self, name: &str, cast: Option<Cast>) -> Result<Typed> {
        let variable = Expr::Variable { name: name.to_owned(), cast };
        let found = self.variables.iter().find(|(known, _)| *known == variable);
        Ok(found.map_or((Kind::Null.null(), Kind::Null), |(_, typed)| typed.clone()))
    }

    fn call(&mut self, call: &Expr) -> Result<Typed> {
        match self.calls.iter().find(|(known, _)| known == call) {
            Some((_, typed)) => Ok(typed.clone()),
            None => datafusion::common::internal_err!("{call} was not planned"),
        }
    }
}

/// Columns that go along: the time, what is grouped by, and what orders rows.
pub(super) fn carried(outline: &Outline, with_keys: bool) -> Vec<Engine> {
    let groups = (0..outline.tags.len()).map(group);
    groups.chain(outline.own_keys().filter(|_| with_keys).map(key)).collect()
}

/// The columns of the result.
pub(super) fn results(stage: &mut Stage, outline: &Outline) -> Result<(Vec<Engine>, Vec<Kind>)> {
    let (mut columns, mut kinds) = (Vec::new(), Vec::new());
    for (at, item) in outline.items.iter().enumerate() {
        let (value, kind) = scalar::value(&item.expr, stage)?;
        columns.push(value.alias(format!("c{at}")));
        kinds.push(kind);
    }
    Ok((columns, kinds))
}

/// A number that `FILL` names, as a value of a kind.
pub(super) fn fill_value(fill: Fill, kind: Kind) -> Result<Option<ScalarValue>> {
    let (integer, float) = match fill {
        Fill::Integer(value) => (value, value as f64),
        Fill::Float(value) => (value as i64, value),
        _ => return Ok(None),
    };
    Ok(Some(match kind {
        Kind::Float => ScalarValue::Float64(Some(float)),
        Kind::Integer => ScalarValue::Int64(Some(integer)),
        Kind::Unsigned => ScalarValue::UInt64(Some(u64::try_from(integer).unwrap_or(0))),
        Kind::Tag | Kind::Null => return Ok(None),
        kind => {
            let text = format!("no conversion from {integer} to {}", kind.arrow());
            return Err(meaningless(text));
        }
    }))
}

/// A column that comes out of the aggregation.
pub(super) struct Gathered {
    /// Its name.
    pub(super) name: String,
    /// Its values, of the columns of the aggregation.
    pub(super) value: Engine,
    pub(super) kind: Kind,
    /// True if no rows means zero.
    pub(super) is_count: bool,
    /// True if it came along with a row that was chosen.
    pub(super) is_brought: bool,
}

/// The name of the column with the area below the line at each row.
pub(super) fn area_of(at: usize) -> String {
    format!("i{at}")
}
