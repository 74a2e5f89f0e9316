//! Where the running caches are, for those who bring them rows and those who ask them.

#[cfg(test)]
mod tests;

use crate::cache_kit::{CacheState, Standing};
use crate::distinct_cache::DistinctCache;
use crate::last_cache::LastCache;
use crate::runtime::actor::Receive;
use crate::runtime::mailbox::{AskError, Mailbox};
use crate::runtime::published::Published;
use crate::runtime::vitals::Vitals;
use arrow::array::RecordBatch;
use protocols::ids::TableId;
use protocols::messages::caches::{CacheRef, CacheRows, LookUpCache};
use protocols::messages::store::TableBatch;
use protocols::messages::{Command, rank};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

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

/// A running cache: how it stands, and where it takes messages.
#[derive(Debug)]
pub struct CacheEntry {
    standing: Arc<Standing>,
    /// Where it takes messages.
    pub address: CacheAddress,
}

impl Deref for CacheEntry {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

impl CacheEntry {
    /// A cache that is about to be born. Its names are those of the database, the table and itself.
    pub fn new(cache: CacheRef, names: [Arc<str>; 3], address: CacheAddress) -> Self {
        Self { standing: Arc::new(Standing::new(cache, names)), address }
    }

    /// What the cache notes of itself there.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
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
        match self.address.vitals().state() {
            "failed" => CacheState::Failed,
            "rebuilding" => CacheState::Filling,
            _ => self.status().state,
        }
    }

    /// Brings rows. They are in the mailbox when this returns, before any later question, or the
    /// cache is known to miss them.
    fn bring(&self, rows: CacheRows) {
        let (taken, vitals) = match &self.address {
            CacheAddress::Last(cache) => (cache.tell(rows), cache.vitals()),
            CacheAddress::Distinct(cache) => (cache.tell(rows), cache.vitals()),
        };
        // One that has died is filled with all that the store has in its next life.
        let is_dead = matches!(vitals.state(), "rebuilding" | "failed");
        if !taken && !is_dead {
            self.standing.misses_rows();
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

/// All running caches, in an order that does not change from run to run.
#[derive(Debug, Default)]
pub struct Directory {
    by_table: BTreeMap<TableId, Vec<Arc<CacheEntry>>>,
}

impl Directory {
    /// A directory of these caches.
    pub fn new(entries: impl Iterator<Item = Arc<CacheEntry>>) -> Self {
        let mut by_table: BTreeMap<TableId, Vec<Arc<CacheEntry>>> = BTreeMap::new();
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

/// What a shard of the store brings rows to, in all its lives.
#[derive(Clone, Debug, Default)]
pub struct CacheFeeds {
    directory: Option<CacheDirectory>,
    /// Number of the last group that was brought.
    brought: Arc<AtomicU64>,
}

impl CacheFeeds {
    /// The caches of this directory.
    pub fn new(directory: CacheDirectory) -> Self {
        Self { directory: Some(directory), brought: Arc::default() }
    }

    /// Brings the rows of a group to the caches of their tables, each cache one message, unless it
    /// was brought before: a group comes again when the shard or the log was rebuilt, and older
    /// values must not take the place of newer ones.
    pub fn bring(&self, sequence: u64, batches: &[TableBatch]) {
        let Some(directory) = self.directory.as_ref().map(CacheDirectory::load) else { return };
        if sequence <= self.brought.load(Ordering::Acquire) {
            return;
        }
        let mut tables: BTreeMap<TableId, (Vec<RecordBatch>, usize)> = BTreeMap::new();
        for batch in batches.iter().filter(|b| directory.by_table.contains_key(&b.table)) {
            let (rows, size_bytes) = tables.entry(batch.table).or_default();
            rows.push(batch.rows.clone());
            *size_bytes += batch.size_bytes;
        }
        for (table, (batches, size_bytes)) in tables {
            let rows = CacheRows { batches: batches.into(), size_bytes };
            let entries = directory.by_table.get(&table).into_iter().flatten();
            entries.for_each(|entry| entry.bring(rows.clone()));
        }
        self.brought.fetch_max(sequence, Ordering::AcqRel);
    }
}
