//! What a scan counts, for `EXPLAIN ANALYZE` and the query log.

use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricType, MetricValue, PruningMetrics,
};

/// Name of the metric that counts the files that were opened.
pub(in super::super) const FILES_OPENED: &str = "files_opened";

/// What one partition of a scan counts.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Segments that were read, and those that did not matter.
    pub(super) segments: PruningMetrics,
    pub(super) chunks_read: Count,
    /// Chunks with rows that had to be sorted.
    pub(super) chunks_sorted: Count,
    /// Rows that went through a merge.
    pub(super) rows_merged: Count,
    /// Files whose rows were in memory.
    pub(super) files_decoded: Count,
    pub(super) files_opened: Count,
    /// Files that were not opened because no row of them has the wanted values.
    files_excluded: Count,
    /// Files whose bytes were in memory.
    pub(super) files_cached: Count,
    /// Bytes of files that were decoded.
    pub(super) bytes_scanned: Count,
    /// Bytes that came from the object store.
    pub(super) bytes_fetched: Count,
    row_groups: PruningMetrics,
    pages: PruningMetrics,
    /// Rows of files that were left out while they were decoded.
    rows_pruned: Count,
}

const ROW_GROUPS: &str = "row_groups_pruned_statistics";
const PAGES: &str = "page_index_pages_pruned";
const ROWS_PRUNED: &str = "pushdown_rows_pruned";

impl Counts {
    /// Counts in `metrics`.
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let builder = || MetricBuilder::new(metrics).with_type(MetricType::Summary);
        let counter = |name: &'static str| builder().counter(name, partition);
        let pruning = |name: &'static str| builder().pruning_metrics(name, partition);
        Self {
            segments: pruning("segments"),
            chunks_read: counter("chunks_read"),
            chunks_sorted: counter("chunks_sorted"),
            rows_merged: counter("rows_merged"),
            files_decoded: counter("files_decoded"),
            files_opened: counter(FILES_OPENED),
            files_excluded: counter("files_excluded"),
            files_cached: counter("files_cached"),
            bytes_scanned: counter("bytes_scanned"),
            bytes_fetched: counter("bytes_fetched"),
            row_groups: pruning(ROW_GROUPS),
            pages: pruning(PAGES),
            rows_pruned: counter(ROWS_PRUNED),
        }
    }

    /// Counts a file that is not opened because no row of it has the wanted values.
    pub(super) fn exclude_file(&self) {
        self.files_excluded.add(1);
        metrics::counter!("query_files_excluded_total").increment(1);
    }

    /// Adds what the decoder has counted of a file.
    fn add(&self, decoder: &ExecutionPlanMetricsSet) {
        for metric in decoder.clone_inner().iter() {
            let sum = match (metric.value().name(), metric.value()) {
                (ROWS_PRUNED, MetricValue::Count { count, .. }) => {
                    self.rows_pruned.add(count.value());
                    continue;
                }
                (ROW_GROUPS, MetricValue::PruningMetrics { pruning_metrics, .. }) => {
                    (&self.row_groups, pruning_metrics)
                }
                (PAGES, MetricValue::PruningMetrics { pruning_metrics, .. }) => {
                    (&self.pages, pruning_metrics)
                }
                _ => continue,
            };
            sum.0.add_pruned(sum.1.pruned());
            sum.0.add_matched(sum.1.matched());
        }
    }
}

/// Counts what the decoder of a file has counted when it is dropped: thousands of files would
/// otherwise each leave dozens of figures behind.
pub(super) struct CountedAtLast {
    pub(super) decoder: ExecutionPlanMetricsSet,
    pub(super) counts: Counts,
}

impl Drop for CountedAtLast {
    fn drop(&mut self) {
        self.counts.add(&self.decoder);
    }
}
