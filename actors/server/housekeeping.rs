//! Regular work between actors that may not wait for each other: deleted tables lose their rows
//! once the catalog says that their time has come.

use crate::catalog::{Catalog, removed_tables};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use protocols::ids::TableId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::catalog::SweepDeleted;
use protocols::messages::store::DropTables;
use protocols::schema::CatalogSnapshot;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long the rows of a table outlive their time at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Ends the work when dropped.
#[derive(Debug)]
pub(super) struct Housekeeping(tokio::task::JoinHandle<()>);

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Housekeeping {
    /// Starts the work.
    #[expect(clippy::disallowed_methods, reason = "the handle watches the task")]
    pub(super) fn start(
        catalog: Mailbox<Catalog>,
        snapshot: Published<CatalogSnapshot>,
        stores: StoreShards,
    ) -> Self {
        Self(actix_rt::spawn(sweep(catalog, snapshot, stores)))
    }
}

async fn sweep(
    catalog: Mailbox<Catalog>,
    snapshot: Published<CatalogSnapshot>,
    stores: StoreShards,
) {
    let mut dropped: BTreeSet<TableId> = removed_tables(&snapshot.load()).into_iter().collect();
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let swept = catalog.ask_from_edge(SweepDeleted, deadline()).await;
        if !matches!(swept, Ok(Ok(_))) {
            continue; // the store or the catalog is away: the next sweep does it
        }
        let due: BTreeSet<TableId> = removed_tables(&snapshot.load()).into_iter().collect();
        let new: Vec<TableId> = due.difference(&dropped).copied().collect();
        if new.is_empty() {
            continue;
        }
        let mut done = true;
        for shard in stores.all() {
            let ask = DropTables { tables: new.clone() };
            done &= shard.ask_from_edge(ask, deadline()).await.is_ok();
        }
        if done {
            tracing::info!(tables = new.len(), "removed the rows of deleted tables");
            dropped.extend(new);
        }
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS)
}
