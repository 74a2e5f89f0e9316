//! Where the running caches are, for those who bring them rows and those who ask them.

use crate::distinct_cache::DistinctCache;
use crate::last_cache::LastCache;
use crate::runtime::actor::Receive;
use crate::runtime::mailbox::{AskError, Mailbox};
use crate::runtime::published::Published;
use crate::runtime::vitals::Vitals;
use arrow::array::RecordBatch;
use futures::future::join_all;
use hashbrown::HashMap;
use protocols::ids::TableId;
use protocols::messages::caches::{CacheRef, CacheRows, LookUpCache};
use protocols::messages::store::TableBatch;
use protocols::messages::{Command, rank};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a shard waits for a cache to take rows, before it goes on without it.
const TAKE_DEADLINE: Duration = Duration::from_secs(5);

/// How a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// Rows that were there before are on their way into it; questions wait.
    Filling,
    /// It has everything that it should have.
    Running,
    /// It had to remove rows, because the memory for caches is used up.
    Full,
    /// It died again and again. Its keeper tries anew after a while.
    Failed,
}

impl CacheState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Running => "running",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// The address of a cache.
#[derive(Clone, Debug)]
pub enum CacheAddress {
    /// Of last values.
    Last(Mailbox<LastCache>),
    /// Of distinct values.
    Distinct(Mailbox<DistinctCache>),
}

impl CacheAddress {
    /// Asks the cache, of whichever kind it is.
    ///
    /// # Errors
    /// As [`Mailbox::ask`].
    pub async fn ask<const CALLER: u8, M: Command>(
        &self,
        message: M,
        deadline: Instant,
    ) -> Result<M::Reply, AskError>
    where
        LastCache: Receive<M>,
        DistinctCache: Receive<M>,
    {
        match self {
            Self::Last(cache) => cache.ask::<CALLER, _>(message, deadline).await,
            Self::Distinct(cache) => cache.ask::<CALLER, _>(message, deadline).await,
        }
    }

    fn vitals(&self) -> &Vitals {
        match self {
            Self::Last(cache) => cache.vitals(),
            Self::Distinct(cache) => cache.vitals(),
        }
    }
}

