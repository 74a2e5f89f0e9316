//! The other actors. They check, at each step of a snapshot, that what must be durable before it is.

use super::NODE;
use crate::persist::ask::Peers;
use crate::persist::index::load;
use crate::runtime::objects::Objects;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::ids::TableId;
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
}

/// One shard, the WAL and the cache.
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

    async fn end_snapshot(&self, snapshot: PlacedMark, files: &[Arc<ParquetFile>]) {
        let index = load(&self.objects, NODE).await.unwrap();
        assert!(index.is_durable(&snapshot), "the index comes first");
        let mut state = self.state.lock().unwrap();
        state.chunks.clear();
        state.files.extend(files.iter().map(|file| (file.id, Arc::clone(file))));
        state.ended.push(snapshot.mark.number);
    }

    async fn snapshot_done(&self, number: u64) {
        let mut state = self.state.lock().unwrap();
        assert_eq!(state.ended.last(), Some(&number), "the shards know of it");
        state.due = None;
        state.done.push(number);
    }

    async fn remove_files(&self, files: &[(TableId, u64)]) {
        let index = load(&self.objects, NODE).await.unwrap();
        let mut state = self.state.lock().unwrap();
        for (_, id) in files {
            assert!(index.file(*id).is_none(), "the index forgets a file first");
            state.files.remove(id);
        }
    }

    fn cache(&self, path: Arc<str>, bytes: Bytes) {
        self.state.lock().unwrap().cached.insert(path.to_string(), bytes);
    }

    async fn evict(&self, paths: Vec<Arc<str>>) {
        let mut state = self.state.lock().unwrap();
        paths.iter().for_each(|path| drop(state.cached.remove(&**path)));
    }
}
