//! Plans that are used again.
//!
//! Most of the time that a short query takes goes into its planning, and dashboards send the same
//! statements again and again, with other values. So the values that a statement compares with are
//! taken out of its text (`text`), `now()` and placeholders among them; what is left is its shape.
//! InfluxQL has a reader of its own (`influxql::slots`). The optimized plan of a shape is kept
//! (`template`), and a statement of the same shape puts its own values in; so is the physical plan, if
//! values only decide which rows it is for (`kept`).
//!
//! A value becomes a literal of the type that it is compared with, where that is what the engine
//! would have made of it. All else, such as limits, widths of time bins and arguments of functions,
//! is part of the shape: a plan may depend on it. What has no shape, does not fit, or fails in any
//! way is planned for itself, so that results and errors are those of the engine.
//!
//! A shape is planned when its second statement comes: most statements come once.

mod kept;
mod template;
mod text;
mod tokens;
mod value;

use super::catalog_view::Catalogs;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use moka::sync::Cache;
use protocols::ids::DbId;
use protocols::schema::DatabaseSchema;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use template::Template;

pub(super) use text::{Given, Shape, shape};
pub(super) use value::Value;

/// What is known of a shape.
#[derive(Clone, Debug)]
enum Known {
    /// One statement of it has come.
    Once,
    /// Its plan cannot be used again while this is the schema.
    Unusable(Weak<DatabaseSchema>),
    Planned(Arc<Template>),
}

/// The plans of shapes, those that were not used for longest going first.
#[derive(Clone, Debug)]
pub(super) struct Shapes(Cache<(DbId, String), Known>);

impl Shapes {
    /// Plans that take so much memory together, about.
    pub(super) fn new(bytes_max: usize) -> Self {
        let weight = |(_, text): &(DbId, String), known: &Known| {
            let plan = match known {
                Known::Planned(template) => template.size_bytes(),
                Known::Once | Known::Unusable(_) => 0,
            };
            u32::try_from(size_of::<Known>() + text.len() + plan).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes_max as u64).weigher(weight).build())
    }

    /// The plan of a statement over what `catalogs` shows, if its shape is known or to be known from now
    /// on. `planning` makes the plan of a shape; its placeholders may be open.
    ///
    /// # Errors
    /// When the rows cannot be seen that a plan is for.
    pub(super) async fn plan(
        &self,
        catalogs: &Catalogs,
        state: &SessionState,
        shape: Shape,
        unused: Unused,
        planning: impl AsyncFnOnce(String) -> Result<LogicalPlan>,
    ) -> Result<Option<Planned>> {
        let Shape { text, values } = shape;
        let db = catalogs.db();
        let key = (db.id, text);
        let template = match self.0.get(&key) {
            Some(Known::Planned(template)) if is(template.db(), db) => template,
            Some(Known::Unusable(schema)) if is(&schema, db) => return Ok(None),
            Some(_) => {
                let template = planning(key.1.clone()).await.and_then(|plan| {
                    let metadata = plan.schema().metadata().clone();
                    let plan = state.optimize(&plan)?;
                    let template = Template::new(db, plan, &values, unused)?;
                    Ok(template.map(|template| template.with_metadata(metadata)))
                });
                match template {
                    Ok(Some(template)) => {
                        let template = Arc::new(template);
                        self.0.insert(key, Known::Planned(Arc::clone(&template)));
                        template
                    }
                    Ok(None) | Err(_) => {
                        self.0.insert(key, Known::Unusable(Arc::downgrade(db)));
                        return Ok(None);
                    }
                }
            }
            None => {
                self.0.insert(key, Known::Once);
                return Ok(None);
            }
        };
        let metadata = template.metadata().clone();
        if let Some(plan) = template.physical(state, &values).await? {
            return Ok(Some(Planned { plan: Plan::Physical(plan), metadata }));
        }
        let bound = template.bind(state, &values).ok().flatten();
        Ok(bound.map(|plan| Planned { plan: Plan::Optimized(plan, template), metadata }))
    }
}

/// A plan with the values of its statement.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// What is said of the result beside its columns.
    pub(super) metadata: HashMap<String, String>,
}

/// How far a plan is.
pub(super) enum Plan {
    /// Still to be made physical, and then told to its template, see [`Template::keep`].
    Optimized(LogicalPlan, Arc<Template>),
    /// Ready to run.
    Physical(Arc<dyn ExecutionPlan>),
}

/// Values that the plan of a shape does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unused {
    /// Such a plan cannot be used again.
    Refused,
    /// They do not matter.
    Allowed,
}

/// True if this is the same state of the same database.
fn is(schema: &Weak<DatabaseSchema>, db: &Arc<DatabaseSchema>) -> bool {
    std::ptr::eq(schema.as_ptr(), Arc::as_ptr(db))
}
