//! A store in memory with a gate, before which puts wait until a test lets them through.

use crate::storage::objects::Objects;
use crate::storage::objects::planned::{Plan, Planned};
use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, PutOptions, PutPayload, PutResult, Result};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Gate {
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
    pub(crate) fn new() -> (Arc<Planned<Self>>, Objects) {
        Planned::new(Self::default())
    }

    /// From now on, puts of objects with `part` in their key wait, and no others. Those that wait
    /// already go on doing so.
    pub(crate) fn close_for(&self, part: &'static str) {
        self.queue.lock().unwrap().closed_for = Some(part);
    }

    /// The keys of the puts that wait and were not given up, in order of arrival.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let mut queue = self.queue.lock().unwrap();
        queue.waiting.retain(|(_, put)| !put.is_closed());
        queue.waiting.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Lets one of [`waiting`](Self::waiting) go on.
    pub(crate) fn let_through(&self, number: usize) {
        self.queue.lock().unwrap().waiting.remove(number).1.send(()).unwrap();
    }

    /// From now on no further puts wait.
    pub(crate) fn open_for_others(&self) {
        self.queue.lock().unwrap().closed_for = None;
    }

    /// Lets all go on, now and later.
    pub(crate) fn open(&self) {
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

#[async_trait]
impl Plan for Gate {
    async fn put(
        &self,
        inner: &InMemory,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.pass(to.as_ref()).await;
        inner.put_opts(to, payload, options).await
    }
}
