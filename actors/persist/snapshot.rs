//! Taking a snapshot: each step is durable before the next one begins.

use super::ask::Peers;
use super::worker::{Encoded, Worker};
use crate::file_writer::put_until_stored;
use crate::runtime::faults;
use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::file_index::manifest::{Manifest, render};
use protocols::messages::index::{AppendSnapshot, IndexError, SnapshotFiles};
use protocols::messages::store::{FrozenChunk, SwapChunk};
use protocols::paths;
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::cell::Cell;
use std::sync::Arc;
use tokio::time::Instant;

/// More parts than this a chunk does not become.
const PARTS_MAX: u32 = 1 << 16;

/// A snapshot whose files are being written.
struct Run {
    placed: PlacedMark,
    /// Id of the next further part of a chunk that is split.
    next_part_id: Cell<u64>,
    /// No file is stored yet.
    none_stored: Cell<bool>,
}

impl Run {
    fn part_id(&self) -> u64 {
        self.next_part_id.replace(self.next_part_id.get() + 1)
    }
}

impl<P: Peers> Worker<P> {
    /// Takes snapshots until none is due.
    pub(super) async fn take_snapshots(&mut self) -> Result<(), IndexError> {
        while let Some(placed) = self.peers.take_snapshot().await {
            metrics::gauge!("persist_running").set(1.0);
            let taken = self.take_snapshot(placed).await;
            metrics::gauge!("persist_running").set(0.0);
            taken?;
        }
        Ok(())
    }

    async fn take_snapshot(&mut self, placed: PlacedMark) -> Result<(), IndexError> {
        let begun = Instant::now();
        let number = placed.mark.number;
        // After a rebuilding of this actor, or of the WAL, the index may have the snapshot already.
        let known = self.peers.find_snapshot(number).await;
        let is_new = known.durable != Some(placed);
        let mut added = Vec::new();
        if is_new {
            let through = known.wal_through;
            assert!(
                placed.mark.wal_through > through,
                "snapshot {number} up to WAL file {} would overwrite files of the one up to {through}",
                placed.mark.wal_through
            );
            added = self.write_files(placed, known.next_file_id).await;
            faults::fails("snap-after-all-parquet");
        }
        let appended = self.peers.append_snapshot(AppendSnapshot { snapshot: placed, added });
        let snapshot_files = appended.await?;
        let durable_at = Instant::now();
        if is_new || !self.has_manifest(number).await {
            self.write_manifest(placed, &snapshot_files).await;
        }
        faults::fails("snap-after-manifest");
        self.peers.snapshot_done(number).await;
        self.wal_files.note_durable(placed.mark.wal_through, durable_at);
        if !is_new {
            tracing::info!(number, "every shard knows of the end of the snapshot");
            return Ok(());
        }

        let files = snapshot_files.files;
        self.peers.tell_triggers(number, &files);
        let rows: u64 = files.iter().map(|file| file.row_count).sum();
        let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        metrics::counter!("persist_snapshots_total").increment(1);
        metrics::counter!("persist_rows_total").increment(rows);
        metrics::counter!("persist_bytes_total").increment(bytes);
        metrics::histogram!("persist_snapshot_seconds").record(begun.elapsed().as_secs_f64());
        let (files, wal_through) = (files.len(), placed.mark.wal_through);
        tracing::info!(number, files, rows, bytes, wal_through, "snapshot taken");
        Ok(())
    }

