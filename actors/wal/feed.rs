//! Hands durable groups to a store shard, in order, until it took them.

use crate::runtime::mailbox::{AskError, Mailbox};
use crate::store::Store;
use protocols::messages::rank;
use protocols::messages::store::ApplyRows;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pause before the next attempt while a shard is being rebuilt.
const PAUSE: Duration = Duration::from_millis(20);

/// Run on the thread of the shard that has taken the rows.
pub(super) type OnTaken = Arc<dyn Fn() + Send + Sync>;

struct Delivery {
    group: ApplyRows,
    on_taken: OnTaken,
    done: oneshot::Sender<usize>,
}

/// The way to one shard. A delivery ends only with success: what is durable must become visible,
/// and when a shard cannot be rebuilt the process ends anyway.
#[derive(Clone)]
pub(super) struct Feed(mpsc::UnboundedSender<Delivery>);

impl Feed {
    /// Starts the way to `shard`. What waits in it is bounded by the mailbox of the `Wal`, whose
    /// permits the waiting writers hold.
    pub(super) fn start(shard: Mailbox<Store>) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Delivery>();
        #[expect(clippy::disallowed_methods, reason = "it ends with the sender, which `Wal` has")]
        actix_rt::spawn(async move {
            while let Some(Delivery { group, on_taken, done }) = receiver.recv().await {
                let held_bytes = loop {
                    match attempt(&shard, group.clone(), Arc::clone(&on_taken)).await {
                        Ok(held_bytes) => break held_bytes,
                        Err(error) => {
                            tracing::warn!(%error, group = group.sequence, "store shard is late");
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                };
                done.send(held_bytes).ok(); // the Wal may have died meanwhile
            }
        });
        Self(sender)
    }

    /// Queues rows of one group. `on_taken` is called when they are visible, perhaps twice; the
    /// receiver resolves then, to the bytes that the shard holds.
    pub(super) fn deliver(&self, group: ApplyRows, on_taken: OnTaken) -> oneshot::Receiver<usize> {
        let (done, visible) = oneshot::channel();
        // A send fails only when the task is gone with its runtime; `visible` then says so.
        self.0.send(Delivery { group, on_taken, done }).ok();
        visible
    }
}

/// Has the shard take the rows, unless it is late.
async fn attempt(
    shard: &Mailbox<Store>,
    group: ApplyRows,
    on_taken: OnTaken,
) -> Result<usize, AskError> {
    let deadline = Instant::now() + ATTEMPT;
    let (answer, answered) = oneshot::channel();
    shard.ask_then::<{ rank::WAL }, _>(group, Some(deadline), move |result| {
        if result.is_ok() {
            on_taken();
        }
        answer.send(result).ok(); // it may be given up already
    });
    match timeout_at(deadline, answered).await {
        Ok(Ok(result)) => result,
        // What is to be done with an answer is done in any case.
        Ok(Err(_)) | Err(_) => Err(AskError::Deadline("store")),
    }
}