/// A running cache and what it says of itself.
#[derive(Debug)]
pub struct CacheEntry {
    /// Which cache.
    pub cache: CacheRef,
    /// Its table, for texts.
    pub table_name: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Where it takes messages.
    pub address: CacheAddress,
    state: AtomicU8,
    /// It has missed rows.
    behind: AtomicBool,
    /// Number of its filling; it goes up each time that it begins anew.
    filling: AtomicU64,
    /// Nobody has begun that filling.
    wants_filling: AtomicBool,
    keys: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl CacheEntry {
    /// A cache that is about to be born.
    pub fn new(
        cache: CacheRef,
        table_name: Arc<str>,
        name: Arc<str>,
        address: CacheAddress,
    ) -> Self {
        Self {
            cache,
            table_name,
            name,
            address,
            state: AtomicU8::new(CacheState::Filling as u8),
            behind: AtomicBool::new(false),
            filling: AtomicU64::new(0),
            wants_filling: AtomicBool::new(false),
            keys: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// What sort of cache it is.
    pub fn kind(&self) -> &'static str {
        match self.address {
            CacheAddress::Last(_) => "last",
            CacheAddress::Distinct(_) => "distinct",
        }
    }

    /// How it is.
    pub fn state(&self) -> CacheState {
        if self.address.vitals().state() == "failed" {
            return CacheState::Failed;
        }
        match self.state.load(Ordering::Acquire) {
            state if state == CacheState::Running as u8 => CacheState::Running,
            state if state == CacheState::Full as u8 => CacheState::Full,
            _ => CacheState::Filling,
        }
    }

    /// True when it has missed rows and is about to begin anew.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Keys, rows and bytes that it holds.
    pub fn sizes(&self) -> [u64; 3] {
        [&self.keys, &self.rows, &self.bytes].map(|size| size.load(Ordering::Relaxed))
    }

    pub(super) fn set_state(&self, state: CacheState) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(super) fn set_sizes(&self, keys: usize, rows: usize, bytes: usize) {
        for (size, value) in [(&self.keys, keys), (&self.rows, rows), (&self.bytes, bytes)] {
            size.store(value as u64, Ordering::Relaxed);
        }
    }

    /// Notes that the cache begins anew. Returns the number of its filling.
    pub(super) fn begin(&self) -> u64 {
        self.set_state(CacheState::Filling);
        let filling = self.filling.fetch_add(1, Ordering::AcqRel) + 1;
        self.ask_for_filling();
        filling
    }

    /// Has the keeper fill the cache, or fill it again.
    pub fn ask_for_filling(&self) {
        self.wants_filling.store(true, Ordering::Release);
    }

    /// The filling to begin now, if there is one.
    pub fn take_filling(&self) -> Option<u64> {
        let wanted = self.wants_filling.swap(false, Ordering::AcqRel);
        wanted.then(|| self.filling.load(Ordering::Acquire))
    }

    /// Notes that the cache misses nothing that the rows which it will be filled with do not have.
    pub(super) fn catches_up(&self) {
        self.behind.store(false, Ordering::Release);
    }

    fn falls_behind(&self, why: AskError) {
        if !self.behind.swap(true, Ordering::AcqRel) {
            let (table, name) = (&self.table_name, &self.name);
            tracing::warn!(%table, cache = %name, %why, "cache cannot keep up and is rebuilt");
            metrics::counter!(
                "cache_overruns_total", "table" => table.to_string(), "cache" => name.to_string()
            )
            .increment(1);
        }
    }

    /// Brings rows. They are on their way when this returns; it resolves when the cache has them
    /// or is known to miss them.
    fn bring(self: &Arc<Self>, rows: CacheRows) -> impl Future<Output = ()> + use<> {
        let deadline = Instant::now() + TAKE_DEADLINE;
        let sent = match &self.address {
            CacheAddress::Last(cache) => cache
                .ask_at_once::<{ rank::STORE }, _>(rows, deadline)
                .map(futures::future::Either::Left),
            CacheAddress::Distinct(cache) => cache
                .ask_at_once::<{ rank::STORE }, _>(rows, deadline)
                .map(futures::future::Either::Right),
        };
        let entry = Arc::clone(self);
        async move {
            let taken = match sent {
                Ok(reply) => reply.await,
                Err(error) => Err(error),
            };
            match taken {
                // In its next life it is filled with all that the store has.
                Ok(()) | Err(AskError::Died(_)) => {}
                Err(error) => entry.falls_behind(error),
            }
        }
    }

    /// Asks for rows.
    ///
    /// # Errors
    /// As [`Mailbox::ask`].
    pub async fn look_up(
        &self,
        question: LookUpCache,
        deadline: Instant,
    ) -> Result<<LookUpCache as Command>::Reply, AskError> {
        self.address.ask::<{ rank::QUERY }, _>(question, deadline).await
    }
}

/// All running caches.
#[derive(Debug, Default)]
pub struct Directory {
    by_table: HashMap<TableId, Vec<Arc<CacheEntry>>>,
}

impl Directory {
    /// A directory of these caches.
    pub fn new(entries: impl Iterator<Item = Arc<CacheEntry>>) -> Self {
        let mut by_table: HashMap<TableId, Vec<Arc<CacheEntry>>> = HashMap::new();
        for entry in entries {
            by_table.entry(entry.cache.table).or_default().push(entry);
        }
        Self { by_table }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<CacheEntry>> {
        self.by_table.values().flatten()
    }

    /// The cache, if it runs.
    pub fn find(&self, cache: CacheRef) -> Option<&Arc<CacheEntry>> {
        self.by_table.get(&cache.table)?.iter().find(|entry| entry.cache == cache)
    }
}

/// The newest directory.
pub type CacheDirectory = Published<Directory>;

/// What a shard of the store brings rows to.
#[derive(Clone, Debug, Default)]
pub struct CacheFeeds(Option<CacheDirectory>);

impl CacheFeeds {
    /// The caches of this directory.
    pub fn new(directory: CacheDirectory) -> Self {
        Self(Some(directory))
    }

    /// Brings the rows to the caches of their tables, each cache one message. `None` when there
    /// is no such cache; else it resolves when all caches have answered.
    pub fn bring(&self, batches: &[TableBatch]) -> Option<impl Future<Output = ()> + use<>> {
        let directory = self.0.as_ref()?.load();
        if directory.by_table.is_empty() {
            return None;
        }
        let mut tables: HashMap<TableId, (Vec<RecordBatch>, usize)> = HashMap::new();
        for batch in batches.iter().filter(|b| directory.by_table.contains_key(&b.table)) {
            let (rows, size_bytes) = tables.entry(batch.table).or_default();
            rows.push(batch.rows.clone());
            *size_bytes += batch.size_bytes;
        }
        let mut taken = Vec::new();
        for (table, (batches, size_bytes)) in tables {
            let rows = CacheRows { batches: batches.into(), size_bytes };
            let entries = directory.by_table.get(&table).into_iter().flatten();
            taken.extend(entries.map(|entry| entry.bring(rows.clone())));
        }
        (!taken.is_empty()).then_some(async move {
            join_all(taken).await;
        })
    }
}
