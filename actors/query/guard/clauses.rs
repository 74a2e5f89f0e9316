//! Clauses that the parser reads and the planner passes over. A statement with one of them would
//! run as if it had not been written, so it is refused.
//!
//! DataFusion 55 passes over parts of the tree in many places (apache/datafusion#24754). Where a version of
//! it refuses or honours a clause by itself, its line here can go.

use datafusion::common::not_impl_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr,
    JoinOperator, LimitClause, NamedWindowExpr, Query, Select, TableFactor, TableWithJoins, Visit,
    Visitor, WindowSpec, WindowType,
};
use std::ops::ControlFlow;

/// Refuses a statement with a clause that would be ignored.
///
/// # Errors
/// When there is one. It is named.
pub(super) fn check(state: &SessionState, statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut Clauses { state }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(clause) => Err(clause),
        },
        Statement::Explain(explain) => check(state, &explain.statement),
        _ => Ok(()),
    }
}

struct Clauses<'a> {
    state: &'a SessionState,
}

type Flow = ControlFlow<DataFusionError>;

/// Breaks off at the first clause that is there.
fn first_of(clauses: &[(bool, &str)]) -> Flow {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, clause)) => ControlFlow::Break(not_impl_datafusion_err!("{clause}")),
        None => ControlFlow::Continue(()),
    }
}

