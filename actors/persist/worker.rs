//! What does the work of `Persist`, one thing at a time: a snapshot, or a clean-up.

use super::ask::{Peers, RETRY_PAUSE};
use super::encode::encode;
use super::index::{IndexChange, IndexLog, IndexLogError};
use super::sweep::Sweep;
use super::wal_files::WalFiles;
use crate::dedup::sort_parts;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::EXIT_UNSAFE;
use crate::runtime::objects::Objects;
use crate::runtime::pools::Pool;
use crate::runtime::published::Published;
use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampNanosecondType;
use bytes::Bytes;
use protocols::messages::store::{ChunkView, FrozenChunk};
use protocols::schema::{CatalogSnapshot, TableSchema};
use protocols::snapshot::ParquetFile;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Text that a column of one file may have. Arrow counts it with 31 bits, and whoever merges two
/// files lays their columns end to end.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// Why work was left before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Another process has taken over: this one ends.
    Fenced,
    /// The index has changed under our hands: what is to be done has to be found out again.
    Overtaken,
}

/// What the work needs to know.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) node: String,
    pub(super) objects: Objects,
    pub(super) catalog: Published<CatalogSnapshot>,
    pub(super) clock: Clock,
    pub(super) fatal: Fatal,
    pub(super) concurrency: usize,
    pub(super) bytes_max: usize,
    pub(super) wal_files_kept: u64,
    pub(super) wal_delete_delay: Duration,
    pub(super) object_grace: Duration,
    pub(super) retention_check_interval: Duration,
    pub(super) text_bytes_max: usize,
}

impl Settings {
    pub(super) fn of(config: &super::PersistConfig) -> Self {
        Self {
            node: config.node.clone(),
            objects: config.objects.clone(),
            catalog: config.catalog.clone(),
            clock: config.clock.clone(),
            fatal: config.fatal.clone(),
            concurrency: config.concurrency.max(1),
            bytes_max: config.bytes_max,
            wal_files_kept: config.wal_files_kept,
            wal_delete_delay: config.wal_delete_delay,
            object_grace: config.object_grace,
            retention_check_interval: config.retention_check_interval,
            text_bytes_max: TEXT_BYTES_MAX,
        }
    }
}

/// See the page of this file.
pub(super) struct Worker<P> {
    pub(super) settings: Settings,
    pub(super) peers: P,
    pub(super) log: IndexLog,
    pub(super) wal_files: WalFiles,
    pub(super) sweep: Sweep,
    /// For the next manifest.
    pub(super) removed_since_manifest: Vec<Arc<ParquetFile>>,
    pool: Pool,
    /// What is left of the memory for chunks under way, in KiB.
    room: Semaphore,
    room_kib: u32,
}

/// A Parquet file before it is stored.
pub(super) struct Encoded {
    pub(super) bytes: Bytes,
    pub(super) row_count: u64,
    pub(super) min_time_ns: i64,
    pub(super) max_time_ns: i64,
}

impl<P: Peers> Worker<P> {
    /// Finds out what an earlier life left to do.
    pub(super) async fn open(settings: Settings, peers: P, log: IndexLog) -> anyhow::Result<Self> {
        let wal_files = WalFiles::open(&settings, log.index().wal_through()).await?;
        let pool = Pool::background("persist", settings.concurrency, settings.concurrency)?;
        let room_kib = u32::try_from(settings.bytes_max / 1024).unwrap_or(u32::MAX >> 3).max(1);
        measure_files(&log);
        Ok(Self {
            sweep: Sweep::new(),
            removed_since_manifest: Vec::new(),
            settings,
            peers,
            log,
            wal_files,
            pool,
            room: Semaphore::new(room_kib as usize),
            room_kib,
        })
    }

