//! Durable groups on their way to the shards, and their writers' answers.

use super::actor::{Waiting, Wal};
use crate::runtime::actor::Cx;
use crate::runtime::{canary, faults};
use futures::TryFutureExt;
use futures::future::{FutureExt, try_join_all};
use protocols::messages::persist::SnapshotDue;
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::messages::wal::{Receipt, WalError};
use protocols::snapshot::SnapshotMark;

/// Below the number of any group, so that every shard skips it and only says what it holds.
const PROBE: u64 = 0;

impl Wal {
    /// Makes a durable group visible, then answers its writers.
    pub(super) fn apply(
        &mut self,
        sequence: u64,
        waiting: Vec<Waiting>,
        begins: Option<SnapshotMark>,
        cx: &mut Cx<'_, Self>,
    ) {
        let mut batches: Vec<Vec<TableBatch>> = vec![Vec::new(); self.feeds.len()];
        let mut replies = Vec::with_capacity(waiting.len());
        let triggers = self.config.triggers.clone();
        let all = waiting.iter().flat_map(|waiting| &waiting.rows.batches);
        let fired = triggers.as_ref().map(|triggers| triggers.wanted(all)).unwrap_or_default();
        for Waiting { rows, reply } in waiting {
            for batch in rows.batches {
                batches[self.config.stores.index_of(batch.table)].push(batch);
            }
            replies.push(reply);
        }
        let visible = self.deliver(sequence, batches, begins);
        self.applying += 1;
        let answered = async move {
            let held = if canary::is("ack-before-visible") { Some(vec![]) } else { visible.await };
            faults::fails("wal-before-ack");
            if let (Some(triggers), Some(_)) = (triggers, &held) {
                triggers.tell_rows(fired);
            }
            for reply in replies {
                reply.answer(match held {
                    Some(_) => Ok(Receipt::Durable { sequence }),
                    None => Err(WalError::NotApplied("the server is stopping".to_owned())),
                });
            }
            held
        };
        cx.then(answered, move |wal, held, _| {
            wal.applying -= 1;
            wal.config.pulse.goes_on();
            if begins.is_some() && held.is_some() {
                wal.offer_snapshot();
            }
            wal.note_held(held);
            wal.rest();
        });
    }

    /// All shards have frozen the chunks of the snapshot: `Persist` can take them.
    fn offer_snapshot(&mut self) {
        if let Some((_, known)) = &mut self.snapshot {
            *known = true;
            // Should there be no room, its ticker has it ask all the same.
            self.config.persist.tell(SnapshotDue);
        }
    }

    /// Hands the shards their rows. Resolves when all have them, to the bytes that each of these
    /// shards holds then; to nothing when the server is stopping.
    fn deliver(
        &self,
        sequence: u64,
        batches: Vec<Vec<TableBatch>>,
        mark: Option<SnapshotMark>,
    ) -> impl Future<Output = Option<Vec<(usize, usize)>>> + use<> {
        let to_all = sequence == PROBE || mark.is_some();
        let visible: Vec<_> = (self.feeds.iter().zip(batches).enumerate())
            .filter(|(_, (_, batches))| !batches.is_empty() || to_all)
            .map(|(shard, (feed, batches))| {
                let group = ApplyRows { sequence, batches, mark };
                feed.deliver(group).map_ok(move |bytes| (shard, bytes))
            })
            .collect();
        try_join_all(visible).map(Result::ok)
    }

    /// Asks every shard what it holds.
    pub(super) fn probe(&self, cx: &mut Cx<'_, Self>) {
        let empty = vec![Vec::new(); self.feeds.len()];
        cx.then(self.deliver(PROBE, empty, None), |wal, held, _| wal.note_held(held));
    }

    fn note_held(&mut self, held: Option<Vec<(usize, usize)>>) {
        for (shard, bytes) in held.into_iter().flatten() {
            if let Some(known) = self.held_bytes.get_mut(shard) {
                *known = bytes;
            }
        }
    }
}
