//! How large a statement becomes once its names are replaced by what they stand for.
//!
//! The planner puts a copy of a common table expression wherever it is named, so a chain of them
//! that each name the one before twice is exponentially large.

use crate::query::errors::beyond_limit;
use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Visit, Visitor};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Limit: tables read by a statement, each counted as often as it is read.
const TABLES_MAX: usize = 1_000;
/// Limit: common table expressions of a statement. Each is a level of the plan if it reads the one
/// before.
const NAMED_QUERIES_MAX: usize = 200;
/// Limit: columns in CUBE; each doubles the sets to group by.
const CUBE_COLUMNS_MAX: usize = 10;

/// Refuses a statement that would become too large.
///
/// # Errors
/// When it is beyond a limit.
pub(super) fn check(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => {
            match statement.visit(&mut Expansion {
                scopes: vec![Scope::default()],
                named: 0,
                cubed: 0,
            }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(error) => Err(error),
            }
        }
        Statement::Explain(explain) => check(&explain.statement),
        _ => Ok(()),
    }
}

/// One query while it is visited.
#[derive(Default)]
struct Scope {
    /// Tables that each of its named queries reads.
    named: HashMap<String, usize>,
    /// Names of the queries in its WITH that have not been visited yet. They are visited first
    /// and in this order.
    unvisited: std::vec::IntoIter<String>,
    /// Tables it reads.
    tables: usize,
}

struct Expansion {
    scopes: Vec<Scope>,
    named: usize,
    cubed: usize,
}

impl Expansion {
    fn read(&mut self, tables: usize) -> ControlFlow<DataFusionError> {
        let Some(scope) = self.scopes.last_mut() else { return ControlFlow::Continue(()) };
        scope.tables = scope.tables.saturating_add(tables);
        if scope.tables > TABLES_MAX {
            let text = format!("the statement reads more than {TABLES_MAX} tables");
            return ControlFlow::Break(beyond_limit(text));
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Expansion {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        let names: Vec<String> = with.map(|cte| cte.alias.name.value.to_lowercase()).collect();
        self.named += names.len();
        if self.named > NAMED_QUERIES_MAX {
            return ControlFlow::Break(beyond_limit(format!(
                "the statement has more than {NAMED_QUERIES_MAX} common table expressions"
            )));
        }
        self.scopes.push(Scope { unvisited: names.into_iter(), ..Scope::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        let tables = self.scopes.pop().map_or(0, |scope| scope.tables);
        if let Some(outer) = self.scopes.last_mut()
            && let Some(name) = outer.unvisited.next()
        {
            // Names that differ only in case share an entry.
            let known = outer.named.entry(name).or_default();
            *known = tables.max(*known);
            return ControlFlow::Continue(());
        }
        self.read(tables)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        let name = match relation.0.as_slice() {
            [name] => name.as_ident().map(|ident| ident.value.to_lowercase()),
            _ => None,
        };
        let named = name.and_then(|n| self.scopes.iter().rev().find_map(|s| s.named.get(&n)));
        let tables = named.map_or(1, |tables| (*tables).max(1));
        self.read(tables)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        if let Expr::Cube(columns) = expr {
            self.cubed = self.cubed.saturating_add(columns.len());
        }
        if self.cubed > CUBE_COLUMNS_MAX {
            return ControlFlow::Break(beyond_limit(format!(
                "the statement has more than {CUBE_COLUMNS_MAX} columns in CUBE"
            )));
        }
        ControlFlow::Continue(())
    }
}
