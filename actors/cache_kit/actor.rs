//! The actor around the content of a cache.

use super::budget::{CacheBudget, Share};
use super::content::Content;
use super::standing::{CacheState, CacheStatus, Standing};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Responder;
use crate::runtime::teller::Teller;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use protocols::messages::caches::{
    CacheError, CacheRows, EvictDue, FillEnded, FillRows, LookAfterCaches, LookUpCache, StartOver,
};
use protocols::messages::rank;
use std::sync::Arc;

/// What a cache is given at birth.
#[derive(Clone)]
pub struct CacheParts {
    /// Where it notes how it is.
    pub standing: Arc<Standing>,
    /// The memory that it shares with the others.
    pub budget: CacheBudget,
    /// Wall-clock time.
    pub clock: Clock,
    /// Who fills it.
    pub keeper: Teller<LookAfterCaches>,
    /// False when it always begins without the rows that are there already.
    pub fill: bool,
}

/// See the pages of `last_cache` and `distinct_cache`.
pub struct Cache<C: Content> {
    content: C,
    parts: CacheParts,
    share: Share,
    /// The filling under way.
    filling: Option<u64>,
    /// Questions that wait for its end.
    waiting: Vec<(LookUpCache, Responder<LookUpCache>)>,
    /// Keys were removed for lack of memory since the last regular eviction.
    was_full: bool,
    /// What it says of itself.
    status: CacheStatus,
}

/// What comes of rows.
type Applied = Result<(), ArrowError>;

impl<C: Content> Cache<C> {
    /// A cache that waits to be filled, unless `parts` say otherwise.
    pub fn new(content: C, parts: CacheParts) -> Self {
        // Numbers of fillings and counts go on from a former life.
        let (share, status) = (parts.budget.open(), parts.standing.status());
        let (filling, waiting) = (None, Vec::new());
        Self { content, parts, share, filling, waiting, was_full: false, status }
    }

    fn take(&mut self, rows: &RecordBatch, by: fn(&mut C, &RecordBatch, i64) -> Applied) {
        if let Err(error) = by(&mut self.content, rows, self.parts.clock.now_ns()) {
            let [_, table, cache] = &self.parts.standing.names;
            tracing::error!(%table, %cache, %error, "rows were not cached");
        }
        self.share.set(self.content.bytes());
        if let Some(max_bytes) = self.share.shrink_to() {
            let evicted = self.content.shrink(max_bytes);
            self.status.squeezed += evicted as u64;
            self.share.set(self.content.bytes());
            self.is_full(evicted);
        }
        self.publish();
    }

    fn is_full(&mut self, evicted: usize) {
        if !self.was_full {
            let [_, table, cache] = &self.parts.standing.names;
            tracing::warn!(
                %table,
                %cache,
                evicted,
                budget_bytes = self.parts.budget.max_bytes(),
                "the memory for caches is used up: the cache loses its oldest keys"
            );
        }
        self.was_full = true;
    }

    /// Tells how it is.
    fn publish(&mut self) {
        self.status.state = match (self.filling, self.was_full) {
            (Some(_), _) => CacheState::Filling,
            (None, true) => CacheState::Full,
            (None, false) => CacheState::Running,
        };
        let content = &self.content;
        let sizes = (content.keys(), content.rows(), content.bytes());
        (self.status.keys, self.status.rows, self.status.bytes) = sizes;
        self.parts.standing.publish(self.status);
    }

    fn answer(&self, question: &LookUpCache, reply: Responder<LookUpCache>) {
        let rows = self.content.look_up(question, self.parts.clock.now_ns());
        reply.answer(rows.map_err(|error| CacheError::Build(error.to_string())));
    }

    /// Waits for rows that are there already, if it is to have them.
    fn begin(&mut self) {
        if !self.parts.fill {
            return self.runs();
        }
        self.status.filling += 1;
        self.filling = Some(self.status.filling);
        self.publish();
        // Should there be no room, the keeper's ticker has it look all the same.
        self.parts.keeper.tell(LookAfterCaches);
    }

    fn runs(&mut self) {
        self.filling = None;
        self.publish();
        for (question, reply) in std::mem::take(&mut self.waiting) {
            self.answer(&question, reply);
        }
    }
}

impl<C: Content> Service for Cache<C> {
    const RANK: u8 = rank::CACHE;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        self.begin();
    }
}

impl<C: Content> Receive<CacheRows> for Cache<C> {
    fn receive(&mut self, rows: CacheRows, reply: Responder<CacheRows>, _: &mut Cx<'_, Self>) {
        for batch in rows.batches.iter() {
            self.take(batch, C::apply);
        }
        reply.answer(()); // not before: what has yet to be taken counts as waiting
    }
}

impl<C: Content> Receive<FillRows> for Cache<C> {
    fn receive(&mut self, fill: FillRows, reply: Responder<FillRows>, _: &mut Cx<'_, Self>) {
        if self.filling == Some(fill.filling) {
            self.take(&fill.rows, C::fill);
        }
        reply.answer(());
    }
}

impl<C: Content> Receive<FillEnded> for Cache<C> {
    fn receive(&mut self, end: FillEnded, reply: Responder<FillEnded>, _: &mut Cx<'_, Self>) {
        if self.filling == Some(end.filling) {
            self.runs();
        }
        reply.answer(());
    }
}

impl<C: Content> Receive<StartOver> for Cache<C> {
    fn receive(&mut self, _: StartOver, reply: Responder<StartOver>, _: &mut Cx<'_, Self>) {
        self.content.clear();
        self.share.set(self.content.bytes());
        // In this order: rows that are missed after this are noted anew.
        self.parts.standing.catches_up();
        self.begin();
        reply.answer(());
    }
}

impl<C: Content> Receive<EvictDue> for Cache<C> {
    fn receive(&mut self, _: EvictDue, reply: Responder<EvictDue>, _: &mut Cx<'_, Self>) {
        let evicted = self.content.evict(self.parts.clock.now_ns());
        self.status.evicted += evicted as u64;
        self.share.set(self.content.bytes());
        self.was_full = false;
        self.publish();
        reply.answer(());
    }
}

impl<C: Content> Receive<LookUpCache> for Cache<C> {
    fn receive(
        &mut self,
        question: LookUpCache,
        reply: Responder<LookUpCache>,
        _: &mut Cx<'_, Self>,
    ) {
        if self.filling.is_some() {
            self.waiting.push((question, reply));
        } else {
            self.answer(&question, reply);
        }
    }
}
