//! The step that cuts series, in the physical plan.

use super::super::exec::ScanExec;
use super::super::groups::Groups;
use super::super::scan::Scan;
use super::collect::Collect;
use super::cut::{Cut, as_cut};
use crate::query::plan_kit::{new_children, no_expressions};
use arrow::compute::SortOptions;
use arrow::datatypes::{Fields, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, Partitioning, PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt, stream};
use protocols::schema::ColumnKind;
use std::fmt;
use std::sync::Arc;

/// Limit: of more rows of a series than this the table is not read from one end of time on.
const WANTED_MAX: usize = 10_000;

/// So many rows a series is assumed to have.
const ROWS_OF_SERIES: usize = 1_000;

/// Yields the rows that are shown, ordered by series, time and keys, once it has seen all that
/// matter.
#[derive(Clone, Debug)]
pub(super) struct CutSeriesExec {
    input: Arc<dyn ExecutionPlan>,
    cut: Arc<Cut>,
    /// What the rows come from, if it can be spared some of them.
    read: Option<Read>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// A table that is read from one end of time on.
#[derive(Clone, Debug)]
struct Read {
    scan: Arc<Scan>,
    /// The columns of the scan that tell series apart.
    series: Vec<usize>,
}

impl CutSeriesExec {
    /// Cuts the series of `input`, and has it read from the right end of time on.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>, cut: Arc<Cut>) -> Result<Self> {
        let is_few = cut.wanted() <= WANTED_MAX && cut.has_all_series();
        let from_end = match is_few {
            true => from_end(&input, &cut.series, cut.descending)?,
            false => None,
        };
        let (input, read) = match from_end {
            Some((input, read)) => (input, Some(read)),
            None => (input, None),
        };
        Self::try_new(input, cut, read)
    }

    fn try_new(input: Arc<dyn ExecutionPlan>, cut: Arc<Cut>, read: Option<Read>) -> Result<Self> {
        let input_schema = input.schema();
        let fields = input_schema.fields().iter().enumerate();
        let fields: Fields = fields.map(|(at, field)| as_cut(field, at, &cut)).collect();
        let metadata = input_schema.metadata().clone();
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let ordering = ordering(&schema, &cut);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, ordering),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { input, cut, read, properties, metrics })
    }
}

/// By series and time. That keys come next matters to nobody, and each column costs planning.
fn ordering(schema: &Schema, cut: &Cut) -> Option<LexOrdering> {
    let by = |at: usize, descending: bool| {
        let options = SortOptions { descending, nulls_first: false };
        PhysicalSortExpr::new(Arc::new(Column::new(schema.field(at).name(), at)), options)
    };
    let series = cut.series.iter().map(|at| by(*at, false));
    let time = std::iter::once(by(cut.time, cut.descending));
    LexOrdering::new(series.chain(time))
}

/// The same plan over a table that is read from one end of time on, and what tells series apart
/// there. `None` if the columns `series` are no tags of one table.
fn from_end(
    plan: &Arc<dyn ExecutionPlan>,
    series: &[usize],
    newest: bool,
) -> Result<Option<(Arc<dyn ExecutionPlan>, Read)>> {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        let schema = scan.schema();
        let table = &scan.scan().table;
        let is_tag = |at: &usize| {
            let column = table.column(schema.field(*at).name());
            column.is_some_and(|column| column.kind == ColumnKind::Tag)
        };
        if scan.fetch().is_some() || !series.iter().all(is_tag) {
            return Ok(None);
        }
        let read = Read { scan: Arc::clone(scan.scan()), series: series.to_vec() };
        return Ok(Some((Arc::new(scan.clone().for_end(newest)), read)));
    }
    let below: Option<Vec<usize>> = series.iter().map(|at| column_below(plan, *at)).collect();
    let children = plan.children();
    let (Some(below), [child]) = (below, children.as_slice()) else { return Ok(None) };
    let Some((child, read)) = from_end(child, &below, newest)? else { return Ok(None) };
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Ok(Some((Arc::clone(plan).replace_children(vec![child], options)?, read)))
}

/// Which column of its input a column of a plan is that takes rows as they are.
fn column_below(plan: &Arc<dyn ExecutionPlan>, at: usize) -> Option<usize> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let column = projection.expr().get(at)?.expr.downcast_ref::<Column>()?;
        return Some(column.index());
    }
    let filter = plan.downcast_ref::<FilterExec>().filter(|filter| filter.fetch().is_none())?;
    match filter.projection() {
        Some(projection) => projection.get(at).copied(),
        None => Some(at),
    }
}

impl DisplayAs for CutSeriesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CutSeriesExec: {}", self.cut)?;
        if self.read.is_some() {
            f.write_str(", stops early")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for CutSeriesExec {
    fn name(&self) -> &'static str {
        "CutSeriesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    no_expressions!();

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop().filter(|_| children.is_empty()) else {
            return internal_err!("CutSeriesExec has exactly one input");
        };
        let (cut, read) = (Arc::clone(&self.cut), self.read.clone());
        Ok(Arc::new(Self::try_new(input, cut, read)?))
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let (mut input, mut groups) = (Arc::clone(&self.input), None);
        if let Some(read) = &self.read {
            let key = Arc::new(read.scan.schema.project(&read.series)?);
            let met = Arc::new(Groups::new(key, &read.scan.selection)?);
            input = telling(input, &met)?;
            groups = Some(met);
        }
        let rows = input.execute(partition, Arc::clone(&task))?;
        let batch_rows = task.session_config().batch_size();
        let collect = Collect::new(self.schema(), Arc::clone(&self.cut), groups)?;
        let batches = collect.shown(rows, batch_rows, baseline);
        let batches = stream::once(batches).map_ok(|batches| stream::iter(batches).map(Ok));
        let batches = batches.try_flatten();
        let batches = RecordBatchStreamAdapter::new(self.schema(), Box::pin(batches));
        Ok(Box::pin(cooperative(batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// How many series there are is not known. Taken for granted is that they are not short, so that
    /// a few rows of each are not divided among threads.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let Some(rows) = inputs.first().and_then(|input| input.num_rows.get_value()) {
            let shown = (rows / ROWS_OF_SERIES).max(1).saturating_mul(self.cut.wanted());
            statistics.num_rows = Precision::Inexact(shown.min(*rows));
        }
        Ok(Arc::new(statistics))
    }
}

/// The same plan over a scan that looks at which series were met.
fn telling(plan: Arc<dyn ExecutionPlan>, met: &Arc<Groups>) -> Result<Arc<dyn ExecutionPlan>> {
    let told = plan.transform_up(|plan| {
        Ok(match plan.with_new_state(Arc::clone(met) as _) {
            Some(told) => Transformed::yes(told),
            None => Transformed::no(plan),
        })
    })?;
    Ok(told.data)
}
