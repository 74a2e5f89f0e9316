//! Groups of rows with equal tags.

use crate::query::provider::files::file_plan;
use crate::query::provider::group::{Group, file_times};
use crate::query::provider::plan::Scan;
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{partition, take, take_record_batch};
use datafusion::arrow::datatypes::{Schema, SchemaRef, TimestampNanosecondType};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadata};
use futures::TryStreamExt;
use hashbrown::{HashMap, HashSet};
use object_store::ObjectMeta;
use object_store::path::Path;
use protocols::messages::store::SortedRows;
use protocols::paths;
use protocols::snapshot::ParquetFile;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// The values of a group's tags, encoded.
pub(super) type GroupName = Box<[u8]>;

/// The tags that make a group, and the groups met so far.
pub(super) struct Groups {
    /// The tags as columns of their own.
    schema: SchemaRef,
    converter: RowConverter,
    met: HashSet<GroupName>,
}

/// The groups of which a file has rows.
struct FileKeys(Vec<GroupName>);

impl FileMetadata for FileKeys {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory_size(&self) -> usize {
        self.0.iter().map(|key| key.len() + size_of::<GroupName>()).sum()
    }

    fn extra_info(&self) -> HashMap<String, String> {
        HashMap::new()
    }
}

impl Groups {
    /// Groups by the columns `key` of the rows of `scan`.
    pub(super) fn new(scan: &Scan, key: &[usize]) -> Result<Self> {
        let schema = Arc::new(scan.schema.project(key)?);
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { schema, converter, met: HashSet::new() })
    }

    /// Remembers the groups of these rows.
    pub(super) fn meet(&mut self, keys: Vec<GroupName>) {
        self.met.extend(keys);
    }

    /// True if the group was met.
    pub(super) fn has_met(&self, key: &[u8]) -> bool {
        self.met.contains(key)
    }

    /// The groups of rows, each named by the values of its tags.
    pub(super) fn of(&self, rows: &RecordBatch) -> Result<Vec<GroupName>> {
        if self.schema.fields().is_empty() {
            return Ok(vec![Box::default(); rows.num_rows().min(1)]);
        }
        let columns = self.columns(rows)?;
        let rows = self.converter.convert_columns(&columns)?;
        Ok(rows.iter().map(|row| Box::from(row.as_ref())).collect())
    }

    fn columns(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let column = |name: &str| {
            let column = rows.column_by_name(name).map(Arc::clone);
            column.ok_or_else(|| exec_datafusion_err!("rows without the tag {name}"))
        };
        self.schema.fields().iter().map(|field| column(field.name())).collect()
    }

    /// True if no row of `older` is of a group that was not met.
    pub(super) async fn cover(
        &self,
        older: &Group,
        scan: &Scan,
        context: &Arc<TaskContext>,
    ) -> Result<bool> {
        if self.met.is_empty() {
            return Ok(false);
        }
        if self.schema.fields().is_empty() {
            return Ok(true);
        }
        for chunk in &older.chunks {
            let (Some(sorted), true) = (&chunk.sorted, chunk.unsorted.is_empty()) else {
                return Ok(false);
            };
            if !self.have_met(&self.of_sorted(sorted, scan)?) {
                return Ok(false);
            }
        }
        for file in &older.files {
            if !self.have_met_file(file, scan, context).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn have_met(&self, keys: &[GroupName]) -> bool {
        keys.iter().all(|key| self.met.contains(key))
    }

    fn of_sorted(&self, sorted: &SortedRows, scan: &Scan) -> Result<Vec<GroupName>> {
        let series = scan.selection.series(sorted)?;
        let heads = UInt32Array::from_iter_values(series.iter().map(|run| run.start as u32));
        let tags = self.schema.fields().iter().map(|field| {
            // A form that was sorted before the table had the tag lacks it.
            Ok(match sorted.rows.column_by_name(field.name()) {
                Some(column) => take(column, &heads, None)?,
                None => new_null_array(field.data_type(), heads.len()),
            })
        });
        let tags = tags.collect::<Result<Vec<_>>>()?;
        self.of(&RecordBatch::try_new(Arc::clone(&self.schema), tags)?)
    }

    /// True if the selected rows of a file are all of groups that were met. What groups these are
    /// is read once and remembered, unless time cuts the file: then the next query wants others.
    async fn have_met_file(
        &self,
        file: &Arc<ParquetFile>,
        scan: &Scan,
        context: &Arc<TaskContext>,
    ) -> Result<bool> {
        let place = self.place(file, scan)?;
        let cache = &scan.access.metadata;
        if let Some(place) = &place
            && let Some(entry) = cache.get(place)
            && let Some(keys) = entry.file_metadata.as_any().downcast_ref::<FileKeys>()
        {
            return Ok(self.have_met(&keys.0));
        }
        let keys = self.read(file, scan, context).await?;
        let answer = self.have_met(&keys.0);
        if let Some(location) = place {
            let meta = ObjectMeta {
                location: location.clone(),
                last_modified: Default::default(),
                size: file.size_bytes,
                e_tag: None,
                version: None,
            };
            cache.put(&location, CachedFileMetadataEntry::new(meta, Arc::new(keys)));
        }
        Ok(answer)
    }

    /// Under which name the groups of a file are remembered.
    fn place(&self, file: &ParquetFile, scan: &Scan) -> Result<Option<Path>> {
        if !scan.selection.times.covers(file_times(file)) {
            return Ok(None);
        }
        let condition = scan.selection.condition(scan.table.arrow_schema(), file_times(file))?;
        let tags: Vec<&String> = self.schema.fields().iter().map(|f| f.name()).collect();
        let file = paths::parquet_file(&scan.access.files.node, file);
        Ok(Some(Path::from(format!("{file}/{tags:?}/{condition:?}"))))
    }

    async fn read(
        &self,
        file: &Arc<ParquetFile>,
        scan: &Scan,
        context: &Arc<TaskContext>,
    ) -> Result<FileKeys> {
        let config = context.session_config().options();
        let schema: &Schema = &self.schema;
        let plan = file_plan(file, scan, schema, &[], None, config)?;
        let mut rows = plan.execute(0, Arc::clone(context))?;
        let mut found: HashSet<GroupName> = HashSet::new();
        while let Some(batch) = rows.try_next().await? {
            let heads = take_record_batch(&batch, &self.newest(&batch, None)?)?;
            found.extend(self.of(&heads)?);
        }
        Ok(FileKeys(found.into_iter().collect()))
    }

    /// The rows that may be the newest of their group: those that no row of the same group follows
    /// at once at a later time. Where time does not matter, one row of each group in succession.
    pub(super) fn newest(&self, rows: &RecordBatch, time: Option<usize>) -> Result<UInt32Array> {
        let times = time.map(|time| {
            let times = rows.column(time).as_primitive_opt::<TimestampNanosecondType>();
            times.ok_or_else(|| exec_datafusion_err!("rows without a time column"))
        });
        let times = times.transpose()?.map(|times| times.values().as_ref());
        let is_last = |i: usize| times.is_some_and(|times: &[i64]| times[i] >= times[i + 1]);
        let mut last = Vec::new();
        for run in runs(&self.columns(rows)?, rows.num_rows())? {
            let end = run.end - 1;
            last.extend(run.filter(|i| *i == end || is_last(*i)).map(|i| i as u32));
        }
        Ok(last.into())
    }
}

/// The runs of rows with equal values.
fn runs(columns: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    match (columns, rows) {
        (_, 0) => Ok(Vec::new()),
        ([], _) => Ok(std::iter::once(0..rows).collect()),
        _ => Ok(partition(columns)?.ranges()),
    }
}
