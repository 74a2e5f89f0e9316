//! Keeping of a table the newest rows of each group.

use super::super::enough::{Enough, OfSeries};
use super::super::exec::ScanExec;
use super::super::groups::Groups;
use super::super::scan::Scan;
use super::best::Best;
use crate::query::plan_kit::{new_children, no_expressions};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::take_record_batch;
use datafusion::common::{internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt, stream};
use protocols::schema::TIME_COLUMN;
use std::fmt;
use std::sync::Arc;

/// What is yielded of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yields {
    /// All rows of the newest time, and maybe some older rows.
    Candidates,
    /// One row of the newest time.
    OneRow,
}

/// Keeps of a scan what it yields of each group of rows with equal tags, and spares it the segments
/// whose groups were all met: the scan reads the newest first.
#[derive(Clone, Debug)]
pub(super) struct NewestExec {
    input: Arc<dyn ExecutionPlan>,
    /// What is read.
    scan: Arc<Scan>,
    /// The columns that make a group.
    key: Vec<usize>,
    /// The column with the time of the rows.
    time: usize,
    yields: Yields,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl NewestExec {
    /// Reads `scan`.
    ///
    /// # Errors
    /// When the rows would come without their time.
    pub(super) fn try_new(scan: ScanExec, key: Vec<usize>, yields: Yields) -> Result<Self> {
        let schema = scan.schema();
        let time = schema.index_of(TIME_COLUMN)?;
        let emission = match yields {
            Yields::Candidates => EmissionType::Incremental,
            Yields::OneRow => EmissionType::Final,
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            emission,
            Boundedness::Bounded,
        );
        Ok(Self {
            scan: Arc::clone(scan.scan()),
            input: Arc::new(scan.for_end(true)),
            key,
            time,
            yields,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for NewestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let key = self.key.iter().map(|i| schema.field(*i).name().as_str());
        write!(f, "NewestExec: key=[{}]", key.collect::<Vec<_>>().join(", "))?;
        match self.yields {
            Yields::Candidates => Ok(()),
            Yields::OneRow => f.write_str(", one row each"),
        }
    }
}

impl ExecutionPlan for NewestExec {
    fn name(&self) -> &'static str {
        "NewestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
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
            return internal_err!("NewestExec has exactly one input");
        };
        Ok(Arc::new(Self { input, ..Self::clone(&self) }))
    }

    new_children!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let key = Arc::new(self.scan.schema.project(&self.key)?);
        let groups = Arc::new(Groups::new(key, &self.scan.selection)?);
        let enough = Enough { met: Arc::clone(&groups), of_series: OfSeries::NewestRow };
        let input = self.input.with_new_state(Arc::new(enough));
        let input = input.ok_or_else(|| internal_datafusion_err!("NewestExec reads a scan"))?;
        let newest = Newest {
            input: input.execute(partition, task)?,
            groups,
            time: self.time,
            best: (self.yields == Yields::OneRow).then(Best::default),
        };
        let mut batches = Box::pin(stream::try_unfold(newest, Newest::next));
        let timed = stream::poll_fn(move |cx| baseline.record_poll(batches.poll_next_unpin(cx)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), timed)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A scan that is being read.
struct Newest {
    input: SendableRecordBatchStream,
    groups: Arc<Groups>,
    time: usize,
    /// The newest row of each group so far, if one of each is wanted.
    best: Option<Best>,
}

impl Newest {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while let Some(batch) = self.input.try_next().await? {
            if let Some(best) = &mut self.best {
                best.offer(&batch, &self.groups, self.time)?;
                continue;
            }
            let newest = self.groups.newest(&batch, Some(self.time))?;
            let newest = take_record_batch(&batch, &newest)?;
            if newest.num_rows() > 0 {
                let names = self.groups.of(&newest)?;
                self.groups.meet(names.iter().map(|name| name.data()));
                return Ok(Some((newest, self)));
            }
        }
        match self.best.take() {
            Some(best) => Ok(best.take()?.map(|rows| (rows, self))),
            None => Ok(None),
        }
    }
}
