//! The part of [`super::plan`] that says which right a request needs. Pure: a change is planned
//! and allowed against one and the same state of the catalog.

use super::request::Request;
use super::undelete;
use protocols::access::tokens::OPERATOR;
use protocols::catalog::CatalogSnapshot;
use protocols::messages::catalog::CatalogError;
use protocols::principal::{Action, Principal};

use protocols::access::rights::Right::{Create, Delete, Write};

/// Refuses a request that `principal` may not make.
pub(super) fn check(
    catalog: &CatalogSnapshot,
    request: &Request,
    principal: &Principal,
) -> Result<(), CatalogError> {
    let action = match request {
        Request::EnsureSchema(wanted) => {
            if catalog.database(&wanted.db).is_none() {
                principal.authorize(Action::In(Create, &wanted.db), catalog)?;
            }
            Action::In(Write, &wanted.db)
        }
        Request::CreateDatabase(wanted) => Action::In(Create, &wanted.name),
        Request::CreateTable(wanted) => Action::In(Create, &wanted.db),
        Request::CreateLastCache(wanted) => Action::In(Create, &wanted.db),
        Request::CreateDistinctCache(wanted) => Action::In(Create, &wanted.db),
        // A shorter period takes rows away.
        Request::SetRetention(wanted) => Action::In(Delete, &wanted.name),
        Request::SetTableRetention(wanted) => Action::In(Delete, &wanted.db),
        Request::SetIndexedColumns(wanted) => {
            Action::In(if wanted.columns.is_some() { Create } else { Delete }, &wanted.db)
        }
        Request::DeleteDatabase(unwanted) => Action::In(Delete, &unwanted.name),
        Request::DeleteTable(unwanted) => Action::In(Delete, &unwanted.db),
        Request::DeleteCache(unwanted) => Action::In(Delete, &unwanted.db),
        Request::RequestRowDelete(wanted) => Action::In(Delete, &wanted.db),
        Request::AbortRowDelete(wanted) => {
            // That there is none of a number may be known.
            let Some(delete) = catalog.row_deletes.get(wanted.sequence) else { return Ok(()) };
            let db = catalog.table_by_id(delete.table).map(|(db, _)| db);
            match db {
                Some(db) => Action::In(Delete, &db.name),
                None => Action::Administrate,
            }
        }
        Request::AcceptRowDelete(_) | Request::DropRowDelete(_) | Request::CompleteRowDelete(_) => {
            Action::Administrate
        }
        // Whoever may delete may take it back. Names of deleted databases are theirs no more.
        Request::UndeleteDatabase(wanted) => {
            Action::In(Delete, undelete::present_name(catalog, &wanted.name))
        }
        Request::UndeleteTable(wanted) => Action::In(Delete, &wanted.db),
        // That it exists is told to everybody, and that it does not is told by the server's
        // address alone being served.
        Request::CreateToken(wanted) if is_taken(catalog, &wanted.name) => return Ok(()),
        Request::CreateToken(_) | Request::RegenerateToken(_) | Request::DeleteToken(_) => {
            Action::Administrate
        }
        // A plugin may do on this machine what the server may.
        Request::CreatePlugin(_)
        | Request::DeletePlugin(_)
        | Request::CreateTrigger(_)
        | Request::SetTriggerDisabled(_)
        | Request::DeleteTrigger(_) => Action::Administrate,
        // It reads one table and writes another for as long as it is there.
        Request::CreateDownsample(_)
        | Request::SetDownsampleDisabled(_)
        | Request::DeleteDownsample(_) => Action::Administrate,
        Request::SweepDeleted | Request::NodeStopped => Action::Administrate,
    };
    Ok(principal.authorize(action, catalog)?)
}

/// True if the operator has a token and another is to be made for it.
fn is_taken(catalog: &CatalogSnapshot, name: &str) -> bool {
    name == OPERATOR && catalog.tokens.named(OPERATOR).is_some()
}