    /// Takes a step of the index, for as long as it takes.
    pub(super) async fn append(&mut self, change: IndexChange) -> Result<(), Left> {
        let mut tries = 0_u64;
        loop {
            let error = match self.log.append(change.clone()).await {
                Ok(()) => {
                    measure_files(&self.log);
                    return Ok(());
                }
                Err(error) => error,
            };
            match &error {
                IndexLogError::Store { .. } => {
                    metrics::counter!("persist_upload_errors_total").increment(1);
                    if tries == 0 {
                        tracing::error!(%error, "trying again");
                    }
                    tries += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                IndexLogError::Fenced(_) => {
                    let text = "another process has written to the file index ahead of this one";
                    self.settings.fatal.raise(EXIT_UNSAFE, format!("{text}: {error}"));
                    return Err(Left::Fenced);
                }
                IndexLogError::Overtaken(_) => {
                    tracing::warn!(%error, "working out again what is to be done");
                    measure_files(&self.log);
                    return Err(Left::Overtaken);
                }
                // Nothing that a retry could mend: from its durable state the actor knows better.
                IndexLogError::Unfit(_) => panic!("{error}"),
            }
        }
    }

    /// Room for what is made of a chunk: its rows in order, and then its files. A chunk that is
    /// larger than all of it goes alone.
    pub(super) async fn room(&self, chunk: &FrozenChunk) -> Option<SemaphorePermit<'_>> {
        let ChunkView { sorted, unsorted, .. } = &chunk.chunk;
        let sorted = sorted.iter().map(|sorted| &sorted.rows);
        let bytes: usize = unsorted.iter().chain(sorted).map(|r| r.get_array_memory_size()).sum();
        let kib = u32::try_from(2 * bytes / 1024).unwrap_or(u32::MAX).clamp(1, self.room_kib);
        self.room.acquire_many(kib).await.ok() // it is never closed
    }

    /// The files that a chunk becomes: none when its table is gone. Repeated until it succeeds:
    /// rows that cannot be written now are not given up.
    pub(super) async fn encode_chunk(&self, chunk: &FrozenChunk) -> Vec<Encoded> {
        let mut tries = 0_u64;
        loop {
            let Some(table) = live_table(&self.settings.catalog.load(), chunk) else {
                return Vec::new();
            };
            let (rows, bytes_max) = (chunk.chunk.clone(), self.settings.text_bytes_max);
            let job = self.pool.run(move || encode_parts(&rows, &table, bytes_max));
            let error = match job.await {
                Ok(Ok(encoded)) => return encoded,
                Ok(Err(error)) => error,
                Err(failed) => failed.into(),
            };
            metrics::counter!("persist_encode_errors_total").increment(1);
            if tries == 0 {
                let (table, error) = (chunk.table, format!("{error:#}"));
                tracing::error!(%table, error, "rows could not be encoded, trying again");
            }
            tries += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

fn measure_files(log: &IndexLog) {
    metrics::gauge!("parquet_files").set(log.index().files().len() as f64);
    metrics::gauge!("parquet_files_removed").set(log.index().removed().len() as f64);
}

/// The table of a chunk, unless it is gone or its rows were removed.
fn live_table(catalog: &CatalogSnapshot, chunk: &FrozenChunk) -> Option<Arc<TableSchema>> {
    let (db, table) = catalog.table_by_id(chunk.table)?;
    let removed = [db.deletion, table.deletion].iter().flatten().any(|d| d.rows_removed);
    (!removed).then(|| Arc::clone(table))
}

/// Sorts and encodes. Long work for a thread of its own.
fn encode_parts(
    chunk: &ChunkView,
    table: &TableSchema,
    text_bytes_max: usize,
) -> anyhow::Result<Vec<Encoded>> {
    sort_parts(chunk, table, text_bytes_max)?.iter().map(encode_part).collect()
}

fn encode_part(rows: &RecordBatch) -> anyhow::Result<Encoded> {
    let times = rows.columns().last().and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
    let times = times.context("rows without a time column")?;
    Ok(Encoded {
        bytes: encode(rows)?,
        row_count: rows.num_rows() as u64,
        min_time_ns: min(times).context("a part without rows")?,
        max_time_ns: max(times).context("a part without rows")?,
    })
}
