//! What scans find in the session of their query.
//!
//! A plan describes what is to be read in plain data: files, numbers of chunks, conditions, columns.
//! Mailboxes, caches and the rows themselves are in the session, as an extension of its settings,
//! while a scan is planned and while it runs. So a plan can be kept, shown, or sent elsewhere, and
//! the logical plan of a statement serves every later query of its shape.
//!
//! A scan is planned over one view of its table: the chunks and files of one instant. The view is
//! kept here, scans of a query share it where they can, and a scan that runs finds it under the
//! number that it got when it was planned.

use super::parquet_files::ParquetFiles;
use super::times::TimeRange;
use crate::query::errors;
use crate::runtime::published::{Published, Publisher};
use crate::store::StoreShards;
use datafusion::common::internal_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::prelude::SessionConfig;
use protocols::catalog::CatalogSnapshot;
use protocols::messages::store::{ChunkView, KeepSorted, Pin, SortedRows, TableView, ViewTable};
use protocols::row_deletes::RowDelete;
use protocols::schema::TableSchema;
use protocols::snapshot::ParquetFile;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// What all scans of a query share.
#[derive(Clone, Debug)]
pub struct ScanContext {
    /// Where the buffered rows are.
    pub stores: StoreShards,
    /// Where the files are.
    pub files: ParquetFiles,
    /// The newest names and schemas: rows may have columns that the query does not know.
    pub catalog: Published<CatalogSnapshot>,
    /// How long a scan waits for its view of a table.
    pub view_time: Duration,
    /// When the query began, nanoseconds since 1970: retention counts from here.
    pub now_ns: i64,
    /// Files whose rows are all before this instant are left out.
    pub files_since_ns: i64,
    /// Chunks and files whose rows are all before this instant are left out, but for those that
    /// share their time with newer ones: some rows of these may have to replace rows of the others.
    pub groups_since_ns: i64,
    /// What the scans have seen so far.
    pub seen: Arc<Seen>,
}

/// What the scans of a query have seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// How many files the query reads.
    files: AtomicUsize,
    views: tokio::sync::Mutex<Vec<Arc<View>>>,
    /// By the number of the scan.
    rows: Mutex<Vec<Arc<Rows>>>,
    /// Held by whoever sorts rows; alone by who did not get the memory for it beside others.
    pub(super) sorting: RwLock<()>,
}

/// One consistent view of a table.
#[derive(Debug)]
pub(super) struct View {
    table: Arc<TableSchema>,
    /// Chunks and files without rows in this span were left out.
    times: TimeRange,
    /// Numbers of the chunks in the order of their precedence.
    pub(super) order: Vec<u64>,
    /// Where a sorted form was handed back, it has taken the place of the rows it was made from.
    chunks: HashMap<u64, Publisher<ChunkView>>,
    pub(super) files: Vec<Arc<ParquetFile>>,
    /// What was deleted of them.
    deletes: Arc<[Arc<RowDelete>]>,
    /// Keeps the objects of the files.
    _pin: Option<Arc<Pin>>,
}

/// Deletes of rows.
pub(super) type Deletes = Vec<Arc<RowDelete>>;

/// The rows of one scan that are in memory.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) view: Arc<View>,
    /// Those of files, by the identity of the file.
    pub(super) decoded: HashMap<u64, Arc<SortedRows>>,
    /// What the sorting of rows is counted in: they mostly go back to the shard.
    pub(super) memory: Arc<dyn MemoryPool>,
}

impl ScanContext {
    /// What scans find in a session with these settings.
    ///
    /// # Errors
    /// When the session was not made for queries of tables.
    pub(super) fn of(session: &SessionConfig) -> Result<Arc<Self>> {
        let context = session.get_extension();
        context.ok_or_else(|| internal_datafusion_err!("the session has no tables"))
    }

    /// Admits so many more files to the query.
    pub(super) fn admit(&self, files: usize) -> Result<()> {
        let planned = files + self.seen.files.fetch_add(files, Ordering::Relaxed);
        match self.files.query_file_limit {
            Some(limit) if planned > limit => {
                Err(DataFusionError::External(Box::new(errors::too_many_files(planned))))
            }
            _ => Ok(()),
        }
    }

