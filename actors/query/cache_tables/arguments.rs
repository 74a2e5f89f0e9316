//! Arguments of the table functions that never get to them, because the engine takes a bare name
//! for a column of no table.

use super::cache::name_of;
use datafusion::common::{DataFusionError, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, TableFactor, Visit, Visitor,
};
use protocols::messages::catalog::CacheKind;
use std::ops::ControlFlow;

/// What is said about the first argument when it is no text.
pub(super) const FIRST: &str = "first argument must be the table name as a string";
/// What is said about the second argument when it is no text.
pub(super) const SECOND: &str = "second argument, if passed, must be the cache name as a string";

/// Refuses names without quotes as arguments.
///
/// # Errors
/// When there is one.
pub(in super::super) fn check(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut Arguments) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        Statement::Explain(explain) => check(&explain.statement),
        _ => Ok(()),
    }
}

struct Arguments;

impl Visitor for Arguments {
    type Break = DataFusionError;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<DataFusionError> {
        let TableFactor::Table { name, args: Some(args), .. } = factor else {
            return ControlFlow::Continue(());
        };
        let name = name.to_string();
        if ![CacheKind::Last, CacheKind::Distinct].iter().any(|kind| name == name_of(*kind)) {
            return ControlFlow::Continue(());
        }
        let is_name = |arg: &FunctionArg| {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg else { return false };
            matches!(arg, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        };
        for (arg, text) in args.args.iter().zip([FIRST, SECOND]) {
            if is_name(arg) {
                return ControlFlow::Break(plan_datafusion_err!("{text}"));
            }
        }
        ControlFlow::Continue(())
    }
}
