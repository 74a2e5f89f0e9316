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
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, Partitioning, PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// Groups that are yielded at once: those that follow are made while somebody writes these.
const BATCH_ROWS: usize = 16 * 1024;

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
        let ordering = ordering(&schema, &shown);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, ordering),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { scan: Arc::clone(scan.scan()), shown, properties, metrics }
    }
}

/// By the tags that are shown, as far as they are those that groups are ordered by first.
fn ordering(schema: &Schema, shown: &[usize]) -> Option<LexOrdering> {
    let options = SortOptions { descending: false, nulls_first: true };
    let first = shown.iter().enumerate().take_while(|(at, tag)| at == *tag);
    LexOrdering::new(first.map(|(at, _)| {
        PhysicalSortExpr::new(Arc::new(Column::new(schema.field(at).name(), at)), options)
    }))
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
            let groups = Groups::new(Arc::clone(&opener.scan.schema), &opener.scan.selection)?;
            let names = names(&opener, &groups).await?;
            baseline.record_output(names.len());
            Ok::<_, DataFusionError>(stream::iter(batches(groups, names, shown, columns)))
        });
        let batches = RecordBatchStreamAdapter::new(schema, batches.try_flatten().boxed());
        Ok(Box::pin(cooperative(batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The tags at `shown` of the groups `names`, in this order, each batch when its turn comes.
fn batches(
    groups: Groups,
    names: Arc<KeySet>,
    shown: Vec<usize>,
    schema: SchemaRef,
) -> impl Iterator<Item = Result<RecordBatch>> {
    let rows = names.len();
    // Without columns nothing counts but the number.
    let many = if schema.fields().is_empty() { rows.max(1) } else { BATCH_ROWS };
    (0..rows).step_by(many).map(move |start| {
        let part = start..rows.min(start + many);
        match schema.fields().is_empty() {
            true => rows_without_columns(part.len(), &schema),
            false => groups.tags(names.part(part), &shown, &schema),
        }
    })
}

/// The groups of all segments.
async fn names(opener: &Arc<Opener>, groups: &Groups) -> Result<Arc<KeySet>> {
    let sets = sets(opener, groups).await?;
    Ok(match sets.as_slice() {
        [only] => Arc::clone(only),
        _ => Arc::new(KeySet::of(sets.iter().flat_map(|set| set.iter()))),
    })
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
