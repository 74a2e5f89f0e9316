//! One compaction: files are read, merged and written anew, and the new ones are stored.

use super::merge::{Merge, Step};
use super::options::CompactionOptions;
use super::output::{Finished, Output};
use super::plan::Job;
use super::read::{RowGroup, Source};
use super::runs::Run;
use crate::file_writer::put;
use crate::runtime::canary;
use crate::runtime::faults;
use crate::runtime::pools::Pool;
use crate::runtime::random;
use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::file::metadata::ParquetMetaData;
use protocols::catalog::CatalogSnapshot;
use protocols::paths;
use protocols::row_deletes::{RowDelete, RowDeleteState};
use protocols::schema::TableSchema;
use protocols::snapshot::{Compacted, ParquetFile, Stamps};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows that are decoded at once of each input.
pub(super) const BATCH_ROWS: u64 = 8_192;
/// And at least, whatever they take.
const BATCH_ROWS_MIN: u64 = 16;
/// What a value takes in memory, about, and how much more than in a file if there are long texts.
const COLUMN_BYTES: u64 = 16;
const DECODED_FACTOR: u64 = 8;
/// Rows that are merged before the thread is given back.
const ROWS_A_TURN: u64 = 500_000;

/// What a compaction needs.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) node: Arc<str>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) pool: Pool,
    pub(super) options: Arc<CompactionOptions>,
    /// Rows that are decoded at once of each input at most.
    pub(super) batch_rows: u64,
}

/// What came of a compaction.
pub(super) struct Compaction {
    /// The new files, which are stored and known to nobody yet.
    pub(super) outputs: Vec<ParquetFile>,
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
    /// Numbers of the deletes of rows that were applied.
    pub(super) deletes: Vec<u64>,
    /// The bytes of the new file, if there is only one.
    pub(super) bytes: Option<Bytes>,
}

/// The part of the work that is done on a thread of its own.
struct Kernel {
    merge: Merge,
    output: Output,
}

/// Why the thread is given back.
enum Turn {
    Read(Vec<usize>),
    Finished(Finished),
    GoOn,
    End,
}

impl Tools {
    /// Reads, merges and stores what `job` says. Nothing is changed by that for anybody: the new
    /// files have names that nobody knows.
    pub(super) async fn run(
        &self,
        job: &Job,
        catalog: &CatalogSnapshot,
        now_ns: i64,
    ) -> anyhow::Result<Compaction> {
        let (db, schema) = catalog.table_by_id(job.table).context("the table is gone")?;
        let mut sources: Vec<Source> =
            job.runs.iter().map(|run| Source::new(&self.store, &self.node, run)).collect();
        let descriptions = stream::iter(sources.iter_mut())
            .map(Source::descriptions)
            .buffered(self.options.reads_at_once.max(1))
            .try_collect::<Vec<_>>();
        let descriptions: Vec<_> = descriptions.await?.into_iter().flatten().collect();
        let table = Arc::new(columns_of(schema, &descriptions)?);
        let batch_rows = self.batch_rows_of(job, table.columns.len() + 1);
        let mut deletes = deletes_of(job, schema, catalog);
        let numbers: BTreeSet<u64> =
            deletes.iter().flatten().map(|delete| delete.sequence).collect();
        let horizon_ns = db.retention_of(schema).map(|period| now_ns.saturating_sub(period));
        if let Some(expired) = horizon_ns.and_then(|horizon_ns| expired(job, horizon_ns)) {
            deletes.iter_mut().for_each(|of_run| of_run.push(Arc::clone(&expired)));
        }
        let indexed = db.indexed_columns(schema);
        let mut kernel = Kernel {
            merge: Merge::new(&table, deletes, batch_rows)?,
            output: Output::new(schema, self.options.rows_max, self.options.bytes_max / 4, indexed),
        };
        let mut stored = Stored::new(job, catalog.row_deletes.last());
        loop {
            let (given_back, turn) = self.pool.run(move || kernel.turn()).await??;
            kernel = given_back;
            match turn {
                Turn::GoOn => {}
                Turn::Read(inputs) => {
                    for (input, group) in self.read(&mut sources, &inputs).await? {
                        kernel.merge.read(input, group)?;
                    }
                }
                Turn::Finished(finished) => self.store(&mut stored, finished).await?,
                Turn::End => break,
            }
        }
        stored.into_compaction(job, &kernel.merge, numbers.into_iter().collect())
    }

