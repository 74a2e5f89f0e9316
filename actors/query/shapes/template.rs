//! The optimized plan of a shape, and what becomes of it with values.

use super::Unused;
use super::kept::Kept;
use super::text::Shape;
use super::value::Value;
use crate::query::cache_tables;
use crate::query::functions::gapfill::is_gap_fill;
use crate::query::in_order::is_in_order;
use crate::query::provider::{self, is_cut_series};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::ExecutionPlan;
use protocols::schema::DatabaseSchema;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// What is assumed of the size of both plans in memory, in bytes, beside that of the text.
const PLAN_BYTES: usize = 64 * 1024;
/// Plans with constants larger than this together are not kept.
const CONSTANTS_BYTES_MAX: usize = 16 * 1024;

/// See the module's page.
#[derive(Debug)]
pub(in crate::query) struct Template {
    /// What the plan was made for. With another schema it may be another one.
    db: Weak<DatabaseSchema>,
    /// Optimized; its placeholders have types.
    plan: LogicalPlan,
    /// The type of each placeholder by its name, in the order of the values. None is of one that the
    /// plan does not have.
    placeholders: Vec<(String, Option<DataType>)>,
    /// What is said of the result beside its columns.
    metadata: HashMap<String, String>,
    /// The physical plan, if it may be used again.
    kept: Option<Kept>,
}

/// Values by the names of their placeholders.
type Values<'a> = HashMap<&'a str, ScalarValue>;

impl Template {
    /// A template of the optimized plan of a shape. `None` if it is of a kind that cannot be used
    /// again, or values of such kinds as `values` would be converted before they are compared.
    ///
    /// # Errors
    /// When the plan cannot be walked.
    pub(super) fn new(
        db: &Arc<DatabaseSchema>,
        plan: LogicalPlan,
        values: &[Value],
        unused: Unused,
    ) -> Result<Option<Self>> {
        let mut types: HashMap<String, Option<DataType>> = HashMap::new();
        let (mut is_usable, mut constants_bytes) = (true, 0);
        plan.apply_with_subqueries(|node| {
            is_usable &= match node {
                LogicalPlan::TableScan(scan) => {
                    provider::is_stored(&scan.source) || cache_tables::is_cache(&scan.source)
                }
                LogicalPlan::Extension(step) => {
                    is_cut_series(step.node.as_ref())
                        || is_gap_fill(step.node.as_ref())
                        || is_in_order(step.node.as_ref())
                }
                LogicalPlan::Subquery(_) => false,
                _ => true,
            };
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::Literal(constant, _) = expr {
                        constants_bytes += constant.size();
                    }
                    if let Expr::Placeholder(Placeholder { id, field }) = expr {
                        let found = field.as_ref().map(|field| field.data_type().clone());
                        let known = types.entry(id.clone()).or_insert_with(|| found.clone());
                        if *known != found {
                            *known = None;
                        }
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        let placeholders = values.iter().enumerate().map(|(number, value)| {
            let name = Shape::placeholder(number, value);
            let data_type = match types.remove(&name) {
                Some(data_type) => data_type?,
                None if unused == Unused::Allowed => return Some((name, None)),
                None => return None,
            };
            value.fits(&data_type).then_some((name, Some(data_type)))
        });
        let placeholders: Option<Vec<_>> = placeholders.collect();
        let db = Arc::downgrade(db);
        is_usable &= constants_bytes <= CONSTANTS_BYTES_MAX;
        let Some(placeholders) = placeholders.filter(|_| is_usable) else { return Ok(None) };
        let kept = Kept::of(&plan)?;
        Ok(Some(Self { db, plan, placeholders, metadata: HashMap::new(), kept }))
    }

    /// The same with what is said of the result.
    pub(super) fn with_metadata(self, metadata: HashMap<String, String>) -> Self {
        Self { metadata, ..self }
    }

    /// What is said of the result beside its columns.
    pub(super) fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The database as it was when the plan was made.
    pub(super) fn db(&self) -> &Weak<DatabaseSchema> {
        &self.db
    }

    /// About how much memory it takes.
    pub(super) fn size_bytes(&self) -> usize {
        PLAN_BYTES + self.placeholders.len() * size_of::<(String, Option<DataType>)>()
    }

    /// The plan with values in the places of the placeholders. `None` if a value does not fit.
    ///
    /// # Errors
    /// When an expression with its value makes no sense.
    pub(super) fn bind(
        &self,
        state: &SessionState,
        values: &[Value],
    ) -> Result<Option<LogicalPlan>> {
        let Some(values) = self.typed(values) else { return Ok(None) };
        let bound = self.plan.clone().transform_up(|node| {
            let schema = match &node {
                LogicalPlan::TableScan(scan) => Arc::clone(&scan.projected_schema),
                node => node
                    .inputs()
                    .first()
                    .map_or_else(|| Arc::clone(node.schema()), |input| Arc::clone(input.schema())),
            };
            node.map_expressions(|expr| with_values(expr, &values, &schema, state))
        })?;
        Ok(Some(bound.data))
    }

    /// The values in the types that they are compared with. `None` if one does not fit.
    fn typed(&self, values: &[Value]) -> Option<Values<'_>> {
        let typed = self
            .placeholders
            .iter()
            .zip(values)
            .filter_map(|((name, data_type), value)| Some((name, data_type.as_ref()?, value)))
            .map(|(name, data_type, value)| Some((name.as_str(), value.in_type(data_type)?)));
        typed.collect()
    }

    /// The physical plan with values. `None` if none was kept that fits.
    ///
    /// # Errors
    /// When an expression with its value makes no sense, or the rows cannot be seen.
    pub(super) async fn physical(
        &self,
        state: &SessionState,
        values: &[Value],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(kept), Some(values)) = (&self.kept, self.typed(values)) else { return Ok(None) };
        let bind = |expr, schema: &_| Ok(with_values(expr, &values, schema, state)?.data);
        kept.plan(state, bind).await
    }

    /// Keeps what became of the plan with the values of a statement, if it may be used again.
    pub(in crate::query) fn keep(&self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(kept) = &self.kept {
            kept.keep(plan);
        }
    }
}

/// The expression with values for its placeholders, and computed as far as these allow.
fn with_values(
    expr: Expr,
    values: &Values<'_>,
    schema: &Arc<DFSchema>,
    state: &SessionState,
) -> Result<Transformed<Expr>> {
    let bound = expr.transform_up(|expr| match &expr {
        Expr::Placeholder(Placeholder { id, .. }) => match values.get(id.as_str()) {
            Some(value) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    })?;
    if !bound.transformed || is_simple(&bound.data) {
        return Ok(bound);
    }
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    Ok(Transformed::yes(ExprSimplifier::new(context).simplify(bound.data)?))
}

/// True if there is nothing to compute beforehand: columns are compared with literals.
fn is_simple(expr: &Expr) -> bool {
    let is_leaf = |expr: &Expr| matches!(expr, Expr::Column(_) | Expr::Literal(..));
    match expr {
        Expr::BinaryExpr(binary) => {
            (is_leaf(&binary.left) && is_leaf(&binary.right))
                || (is_simple(&binary.left) && is_simple(&binary.right))
        }
        Expr::InList(list) => is_leaf(&list.expr) && list.list.iter().all(is_leaf),
        Expr::Between(between) => {
            is_leaf(&between.expr) && is_leaf(&between.low) && is_leaf(&between.high)
        }
        Expr::Alias(alias) => is_simple(&alias.expr),
        expr => is_leaf(expr),
    }
}
