//! See the module's page.

use super::fill::fill;
use super::wanted::{Def, Wanted, wanted};
use crate::cache_directory::{CacheAddress, CacheEntry, Directory};
use crate::cache_kit::{Cache, CacheBudget, CacheParts, CacheState, CacheStatus, Content};
use crate::distinct_cache::DistinctValues;
use crate::index::Index;
use crate::last_cache::LastValues;
use crate::query::Query;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::guardian::{ActorConfig, Birth, Guardian, SharedThreads};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::{AskError, Mailbox, Responder};
use crate::runtime::published::{Published, Publisher};
use futures::FutureExt;
use hashbrown::{HashMap, HashSet};
use protocols::catalog::CatalogSnapshot;
use protocols::ids::TableId;
use protocols::limits;
use protocols::messages::caches::{
    CacheRef, EvictCaches, EvictDue, LookAfterCaches, RefillCaches, StartOver, SyncCaches,
};
use protocols::messages::catalog::CacheKind;
use protocols::messages::index::AwaitStep;
use protocols::messages::rank;
use protocols::row_deletes::RowDeleteState;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Caches that are filled at the same time.
const FILLINGS_MAX: usize = 2;
/// After so long a cache that was given up gets another life.
const RETRY_PAUSE: Duration = Duration::from_secs(60);
/// How long a cache may take to begin anew.
const START_OVER_DEADLINE: Duration = Duration::from_secs(30);

/// Pause before a cache without room is asked again.
const ASK_PAUSE: Duration = Duration::from_millis(20);

/// What the actor needs, in all its lives.
#[derive(Clone)]
pub struct KeeperConfig {
    /// Names, schemas and which caches there are.
    pub catalog: Published<CatalogSnapshot>,
    /// What reads tables.
    pub query: Mailbox<Query>,
    /// What takes rows out of files, if anybody does.
    pub index: Option<Mailbox<Index>>,
    /// Gives birth to caches.
    pub guardian: Guardian,
    /// What they live on.
    pub threads: SharedThreads,
    /// The memory that they share.
    pub budget: CacheBudget,
    /// Wall-clock time.
    pub clock: Clock,
}

/// See the module's page.
pub struct CacheKeeper {
    config: KeeperConfig,
    directory: Publisher<Directory>,
    /// The running caches: kept from life to life.
    births: Births,
    /// Births or ends are under way.
    busy: bool,
    /// The catalog has to be compared once more.
    again: bool,
    waiting: Vec<Responder<SyncCaches>>,
    fillings: usize,
    /// Numbers of the fillings that were begun last.
    begun: HashMap<CacheRef, u64>,
    starting_over: HashSet<CacheRef>,
    /// Caches that were given up, and since when that is known.
    failed: HashMap<CacheRef, Instant>,
    /// The deletes of rows that caches have heard of: kept from life to life.
    heard: Heard,
}

/// Whether rows are hidden or gone by a delete of rows, by its number.
type Heard = Arc<Mutex<BTreeMap<u64, bool>>>;

/// The deletes of rows of a catalog, for [`Heard`].
fn effects(catalog: &CatalogSnapshot) -> impl Iterator<Item = (TableId, u64, bool)> {
    catalog.row_deletes.all().map(|d| (d.table, d.sequence, d.has_effect()))
}

/// All of them.
fn heard_of(catalog: &CatalogSnapshot) -> BTreeMap<u64, bool> {
    effects(catalog).map(|(_, number, has)| (number, has)).collect()
}

/// A cache that is not in the directory yet. It ends when nobody takes it there.
pub(super) struct Newborn {
    pub(super) entry: Arc<CacheEntry>,
    pub(super) birth: Option<Birth>,
}

impl Drop for Newborn {
    fn drop(&mut self) {
        self.birth.iter().for_each(Birth::stop);
    }
}

/// The running caches, for those who end them.
type Births = Arc<Mutex<HashMap<CacheRef, Birth>>>;

