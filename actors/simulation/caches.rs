//! Last-value caches: they answer what their tables answer, whatever has happened.

use super::changes::by;
use super::clients::run;
use super::lines::TableKey;
use super::model::Observed;
use super::workload::{db_name, rows, table_name};
use super::world::World;
use crate::server::Addresses;
use protocols::error::ErrorKind;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::caches::LookAfterCaches;
use protocols::messages::catalog::CreateLastCache;
use protocols::messages::query::QueryError;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Rows kept for each host.
const COUNT: usize = 3;
/// How long a cache may take until it answers, when nothing is wrong.
const PATIENCE: Duration = Duration::from_secs(200);
const PAUSE: Duration = Duration::from_secs(1);

/// Creates the cache of a table, whose key has one of the two tags. There may be one already.
pub(super) async fn create(world: Rc<World>, server: Addresses, table: TableKey) {
    let ask = CreateLastCache {
        db: db_name(table.db),
        table: table_name(table.table),
        name: Some("c".to_owned()),
        keys: Some(vec!["host".to_owned()]),
        values: None,
        count: Some(COUNT as u64),
        ttl_seconds: Some(u64::from(u32::MAX)),
        starts_empty: false,
    };
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    let created = server.catalog.ask_from_edge(by(ask), deadline).await;
    let created = created.is_ok_and(|created| created.is_ok());
    world.log(format_args!("cache of {table:?}: {created}"));
}

/// Compares the cache of a table with the table, when nothing is wrong and nobody writes.
pub(super) async fn check(world: Rc<World>, id: u64, server: Addresses, table: TableKey) {
    // What is past its time goes from both, but not at the same moment.
    if !world.model.borrow().retention.is_untouched(table.db) {
        return;
    }
    // Of a delete of rows whose outcome nobody knew the keeper hears when it looks after caches.
    if let Some(keeper) = world.keeper(id) {
        let deadline = Instant::now() + PATIENCE;
        keeper.ask_from_edge(LookAfterCaches, deadline).await.ok();
    }
    // Rows that were answered for before they were durable may become visible at any moment.
    let (cached, stored) = loop {
        let Some(before) = stored_rows(&world, &server, table).await else { return };
        let Some(cached) = cached_rows(&world, id, &server, table).await else { return };
        let Some(after) = stored_rows(&world, &server, table).await else { return };
        if before == after {
            break (cached, after);
        }
    };
    world.log(format_args!("cache of {table:?}: {} of {} rows", cached.len(), stored.len()));
    let (mut cached, mut expected) = (cached, newest(stored));
    cached.sort();
    expected.sort();
    let differs = |rows: &[Observed], others: &[Observed]| {
        rows.iter().find(|row| !others.contains(row)).cloned()
    };
    let lines =
        |rows: &[Observed]| rows.iter().map(|row| format!("\n  {row:?}")).collect::<String>();
    if expected != cached {
        world.log(format_args!("cached:{}\nexpected:{}", lines(&cached), lines(&expected)));
    }
    if let Some(row) = differs(&expected, &cached) {
        world.violated(format_args!("the cache of {table:?} lacks {row:?}"));
    } else if let Some(row) = differs(&cached, &expected) {
        world.violated(format_args!("the cache of {table:?} has {row:?}"));
    }
}

/// What a cache answers, once it does; nothing if there is none, or if it never does.
async fn cached_rows(
    world: &World,
    id: u64,
    server: &Addresses,
    table: TableKey,
) -> Option<Vec<Observed>> {
    let sql = format!("SELECT * FROM last_cache('{}', 'c')", table_name(table.table));
    let until = Instant::now() + PATIENCE;
    loop {
        match run(server, table.db, sql.clone()).await {
            Ok(batches) => return rows(&batches).map_err(|what| world.violated(what)).ok(),
            // There is no such cache, or no such table any more.
            Err(QueryError { kind: ErrorKind::NotFound | ErrorKind::InvalidInput, .. }) => {
                return None;
            }
            Err(error) if !world.is_alive(id) => {
                world.log(format_args!("cache of {table:?}: {}", error.message));
                return None;
            }
            Err(error) if Instant::now() > until => {
                let what = format!("the cache of {table:?} does not answer: {}", error.message);
                world.violated(what);
                return None;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The rows of a table in order, if it answers.
async fn stored_rows(world: &World, server: &Addresses, table: TableKey) -> Option<Vec<Observed>> {
    let sql = format!("SELECT * FROM {}", table_name(table.table));
    let batches = run(server, table.db, sql).await.ok()?;
    let mut stored = rows(&batches).map_err(|what| world.violated(what)).ok()?;
    stored.sort();
    Some(stored)
}

/// The rows of a table that its cache keeps.
fn newest(rows: Vec<Observed>) -> Vec<Observed> {
    let mut by_host: BTreeMap<u8, Vec<Observed>> = BTreeMap::new();
    for row in rows {
        by_host.entry(row.key.host).or_default().push(row);
    }
    let mut kept = Vec::new();
    for mut rows in by_host.into_values() {
        rows.sort_by_key(|row| (Reverse(row.key.time_ns), row.key.rack));
        rows.truncate(COUNT);
        kept.extend(rows);
    }
    kept
}
