//! What does the work of `Persist`, one thing at a time: a snapshot, or a clean-up.

use super::ask::Peers;
use super::settings::Settings;
use super::wal_files::WalFiles;
use crate::dedup::sort_parts;
use crate::file_writer::{encode, keys_of};
use crate::runtime::mailbox::RETRY_PAUSE;
use crate::runtime::pools::Pool;
use anyhow::Context;
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, min, partition};
use arrow::datatypes::{Int32Type, TimestampNanosecondType};
use bytes::Bytes;
use protocols::catalog::CatalogSnapshot;
use protocols::messages::store::{ChunkView, FrozenChunk};
use protocols::schema::TableSchema;
use protocols::snapshot::Keys;
use std::num::NonZero;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// See the page of this file.
pub(super) struct Worker<P> {
    pub(super) settings: Settings,
    pub(super) peers: P,
    pub(super) wal_files: WalFiles,
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
    pub(super) keys: Keys,
}

impl<P: Peers> Worker<P> {
    /// Finds out what an earlier life left to do.
    pub(super) async fn open(settings: Settings, peers: P) -> anyhow::Result<Self> {
        let durable = peers.find_snapshot(0).await; // there is no such snapshot
        let wal_files = WalFiles::open(&settings, durable.wal_through).await?;
        // More than there are processors for: most of the time of a small file is that of the disk,
        // and what many sync at once it does in one go.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = settings.concurrency.min(cores);
        let pool = Pool::background("persist", threads, settings.concurrency)?;
        let room_kib = u32::try_from(settings.bytes_max / 1024).unwrap_or(u32::MAX >> 3).max(1);
        Ok(Self {
            settings,
            peers,
            wal_files,
            pool,
            room: Semaphore::new(room_kib as usize),
            room_kib,
        })
    }

    /// Removes WAL files whose time has come. True when there is more to do at once.
    pub(super) async fn clean_up(&mut self) -> bool {
        self.wal_files.clean_up(&self.settings).await
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
    sort_parts(chunk, table, text_bytes_max)?.iter().map(|rows| encode_part(rows, table)).collect()
}

fn encode_part(rows: &RecordBatch, table: &TableSchema) -> anyhow::Result<Encoded> {
    let times = rows.columns().last().and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
    let times = times.context("rows without a time column")?;
    Ok(Encoded {
        bytes: encode(rows)?,
        row_count: rows.num_rows() as u64,
        min_time_ns: min(times).context("a part without rows")?,
        max_time_ns: max(times).context("a part without rows")?,
        keys: keys_of(rows, series(rows)?, table)?,
    })
}

/// How many series sorted rows have: where the place of a tag's value in its dictionary changes,
/// another one begins.
fn series(rows: &RecordBatch) -> anyhow::Result<u64> {
    let tags = rows.columns().iter().filter_map(|c| c.as_dictionary_opt::<Int32Type>());
    let places: Vec<ArrayRef> = tags.map(|tag| Arc::new(tag.keys().clone()) as ArrayRef).collect();
    if places.is_empty() {
        return Ok(u64::from(rows.num_rows() > 0));
    }
    Ok(partition(&places)?.len() as u64)
}
