//! A store in memory with a gate, before which puts wait until a test lets them through.

use crate::runtime::objects::Objects;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inner: InMemory,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Puts whose key has this in it wait.
    closed_for: Option<&'static str>,
    /// Keys of those that wait, in order of arrival.
    waiting: Vec<(String, oneshot::Sender<()>)>,
}

impl Gate {
    /// An empty store with an open gate.
    pub(super) fn new() -> (Arc<Self>, Objects) {
        let gate = Arc::new(Self::default());
        let store: Arc<dyn ObjectStore> = Arc::<Self>::clone(&gate);
        (gate, Objects { store, ..Objects::memory() })
    }

    /// From now on, puts of objects with `part` in their key wait, and no others. Those that wait
    /// already go on doing so.
    pub(super) fn close_for(&self, part: &'static str) {
        self.queue.lock().unwrap().closed_for = Some(part);
    }

    /// The keys of the puts that wait and were not given up, in order of arrival.
    pub(super) fn waiting(&self) -> Vec<String> {
        let mut queue = self.queue.lock().unwrap();
        queue.waiting.retain(|(_, put)| !put.is_closed());
        queue.waiting.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Lets one of [`waiting`](Self::waiting) go on.
    pub(super) fn let_through(&self, number: usize) {
        self.queue.lock().unwrap().waiting.remove(number).1.send(()).unwrap();
    }

    /// From now on no further puts wait.
    pub(super) fn open_for_others(&self) {
        self.queue.lock().unwrap().closed_for = None;
    }

    /// Lets all go on, now and later.
    pub(super) fn open(&self) {
        *self.queue.lock().unwrap() = Queue::default();
    }

    async fn pass(&self, key: &str) {
        let turn = {
            let mut queue = self.queue.lock().unwrap();
            let waits = queue.closed_for.is_some_and(|part| key.contains(part));
            waits.then(|| {
                let (put, turn) = oneshot::channel();
                queue.waiting.push((key.to_owned(), put));
                turn
            })
        };
        if let Some(turn) = turn {
            // An error is as good: the gate was opened.
            turn.await.ok();
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put_opts(&self, to: &Path, payload: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.pass(to.as_ref()).await;
        self.inner.put_opts(to, payload, o).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
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
