//! Reading a table from its newest rows on, until every group of rows was met.

use super::Yields;
use super::best::Best;
use super::keys::{GroupName, Groups};
use crate::query::plan_kit::{no_children, no_expressions};
use crate::query::provider::deferred::Deferred;
use crate::query::provider::group::Group;
use crate::query::provider::plan::Scan;
use crate::query::provider::{FILES_OPENED, filters::TimeRange};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::take_record_batch;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use protocols::schema::TIME_COLUMN;
use std::fmt;
use std::sync::Arc;

/// Reads chunks and files from the newest on, until it has what it yields of each group of rows
/// with equal tags.
#[derive(Debug)]
pub(super) struct NewestExec {
    /// Chunks and files that hang together in time, oldest first.
    groups: Vec<Arc<Deferred>>,
    scan: Arc<Scan>,
    /// The columns of the result that make a group.
    key: Vec<usize>,
    /// The column with the time of the rows.
    time: usize,
    yields: Yields,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl NewestExec {
    /// Reads `groups`.
    ///
    /// # Errors
    /// When the rows would come without their time.
    pub(super) fn try_new(
        mut groups: Vec<Group>,
        scan: Arc<Scan>,
        key: Vec<usize>,
        yields: Yields,
    ) -> Result<Self> {
        let time = scan.schema.index_of(TIME_COLUMN)?;
        let end = |group: &Group| -> TimeRange { group.extent(&scan).0 };
        groups.sort_by_key(|group| end(group).max_ns);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            groups: groups.into_iter().map(|group| Arc::new(Deferred::new(group))).collect(),
            scan,
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
        let key = self.key.iter().map(|i| self.scan.schema.field(*i).name().as_str());
        let key = key.collect::<Vec<_>>().join(", ");
        let files: usize = self.groups.iter().map(|group| group.files()).sum();
        write!(f, "NewestExec: groups={}, files={files}, key=[{key}]", self.groups.len())?;
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

    no_children!();

    no_expressions!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let reading = Reading {
            rest: self.groups.clone(),
            scan: Arc::clone(&self.scan),
            context,
            groups: Groups::new(&self.scan, &self.key)?,
            time: self.time,
            yields: self.yields,
            current: None,
            best: Best::default(),
            met: Vec::new(),
            opened: MetricBuilder::new(&self.metrics).counter(FILES_OPENED, partition),
        };
        let mut batches = Box::pin(stream::try_unfold(reading, Reading::next));
        let timed = stream::poll_fn(move |cx| {
            let timer = baseline.elapsed_compute().clone();
            let _timer = timer.timer();
            baseline.record_poll(batches.poll_next_unpin(cx))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), timed)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A table that is being read.
struct Reading {
    /// What was not opened yet, the newest last.
    rest: Vec<Arc<Deferred>>,
    scan: Arc<Scan>,
    context: Arc<TaskContext>,
    groups: Groups,
    time: usize,
    yields: Yields,
    current: Option<SendableRecordBatchStream>,
    /// The groups of the rows that came out of `current`. They count only after it: its inputs
    /// overlap in time.
    met: Vec<GroupName>,
    /// The newest row of each group so far in `current`.
    best: Best,
    opened: Count,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            let Some(open) = &mut self.current else {
                let Some(next) = self.rest.pop() else { return Ok(None) };
                if !self.groups.cover(&next.group(), &self.scan, &self.context).await? {
                    self.opened.add(next.files());
                    let (scan, context) = (Arc::clone(&self.scan), Arc::clone(&self.context));
                    self.current = Some(next.rows(scan, Vec::new(), context));
                }
                continue;
            };
            let Some(batch) = open.try_next().await? else {
                self.current = None;
                self.groups.meet(std::mem::take(&mut self.met));
                if let Some((rows, keys)) = self.best.take()? {
                    self.groups.meet(keys);
                    return Ok(Some((rows, self)));
                }
                continue;
            };
            if self.yields == Yields::OneRow {
                self.best.offer(&batch, &self.groups, self.time)?;
                continue;
            }
            let newest = take_record_batch(&batch, &self.groups.newest(&batch, Some(self.time))?)?;
            if newest.num_rows() > 0 {
                self.met.extend(self.groups.of(&newest)?);
                return Ok(Some((newest, self)));
            }
        }
    }
}
