//! The step that cuts series, in the physical plan.

use super::super::enough::{Enough, OfSeries};
use super::super::groups::Groups;
use super::collect::{Collect, Tells};
use super::cut::{Cut, as_cut};
use super::read::Read;
use crate::query::below::{made_fields, made_of};
use crate::query::plan_kit::new_children;
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, Partitioning, PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExpr;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PhysicalExpr,
    PlanProperties, ReplaceChildrenOptions, apply_expression_roots,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
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
    /// What is made of its rows, and then cut.
    columns: Arc<[ProjectionExpr]>,
    made: SchemaRef,
    cut: Arc<Cut>,
    /// What the rows come from, if it can be spared some of them.
    read: Option<Read>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CutSeriesExec {
    /// Cuts the series of what `columns` make of the rows of `input`, and has it read from the right end
    /// of time on.
    pub(super) fn over(
        input: Arc<dyn ExecutionPlan>,
        columns: Arc<[ProjectionExpr]>,
        cut: Arc<Cut>,
    ) -> Result<Self> {
        let is_few = cut.wanted() <= WANTED_MAX && cut.has_all_series();
        let from_end = match is_few {
            true => Read::of(&input, &columns, &cut)?,
            false => None,
        };
        let (input, read) = match from_end {
            Some((input, read)) => (input, Some(read)),
            None => (input, None),
        };
        Self::try_new(input, columns, cut, read)
    }

    fn try_new(
        input: Arc<dyn ExecutionPlan>,
        columns: Arc<[ProjectionExpr]>,
        cut: Arc<Cut>,
        read: Option<Read>,
    ) -> Result<Self> {
        let made = made_fields(&columns, &input.schema())?;
        let fields = made.iter().enumerate().map(|(at, field)| as_cut(field, at, &cut));
        let schema = Arc::new(Schema::new(fields.collect::<Fields>()));
        let ordering = ordering(&schema, &cut);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, ordering),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        let made = Arc::new(Schema::new(made));
        Ok(Self { input, columns, made, cut, read, properties, metrics })
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

impl DisplayAs for CutSeriesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "CutSeriesExec: {}, expr=[{}]", self.cut, columns.join(", "))?;
        match &self.read {
            Some(read) if read.takes_newest => f.write_str(", newest rows first, stops early"),
            Some(_) => f.write_str(", stops early"),
            None => Ok(()),
        }
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

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.columns.iter().map(|column| &column.expr), f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop().filter(|_| children.is_empty()) else {
            return internal_err!("CutSeriesExec has exactly one input");
        };
        let (columns, cut) = (Arc::clone(&self.columns), Arc::clone(&self.cut));
        Ok(Arc::new(Self::try_new(input, columns, cut, self.read.clone())?))
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let batches = stream::once(self.clone().shown(task, baseline));
        let batches = batches.map_ok(|batches| stream::iter(batches).map(Ok)).try_flatten();
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

impl CutSeriesExec {
    /// The rows that are shown. Where one row of each series may have everything that is shown of it,
    /// the newest ones are looked at before any other.
    async fn shown(
        self,
        task: Arc<TaskContext>,
        baseline: BaselineMetrics,
    ) -> Result<Vec<RecordBatch>> {
        let mut collect = Collect::new(self.schema(), Arc::clone(&self.cut))?;
        let batch_rows = task.session_config().batch_size();
        let Some(read) = &self.read else {
            let rows = self.rows(&self.input, task)?;
            collect.read(rows, Tells::Nobody, &baseline).await?;
            return collect.shown(batch_rows, &baseline);
        };
        let met = read.groups()?;
        if read.takes_newest {
            let newest = read.groups()?;
            let told = telling(&self.input, &newest, OfSeries::NewestRow)?;
            let rows = self.rows(&told, Arc::clone(&task))?;
            collect.read(rows, Tells::AtFirst(&newest), &baseline).await?;
            if collect.settle(&met)? {
                return collect.shown(batch_rows, &baseline);
            }
        }
        let told = telling(&self.input, &met, read.of_series.clone())?;
        collect.read(self.rows(&told, task)?, Tells::AtLast(&met), &baseline).await?;
        collect.shown(batch_rows, &baseline)
    }

    /// What is made of the rows of `input`.
    fn rows(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        task: Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let (columns, made) = (Arc::clone(&self.columns), Arc::clone(&self.made));
        let rows = input.execute(0, task)?;
        Ok(rows.map(move |rows| made_of(&columns, &rows?, &made)).boxed())
    }
}

/// The same plan over a scan that looks at which series were met, and yields what is needed of others.
fn telling(
    plan: &Arc<dyn ExecutionPlan>,
    met: &Arc<Groups>,
    of_series: OfSeries,
) -> Result<Arc<dyn ExecutionPlan>> {
    let enough = Arc::new(Enough { met: Arc::clone(met), of_series });
    let told = Arc::clone(plan).transform_up(|plan| {
        Ok(match plan.with_new_state(Arc::clone(&enough) as _) {
            Some(told) => Transformed::yes(told),
            None => Transformed::no(plan),
        })
    })?;
    Ok(told.data)
}
