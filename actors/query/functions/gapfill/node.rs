//! The step that fills gaps, in the logical plan.

use super::bins::BinRange;
use super::exec::GapFillExec;
use super::stubs::FillKind;
use arrow::datatypes::Field;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// What happens to a column when rows are added.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ColumnRole {
    /// The bin.
    Bin,
    /// Part of what tells one series from another.
    Series,
    /// An aggregate that is this value in added rows.
    Value(ScalarValue),
    /// An aggregate whose missing values are found from those of other rows.
    Filled(FillKind),
}

/// The bins of the result and what its columns are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    /// The bins that every series has.
    pub(super) bins: BinRange,
    /// What each column is.
    pub(super) roles: Vec<ColumnRole>,
    /// True if the bins of a series begin with its first row, whatever the range is.
    pub(super) from_first_row: bool,
}

/// Adds the missing bins to an aggregate by bin and series.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GapFill {
    input: LogicalPlan,
    schema: DFSchemaRef,
    layout: Arc<Layout>,
}

impl GapFill {
    /// Fills `input`, whose columns are as `layout` says.
    pub(super) fn try_new(input: LogicalPlan, layout: Layout) -> Result<Self> {
        let fields = input.schema().iter().zip(&layout.roles).map(|((table, field), role)| {
            let nullable = field.is_nullable()
                || matches!(role, ColumnRole::Value(value) if value.is_null())
                || matches!(role, ColumnRole::Filled(_));
            let field = Field::clone(field).with_nullable(nullable);
            (table.cloned(), Arc::new(field))
        });
        let metadata = input.schema().metadata().clone();
        let schema = DFSchema::new_with_metadata(fields.collect(), metadata)?;
        if schema.fields().len() != input.schema().fields().len() {
            return internal_err!("gap filling has to know all columns of its input");
        }
        Ok(Self { input, schema: Arc::new(schema), layout: Arc::new(layout) })
    }

    /// The same with missing values of some aggregates found in a certain way, and with columns
    /// added, which are computed from the aggregates before gaps are filled.
    ///
    /// # Errors
    /// When there is no such column.
    pub(super) fn with_fills(
        &self,
        fills: &[(usize, FillKind)],
        added: &[(Expr, FillKind)],
    ) -> Result<Self> {
        let mut layout = Layout::clone(&self.layout);
        for (column, kind) in fills {
            match layout.roles.get_mut(*column) {
                Some(role) => *role = ColumnRole::Filled(*kind),
                None => return internal_err!("gap filling has no column {column}"),
            }
        }
        let mut input = self.input.clone();
        if !added.is_empty() {
            let known = input.schema().columns().into_iter().map(Expr::Column);
            let columns: Vec<Expr> =
                known.chain(added.iter().map(|(column, _)| column.clone())).collect();
            input = LogicalPlanBuilder::from(input).project(columns)?.build()?;
            layout.roles.extend(added.iter().map(|(_, kind)| ColumnRole::Filled(*kind)));
        }
        Self::try_new(input, layout)
    }

    /// What a column is.
    pub(super) fn role(&self, column: usize) -> Option<&ColumnRole> {
        self.layout.roles.get(column)
    }
}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GapFill: {}", self.layout)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else {
            return internal_err!("gap filling has exactly one input");
        };
        // The engine tries whether columns added to the input come out too. They do not, and it
        // takes them back when it sees that the result is as before.
        let (schema, layout) = (Arc::clone(&self.schema), Arc::clone(&self.layout));
        Ok(Self { input, schema, layout })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BinRange { stride_ns, first_ns, last_ns, .. } = &self.bins;
        write!(f, "stride_ns={stride_ns}, range_ns=[{first_ns}, {last_ns}], columns=[")?;
        for (at, role) in self.roles.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            match role {
                ColumnRole::Bin => write!(f, "{separator}bin")?,
                ColumnRole::Series => write!(f, "{separator}series")?,
                ColumnRole::Value(value) => write!(f, "{separator}{value}")?,
                ColumnRole::Filled(FillKind::Previous) => write!(f, "{separator}locf")?,
                ColumnRole::Filled(FillKind::Linear) => write!(f, "{separator}interpolate")?,
            }
        }
        write!(f, "]")
    }
}

/// The engine's planner, which also knows how gaps are filled.
#[derive(Debug)]
pub(in super::super::super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(GapFillPlanner)])
            .create_physical_plan(plan, session)
            .await
    }
}

/// Makes the physical step of the logical one.
struct GapFillPlanner;

#[async_trait]
impl ExtensionPlanner for GapFillPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<GapFill>(), inputs) else {
            return Ok(None);
        };
        if input.schema().fields().len() != node.layout.roles.len() {
            return internal_err!("gap filling has to know all columns of its input");
        }
        let schema = Arc::clone(node.schema.inner());
        let exec = GapFillExec::try_new(Arc::clone(input), schema, Arc::clone(&node.layout))?;
        Ok(Some(Arc::new(exec)))
    }
}
