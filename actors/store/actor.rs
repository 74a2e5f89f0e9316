//! The actor: the messages that change its shard, or ask for what is in it.

use super::shard::Shard;
use crate::cache_directory::CacheFeeds;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::Responder;
use crate::runtime::shared::{Own, Shared};
use protocols::messages::rank;
use protocols::messages::store::{
    ApplyRows, DropTables, EndSnapshot, FrozenChunks, KeepSorted, OldestEpoch, RemoveFiles,
    SwapChunk, SwapFiles, ViewTable,
};

/// See the module's page.
pub struct Store {
    shard: Own<Shard>,
    caches: CacheFeeds,
}

impl Store {
    /// The actor of a shard that nobody else looks at.
    pub fn new(shard: Shard) -> Self {
        Self { shard: Own::alone(shard), caches: CacheFeeds::default() }
    }

    /// The actor of a shard at which queries look, with caches that its rows go to as well.
    pub fn open(shard: Shard, shared: &Shared<Shard>, caches: CacheFeeds) -> Self {
        Self { shard: shared.begin(shard), caches }
    }
}

impl Service for Store {
    const RANK: u8 = rank::STORE;
}

impl Receive<ApplyRows> for Store {
    fn receive(&mut self, group: ApplyRows, reply: Responder<ApplyRows>, _: &mut Cx<'_, Self>) {
        // The writers are answered when the next query of a cache waits behind their rows.
        self.caches.bring(group.sequence, &group.batches);
        reply.answer(self.shard.with(|shard| {
            shard.apply(group);
            shard.held_bytes()
        }));
    }
}

impl Receive<ViewTable> for Store {
    fn receive(&mut self, ask: ViewTable, reply: Responder<ViewTable>, _: &mut Cx<'_, Self>) {
        reply.answer(self.shard.with(|shard| shard.view(&ask)));
    }
}

impl Receive<KeepSorted> for Store {
    fn receive(&mut self, kept: KeepSorted, reply: Responder<KeepSorted>, _: &mut Cx<'_, Self>) {
        self.shard.with(|shard| shard.keep_sorted(kept));
        reply.answer(());
    }
}

impl Receive<FrozenChunks> for Store {
    fn receive(&mut self, ask: FrozenChunks, reply: Responder<FrozenChunks>, _: &mut Cx<'_, Self>) {
        match self.shard.with(|shard| shard.frozen_chunks(ask.snapshot)) {
            Some(frozen) => reply.answer(frozen),
            // Dropping `reply` tells `Persist` to ask again.
            None => tracing::warn!(snapshot = ask.snapshot, "the mark of the snapshot is missing"),
        }
    }
}

impl Receive<SwapChunk> for Store {
    fn receive(&mut self, swap: SwapChunk, reply: Responder<SwapChunk>, _: &mut Cx<'_, Self>) {
        reply.answer(self.shard.with(|shard| {
            shard.swap(swap);
            shard.held_bytes()
        }));
    }
}

impl Receive<EndSnapshot> for Store {
    fn receive(&mut self, end: EndSnapshot, reply: Responder<EndSnapshot>, _: &mut Cx<'_, Self>) {
        reply.answer(self.shard.with(|shard| {
            shard.end_snapshot(&end);
            shard.held_bytes()
        }));
    }
}

impl Receive<RemoveFiles> for Store {
    fn receive(&mut self, files: RemoveFiles, reply: Responder<RemoveFiles>, _: &mut Cx<'_, Self>) {
        reply.answer(self.shard.with(|shard| shard.remove_files(files)));
    }
}

impl Receive<SwapFiles> for Store {
    fn receive(&mut self, swap: SwapFiles, reply: Responder<SwapFiles>, _: &mut Cx<'_, Self>) {
        reply.answer(self.shard.with(|shard| shard.swap_files(swap)));
    }
}

impl Receive<OldestEpoch> for Store {
    fn receive(&mut self, _: OldestEpoch, reply: Responder<OldestEpoch>, _: &mut Cx<'_, Self>) {
        reply.answer(self.shard.with(|shard| shard.oldest_epoch()));
    }
}

impl Receive<DropTables> for Store {
    fn receive(&mut self, drop: DropTables, reply: Responder<DropTables>, _: &mut Cx<'_, Self>) {
        self.shard.with(|shard| shard.drop_tables(drop));
        reply.answer(());
    }
}
