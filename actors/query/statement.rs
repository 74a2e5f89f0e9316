//! The one way from a statement's text to its plan: parse, limits, plan, verify, bind.
//!
//! Every statement comes this way, whatever it is written in, whoever sent it, and whether it is
//! to run or only to be described.

use super::catalog_view::Catalogs;
use super::log::{Phase, Reporter};
use super::session::{Session, Sessions};
use super::shapes::{Given, Shapes};
use super::{cache_tables, guard, influxql, params};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use protocols::messages::query::{Language, Statement};
use protocols::principal::Visible;
use std::collections::HashMap;
use std::sync::Arc;

/// What a statement sees, and what it is planned with.
pub(super) struct View {
    pub(super) sessions: Arc<Sessions>,
    /// Plans that may be used again.
    pub(super) shapes: Shapes,
    pub(super) catalogs: Arc<Catalogs>,
    /// All databases that may be read.
    pub(super) visible: Visible,
    /// When it began, nanoseconds since 1970.
    pub(super) now_ns: i64,
}

impl View {
    /// A session of its own.
    pub(super) fn session(&self) -> Session {
        self.sessions.open(Arc::clone(&self.catalogs), self.now_ns)
    }
}

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
    let known = match statement.language {
        Language::Sql => {
            let planning = async |text| {
                logical(view, &state, &Statement { text, ..Statement::default() }).await
            };
            let given = Given { now_ns: view.now_ns, params: &statement.params };
            view.shapes.plan(&view.catalogs, &state, &statement.text, given, planning).await
        }
        Language::InfluxQl | Language::InfluxQlV1 => None,
    };
    let mut metadata = HashMap::new();
    let plan = match known {
        Some(plan) => plan,
        None => {
            let plan = logical(view, &state, statement).await?;
            if statement.language != Language::Sql {
                metadata = plan.schema().metadata().clone();
            }
            let plan = bound(plan, statement)?;
            state.optimize(&plan)?
        }
    };
    reporter.note(|p, _| p.phase = Phase::LogicallyPlanned);
    let plan = state.query_planner().create_physical_plan(&plan, &*state).await?;
    reporter.note(|p, _| p.phase = Phase::PhysicallyPlanned);
    Ok(Runnable { metadata, ..Runnable::new(&state, plan) })
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
