//! Deletes of rows, some of which are taken back.

use super::changes::by;
use super::deletions::RowFilter;
use super::workload::{db_name, row_filter, table_name};
use super::world::World;
use crate::server::{Addresses, RowDeleteError};
use protocols::ids::TableId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::caches::RefillCaches;
use protocols::messages::catalog::{AbortRowDelete, CatalogError, RequestRowDelete};
use protocols::row_deletes::{RowDelete, RowDeleteState};
use rand::RngExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Deletes some rows, notes what became of that, and may take it back later.
pub(super) async fn delete(world: Rc<World>, id: u64, server: Addresses) {
    let filter = row_filter(&mut world.random(), &world.model.borrow(), world.present());
    let sent = world.moment();
    let deletion = world.model.borrow_mut().deletions.delete_rows(filter, sent);
    let bits = world.random().random();
    let takes_back = world.random().random_bool(0.2);
    let request = by(request(filter, Uuid::from_u128(bits)));
    let found = server.row_deleter.delete(request).await;
    let refilled = match &found {
        Ok(delete) => refill(&world, id, delete.table).await,
        Err(_) => false,
    };
    let answered = world.moment();
    let short = match &found {
        Ok(delete) => format!("accepted, {} up to {:?}", delete.sequence, delete.bound),
        Err(error) => error.to_string(),
    };
    world.log(format_args!("delete rows {filter:?} at {id}: {short}, {refilled}"));
    // With rivals, one of them could answer without the other knowing.
    let alone = world.only_server().is_some_and(|(now, _)| now == id) && world.is_current(id);
    match found {
        Ok(delete) => {
            if alone {
                world.model.borrow_mut().deletions.rows_deleted(deletion, answered);
            }
            if takes_back {
                take_back(world, deletion, delete.sequence).await;
            }
        }
        Err(RowDeleteError::Catalog(error)) if !matches!(error, CatalogError::Storage(_)) => {
            world.model.borrow_mut().deletions.no_rows_deleted(deletion);
        }
        Err(error) if alone && world.is_calm() => {
            world.violated(format_args!("rows were not deleted in fair weather: {error}"));
        }
        Err(_) => {}
    }
}

fn request(filter: RowFilter, request: Uuid) -> RequestRowDelete {
    let tag = |tag: &str, sign, number: Option<u8>| {
        number.map(|number| (Arc::from(tag), Arc::from(format!("{sign}{number}"))))
    };
    let tags = [tag("host", 'h', filter.host), tag("rack", 'r', filter.rack)];
    let is_everything = filter.span_ns == (i64::MIN, i64::MAX);
    RequestRowDelete {
        db: db_name(filter.table.db),
        table: table_name(filter.table.table),
        request,
        min_time_ns: (!is_everything).then_some(filter.span_ns.0),
        max_time_ns: (!is_everything).then(|| filter.span_ns.1.saturating_add(1)),
        tags: tags.into_iter().flatten().collect(),
    }
}

/// Takes a delete of rows back some time later.
async fn take_back(world: Rc<World>, deletion: usize, sequence: u64) {
    let pause = world.random().random_range(0..20_000);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let Some((id, server)) = world.any_server() else { return };
    let now = world.moment();
    world.model.borrow_mut().deletions.take_back(deletion, now);
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    let abort = by(AbortRowDelete { sequence, reason: None });
    let known = server.catalog.ask_from_edge(abort, deadline).await;
    let known = known.ok().and_then(Result::ok);
    let delete = known.and_then(|catalog| catalog.row_deletes.get(sequence).map(Arc::clone));
    let refilled = match &delete {
        Some(delete) => refill(&world, id, delete.table).await,
        None => false,
    };
    world.log(format_args!("take back {sequence} at {id}: {}, {refilled}", delete.is_some()));
}

/// Has the caches of the table begin anew.
async fn refill(world: &World, id: u64, table: TableId) -> bool {
    let Some(keeper) = world.keeper(id) else { return world.caches.is_none() };
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    keeper.ask_from_edge(RefillCaches { table }, deadline).await.is_ok()
}

/// A delete some of whose rows may still be somewhere.
pub(super) fn pending(server: &Addresses) -> Option<Arc<RowDelete>> {
    let catalog = server.snapshot.load();
    let is_pending = |delete: &&Arc<RowDelete>| delete.state == RowDeleteState::Pending;
    catalog.row_deletes.all().find(is_pending).map(Arc::clone)
}
