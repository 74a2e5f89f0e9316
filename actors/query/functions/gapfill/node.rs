//! The step that fills gaps, in the logical plan.

use super::layout::{ColumnRole, Layout};
use super::stubs::FillKind;
use arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Adds the missing bins to an aggregate by bin and series.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GapFill {
    input: LogicalPlan,
    schema: DFSchemaRef,
    layout: Arc<Layout>,
    /// The instants between which bins are, where these are not known before the plan is.
    open: Vec<Expr>,
}

/// True for a step that fills gaps.
pub(in super::super::super) fn is_gap_fill(node: &dyn UserDefinedLogicalNode) -> bool {
    node.as_any().is::<GapFill>()
}

/// What the step `node` does with bins between the instants `ends`, for the physical step.
///
/// # Errors
/// When it is another step, or an instant is not known.
pub(in super::super::super) fn layout_between(
    node: &dyn UserDefinedLogicalNode,
    ends: &[Expr],
) -> Result<Arc<dyn Any + Send + Sync>> {
    match node.as_any().downcast_ref::<GapFill>() {
        Some(node) => Ok(node.layout_between(ends)?),
        None => internal_err!("{} fills no gaps", node.name()),
    }
}

impl GapFill {
    /// The same with instants that are told later: the first one, if the bins of a series do not
    /// begin with its first row, and the last.
    pub(super) fn with_open(self, open: Vec<Expr>) -> Self {
        Self { open, ..self }
    }

    /// What the columns and bins are, now that all instants are known.
    ///
    /// # Errors
    /// When one is not.
    pub(super) fn known_layout(&self) -> Result<Arc<Layout>> {
        self.layout_between(&self.open)
    }

    /// The same with these instants in the places of those that are told later.
    fn layout_between(&self, ends: &[Expr]) -> Result<Arc<Layout>> {
        let ns = ends.iter().map(|instant| match instant {
            Expr::Literal(ScalarValue::TimestampNanosecond(Some(ns), _), _) => Ok(*ns),
            other => internal_err!("gaps cannot be filled up to {other}"),
        });
        let ns = ns.collect::<Result<Vec<i64>>>()?;
        let (first_ns, last_ns) = match ns.as_slice() {
            [] => return Ok(Arc::clone(&self.layout)),
            [last] => (*last, *last),
            [first, .., last] => (*first, *last),
        };
        let mut layout = Layout::clone(&self.layout);
        (layout.bins.first_ns, layout.bins.last_ns) = (first_ns, last_ns);
        Ok(Arc::new(layout))
    }

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
        let (schema, layout) = (Arc::new(schema), Arc::new(layout));
        Ok(Self { input, schema, layout, open: Vec::new() })
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
        self.open.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GapFill: {}", self.layout)
    }

    fn with_exprs_and_inputs(&self, open: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else {
            return internal_err!("gap filling has exactly one input");
        };
        // The engine tries whether columns added to the input come out too. They do not, and it
        // takes them back when it sees that the result is as before.
        let (schema, layout) = (Arc::clone(&self.schema), Arc::clone(&self.layout));
        Ok(Self { input, schema, layout, open })
    }
}