impl CacheKeeper {
    /// How the keeper comes to life, now and after each death.
    pub fn lives(config: KeeperConfig, directory: Publisher<Directory>) -> Lives<Self> {
        let births = Births::default();
        let heard = heard_of(&config.catalog.load());
        let heard = Arc::new(Mutex::new(heard));
        let directory = Arc::new(directory);
        Lives::of(move || {
            Ok(Self {
                config: config.clone(),
                directory: directory.again(),
                births: Arc::clone(&births),
                busy: false,
                again: false,
                waiting: Vec::new(),
                fillings: 0,
                begun: HashMap::new(),
                starting_over: HashSet::new(),
                failed: HashMap::new(),
                heard: Arc::clone(&heard),
            })
        })
    }

    /// Makes the caches that run those of the catalog.
    fn sync(&mut self, cx: &mut Cx<'_, Self>) {
        if self.busy {
            self.again = true;
            return;
        }
        let wanted = wanted(&self.config.catalog.load());
        let running = self.directory.load();
        let mut ending = Vec::new();
        let mut kept: Vec<Arc<CacheEntry>> = Vec::new();
        for entry in running.all() {
            if wanted.contains_key(&entry.cache) && !self.is_to_be_born_again(entry) {
                kept.push(Arc::clone(entry));
            } else {
                let mut births = self.births.lock().unwrap_or_else(PoisonError::into_inner);
                ending.extend(births.remove(&entry.cache));
                self.begun.remove(&entry.cache);
            }
        }
        let kept = Directory::new(kept.into_iter());
        let missing = wanted.iter().filter(|(cache, _)| kept.find(**cache).is_none());
        let births: Vec<_> =
            missing.map(|(cache, wanted)| self.birth(*cache, wanted, cx)).collect();
        if births.is_empty() && ending.is_empty() {
            self.waiting.drain(..).for_each(|reply| reply.answer(()));
            return;
        }
        self.busy = true;
        self.directory.publish(Arc::new(kept));
        let work = async move {
            for birth in ending {
                birth.end().await;
            }
            futures::future::join_all(births).await
        };
        cx.then(work, |keeper, born, cx| keeper.born(born.into_iter().flatten().collect(), cx));
    }

    /// Whether the cache was given up so long ago that it gets another life.
    fn is_to_be_born_again(&mut self, entry: &CacheEntry) -> bool {
        if entry.state() != CacheState::Failed {
            self.failed.remove(&entry.cache);
            return false;
        }
        let now = Instant::now();
        let since = *self.failed.entry(entry.cache).or_insert(now);
        let is_due = now.duration_since(since) >= RETRY_PAUSE;
        if is_due {
            self.failed.remove(&entry.cache);
            let [_, table, cache] = &entry.names;
            tracing::warn!(%table, %cache, "trying a failed cache anew");
        }
        is_due
    }

    /// Begins the birth of a cache.
    fn birth(
        &self,
        cache: CacheRef,
        wanted: &Wanted,
        cx: &mut Cx<'_, Self>,
    ) -> impl Future<Output = Option<Newborn>> + use<> {
        let (kind, birth) = match &wanted.def {
            Def::Last(def) => {
                let def = Arc::clone(def);
                let content = move || LastValues::new(Arc::clone(&def));
                let address = CacheAddress::Last;
                let birth = self.birth_of(cache, wanted, "last-cache", address, content, cx);
                ("last-cache", birth.boxed_local())
            }
            Def::Distinct(def) => {
                let def = Arc::clone(def);
                let content = move || DistinctValues::new(Arc::clone(&def));
                let address = CacheAddress::Distinct;
                let birth = self.birth_of(cache, wanted, "distinct-cache", address, content, cx);
                ("distinct-cache", birth.boxed_local())
            }
        };
        async move {
            match birth.await {
                Ok(born) => Some(born),
                Err(error) => {
                    tracing::error!(?cache, kind, %error, "a cache could not be started");
                    None
                }
            }
        }
    }

