//! Reading Parquet files: where their bytes are, and the plan that decodes one of them.

use super::group::{Group, file_times};
use super::plan::Scan;
use crate::parquet_cache::ParquetCache;
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::exec_err;
use datafusion::config::{ConfigOptions, TableParquetOptions};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::can_expr_be_pushed_down_with_schemas;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::utils::{conjunction_opt, reassign_expr_columns, split_conjunction};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use object_store::ObjectStore;
use protocols::messages::parquet_cache::{LookUpRows, WantedFile};
use protocols::messages::rank;
use protocols::messages::store::SortedRows;
use protocols::paths;
use protocols::snapshot::ParquetFile;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Limit: of so many files of a scan, the newest, the cache is asked for decoded rows. A query of
/// more would have it forget the files that everyone else reads.
const DECODED_FILES_MAX: usize = 4_096;

/// How long a reader waits for the cache, which answers from memory.
pub(super) const LOOK_UP_DEADLINE: Duration = Duration::from_secs(2);

/// Where Parquet files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The node whose files they are: the first part of their keys.
    pub node: Arc<str>,
    /// What has all of them.
    pub store: Arc<dyn ObjectStore>,
    /// What has some of them in memory.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// Tells whether a file that is gone was past retention.
    pub clock: Clock,
    /// More files than this a query must not read.
    pub query_file_limit: Option<usize>,
}

impl Files {
    /// Those of the files whose rows the cache has in decoded form, with the columns of `schema`,
    /// by their identity. A cache that fails is no reason to fail a query.
    pub(super) async fn decoded(
        &self,
        groups: &[Group],
        schema: &SchemaRef,
    ) -> HashMap<u64, Arc<SortedRows>> {
        let mut newest: Vec<&Arc<ParquetFile>> =
            groups.iter().flat_map(|group| &group.files).collect();
        let Some(cache) = self.cache.as_ref().filter(|_| !newest.is_empty()) else {
            return HashMap::new();
        };
        newest.sort_by_key(|file| Reverse(file.max_time_ns));
        newest.truncate(DECODED_FILES_MAX);
        let wanted = newest.iter().map(|file| WantedFile {
            path: Arc::from(paths::parquet_file(&self.node, file)),
            file: Arc::clone(file),
        });
        let columns = schema.fields().iter().map(|field| Arc::from(field.name().as_str()));
        let question = LookUpRows { files: wanted.collect(), columns: columns.collect() };
        let deadline = Instant::now() + LOOK_UP_DEADLINE;
        let answer = cache.ask::<{ rank::QUERY }, _>(question, deadline).await;
        let found = newest.iter().zip(answer.unwrap_or_default());
        found.filter_map(|(file, rows)| Some((file.id, rows?))).collect()
    }
}

/// The plan that reads one file: its selected rows in the order of the file, with the columns of
/// `output`. Columns that the file does not have are null.
///
/// `filters` may be used to read less. They are conditions on columns of `output`, and somebody
/// above the plan has to apply them again.
pub(super) fn file_plan(
    file: &Arc<ParquetFile>,
    scan: &Scan,
    output: &Schema,
    filters: &[Arc<dyn PhysicalExpr>],
    limit: Option<usize>,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let table = scan.table.arrow_schema();
    let exact = scan.selection.condition(table, file_times(file))?;
    let on_table = |filter: &Arc<dyn PhysicalExpr>| {
        reassign_expr_columns(Arc::clone(filter), table)
            .ok()
            .filter(|filter| can_expr_be_pushed_down_with_schemas(filter, table))
    };
    if let Some(exact) = &exact {
        // The reader would leave out what it cannot evaluate, and nobody checks after it.
        for part in split_conjunction(exact) {
            if !can_expr_be_pushed_down_with_schemas(part, table) {
                return exec_err!("{part} cannot be evaluated on a file");
            }
        }
    }
    let mut options =
        TableParquetOptions { global: config.execution.parquet.clone(), ..Default::default() };
    options.global.pushdown_filters = true;
    options.global.bloom_filter_on_read = false; // there are none
    let mut source = ParquetSource::new(Arc::clone(table))
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::clone(&scan.access) as _);
    if let Some(all) = conjunction_opt(exact.into_iter().chain(filters.iter().filter_map(on_table)))
    {
        source = source.with_predicate(all);
    }
    let columns = output.fields().iter().map(|field| table.index_of(field.name()));
    let path = paths::parquet_file(&scan.access.files.node, file);
    let object = PartitionedFile::new(path, file.size_bytes).with_extension(Arc::clone(file));
    // The readers know where the bytes are. The engine wants the name of a store all the same.
    let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
        .with_file(object)
        .with_projection_indices(Some(columns.collect::<Result<_, _>>()?))?
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(scan))
}
