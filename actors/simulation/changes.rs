//! Changes of the schema: each is repeated until it is known what became of it, one at a time.

use super::workload::{db_name, table_name};
use super::world::World;
use crate::catalog::Catalog;
use crate::runtime::actor::Receive;
use crate::runtime::mailbox::AskError;
use protocols::catalog::CatalogSnapshot;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::Command;
use protocols::messages::catalog::{
    By, CatalogError, DeleteDatabase, DeleteTable, HardDelete, SetRetention,
};
use protocols::principal::{Origin, Principal};
use rand::RngExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before a change is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// How a change ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done,
    /// There was nothing to change, as the first answer said.
    Nothing,
    /// There is nothing to change, said after a try that may have had an effect.
    Absent,
    /// The run is over.
    Never,
}

/// Deletes a table, or a database, for which `table` is `None`.
pub(super) async fn delete(world: Rc<World>, db: u8, table: Option<u8>) {
    let sent = world.moment();
    let deletion = world.model.borrow_mut().deletions.delete(db, table, sent);
    if table.is_none() {
        world.model.borrow_mut().retention.may_be_deleted(db);
    }
    let when = match world.random().random_range(0..3) {
        0 => HardDelete::Now,
        1 => HardDelete::Default,
        _ => HardDelete::Never,
    };
    let name = db_name(db);
    let ended = match table.map(table_name) {
        Some(table) => until_known(&world, DeleteTable { db: name, table, when }).await,
        None => until_known(&world, DeleteDatabase { name, when }).await,
    };
    world.log(format_args!("delete {db} {table:?}, {when:?}: {ended:?}"));
    let answered = world.moment();
    let mut model = world.model.borrow_mut();
    match ended {
        Ended::Done | Ended::Absent => {
            model.deletions.deleted(deletion, answered);
            if table.is_none() {
                model.retention.forget(db);
            }
        }
        Ended::Nothing => model.deletions.nothing_deleted(deletion),
        Ended::Never => {}
    }
    if table.is_none() && !matches!(ended, Ended::Never) {
        model.retention.is_known(db);
    }
    world.changing.set(false);
}

/// Sets a retention period.
pub(super) async fn set_retention(world: Rc<World>, db: u8, period_ns: Option<i64>) {
    let sent = world.moment();
    world.model.borrow_mut().retention.set(db, period_ns, sent);
    let ask = SetRetention { name: db_name(db), retention_ns: period_ns };
    let ended = until_known(&world, ask).await;
    world.log(format_args!("retention of {db} {period_ns:?}: {ended:?}"));
    let answered = world.moment();
    let mut model = world.model.borrow_mut();
    match ended {
        Ended::Done => model.retention.is_set(db, answered),
        // No try can have set what there is no database for.
        Ended::Nothing | Ended::Absent => model.retention.is_not_set(db),
        Ended::Never => {}
    }
    world.changing.set(false);
}

/// Asked for by somebody who may do everything.
pub(super) fn by<M>(change: M) -> By<M> {
    By { principal: Principal::Everybody, origin: Origin::default(), change }
}

async fn until_known<M>(world: &Rc<World>, ask: M) -> Ended
where
    M: Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>> + Clone,
    Catalog: Receive<By<M>>,
{
    let mut first = true;
    while world.violation().is_none() {
        // With rivals, one of them could answer without the other knowing.
        let Some((id, server)) = world.only_server() else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
        let answer = server.catalog.ask_from_edge(by(ask.clone()), deadline).await;
        let alone = world.only_server().is_some_and(|(now, _)| now == id);
        match answer {
            Ok(Ok(_)) if alone => return Ended::Done,
            Ok(Err(CatalogError::Storage(_))) | Err(AskError::Died(_) | AskError::Deadline(_)) => {}
            Ok(Err(_)) if alone && first => return Ended::Nothing,
            Ok(Err(_)) if alone => return Ended::Absent,
            Ok(_) | Err(AskError::Full(_)) => {}
        }
        first = false;
        tokio::time::sleep(PAUSE).await;
    }
    Ended::Never
}
