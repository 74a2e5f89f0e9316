//! Durable groups on their way to the shards, and their writers' answers.

use super::actor::{Waiting, WaitingCut, Wal};
use super::config::RowsWatcher;
use crate::runtime::actor::Cx;
use crate::runtime::last_of::LastOf;
use crate::runtime::mailbox::Responder;
use crate::runtime::{canary, faults};
use futures::TryFutureExt;
use futures::future::{FutureExt, try_join_all};
use protocols::messages::persist::SnapshotDue;
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::messages::wal::{AppendRows, CutRows, Receipt, WalError};
use protocols::row_deletes::RowCut;
use protocols::snapshot::SnapshotMark;
use std::sync::Arc;

/// Below the number of any group, so that every shard skips it and only says what it holds.
const PROBE: u64 = 0;

/// The writers of a durable group. The last shard that takes its rows answers them, on its own
/// thread, so that they do not wait for a thread that has nothing to add.
struct Writers {
    sequence: u64,
    replies: Vec<Responder<AppendRows>>,
    /// Those who wait for a cut behind the rows.
    cuts: Vec<Responder<CutRows>>,
    stamp: i64,
    triggers: Option<Arc<dyn RowsWatcher>>,
    /// What triggers get.
    fired: Vec<TableBatch>,
}

impl Writers {
    fn answer(self) {
        faults::fails("wal-before-ack");
        if let Some(triggers) = self.triggers {
            triggers.tell_rows(self.fired);
        }
        for reply in self.replies {
            reply.answer(Ok(Receipt::Durable { sequence: self.sequence }));
        }
        for reply in self.cuts {
            reply.answer(Ok(self.stamp));
        }
    }

    fn give_up(self) {
        let error = WalError::NotApplied("the server is stopping".to_owned());
        for reply in self.replies {
            reply.answer(Err(error.clone()));
        }
        for reply in self.cuts {
            reply.answer(Err(error.clone()));
        }
    }
}

impl Wal {
    /// Makes a durable group visible, then has its writers answered.
    pub(super) fn apply(
        &mut self,
        (sequence, stamp): (u64, i64),
        (waiting, waiting_cuts): (Vec<Waiting>, Vec<WaitingCut>),
        begins: Option<SnapshotMark>,
        cx: &mut Cx<'_, Self>,
    ) {
        let mut batches: Vec<Vec<TableBatch>> = vec![Vec::new(); self.feeds.len()];
        let mut cuts: Vec<Vec<RowCut>> = vec![Vec::new(); self.feeds.len()];
        let mut replies = Vec::with_capacity(waiting.len());
        let triggers = self.config.triggers.clone();
        let all = waiting.iter().flat_map(|waiting| &waiting.rows.batches);
        let fired = match &triggers {
            Some(triggers) => all.filter(|batch| triggers.wants(batch.db)).cloned().collect(),
            None => Vec::new(),
        };
        for Waiting { rows, reply } in waiting {
            for batch in rows.batches {
                batches[self.config.stores.index_of(batch.table)].push(batch);
            }
            replies.push(reply);
        }
        let mut cut_replies = Vec::with_capacity(waiting_cuts.len());
        for (cut, reply) in waiting_cuts {
            cuts[self.config.stores.index_of(cut.table)].push(cut);
            cut_replies.push(reply);
        }
        let to_all = begins.is_some();
        let taking = (batches.iter().zip(&cuts).enumerate())
            .filter(|(_, (batches, cuts))| to_all || !batches.is_empty() || !cuts.is_empty())
            .map(|(shard, _)| shard);
        let writers = Writers { sequence, replies, cuts: cut_replies, stamp, triggers, fired };
        let writers = Arc::new(LastOf::new(taking.collect(), writers));
        let last = Arc::clone(&writers);
        let visible = self.deliver((sequence, stamp), (batches, cuts), begins, move |shard| {
            if let Some(writers) = last.arrived(shard) {
                writers.answer();
            }
        });
        self.applying.insert(sequence);
        let answered = async move {
            let held = if canary::is("ack-before-visible") { Some(vec![]) } else { visible.await };
            match (writers.take(), &held) {
                (Some(writers), Some(_)) => writers.answer(),
                (Some(writers), None) => writers.give_up(),
                (None, _) => {} // the last shard has had them answered
            }
            held
        };
        cx.then(answered, move |wal, held, _| {
            wal.applying.remove(&sequence);
            if held.is_some() {
                let through = wal.applying.first().map(|first| first - 1);
                wal.config.owner.see(through.unwrap_or_else(|| wal.config.owner.confirmed()));
            }
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

    /// Hands the shards their rows; each shard that has them calls `taken_by`, perhaps twice.
    /// Resolves when all have them, to the bytes that each of these shards holds then; to nothing
    /// when the server is stopping.
    fn deliver<F: Fn(usize) + Clone + Send + Sync + 'static>(
        &self,
        (sequence, stamp): (u64, i64),
        (batches, cuts): (Vec<Vec<TableBatch>>, Vec<Vec<RowCut>>),
        mark: Option<SnapshotMark>,
        taken_by: F,
    ) -> impl Future<Output = Option<Vec<(usize, usize)>>> + use<F> {
        let to_all = sequence == PROBE || mark.is_some();
        let parts = batches.into_iter().zip(cuts);
        let visible: Vec<_> = (self.feeds.iter().zip(parts).enumerate())
            .filter(|(_, (_, (batches, cuts)))| !batches.is_empty() || !cuts.is_empty() || to_all)
            .map(|(shard, (feed, (batches, cuts)))| {
                let group = ApplyRows { sequence, stamp, batches, cuts, mark };
                let taken_by = taken_by.clone();
                feed.deliver(group, Arc::new(move || taken_by(shard)))
                    .map_ok(move |bytes| (shard, bytes))
            })
            .collect();
        try_join_all(visible).map(Result::ok)
    }

    /// Asks every shard what it holds.
    pub(super) fn probe(&self, cx: &mut Cx<'_, Self>) {
        let nothing = (vec![Vec::new(); self.feeds.len()], vec![Vec::new(); self.feeds.len()]);
        cx.then(self.deliver((PROBE, 0), nothing, None, |_| ()), |wal, held, _| {
            wal.note_held(held)
        });
    }

    fn note_held(&mut self, held: Option<Vec<(usize, usize)>>) {
        for (shard, bytes) in held.into_iter().flatten() {
            if let Some(known) = self.held_bytes.get_mut(shard) {
                *known = bytes;
            }
        }
    }
}
