//! The other actors. They check, at each step of a snapshot, that what must be durable before it is.

use super::NODE;
use crate::index::log::{IndexChange, IndexLog, IndexLogError, load};
use crate::persist::ask::Peers;
use crate::storage::objects::Objects;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::messages::index::{AppendSnapshot, FoundSnapshot, IndexError, SnapshotFiles};
use protocols::messages::store::{Frozen, FrozenChunk, SwapChunk};
use protocols::paths;
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub(super) struct State {
    pub(super) due: Option<PlacedMark>,
    /// Chunks that the shard still has.
    pub(super) chunks: Vec<FrozenChunk>,
    pub(super) swapped: Vec<Arc<ParquetFile>>,
    /// What queries see.
    pub(super) files: BTreeMap<u64, Arc<ParquetFile>>,
    pub(super) ended: Vec<u64>,
    pub(super) done: Vec<u64>,
    pub(super) cached: BTreeMap<String, Bytes>,
    /// Another process has taken over.
    pub(super) is_replaced: bool,
}

/// One shard, the WAL, the index and the cache.
#[derive(Clone)]
pub(super) struct Fake {
    objects: Objects,
    pub(super) state: Arc<Mutex<State>>,
}

impl Fake {
    pub(super) fn new(objects: &Objects) -> Self {
        Self { objects: objects.clone(), state: Arc::default() }
    }

    /// A snapshot falls due.
    pub(super) fn freeze(&self, mark: PlacedMark, chunks: Vec<FrozenChunk>) {
        let mut state = self.state.lock().unwrap();
        state.due = Some(mark);
        state.chunks = chunks;
        state.swapped.clear();
    }

    pub(super) fn files(&self) -> Vec<Arc<ParquetFile>> {
        self.state.lock().unwrap().files.values().cloned().collect()
    }
}

impl Peers for Fake {
    async fn take_snapshot(&self) -> Option<PlacedMark> {
        self.state.lock().unwrap().due
    }

    async fn frozen_chunks(&self, _: u64) -> Vec<Frozen> {
        let state = self.state.lock().unwrap();
        vec![Frozen { chunks: state.chunks.clone(), swapped: state.swapped.clone() }]
    }

    async fn swap_chunk(&self, swap: SwapChunk) {
        for file in &swap.files {
            let path = Path::from(paths::parquet_file(NODE, file));
            let stored = self.objects.store.head(&path).await.expect("the file is stored first");
            assert_eq!(stored.size, file.size_bytes);
        }
        let mut state = self.state.lock().unwrap();
        let same =
            |c: &FrozenChunk| c.table == swap.table && c.chunk.chunk_time_ns == swap.chunk_time_ns;
        assert!(state.chunks.iter().any(same), "the chunk is there");
        state.chunks.retain(|chunk| !same(chunk));
        for file in swap.files {
            state.files.insert(file.id, Arc::clone(&file));
            state.swapped.push(file);
        }
    }

    async fn find_snapshot(&self, number: u64) -> FoundSnapshot {
        let index = load(&self.objects, NODE).await.unwrap();
        FoundSnapshot {
            durable: index.snapshots().find(|placed| placed.mark.number == number).copied(),
            wal_through: index.wal_through(),
            next_file_id: index.next_file_id(),
        }
    }

    async fn append_snapshot(&self, append: AppendSnapshot) -> Result<SnapshotFiles, IndexError> {
        if self.state.lock().unwrap().is_replaced {
            return Err(IndexError::Fenced);
        }
        let AppendSnapshot { snapshot, added } = append;
        let mut log = loop {
            match IndexLog::open(&self.objects, NODE, 1).await {
                Ok(log) => break log,
                Err(_) => tokio::task::yield_now().await, // the store is flaky
            }
        };
        while !log.index().is_durable(&snapshot) {
            let change = IndexChange {
                snapshot: Some(snapshot),
                added: added.clone(),
                ..IndexChange::default()
            };
            match log.append(change).await {
                Ok(()) | Err(IndexLogError::Store { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let of_snapshot = |file: &&Arc<ParquetFile>| file.wal_file == snapshot.mark.wal_through;
        let files: Vec<_> = log.index().files().filter(of_snapshot).cloned().collect();
        let mut state = self.state.lock().unwrap();
        state.chunks.clear();
        state.files.extend(files.iter().map(|file| (file.id, Arc::clone(file))));
        state.ended.push(snapshot.mark.number);
        let next_file_id = log.index().next_file_id();
        Ok(SnapshotFiles { files, removed: Vec::new(), next_file_id })
    }

    async fn snapshot_done(&self, number: u64) {
        let mut state = self.state.lock().unwrap();
        assert_eq!(state.ended.last(), Some(&number), "the shards know of it");
        state.due = None;
        state.done.push(number);
    }

    fn cache(&self, path: Arc<str>, bytes: Bytes) {
        self.state.lock().unwrap().cached.insert(path.to_string(), bytes);
    }
}
