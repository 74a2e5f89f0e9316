//! The one way from a statement's text to its plan: parse, limits, plan, verify, bind.
//!
//! Every statement comes this way, whatever it is written in, whoever sent it, and whether it is
//! to run or only to be described.

use super::log::{Phase, Reporter};
use super::session::Session;
use super::shapes::{Given, Plan, Planned, Unused, shape};
use super::view::View;
use super::{cache_tables, guard, influxql, params};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use protocols::messages::query::{Language, Statement};
use std::collections::HashMap;
use std::sync::Arc;

/// A statement that is ready to run.
pub(super) struct Runnable {
    /// What the plan runs in.
    pub(super) context: TaskContext,
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// What is said of the result beside its columns.
    pub(super) metadata: HashMap<String, String>,
}

impl Runnable {
    /// A plan that a session has made.
    ///
    /// Functions are part of a plan and need not be found by name again, which spares copying
    /// hundreds of names. Only the tables of `information_schema` list them while they are read.
    pub(super) fn new(state: &SessionState, plan: Arc<dyn ExecutionPlan>) -> Self {
        let context = match has_tables_made_up(&plan) {
            true => TaskContext::from(state),
            false => TaskContext::new(
                None,
                state.session_id().to_owned(),
                state.config().clone(),
                HashMap::new(),
                HashMap::new(),
                HashMap::new(),
                HashMap::new(),
                Arc::clone(state.runtime_env()),
            ),
        };
        Self { context, plan, metadata: HashMap::new() }
    }
}

/// True if the plan reads a table that is made up while it is read.
fn has_tables_made_up(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<StreamingTableExec>() || plan.children().into_iter().any(has_tables_made_up)
}

/// Makes a statement ready to run.
///
/// # Errors
/// When it is wrong, asks for what is not there, or is beyond a limit.
pub(super) async fn prepare(
    view: &View,
    statement: &Statement,
    reporter: &Reporter,
) -> Result<Runnable> {
    let state = view.session();
    let physical = async |plan: &LogicalPlan| {
        reporter.note(|p, _| p.phase = Phase::LogicallyPlanned);
        state.query_planner().create_physical_plan(plan, &*state).await
    };
    let (plan, metadata) = match of_shape(view, &state, statement).await? {
        Some(Planned { plan: Plan::Physical(plan), metadata }) => {
            count("physical");
            (plan, metadata)
        }
        Some(Planned { plan: Plan::Optimized(plan, template), metadata }) => {
            count("optimized");
            let plan = physical(&plan).await?;
            template.keep(&plan);
            (plan, metadata)
        }
        None => {
            count("none");
            let plan = logical(view, &state, statement).await?;
            let metadata = plan.schema().metadata().clone();
            let plan = bound(plan, statement)?;
            (physical(&state.optimize(&plan)?).await?, metadata)
        }
    };
    reporter.note(|p, _| p.phase = Phase::PhysicallyPlanned);
    let runnable = Runnable::new(&state, plan);
    Ok(match statement.language {
        Language::Sql => runnable,
        Language::InfluxQl | Language::InfluxQlV1 => Runnable { metadata, ..runnable },
    })
}

/// Counts a statement by how much of its plan was there already.
fn count(known: &'static str) {
    metrics::counter!("query_plans_total", "known" => known).increment(1);
}

/// The plan of a statement whose shape is known.
async fn of_shape(view: &View, state: &Session, statement: &Statement) -> Result<Option<Planned>> {
    let (shapes, catalogs) = (&view.shapes, &view.catalogs);
    match statement.language {
        Language::Sql => {
            let planning = async |text| {
                logical(view, state, &Statement { text, ..Statement::default() }).await
            };
            let given = Given { now_ns: view.now_ns, params: &statement.params };
            let Some(shape) = shape(&statement.text, given) else { return Ok(None) };
            shapes.plan(catalogs, state, shape, Unused::Refused, planning).await
        }
        Language::InfluxQl | Language::InfluxQlV1 => {
            let Some(mut apart) = influxql::apart(statement, view.now_ns) else {
                return Ok(None);
            };
            let shape = std::mem::take(&mut apart.shape);
            let planning = async |_| {
                let plan = influxql::plan_apart(view, state, apart)?;
                guard::verify(&plan)?;
                Ok(plan)
            };
            shapes.plan(catalogs, state, shape, Unused::Allowed, planning).await
        }
    }
}

/// A plan with values in the places of its placeholders.
///
/// # Errors
/// When one has none.
pub(super) fn bound(plan: LogicalPlan, statement: &Statement) -> Result<LogicalPlan> {
    match statement.language {
        Language::Sql => params::bind(plan, &statement.text, &statement.params),
        // Its literals decide what it means, so values are there before it is planned.
        Language::InfluxQl | Language::InfluxQlV1 => Ok(plan),
    }
}

/// The plan of a statement whose placeholders are still open.
///
/// # Errors
/// As [`prepare`].
pub(super) async fn logical(
    view: &View,
    state: &Session,
    statement: &Statement,
) -> Result<LogicalPlan> {
    let plan = match statement.language {
        Language::Sql => {
            let parsed = guard::parse(state, &statement.text)?;
            cache_tables::check(&parsed)?;
            state.statement_to_plan(parsed).await?
        }
        Language::InfluxQl | Language::InfluxQlV1 => influxql::plan(view, state, statement)?,
    };
    guard::verify(&plan)?;
    Ok(plan)
}