    fn birth_of<C: Content, F: Fn() -> C + Send + Sync + 'static>(
        &self,
        cache: CacheRef,
        wanted: &Wanted,
        kind: &'static str,
        address: fn(Mailbox<Cache<C>>) -> CacheAddress,
        content: F,
        cx: &mut Cx<'_, Self>,
    ) -> impl Future<Output = anyhow::Result<Newborn>> + use<C, F> {
        let config = ActorConfig {
            kind,
            name: format!("{kind}-{}-{}", cache.table, cache.cache),
            messages_max: limits::CACHE_MAILBOX_MESSAGES,
            bytes_max: limits::CACHE_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let names = [&wanted.db, &wanted.table.name, wanted.def.name()].map(Arc::clone);
        let entry = Arc::new(CacheEntry::new(cache, names, address(mailbox.clone())));
        let parts = CacheParts {
            standing: Arc::clone(entry.standing()),
            budget: self.config.budget.clone(),
            clock: self.config.clock.clone(),
            keeper: cx.mailbox().into(),
            fill: !wanted.def.starts_empty(),
        };
        let lives = Lives::of(move || Ok(Cache::new(content(), parts.clone())));
        let (guardian, threads) = (self.config.guardian.clone(), self.config.threads.clone());
        async move {
            let birth = guardian.birth_among(&threads, config, mailbox, lives).await?;
            Ok(Newborn { entry, birth: Some(birth) })
        }
    }

    /// Takes new caches into the directory.
    fn born(&mut self, born: Vec<Newborn>, cx: &mut Cx<'_, Self>) {
        self.busy = false;
        let running = self.directory.load();
        let mut entries: Vec<_> = running.all().cloned().collect();
        for mut newborn in born {
            let mut births = self.births.lock().unwrap_or_else(PoisonError::into_inner);
            births.extend(newborn.birth.take().map(|birth| (newborn.entry.cache, birth)));
            entries.push(Arc::clone(&newborn.entry));
        }
        self.directory.publish(Arc::new(Directory::new(entries.into_iter())));
        self.look_after(cx);
        if std::mem::take(&mut self.again) {
            self.sync(cx);
        } else {
            self.waiting.drain(..).for_each(|reply| reply.answer(()));
        }
    }

    /// Begins the fillings that are due, and has caches begin anew that missed rows.
    fn look_after(&mut self, cx: &mut Cx<'_, Self>) {
        for entry in self.directory.load().all().filter(|e| e.state() != CacheState::Failed) {
            if entry.is_behind() && self.starting_over.insert(entry.cache) {
                self.start_over(entry, cx);
            }
            let CacheStatus { state, filling, .. } = entry.status();
            let is_due = state == CacheState::Filling && filling > 0;
            if is_due
                && self.fillings < FILLINGS_MAX
                && self.begun.get(&entry.cache) != Some(&filling)
            {
                self.begun.insert(entry.cache, filling);
                self.fill(entry, filling, cx);
            }
        }
    }

    fn start_over(&self, entry: &Arc<CacheEntry>, cx: &mut Cx<'_, Self>) {
        let entry = Arc::clone(entry);
        let cache = entry.cache;
        let work = async move {
            let deadline = Instant::now() + START_OVER_DEADLINE;
            entry.address.ask::<{ rank::CACHE_KEEPER }, _>(StartOver, deadline).await
        };
        cx.then(work, move |keeper, started, _| {
            keeper.starting_over.remove(&cache);
            if let Err(error) = started {
                tracing::warn!(?cache, %error, "a cache that is behind does not begin anew yet");
            }
        });
    }

    fn fill(&mut self, entry: &Arc<CacheEntry>, filling: u64, cx: &mut Cx<'_, Self>) {
        let Some(wanted) = wanted(&self.config.catalog.load()).remove(&entry.cache) else {
            return; // about to end
        };
        self.fillings += 1;
        let (entry, query) = (Arc::clone(entry), self.config.query.clone());
        let now_ns = self.config.clock.now_ns();
        let work = async move {
            let begun = Instant::now();
            let filled = fill(query, &entry, &wanted, filling, now_ns).await;
            let [_, table, cache] = &entry.names;
            match &filled {
                Ok(()) => {
                    let CacheStatus { keys, rows, bytes, .. } = entry.status();
                    let seconds = begun.elapsed().as_secs_f64();
                    tracing::info!(%table, %cache, keys, rows, bytes, seconds, "cache filled");
                }
                Err(error) => {
                    tracing::warn!(%table, %cache, %error, "cache not filled, trying again");
                }
            }
            filled.is_err().then_some(entry.cache)
        };
        cx.then(work, move |keeper, failed, _| {
            keeper.fillings -= 1;
            if let Some(cache) = failed
                && keeper.begun.get(&cache) == Some(&filling)
            {
                keeper.begun.remove(&cache);
            }
        });
    }
}

