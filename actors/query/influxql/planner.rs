//! What statements are planned with.

use super::condition::compiled;
use super::faults::missing;
use super::placeholders::Slots;
use super::relation::Relation;
use crate::query::catalog_view::Catalogs;
use datafusion::common::plan_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, Expr as Engine, ScalarUDF, WindowUDF};
use protocols::influxql::{Measurement, MeasurementName};
use protocols::principal::Visible;
use std::sync::Arc;

/// See the module's page.
pub(super) struct Planner<'a> {
    /// Knows the functions of the engine.
    pub(super) state: &'a SessionState,
    /// The database.
    pub(super) catalogs: &'a Catalogs,
    /// All databases.
    pub(super) visible: &'a Visible,
    /// When the statement began, nanoseconds since 1970.
    pub(super) now_ns: i64,
    /// Where values are left open.
    pub(super) slots: Option<Slots>,
}

impl Planner<'_> {
    /// The measurements that a source names.
    pub(super) fn measurements(&self, source: &Measurement) -> Result<Vec<(String, Relation)>> {
        self.check_database(source.database.as_deref())?;
        let names = match &source.name {
            MeasurementName::Name(name) => vec![name.clone()],
            MeasurementName::Regex(pattern) => {
                let regex = compiled(pattern)?;
                let tables = self.catalogs.db().live_tables();
                let names = tables.iter().map(|table| table.name.to_string());
                names.filter(|name| regex.is_match(name)).collect()
            }
        };
        let open = |name: String| {
            let (table, rows) = self.catalogs.open_table(&name)?;
            Some(Relation::of_table(&table, rows).map(|relation| (name, relation)))
        };
        names.into_iter().filter_map(open).collect()
    }

    /// Refuses another database than the one that the statement runs in.
    pub(super) fn check_database(&self, named: Option<&str>) -> Result<()> {
        let own = &self.catalogs.db().name;
        let is_own = |named: &str| {
            let rest = own.strip_prefix(named);
            rest.is_some_and(|policy| policy.is_empty() || policy.starts_with('/'))
        };
        match named {
            Some(named) if !is_own(named) => Err(missing(format!(
                "database prefix in qualified measurement syntax: {named}, where the statement \
                 runs in {own}"
            ))),
            _ => Ok(()),
        }
    }

    /// A function of the engine that makes one value of many.
    pub(super) fn aggregate(&self, name: &str) -> Result<Arc<AggregateUDF>> {
        let found = self.state.aggregate_functions().get(name).cloned();
        found.ok_or_else(|| plan_datafusion_err!("Invalid function '{name}'"))
    }

    /// A function of the engine that looks at the rows around.
    pub(super) fn window(&self, name: &str) -> Result<Arc<WindowUDF>> {
        let found = self.state.window_functions().get(name).cloned();
        found.ok_or_else(|| plan_datafusion_err!("Invalid function '{name}'"))
    }

    /// A call of a function of the engine.
    pub(super) fn scalar(&self, name: &str, args: Vec<Engine>) -> Result<Engine> {
        let found: Option<Arc<ScalarUDF>> = self.state.scalar_functions().get(name).cloned();
        let found = found.ok_or_else(|| plan_datafusion_err!("Invalid function '{name}'"))?;
        Ok(found.call(args))
    }
}
