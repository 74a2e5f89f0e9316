//! Last-value and distinct-value caches, and what looks after them.

use super::{CacheOptions, Server};
use crate::cache_keeper::{CacheKeeper, KeeperConfig};
use crate::cache_kit::CacheBudget;
use crate::runtime::guardian::{ActorConfig, Guardian, SharedThreads};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::ticker;
use protocols::limits;
use protocols::messages::caches::{EvictCaches, LookAfterCaches, SyncCaches};
use protocols::messages::catalog::CacheKind;
use std::time::Duration;
use tokio::time::Instant;

/// How often the keeper looks for work that nobody told it of.
const KEEPER_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before the keeper, which has failed, is asked again at the start.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// Starts the keeper and with it the caches that the catalog has, which then fill up.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub async fn start_caches(
        &mut self,
        options: CacheOptions,
    ) -> anyhow::Result<Mailbox<CacheKeeper>> {
        let keeper = KeeperConfig {
            catalog: self.addresses.snapshot.clone(),
            query: self.addresses.query.clone(),
            index: Some(self.index.clone()),
            guardian: self.guardian.clone(),
            threads: SharedThreads::start(options.threads),
            budget: CacheBudget::new(options.bytes_max),
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
        let lives = CacheKeeper::lives(keeper, self.directory.again());
        self.births.push(self.guardian.birth(config, mailbox.clone(), lives).await?);
        let deadline = Instant::now() + Duration::from_millis(limits::ADMIN_DEADLINE_MS);
        while let Err(error) = mailbox.ask_from_edge(SyncCaches, deadline).await {
            if Instant::now() >= deadline {
                // The server is of use without caches, and the ticker has the keeper try again.
                tracing::error!(%error, "the caches could not be started yet");
                break;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.remind(&mailbox, options);
        Ok(mailbox)
    }

    /// Reminds the keeper of its regular work.
    fn remind(&mut self, keeper: &Mailbox<CacheKeeper>, options: CacheOptions) {
        let last = || EvictCaches { kind: CacheKind::Last };
        let distinct = || EvictCaches { kind: CacheKind::Distinct };
        self.tickers.extend([
            ticker::start(keeper.clone(), KEEPER_INTERVAL, || SyncCaches),
            ticker::start(keeper.clone(), KEEPER_INTERVAL, || LookAfterCaches),
            ticker::start(keeper.clone(), options.last_eviction_interval, last),
            ticker::start(keeper.clone(), options.distinct_eviction_interval, distinct),
        ]);
    }
}
