//! InfluxQL: from a text to a plan of the engine.
//!
//! A SELECT statement is looked at as a whole first (`outline`: what its names are, which columns
//! it has, what its calls are), then each measurement is planned on its own (`rows` and what it
//! calls), and the results are put together (`assemble`). Types are those of InfluxQL (`kind`); the
//! engine's follow from them. Lists of names come from the catalog (`show`).

mod aggregates;
mod analysis;
mod arithmetic;
mod assemble;
mod bind;
mod calls;
mod collected;
mod condition;
mod deletes;
mod expand;
mod faults;
mod forecast;
mod kind;
mod limits;
mod maths;
mod outer;
mod outline;
mod placeholders;
mod planner;
mod relation;
mod rows;
mod running;
mod scalar;
mod select;
mod several;
mod show;
mod simplex;
mod slots;
mod stage;
mod time_range;
mod transformations;
mod windows;

pub use deletes::{DeletedRows, deleted_rows};

use super::functions::local_clock::LocalClock;
use super::session::Session;
use super::view::View;
use datafusion::common::plan_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use faults::missing;
use planner::Planner;
use protocols::influxql::{Explain, Statement, parse};
use protocols::messages::query::{Language, Statement as Asked};

pub(super) use slots::{Apart, apart};

/// True for the names of time zones.
pub fn is_time_zone(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && LocalClock::new(name).is_ok()
}

/// The plan of a text that is one statement.
///
/// # Errors
/// When it is none, or means nothing for this database.
pub(super) fn plan(view: &View, session: &Session, asked: &Asked) -> Result<LogicalPlan> {
    let mut statements = parse(&asked.text, is_time_zone).map_err(|error| {
        plan_datafusion_err!("error in InfluxQL statement: parsing error: {error}")
    })?;
    let (Some(one), true) = (statements.pop(), statements.is_empty()) else {
        return Err(plan_datafusion_err!("must provide only one InfluxQl statement per query"));
    };
    let planner = Planner {
        state: session,
        catalogs: &view.catalogs,
        visible: &view.visible,
        now_ns: view.now_ns,
        slots: None,
    };
    let statement = bind::statement(one.statement, &asked.params)?;
    planned(&planner, &statement, asked.language)
}

/// The plan of a shape, with placeholders for the values of the statement.
///
/// # Errors
/// As [`plan`].
pub(super) fn plan_apart(view: &View, session: &Session, apart: Apart) -> Result<LogicalPlan> {
    let planner = Planner {
        state: session,
        catalogs: &view.catalogs,
        visible: &view.visible,
        now_ns: view.now_ns,
        slots: Some(apart.slots),
    };
    assemble::select(&planner, &apart.select)
}

fn planned(
    planner: &Planner<'_>,
    statement: &Statement,
    language: Language,
) -> Result<LogicalPlan> {
    match statement {
        Statement::Select(select) => assemble::select(planner, select),
        Statement::Show(show) => show::plan(planner, show, language),
        Statement::Explain(explain) => {
            let Explain { analyze, verbose, statement } = explain.as_ref();
            let inner = planned(planner, statement, language)?;
            LogicalPlanBuilder::from(inner).explain(*verbose, *analyze)?.build()
        }
        Statement::CreateDatabase { .. } => Err(missing("CREATE DATABASE")),
        Statement::DropDatabase { .. } => Err(missing("DROP DATABASE")),
        Statement::DropMeasurement { .. } => Err(missing("DROP MEASUREMENT")),
        Statement::CreatePolicy { .. } => Err(missing("CREATE RETENTION POLICY")),
        Statement::AlterPolicy { .. } => Err(missing("ALTER RETENTION POLICY")),
        Statement::DropPolicy { .. } => Err(missing("DROP RETENTION POLICY")),
        Statement::DropSeries { .. } => Err(missing("DROP SERIES")),
        Statement::Delete { .. } => Err(missing("DELETE")),
    }
}
