//! Regular work between actors that may not wait for each other: deleted tables lose their rows
//! once the catalog says that their time has come, deletes of rows come to their end, and the threads
//! of queries are asked whether they answer.

use super::row_deletes::RowDeleter;
use crate::catalog::{Catalog, removed_tables};
use crate::query::Query;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::runtime::pulse::Pulse;
use crate::store::StoreShards;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::TableId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::catalog::SweepDeleted;
use protocols::messages::query::AnswerProbe;
use protocols::messages::store::DropTables;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long the rows of a table outlive their time at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How often the threads of queries are asked whether they answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before they are asked again when nobody takes the question.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// Ends the work when dropped.
#[derive(Debug)]
pub(super) struct Housekeeping(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
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
        Self(vec![actix_rt::spawn(sweep(catalog, snapshot, stores))])
    }

    /// Has the ends of deletes of rows noted.
    #[expect(clippy::disallowed_methods, reason = "the handle watches the task")]
    pub(super) fn watch_row_deletes(&mut self, deleter: RowDeleter) {
        let at_start = deleter.catalog();
        self.0.push(actix_rt::spawn(deleter.watch(at_start)));
    }

    /// Has `pulse` tell whether the threads of queries answer.
    #[expect(clippy::disallowed_methods, reason = "the handle watches the task")]
    pub(super) fn watch_queries(&mut self, query: Mailbox<Query>, pulse: Pulse) {
        self.0.push(actix_rt::spawn(probe(query, pulse)));
    }
}

async fn probe(query: Mailbox<Query>, pulse: Pulse) {
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        pulse.begins();
        while query.ask_from_edge(AnswerProbe, deadline()).await.is_err() {
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        pulse.goes_on();
        pulse.rests();
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
