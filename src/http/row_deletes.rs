//! Deletes of rows: asking for them, looking at them, taking them back.

use super::access::Who;
use super::databases::read_body;
use super::failure::Failure;
use super::{body, params};
use crate::edge::row_deletes;
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::server::RowDeleteError;
use protocols::access::rights::Right;
use protocols::http::row_deletes::{
    AbortRowDeleteBody, DeleteRowsBody, Disposition, ListRowDeletesParams, RowDeleteProgress,
    RowDeleteShown,
};
use protocols::messages::catalog::{AbortRowDelete, By, RequestRowDelete};
use protocols::principal::Action;
use uuid::Uuid;

/// Deletes rows.
pub(super) async fn create(
    state: web::Data<ServerState>,
    Who(principal, origin): Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let wanted: DeleteRowsBody = read_body(&state, &req, payload).await?;
    let (min_time_ns, max_time_ns) = row_deletes::times(&wanted).map_err(Failure::bad_request)?;
    let predicate = wanted.predicate.as_deref().unwrap_or_default();
    let tags = protocols::row_deletes::parse(predicate)
        .map_err(|error| Failure::bad_request(error.to_string()))?;
    let DeleteRowsBody { db, table, .. } = wanted;
    let request = Uuid::new_v4();
    let change = RequestRowDelete { db, table, request, min_time_ns, max_time_ns, tags };
    let delete = row_deletes::delete(&state, By { principal, origin, change }).await?;
    let shown = RowDeleteShown::new(&delete, &state.snapshot.load());
    Ok(HttpResponse::Created().json(shown))
}

/// Lists those in databases that may be read, or be deleted from.
pub(super) async fn list(
    state: web::Data<ServerState>,
    Who(principal, _): Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let wanted: ListRowDeletesParams = params::from_query(&req)?;
    let catalog = state.snapshot.load();
    let mut found = Vec::new();
    for delete in catalog.row_deletes.all().filter(|delete| delete.bound.is_some()) {
        let may_see = match catalog.table_by_id(delete.table) {
            Some((db, _)) => {
                let may = |right| principal.authorize(Action::In(right, &db.name), &catalog);
                may(Right::Read).is_ok() || may(Right::Delete).is_ok()
            }
            None => principal.is_admin(),
        };
        let mut shown = RowDeleteShown::new(delete, &catalog);
        if !may_see || !is_wanted(&shown, &wanted) {
            continue;
        }
        if wanted.include_progress && shown.disposition == Disposition::Pending {
            let left = state.row_deleter.left(delete).await?;
            let (files_left, chunks_left) = (left.files, left.chunks);
            shown.progress = Some(RowDeleteProgress { files_left, chunks_left });
        }
        found.push(shown);
    }
    Ok(HttpResponse::Ok().json(found))
}

fn is_wanted(shown: &RowDeleteShown, wanted: &ListRowDeletesParams) -> bool {
    wanted.db.as_ref().is_none_or(|db| *db == shown.db_name)
        && wanted.table.as_ref().is_none_or(|table| *table == shown.table_name)
        && wanted.disposition.is_none_or(|disposition| disposition == shown.disposition)
        && wanted.min_sequence.is_none_or(|min| shown.sequence >= min)
        && wanted.max_sequence.is_none_or(|max| shown.sequence <= max)
}

/// Takes one back.
pub(super) async fn abort(
    state: web::Data<ServerState>,
    Who(principal, origin): Who,
    req: HttpRequest,
    sequence: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let unknown = || Failure::text(StatusCode::NOT_FOUND, "row delete request not found");
    let sequence: u64 = sequence.parse().map_err(|_| unknown())?;
    let bytes = body::read(&state, &req, payload).await?;
    let reason = match bytes.is_empty() {
        true => None,
        false => {
            params::expect_json(&req)?;
            params::from_json::<AbortRowDeleteBody>(&bytes)?.reason
        }
    };
    let change = AbortRowDelete { sequence, reason };
    let delete = row_deletes::abort(&state, By { principal, origin, change }).await?;
    Ok(HttpResponse::Ok().json(RowDeleteShown::new(&delete, &state.snapshot.load())))
}

impl From<RowDeleteError> for Failure {
    fn from(error: RowDeleteError) -> Self {
        match error {
            RowDeleteError::Catalog(error) => error.into(),
            RowDeleteError::Ask(error) => error.into(),
            RowDeleteError::Wal(error) => Self::of_kind(error.kind(), error.to_string()),
        }
    }
}
