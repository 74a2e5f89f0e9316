//! Regular work between actors that may not wait for each other: deleted tables lose their rows
//! once the catalog says that their time has come.

use actors::catalog::{Catalog, removed_tables};
use actors::runtime::mailbox::Mailbox;
use actors::runtime::published::Published;
use actors::store::StoreShards;
use protocols::ids::TableId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::catalog::SweepDeleted;
use protocols::messages::store::DropTables;
use protocols::schema::CatalogSnapshot;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How long the rows of a table outlive their time at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Ends the work when dropped.
#[derive(Debug)]
pub struct Housekeeping(tokio::task::JoinHandle<()>);

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the work.
pub fn start(
    catalog: Mailbox<Catalog>,
    snapshot: Published<CatalogSnapshot>,
    stores: StoreShards,
) -> Housekeeping {
    Housekeeping(actix_rt::spawn(async move {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut dropped: HashSet<TableId> = removed_tables(&snapshot.load()).into_iter().collect();
        loop {
            interval.tick().await;
            let swept = catalog.ask_from_edge(SweepDeleted, deadline()).await;
            if !matches!(swept, Ok(Ok(_))) {
                continue; // the store or the catalog is away: the next sweep does it
            }
            let due = removed_tables(&snapshot.load());
            let new: Vec<TableId> = due.into_iter().filter(|t| !dropped.contains(t)).collect();
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
    }))
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS)
}
