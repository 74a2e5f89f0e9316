//! How deep the trees of a statement are when the planner gets them.

use crate::query::errors::beyond_limit;
use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};
use std::ops::ControlFlow;

/// Limit: expressions inside expressions. Each is named after all that it is made of, and the
/// engine walks and drops them recursively.
const LEVELS_MAX: usize = 1_500;

/// Refuses a statement with deeper expressions.
///
/// # Errors
/// When there is one.
pub(super) fn check(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut Depth { levels: 0 }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        Statement::Explain(explain) => check(&explain.statement),
        _ => Ok(()),
    }
}

struct Depth {
    levels: usize,
}

impl Visitor for Depth {
    type Break = DataFusionError;

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<Self::Break> {
        self.levels += 1;
        if self.levels > LEVELS_MAX {
            return ControlFlow::Break(beyond_limit(format!(
                "the statement is nested too deeply: an expression may have {LEVELS_MAX} levels"
            )));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Self::Break> {
        self.levels -= 1;
        ControlFlow::Continue(())
    }
}
