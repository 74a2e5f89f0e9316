//! Hands durable groups to a store shard, in order, until it took them.

use crate::runtime::mailbox::Mailbox;
use crate::store::Store;
use protocols::messages::rank;
use protocols::messages::store::ApplyRows;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pause before the next attempt while a shard is being rebuilt.
const PAUSE: Duration = Duration::from_millis(20);

struct Delivery {
    group: ApplyRows,
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
            while let Some(Delivery { group, done }) = receiver.recv().await {
                let held_bytes = loop {
                    let deadline = Instant::now() + ATTEMPT;
                    let asked = shard.ask::<{ rank::WAL }, _>(group.clone(), deadline).await;
                    match asked {
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

    /// Queues rows of one group; the receiver resolves when they are visible, to the bytes that
    /// the shard holds then.
    pub(super) fn deliver(&self, group: ApplyRows) -> oneshot::Receiver<usize> {
        let (done, visible) = oneshot::channel();
        // A send fails only when the task is gone with its runtime; `visible` then says so.
        self.0.send(Delivery { group, done }).ok();
        visible
    }
}
