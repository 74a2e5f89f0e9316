//! Filling a cache with the rows that are there already.

use super::wanted::{Def, Wanted};
use crate::cache_directory::{CacheAddress, CacheEntry};
use crate::query::Query;
use crate::runtime::mailbox::{AskError, Mailbox};
use anyhow::Context;
use futures::StreamExt;
use protocols::messages::caches::{FillEnded, FillRows, ScanTable};
use protocols::messages::query::QueryResult;
use protocols::messages::rank;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the reading may take to begin, and a cache to take a batch.
const STEP_DEADLINE: Duration = Duration::from_secs(60);
/// Pause before a batch that found no room is sent again.
const PAUSE: Duration = Duration::from_millis(20);
const SECOND_NS: i64 = 1_000_000_000;

/// Fills a cache. It may get rows of writers at the same time, in any order with these.
///
/// # Errors
/// When the table could not be read, or the cache has failed meanwhile.
pub(super) async fn fill(
    query: Mailbox<Query>,
    entry: &CacheEntry,
    wanted: &Wanted,
    filling: u64,
    now_ns: i64,
) -> anyhow::Result<()> {
    let seconds = i64::try_from(wanted.def.seconds()).unwrap_or(i64::MAX);
    let since_ns = now_ns.saturating_sub(seconds.saturating_mul(SECOND_NS));
    let rows_since_ns = match wanted.def {
        // Counts from when a row came in, which nobody has noted for those in memory.
        Def::Last(_) => i64::MIN,
        Def::Distinct(_) => since_ns,
    };
    let scan = ScanTable {
        db: Arc::clone(&wanted.db),
        table: Arc::clone(&wanted.table.name),
        columns: wanted.def.columns(&wanted.table),
        rows_since_ns,
        files_since_ns: since_ns,
    };
    let deadline = Instant::now() + STEP_DEADLINE;
    let rows = query.ask::<{ rank::CACHE_KEEPER }, _>(scan, deadline).await??;
    pour(rows, &entry.address, filling).await
}

async fn pour(mut rows: QueryResult, cache: &CacheAddress, filling: u64) -> anyhow::Result<()> {
    while let Some(rows) = rows.batches.next().await {
        let fill = FillRows { filling, rows: rows? };
        loop {
            let deadline = Instant::now() + STEP_DEADLINE;
            match cache.ask::<{ rank::CACHE_KEEPER }, _>(fill.clone(), deadline).await {
                Ok(()) => break,
                Err(AskError::Full(_)) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let deadline = Instant::now() + STEP_DEADLINE;
    let end = FillEnded { filling };
    cache.ask::<{ rank::CACHE_KEEPER }, _>(end, deadline).await.context("at the end")
}