impl Visitor for Clauses<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        first_of(&[
            (!query.locks.is_empty(), "FOR UPDATE and FOR SHARE: a query locks nothing"),
            (query.for_clause.is_some(), "FOR XML, FOR JSON and FOR BROWSE"),
            (query.settings.is_some(), "SETTINGS of a query"),
            (query.format_clause.is_some(), "FORMAT in a query, ask for the format beside it"),
            (limits_groups(query), "LIMIT BY"),
            (query.fetch.is_some(), "FETCH with PERCENT or WITH TIES, or beside LIMIT"),
        ])
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        let modifiers = match &select.group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
        };
        let windows = select.named_window.iter().map(|window| &window.1);
        let is_built_on = |window: &NamedWindowExpr| match window {
            NamedWindowExpr::NamedWindow(_) => true,
            NamedWindowExpr::WindowSpec(spec) => spec.window_name.is_some(),
        };
        first_of(&[
            (select.top.is_some(), "TOP, use LIMIT"),
            (select.prewhere.is_some(), "PREWHERE, use WHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY, use WITH RECURSIVE"),
            (!modifiers.is_empty(), "GROUP BY with a modifier, use GROUP BY ROLLUP or CUBE"),
            (select.exclude.is_some(), "EXCLUDE that does not follow *"),
            (select.select_modifiers.is_some(), "modifiers of SELECT"),
            (select.value_table_mode.is_some(), "SELECT AS VALUE and SELECT AS STRUCT"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW, use unnest"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY, use ORDER BY"),
            (windows.into_iter().any(is_built_on), "a window that is built on another one"),
        ])?;
        select.from.iter().try_for_each(joins)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Table {
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => first_of(&[
                (sample.is_some(), "TABLESAMPLE"),
                (version.is_some(), "a table as of another time"),
                (*with_ordinality, "WITH ORDINALITY"),
                (!partitions.is_empty(), "PARTITION of a table"),
                (json_path.is_some(), "a path behind a table"),
                (!with_hints.is_empty() || !index_hints.is_empty(), "hints behind a table"),
                (args.as_ref().is_some_and(|a| a.settings.is_some()), "SETTINGS of a function"),
                (alias.as_ref().is_some_and(|a| a.at.is_some()), "AT behind a table"),
            ]),
            TableFactor::Derived { sample, .. } => {
                first_of(&[(sample.is_some(), "TABLESAMPLE of a subquery")])
            }
            TableFactor::Function { with_ordinality, .. } => {
                first_of(&[(*with_ordinality, "WITH ORDINALITY")])
            }
            TableFactor::NestedJoin { table_with_joins, .. } => joins(table_with_joins),
            TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            other => {
                let clause = match other {
                    TableFactor::TableFunction { .. } => "TABLE(…), name the function itself",
                    TableFactor::Pivot { .. } => "PIVOT",
                    TableFactor::Unpivot { .. } => "UNPIVOT",
                    TableFactor::MatchRecognize { .. } => "MATCH_RECOGNIZE",
                    TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => {
                        "tables of JSON"
                    }
                    _ => "this kind of table",
                };
                first_of(&[(true, clause)])
            }
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(function) => self.call(function),
            Expr::AtTimeZone { .. } => {
                first_of(&[(true, "AT TIME ZONE with something else than the name of a zone")])
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn limits_groups(query: &Query) -> bool {
    matches!(&query.limit_clause,
        Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty())
}

/// Joins of kinds that the engine does not have.
fn joins(table: &TableWithJoins) -> Flow {
    for join in &table.joins {
        let clause = match &join.join_operator {
            JoinOperator::AsOf { .. } => "ASOF JOIN",
            JoinOperator::CrossApply | JoinOperator::OuterApply => "APPLY, use JOIN LATERAL",
            JoinOperator::StraightJoin(_) => "STRAIGHT_JOIN",
            JoinOperator::Semi(_) | JoinOperator::Anti(_) => {
                "SEMI JOIN and ANTI JOIN without LEFT or RIGHT"
            }
            _ => continue,
        };
        return first_of(&[(true, clause)]);
    }
    ControlFlow::Continue(())
}

impl Clauses<'_> {
    /// What stands in and behind the brackets of a call.
    fn call(&self, function: &Function) -> Flow {
        let name = function.name.to_string().to_lowercase();
        let list = match &function.args {
            FunctionArguments::List(list) => Some(list),
            FunctionArguments::None | FunctionArguments::Subquery(_) => None,
        };
        let is_distinct =
            list.is_some_and(|l| l.duplicate_treatment == Some(DuplicateTreatment::Distinct));
        let clauses = list.map_or(&[][..], |list| &list.clauses);
        let treats_nulls = function.null_treatment.is_some()
            || clauses.iter().any(|c| matches!(c, FunctionArgumentClause::IgnoreOrRespectNulls(_)));
        let is_ordered = !function.within_group.is_empty()
            || clauses.iter().any(|c| matches!(c, FunctionArgumentClause::OrderBy(_)));
        first_of(&[
            (
                matches!(function.args, FunctionArguments::Subquery(_)),
                "a query as the argument of a function, put it into brackets of its own",
            ),
            (
                !matches!(function.parameters, FunctionArguments::None),
                "two lists of arguments of a function",
            ),
            (
                matches!(
                    &function.over,
                    Some(WindowType::WindowSpec(WindowSpec { window_name: Some(_), .. }))
                ),
                "a window that is built on another one",
            ),
        ])?;
        let is_aggregate = self.state.aggregate_functions().contains_key(&name);
        let refused = |what: &str| -> Flow {
            ControlFlow::Break(not_impl_datafusion_err!("{what} with the function {name}"))
        };
        if self.computes_rows(&name) {
            // Of a call by row the planner takes the arguments and nothing else.
            for (is_there, what) in [
                (function.over.is_some(), "OVER"),
                (function.filter.is_some(), "FILTER"),
                (is_distinct, "DISTINCT"),
                (treats_nulls, "IGNORE NULLS or RESPECT NULLS"),
                (is_ordered, "ORDER BY"),
            ] {
                if is_there {
                    return refused(what);
                }
            }
        } else if function.over.is_some() {
            let by_row = !is_aggregate || WINDOWS_BEFORE_AGGREGATES.contains(&name.as_str());
            if by_row && function.filter.is_some() {
                return refused("FILTER");
            }
            if by_row && is_distinct {
                return refused("DISTINCT");
            }
            let aggregate = self.state.aggregate_functions().get(&name);
            if !by_row
                && treats_nulls
                && aggregate.is_some_and(|f| !f.supports_null_handling_clause())
            {
                return refused("IGNORE NULLS or RESPECT NULLS");
            }
        }
        ControlFlow::Continue(())
    }

    fn computes_rows(&self, name: &str) -> bool {
        self.state.scalar_functions().contains_key(name)
            || self.state.higher_order_functions().contains_key(name)
    }
}

/// Aggregates that are functions of their own in a window.
const WINDOWS_BEFORE_AGGREGATES: [&str; 3] = ["first_value", "last_value", "nth_value"];