    /// The next row groups of these inputs.
    async fn read(
        &self,
        sources: &mut [Source],
        wanted: &[usize],
    ) -> anyhow::Result<Vec<(usize, Option<RowGroup>)>> {
        let sources = sources.iter_mut().enumerate().filter(|(number, _)| wanted.contains(number));
        stream::iter(sources)
            .map(async |(number, source)| Ok((number, source.next_group().await?)))
            .buffer_unordered(self.options.reads_at_once.max(1))
            .try_collect()
            .await
    }

    async fn store(&self, stored: &mut Stored<'_>, finished: Finished) -> anyhow::Result<()> {
        let file = stored.next(&finished);
        let path = Path::from(paths::parquet_file(&self.node, &file));
        let failing = faults::fails("compact-put");
        ensure!(!failing, "planted failure");
        put(self.store.as_ref(), &path, &finished.bytes)
            .await
            .with_context(|| format!("{path} cannot be stored"))?;
        let found = self.store.head(&path).await;
        let found = found.with_context(|| format!("{path} cannot be found again"))?;
        ensure!(found.size == file.size_bytes, "{path} is not as long as what was stored");
        stored.bytes = stored.files.is_empty().then_some(finished.bytes);
        stored.files.push(file);
        faults::fails("compact-after-first-file");
        Ok(())
    }
}

impl Tools {
    /// How many rows are decoded at once of each input, so that those of all of them, and what is
    /// made of them, take a sixteenth of the memory each time.
    fn batch_rows_of(&self, job: &Job, columns: usize) -> usize {
        let rows: u64 = job.files().map(|file| file.row_count).sum();
        let of_texts = job.bytes() / rows.max(1) * DECODED_FACTOR;
        let row_bytes = (COLUMN_BYTES * columns as u64).max(of_texts).max(1);
        let bytes = self.options.bytes_max as u64 / 16 / job.runs.len().max(1) as u64;
        let batch_rows = (bytes / row_bytes).max(BATCH_ROWS_MIN).min(self.batch_rows);
        usize::try_from(batch_rows).unwrap_or(1)
    }
}

impl Kernel {
    fn turn(mut self) -> anyhow::Result<(Self, Turn)> {
        let begun = self.merge.rows_in;
        loop {
            if let Some(finished) = self.output.take() {
                return Ok((self, Turn::Finished(finished)));
            }
            if self.merge.rows_in - begun >= ROWS_A_TURN {
                return Ok((self, Turn::GoOn));
            }
            match self.merge.step()? {
                Step::Read(inputs) => return Ok((self, Turn::Read(inputs))),
                Step::Rows(rows) => self.output.write(&rows)?,
                Step::GoOn => {}
                Step::End => {
                    self.output.end()?;
                    if !self.output.has_finished() {
                        return Ok((self, Turn::End));
                    }
                }
            }
        }
    }
}

/// The files that were stored.
struct Stored<'a> {
    job: &'a Job,
    nonce: u64,
    deletes_through: u64,
    order: Stamps,
    files: Vec<ParquetFile>,
    bytes: Option<Bytes>,
}

impl<'a> Stored<'a> {
    fn new(job: &'a Job, deletes_through: u64) -> Self {
        let orders = job.files().map(|file| file.order);
        Self {
            job,
            nonce: random::uuid().as_u64_pair().1,
            deletes_through,
            order: orders.reduce(Stamps::to).unwrap_or_default(),
            files: Vec::new(),
            bytes: None,
        }
    }

