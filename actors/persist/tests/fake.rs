//! The other actors, and an object store that fails when told to. The fakes check, at each step of
//! a snapshot, that what must be durable before it is.

use super::NODE;
use crate::persist::ask::Peers;
use crate::persist::index::load;
use crate::runtime::objects::Objects;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use protocols::ids::TableId;
use protocols::messages::store::{Frozen, FrozenChunk, SwapChunk};
use protocols::paths;
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// A store in memory. Some of its next puts and deletions fail.
#[derive(Debug, Default)]
pub(super) struct Flaky {
    inner: InMemory,
    pub(super) failing_puts: AtomicU32,
    pub(super) failing_deletions: AtomicU32,
    /// Parts of uploads that fail.
    pub(super) failing_parts: Arc<AtomicU32>,
    pub(super) aborted: Arc<AtomicU32>,
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flaky")
    }
}

fn planted(left: &AtomicU32) -> Result<()> {
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)) {
        Ok(_) => Err(Error::Generic { store: "Flaky", source: "planted".into() }),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, to: &Path, payload: PutPayload, o: PutOptions) -> Result<PutResult> {
        planted(&self.failing_puts)?;
        self.inner.put_opts(to, payload, o).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(FlakyUpload {
            inner: self.inner.put_multipart_opts(to, options).await?,
            failing_parts: Arc::clone(&self.failing_parts),
            aborted: Arc::clone(&self.aborted),
        }))
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if let Err(error) = planted(&self.failing_deletions) {
            return Box::pin(futures::stream::once(async { Err(error) }));
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FlakyUpload {
    inner: Box<dyn MultipartUpload>,
    failing_parts: Arc<AtomicU32>,
    aborted: Arc<AtomicU32>,
}

#[async_trait]
impl MultipartUpload for FlakyUpload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        match planted(&self.failing_parts) {
            Ok(()) => self.inner.put_part(data),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}