    /// A view of the table over `times`. What the query has seen of the table before, it sees
    /// again.
    pub(super) async fn view(
        &self,
        table: &Arc<TableSchema>,
        times: TimeRange,
    ) -> Result<Arc<View>> {
        let mut views = self.seen.views.lock().await;
        let known = |view: &&Arc<View>| view.table.id == table.id && view.times.covers(times);
        if let Some(view) = views.iter().find(known) {
            return Ok(Arc::clone(view));
        }
        // Before the files: a delete that is over was applied to all of those that are seen later.
        let deletes = self.catalog.load().row_deletes.of(table.id);
        let TimeRange { min_ns, max_ns } = times;
        let question = ViewTable { table: table.id, min_time_ns: min_ns, max_time_ns: max_ns };
        let seen = self.stores.view(question, Instant::now() + self.view_time).await;
        let seen = seen.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let view = Arc::new(View::new(Arc::clone(table), times, seen, deletes));
        views.push(Arc::clone(&view));
        Ok(view)
    }

    /// The table with every column that a row has which is visible by now. The tags among them
    /// are part of the order in which rows and files are sorted.
    pub(super) fn newest(&self, table: &Arc<TableSchema>) -> Arc<TableSchema> {
        let snapshot = self.catalog.load();
        let mut tables = snapshot.databases.values().filter_map(|db| db.tables.get(&table.name));
        match tables.find(|newest| newest.id == table.id) {
            Some(newest) if newest.columns.len() > table.columns.len() => Arc::clone(newest),
            _ => Arc::clone(table),
        }
    }

    /// Keeps the rows of a scan until it runs. Returns its number.
    pub(super) fn keep(&self, rows: Arc<Rows>) -> usize {
        let mut scans = self.seen.rows();
        scans.push(rows);
        scans.len() - 1
    }

    /// The rows of a scan of this query.
    pub(super) fn rows(&self, scan: usize) -> Result<Arc<Rows>> {
        let rows = self.seen.rows().get(scan).map(Arc::clone);
        rows.ok_or_else(|| internal_datafusion_err!("the plan was made in another session"))
    }
}

impl Seen {
    fn rows(&self) -> MutexGuard<'_, Vec<Arc<Rows>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn new(
        table: Arc<TableSchema>,
        times: TimeRange,
        seen: TableView,
        deletes: Arc<[Arc<RowDelete>]>,
    ) -> Self {
        let TableView { chunks, files, pin } = seen;
        let order = chunks.iter().map(|chunk| chunk.chunk_id).collect();
        let published = |chunk: ChunkView| (chunk.chunk_id, Published::new(Arc::new(chunk)).0);
        let chunks = chunks.into_iter().map(published).collect();
        Self { table, times, order, chunks, files, deletes, _pin: pin }
    }

    /// The deletes that rows of the chunk may be subject to.
    pub(super) fn deletes_of_chunk(&self, chunk: &ChunkView) -> Deletes {
        let is_about = |delete: &&Arc<RowDelete>| {
            delete.is_about(chunk.order) && delete.overlaps(chunk.min_time_ns, chunk.max_time_ns)
        };
        self.deletes.iter().filter(is_about).map(Arc::clone).collect()
    }

    /// The deletes that rows of the file may be subject to.
    pub(super) fn deletes_of_file(&self, file: &ParquetFile) -> Deletes {
        let may_touch = |delete: &&Arc<RowDelete>| delete.may_touch(file, &self.table);
        self.deletes.iter().filter(may_touch).map(Arc::clone).collect()
    }

    /// A chunk by its number, with what is known by now.
    pub(super) fn chunk(&self, number: u64) -> Result<Arc<ChunkView>> {
        let chunk = self.chunks.get(&number).map(Publisher::load);
        chunk.ok_or_else(|| internal_datafusion_err!("the view has no chunk {number}"))
    }

    /// Puts a sorted form in the place of what it was made from.
    pub(super) fn keep(&self, form: &KeepSorted) {
        if let Some(chunk) = self.chunks.get(&form.chunk_id) {
            chunk.publish(Arc::new(ChunkView {
                sorted: Some(Arc::clone(&form.sorted)),
                sorted_batches: form.sorted_batches,
                unsorted: Vec::new(),
                ..ChunkView::clone(&chunk.load())
            }));
        }
    }
}
