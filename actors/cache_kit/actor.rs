//! The actor around the content of a cache.

use super::budget::{CacheBudget, Share};
use super::content::Content;
use super::directory::{CacheEntry, CacheState};
use crate::cache_keeper::CacheKeeper;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::{Mailbox, Responder};
use arrow::array::RecordBatch;
use metrics::{Counter, Gauge};
use protocols::messages::caches::{
    CacheError, CacheRows, EvictDue, FillEnded, FillRows, LookAfterCaches, LookUpCache, StartOver,
};
use protocols::messages::rank;
use std::sync::Arc;

/// What a cache is given at birth.
#[derive(Clone)]
pub struct CacheParts {
    /// Its entry in the directory.
    pub entry: Arc<CacheEntry>,
    /// The memory that it shares with the others.
    pub budget: CacheBudget,
    /// Wall-clock time.
    pub clock: Clock,
    /// Who fills it.
    pub keeper: Mailbox<CacheKeeper>,
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
    meters: Meters,
}

struct Meters {
    keys: Gauge,
    rows: Gauge,
    bytes: Gauge,
    filling: Gauge,
    evicted: Counter,
    squeezed: Counter,
}

impl Meters {
    fn new(entry: &CacheEntry) -> Self {
        let labels = [
            ("kind", entry.kind().to_owned()),
            ("table", entry.table_name.to_string()),
            ("cache", entry.name.to_string()),
        ];
        let labels = &labels;
        let evicted = |reason: &str| {
            let [kind, table, cache] = labels.clone();
            let all = [kind, table, cache, ("reason", reason.to_owned())];
            metrics::counter!("cache_evicted_keys_total", &all)
        };
        Self {
            keys: metrics::gauge!("cache_keys", labels),
            rows: metrics::gauge!("cache_rows", labels),
            bytes: metrics::gauge!("cache_bytes", labels),
            filling: metrics::gauge!("cache_filling", labels),
            evicted: evicted("age_or_count"),
            squeezed: evicted("memory"),
        }
    }
}

impl Drop for Meters {
    /// Nothing is held by a cache that has ended, or is about to begin anew.
    fn drop(&mut self) {
        [&self.keys, &self.rows, &self.bytes, &self.filling].into_iter().for_each(|g| g.set(0.0));
    }
}

impl<C: Content> Cache<C> {
    /// A cache that waits to be filled, unless `parts` say otherwise.
    pub fn new(content: C, parts: CacheParts) -> Self {
        let (share, meters) = (parts.budget.open(), Meters::new(&parts.entry));
        let (filling, waiting) = (None, Vec::new());
        Self { content, parts, share, filling, waiting, was_full: false, meters }
    }

    fn take(&mut self, rows: &RecordBatch) {
        let now_ns = self.parts.clock.now_ns();
        if let Err(error) = self.content.apply(rows, now_ns) {
            let entry = &self.parts.entry;
            tracing::error!(table = %entry.table_name, cache = %entry.name, %error, "rows were not cached");
        }
        self.share.set(self.content.bytes());
        if let Some(max_bytes) = self.share.shrink_to() {
            let evicted = self.content.shrink(max_bytes);
            self.meters.squeezed.increment(evicted as u64);
            self.share.set(self.content.bytes());
            self.is_full(evicted);
        }
        self.measure();
    }

    fn is_full(&mut self, evicted: usize) {
        let entry = &self.parts.entry;
        if !self.was_full {
            tracing::warn!(
                table = %entry.table_name,
                cache = %entry.name,
                evicted,
                budget_bytes = self.parts.budget.max_bytes(),
                "the memory for caches is used up: the cache loses its oldest keys"
            );
        }
        self.was_full = true;
        if self.filling.is_none() {
            entry.set_state(CacheState::Full);
        }
    }

    fn measure(&self) {
        let (keys, rows) = (self.content.keys(), self.content.rows());
        let bytes = self.content.bytes();
        self.parts.entry.set_sizes(keys, rows, bytes);
        self.meters.keys.set(keys as f64);
        self.meters.rows.set(rows as f64);
        self.meters.bytes.set(bytes as f64);
        self.meters.filling.set(f64::from(u8::from(self.filling.is_some())));
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
        self.filling = Some(self.parts.entry.begin());
        // Should there be no room, the keeper's ticker has it look all the same.
        self.parts.keeper.tell(LookAfterCaches);
    }

    fn runs(&mut self) {
        self.filling = None;
        let state = if self.was_full { CacheState::Full } else { CacheState::Running };
        self.parts.entry.set_state(state);
        for (question, reply) in std::mem::take(&mut self.waiting) {
            self.answer(&question, reply);
        }
    }
}

impl<C: Content> Service for Cache<C> {
    const RANK: u8 = rank::CACHE;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        self.begin();
        self.measure();
    }
}

impl<C: Content> Receive<CacheRows> for Cache<C> {
    fn receive(&mut self, rows: CacheRows, reply: Responder<CacheRows>, _: &mut Cx<'_, Self>) {
        // Whoever asks after this waits behind these rows, so the writers need not. Should the cache
        // die of them, it is filled with what the store has, and the store has them already.
        reply.answer(());
        for batch in rows.batches.iter() {
            self.take(batch);
        }
    }
}

impl<C: Content> Receive<FillRows> for Cache<C> {
    fn receive(&mut self, fill: FillRows, reply: Responder<FillRows>, _: &mut Cx<'_, Self>) {
        if self.filling == Some(fill.filling) {
            self.take(&fill.rows);
        }
        reply.answer(());
    }
}

impl<C: Content> Receive<FillEnded> for Cache<C> {
    fn receive(&mut self, end: FillEnded, reply: Responder<FillEnded>, _: &mut Cx<'_, Self>) {
        if self.filling == Some(end.filling) {
            self.runs();
            self.measure();
        }
        reply.answer(());
    }
}

impl<C: Content> Receive<StartOver> for Cache<C> {
    fn receive(&mut self, _: StartOver, reply: Responder<StartOver>, _: &mut Cx<'_, Self>) {
        self.content.clear();
        self.share.set(self.content.bytes());
        // In this order: rows that are missed after this are noted anew.
        self.parts.entry.catches_up();
        self.begin();
        self.measure();
        reply.answer(());
    }
}

impl<C: Content> Receive<EvictDue> for Cache<C> {
    fn receive(&mut self, _: EvictDue, reply: Responder<EvictDue>, _: &mut Cx<'_, Self>) {
        let evicted = self.content.evict(self.parts.clock.now_ns());
        self.meters.evicted.increment(evicted as u64);
        self.share.set(self.content.bytes());
        if !std::mem::take(&mut self.was_full) && self.filling.is_none() {
            self.parts.entry.set_state(CacheState::Running);
        }
        self.measure();
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
