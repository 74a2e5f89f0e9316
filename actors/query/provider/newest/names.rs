//! The groups of a table, without any of their rows: for lists and counts of tags and of series.

use super::super::counts::Counts;
use super::super::decoder::Sparing;
use super::super::exec::ScanExec;
use super::super::groups::Groups;
use super::super::key_sets::KeySet;
use super::super::open::Opener;
use super::super::scan::Scan;
use super::super::segment::parts;
use super::super::selection::rows_without_columns;
use crate::query::plan_kit::{no_children, no_expressions};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// Groups that are yielded at once.
const BATCH_ROWS: usize = 128 * 1024;

/// Yields the tags of each group of rows with equal tags once. What groups a sorted chunk or a file
/// has is remembered, and most of a table's have the same.
#[derive(Clone, Debug)]
pub(super) struct GroupNamesExec {
    /// What is read. Its columns are the tags that make a group.
    scan: Arc<Scan>,
    /// The places of the tags that are yielded.
    shown: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GroupNamesExec {
    /// The groups of `scan`, whose columns are what makes a group.
    pub(super) fn new(scan: &ScanExec, shown: Vec<usize>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { scan: Arc::clone(scan.scan()), shown, properties, metrics }
    }
}

impl DisplayAs for GroupNamesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scan { table, schema, segments, selection, .. } = &*self.scan;
        let key: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "GroupNamesExec: table={}, segments={}", table.name, segments.len())?;
        write!(f, ", key=[{}]{selection}", key.join(", "))
    }
}

impl ExecutionPlan for GroupNamesExec {
    fn name(&self) -> &'static str {
        "GroupNamesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    no_children!();

    no_expressions!();

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let counts = Counts::new(&self.metrics, partition);
        let opener = Arc::new(Opener::new(&self.scan, task, counts)?);
        let (shown, schema) = (self.shown.clone(), self.schema());
        let columns = Arc::clone(&schema);
        let batches = stream::once(async move {
            let names = batches(&opener, &shown, &columns).await;
            let rows =
                names.as_ref().map_or(0, |batches| batches.iter().map(RecordBatch::num_rows).sum());
            baseline.record_output(rows);
            match names {
                Ok(batches) => stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            }
        });
        let batches = RecordBatchStreamAdapter::new(schema, batches.flatten().boxed());
        Ok(Box::pin(cooperative(batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The tags at `shown` of all groups, in the order of their names.
async fn batches(
    opener: &Arc<Opener>,
    shown: &[usize],
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>> {
    let groups = Groups::new(Arc::clone(&opener.scan.schema), &opener.scan.selection)?;
    let sets = sets(opener, &groups).await?;
    let mut names: Vec<&[u8]> = sets.iter().flat_map(|set| set.iter()).collect();
    if sets.len() > 1 || !names.is_sorted() {
        names.sort_unstable();
        names.dedup();
    }
    if schema.fields().is_empty() {
        return Ok(vec![rows_without_columns(names.len(), schema)?]);
    }
    let batch = |names: &[&[u8]]| groups.tags(names, shown, schema);
    names.chunks(BATCH_ROWS).map(batch).collect()
}

/// The groups of all segments, those that are equal once.
async fn sets(opener: &Arc<Opener>, groups: &Groups) -> Result<Vec<Arc<KeySet>>> {
    let mut sets: Vec<Arc<KeySet>> = Vec::new();
    for part in parts(&opener.scan.segments, 1, 1).iter().rev() {
        let segment = &opener.scan.segments[part.segment];
        let found = match groups.of_segment(segment, opener, &sets).await? {
            Some(found) => found,
            None => {
                let rows = opener.open(*part, &Sparing::default()).await?;
                vec![groups.of_rows(rows).await?]
            }
        };
        for set in found {
            if !sets.iter().any(|known| Arc::ptr_eq(known, &set) || *known == set) {
                sets.push(set);
            }
        }
    }
    Ok(sets)
}