impl Service for CacheKeeper {
    const RANK: u8 = rank::CACHE_KEEPER;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        // Fillings that a former life has begun are begun anew: it may not have come far.
        self.look_after(cx);
    }
}

impl Receive<SyncCaches> for CacheKeeper {
    fn receive(&mut self, _: SyncCaches, reply: Responder<SyncCaches>, cx: &mut Cx<'_, Self>) {
        self.waiting.push(reply);
        self.sync(cx);
    }
}

impl CacheKeeper {
    /// The tables of which deletes of rows came into force, or were taken back, without a word to the
    /// caches: those who asked for that do not know what came of it. And what has been heard of once
    /// these caches have begun anew.
    fn changed(&self) -> (HashSet<TableId>, BTreeMap<u64, bool>) {
        let catalog = self.config.catalog.load();
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |(_, number, has): &(TableId, u64, bool)| {
            heard.get(number).copied().unwrap_or(false) != *has
        };
        let changed = effects(&catalog).filter(is_news).map(|(table, ..)| table).collect();
        (changed, heard_of(&catalog))
    }

    /// Notes that caches of the table begin anew.
    fn hear(&self, table: TableId) {
        let catalog = self.config.catalog.load();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend(
            effects(&catalog).filter(|(of, ..)| *of == table).map(|(_, number, has)| (number, has)),
        );
    }

    /// Has the caches of tables begin anew. Where a delete of rows was taken back, a compaction without
    /// these rows may be about to be published, which has to be over then.
    fn refill<F: Fn(TableId) -> bool>(
        &self,
        is_wanted: F,
    ) -> impl Future<Output = Vec<()>> + use<F> {
        let directory = self.directory.load();
        let wanted = directory.all().filter(|entry| is_wanted(entry.cache.table));
        let wanted: Vec<_> = wanted.map(Arc::clone).collect();
        let catalog = self.config.catalog.load();
        let is_taken_back = catalog.row_deletes.all().any(|delete| {
            is_wanted(delete.table) && matches!(delete.state, RowDeleteState::Aborted { .. })
        });
        let index = self.config.index.clone().filter(|_| is_taken_back);
        async move {
            if let Some(index) = index {
                index.ask_until_answered::<{ rank::CACHE_KEEPER }, _>(AwaitStep).await;
            }
            futures::future::join_all(wanted.into_iter().map(begin_anew)).await
        }
    }
}

impl Receive<LookAfterCaches> for CacheKeeper {
    fn receive(
        &mut self,
        _: LookAfterCaches,
        reply: Responder<LookAfterCaches>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.look_after(cx);
        let (changed, heard) = self.changed();
        if changed.is_empty() {
            return reply.answer(());
        }
        cx.then(self.refill(move |table| changed.contains(&table)), |keeper, _, cx| {
            *keeper.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
            keeper.look_after(cx);
            reply.answer(());
        });
    }
}

impl Receive<RefillCaches> for CacheKeeper {
    fn receive(
        &mut self,
        RefillCaches { table }: RefillCaches,
        reply: Responder<RefillCaches>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.hear(table);
        cx.then(self.refill(move |of| of == table), |keeper, _, cx| {
            keeper.look_after(cx);
            reply.answer(());
        });
    }
}

/// Has a cache begin anew. One that fails meanwhile does so by itself.
async fn begin_anew(entry: Arc<CacheEntry>) {
    while entry.state() != CacheState::Failed {
        let deadline = Instant::now() + START_OVER_DEADLINE;
        let asked = entry.address.ask::<{ rank::CACHE_KEEPER }, _>(StartOver, deadline).await;
        match asked {
            Err(AskError::Full(_) | AskError::Deadline(_)) => tokio::time::sleep(ASK_PAUSE).await,
            Ok(()) | Err(_) => return,
        }
    }
}

impl Receive<EvictCaches> for CacheKeeper {
    fn receive(&mut self, evict: EvictCaches, reply: Responder<EvictCaches>, _: &mut Cx<'_, Self>) {
        for entry in self.directory.load().all() {
            // One that has no room now has it at the next turn.
            match (&entry.address, evict.kind) {
                (CacheAddress::Last(cache), CacheKind::Last) => cache.tell(EvictDue),
                (CacheAddress::Distinct(cache), CacheKind::Distinct) => cache.tell(EvictDue),
                _ => true,
            };
        }
        reply.answer(());
    }
}