    /// What is to be known of the next file.
    fn next(&self, finished: &Finished) -> ParquetFile {
        let Job { db, table, generation, window_start_ns, .. } = *self.job;
        ParquetFile {
            id: 0, // the index gives one
            db,
            table,
            chunk_time_ns: window_start_ns,
            wal_file: 0,
            part: u32::try_from(self.files.len()).unwrap_or(u32::MAX),
            size_bytes: finished.bytes.len() as u64,
            row_count: finished.row_count,
            min_time_ns: finished.min_time_ns,
            max_time_ns: finished.max_time_ns,
            crc32: crc32fast::hash(&finished.bytes),
            order: self.order,
            keys: finished.keys.clone(),
            compacted: Some(Compacted {
                generation,
                nonce: self.nonce,
                deletes_through: self.deletes_through,
            }),
        }
    }

    /// Counts once more: no row may get lost on the way.
    fn into_compaction(
        self,
        job: &Job,
        merge: &Merge,
        deletes: Vec<u64>,
    ) -> anyhow::Result<Compaction> {
        let Merge { rows_in, rows_out, rows_deleted, .. } = *merge;
        let known: u64 = job.files().map(|file| file.row_count).sum();
        ensure!(rows_in == known, "{rows_in} rows were read of files that have {known}");
        let stored: u64 = self.files.iter().map(|file| file.row_count).sum();
        ensure!(rows_out == stored, "{stored} rows were stored of {rows_out} that were merged");
        let left = rows_in - rows_deleted;
        ensure!((rows_out > 0) == (left > 0) && rows_out <= left, "{rows_out} rows came of {left}");
        let Self { files: outputs, bytes, .. } = self;
        Ok(Compaction { outputs, rows_in, rows_out, deletes, bytes })
    }
}

/// The deletes that rows of each run are subject to. All that are known are applied that can be: one
/// that is asked for later is about all rows of the files that come out.
fn deletes_of(
    job: &Job,
    table: &TableSchema,
    catalog: &CatalogSnapshot,
) -> Vec<Vec<Arc<RowDelete>>> {
    let in_force = catalog.row_deletes.of(job.table);
    let of_run = |run: &Run| {
        let touches = |delete: &&Arc<RowDelete>| {
            run.files.iter().any(|f| delete.may_touch(f, table))
                || canary::is("delete-takes-later-rows")
        };
        in_force.iter().filter(touches).map(Arc::clone).collect()
    };
    job.runs.iter().map(of_run).collect()
}

/// Rows past retention, which nobody sees any more, as a delete that nobody asked for. `None` if there
/// are none, or nothing else: then whole files go.
fn expired(job: &Job, horizon_ns: i64) -> Option<Arc<RowDelete>> {
    let min_time_ns = job.files().map(|file| file.min_time_ns).min()?;
    let max_time_ns = job.files().map(|file| file.max_time_ns).max()?;
    (min_time_ns < horizon_ns && horizon_ns <= max_time_ns).then(|| {
        Arc::new(RowDelete {
            sequence: 0,
            request: uuid::Uuid::nil(),
            db: job.db,
            table: job.table,
            db_name: Arc::default(),
            table_name: Arc::default(),
            min_time_ns: None,
            max_time_ns: Some(horizon_ns),
            tags: Vec::new(),
            created_at_ns: 0,
            bound: None,
            state: RowDeleteState::Pending,
        })
    })
}

/// The table with those of its columns that any of the files has.
fn columns_of(
    table: &TableSchema,
    descriptions: &[Arc<ParquetMetaData>],
) -> anyhow::Result<TableSchema> {
    let columns = descriptions.iter().flat_map(|d| d.file_metadata().schema_descr().columns());
    let names: BTreeSet<&str> = columns.map(|column| column.name()).collect();
    let is_known = |name: &&str| table.column(name).is_some() || *name == "time";
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        anyhow::bail!("table {} has no column {unknown}", table.name);
    }
    let columns = table.columns.iter().filter(|column| names.contains(column.name.as_ref()));
    let columns = columns.cloned().collect();
    Ok(TableSchema::new(table.id, Arc::clone(&table.name), columns, None))
}