    /// Has all rows of the snapshot in stored files, and the shards use these. The files of one
    /// snapshot are the only ones that carry its last WAL file in their names.
    async fn write_files(&self, placed: PlacedMark, next_file_id: u64) -> Vec<ParquetFile> {
        let frozen = self.peers.frozen_chunks(placed.mark.number).await;
        let mut chunks: Vec<FrozenChunk> = Vec::new();
        let mut files: Vec<Arc<ParquetFile>> = Vec::new();
        for shard in frozen {
            chunks.extend(shard.chunks);
            files.extend(shard.swapped);
        }
        chunks.sort_by_key(|chunk| (chunk.table, chunk.chunk.chunk_time_ns, chunk.chunk.division));
        let after_swapped = files.iter().map(|file| file.id + 1).max().unwrap_or(0);
        let first_id = next_file_id.max(after_swapped);
        let run = Run {
            placed,
            next_part_id: Cell::new(first_id + chunks.len() as u64),
            none_stored: Cell::new(files.is_empty()),
        };
        let written = stream::iter((first_id..).zip(chunks))
            .map(|(id, chunk)| self.write_chunk(&run, id, chunk))
            .buffer_unordered(self.settings.concurrency)
            .collect::<Vec<_>>()
            .await;
        files.extend(written.into_iter().flatten());
        let mut files: Vec<_> = files.iter().map(|file| file.as_ref().clone()).collect();
        files.sort_by_key(|file| file.id);
        files
    }

    /// Writes one chunk and has its shard use the files.
    async fn write_chunk(&self, run: &Run, id: u64, chunk: FrozenChunk) -> Vec<Arc<ParquetFile>> {
        let _room = self.room(&chunk).await;
        let mut files = Vec::new();
        // Those of one time must not have the same names.
        let first_part = chunk.chunk.division.saturating_mul(PARTS_MAX);
        for (part, encoded) in (first_part..).zip(self.encode_chunk(&chunk).await) {
            let id = if part == first_part { id } else { run.part_id() };
            files.push(self.store_file(run, (id, part), &chunk, encoded).await);
        }
        let swap = SwapChunk {
            snapshot: run.placed.mark.number,
            table: chunk.table,
            chunk_time_ns: chunk.chunk.chunk_time_ns,
            division: chunk.chunk.division,
            files: files.clone(),
        };
        self.peers.swap_chunk(swap).await;
        files
    }

    async fn store_file(
        &self,
        run: &Run,
        (id, part): (u64, u32),
        chunk: &FrozenChunk,
        encoded: Encoded,
    ) -> Arc<ParquetFile> {
        let file = ParquetFile {
            id,
            db: chunk.db,
            table: chunk.table,
            chunk_time_ns: chunk.chunk.chunk_time_ns,
            wal_file: run.placed.mark.wal_through,
            part,
            size_bytes: encoded.bytes.len() as u64,
            row_count: encoded.row_count,
            min_time_ns: encoded.min_time_ns,
            max_time_ns: encoded.max_time_ns,
            crc32: crc32fast::hash(&encoded.bytes),
            order: chunk.chunk.order,
            keys: encoded.keys,
            compacted: None,
        };
        let path = paths::parquet_file(&self.settings.node, &file);
        let store = self.settings.objects.store.as_ref();
        put_until_stored(store, &path, &encoded.bytes, "snap-parquet-put").await;
        if run.none_stored.replace(false) {
            faults::fails("snap-after-first-parquet");
        }
        self.peers.cache(path.into(), encoded.bytes);
        Arc::new(file)
    }

    /// Whether the manifest of a snapshot is there. If that is not known, it is written again.
    async fn has_manifest(&self, number: u64) -> bool {
        let path = Path::from(paths::snapshot_manifest(&self.settings.node, number));
        self.settings.objects.store.head(&path).await.is_ok()
    }

    /// Tells other programs of the snapshot, if there is anything to tell.
    async fn write_manifest(&self, snapshot: PlacedMark, files: &SnapshotFiles) {
        let SnapshotFiles { files: added, removed, next_file_id } = files;
        if added.is_empty() && removed.is_empty() {
            return;
        }
        let node = &self.settings.node;
        let manifest = render(&Manifest {
            node,
            snapshot,
            catalog_sequence: self.settings.catalog.load().sequence,
            next_file_id: *next_file_id,
            added: added.iter().map(AsRef::as_ref).collect(),
            removed: removed.iter().map(AsRef::as_ref).collect(),
        });
        let path = paths::snapshot_manifest(node, snapshot.mark.number);
        let store = self.settings.objects.store.as_ref();
        put_until_stored(store, &path, &Bytes::from(manifest), "snap-manifest-put").await;
    }
}
