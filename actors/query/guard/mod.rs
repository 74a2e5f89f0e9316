//! What is let through to the engine: one statement that only reads, and none that the engine's
//! parser and planner, which cannot be interrupted, would work on for long.

mod arguments;
mod clauses;
mod depth;
mod expansion;
mod nesting;
mod rewrite;

use super::errors;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;

/// Limit: lists in lists of a result. They are written recursively on threads with small stacks.
const TYPE_LEVELS_MAX: usize = 64;

/// Parses the statement and puts it into the form that is planned.
///
/// # Errors
/// When the text is not SQL, not exactly one statement, copies rows out, has a clause that the
/// planner would ignore, or would take too much to plan.
pub(super) fn parse(state: &SessionState, text: &str) -> Result<Statement> {
    nesting::check(text, |name| is_alias(state, name))?;
    let dialect = state.config_options().sql_parser.dialect;
    let mut statement = state
        .sql_to_statement(text, &dialect)
        .map_err(|error| errors::in_statement(error, text))?;
    if copies(&statement) {
        // Planned, it would ask for a file format first, of which there is none here.
        return plan_err!("DML not supported: COPY");
    }
    expansion::check(&statement)?;
    rewrite::rewrite(&mut statement);
    clauses::check(state, &statement)?;
    depth::check(&statement)?;
    Ok(statement)
}

fn copies(statement: &Statement) -> bool {
    match statement {
        Statement::CopyTo(_) => true,
        Statement::Explain(explain) => copies(&explain.statement),
        _ => false,
    }
}

/// True for a second name of a function.
fn is_alias(state: &SessionState, name: &str) -> bool {
    state.scalar_functions().get(name).is_some_and(|f| f.name() != name)
        || state.aggregate_functions().get(name).is_some_and(|f| f.name() != name)
}

/// Refuses plans that would change anything, results whose types are too deep to be written, and
/// arguments that the engine would fail at.
///
/// # Errors
/// When the plan, or a part of it, is not a query, a column is nested too deeply, or an argument
/// is beyond a limit.
pub(super) fn verify(plan: &LogicalPlan) -> Result<()> {
    if !plan.schema().fields().iter().all(|f| is_shallow(f.data_type(), TYPE_LEVELS_MAX)) {
        return Err(errors::beyond_limit(format!(
            "the type of a column is nested too deeply: it may have {TYPE_LEVELS_MAX} levels"
        )));
    }
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)?;
    arguments::check(plan)
}

fn is_shallow(data_type: &DataType, levels: usize) -> bool {
    if levels == 0 {
        return false;
    }
    let within = |field: &FieldRef| is_shallow(field.data_type(), levels - 1);
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => within(field),
        DataType::Struct(fields) => fields.iter().all(within),
        DataType::Union(fields, _) => fields.iter().all(|(_, field)| within(field)),
        DataType::RunEndEncoded(_, values) => within(values),
        DataType::Dictionary(_, values) => is_shallow(values, levels - 1),
        _ => true,
    }
}
