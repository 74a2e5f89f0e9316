//! Last-value and distinct-value caches, and what looks after them.

use super::Boot;
use actors::cache_keeper::{CacheKeeper, KeeperConfig};
use actors::cache_kit::{CacheBudget, CacheDirectory, Directory};
use actors::query::Query;
use actors::runtime::guardian::{ActorConfig, Guardian, SharedThreads};
use actors::runtime::mailbox::Mailbox;
use actors::runtime::published::{Published, Publisher};
use actors::runtime::ticker::{self, Ticker};
use protocols::limits;
use protocols::messages::caches::{EvictCaches, LookAfterCaches, SyncCaches};
use protocols::messages::catalog::CacheKind;
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the keeper looks for work that nobody told it of.
const KEEPER_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before the keeper, which has failed, is asked again at the start.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A directory without caches: both of its sides.
pub(super) fn directory() -> (Publisher<Directory>, CacheDirectory) {
    Published::new(Arc::default())
}

impl Boot<'_> {
    /// Starts the keeper and with it the caches that the catalog has, which then fill up.
    pub(super) async fn cache_keeper(
        &mut self,
        snapshot: &Published<CatalogSnapshot>,
        directory: Publisher<Directory>,
        query: &Mailbox<Query>,
    ) -> anyhow::Result<Mailbox<CacheKeeper>> {
        let keeper = KeeperConfig {
            catalog: snapshot.clone(),
            query: query.clone(),
            guardian: self.guardian.clone(),
            threads: SharedThreads::start(self.config.io_threads),
            budget: CacheBudget::new(self.config.cache_bytes_max),
            clock: self.clock.clone(),
        };
        let config = ActorConfig {
            kind: "cache-keeper",
            name: "cache-keeper".to_owned(),
            messages_max: limits::CACHE_KEEPER_MAILBOX_MESSAGES,
            bytes_max: limits::CACHE_KEEPER_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        self.birth(config, &mailbox, CacheKeeper::factory(keeper, directory)).await?;
        let deadline = Instant::now() + Duration::from_millis(limits::ADMIN_DEADLINE_MS);
        while let Err(error) = mailbox.ask_from_edge(SyncCaches, deadline).await {
            if Instant::now() >= deadline {
                // The server is of use without caches, and the ticker has the keeper try again.
                tracing::error!(%error, "the caches could not be started yet");
                break;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Ok(mailbox)
    }

    /// What the keeper is reminded of.
    pub(super) fn cache_tickers(&self, keeper: &Mailbox<CacheKeeper>) -> Vec<Ticker> {
        let last = || EvictCaches { kind: CacheKind::Last };
        let distinct = || EvictCaches { kind: CacheKind::Distinct };
        vec![
            ticker::start(keeper.clone(), KEEPER_INTERVAL, || SyncCaches),
            ticker::start(keeper.clone(), KEEPER_INTERVAL, || LookAfterCaches),
            ticker::start(keeper.clone(), self.config.last_cache_eviction_interval, last),
            ticker::start(keeper.clone(), self.config.distinct_cache_eviction_interval, distinct),
        ]
    }
}
