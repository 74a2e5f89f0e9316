//! Creating and deleting downsamples, and switching them.

use super::access::Who;
use super::databases::{self, read_body, read_query_or_body};
use super::failure::Failure;
use crate::edge::row_deletes::instant;
use crate::edge::state::ServerState;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::Catalog;
use actors::runtime::actor::Receive;
use protocols::catalog::CatalogSnapshot;
use protocols::downsamples::Aggregate;
use protocols::durations::parse_duration;
use protocols::http::downsamples::{CreateDownsampleBody, DownsampleParams};
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::Command;
use protocols::messages::catalog::{By, CatalogError};
use protocols::messages::downsamples::{
    CreateDownsample, DeleteDownsample, SetDownsampleDisabled, SyncDownsamples,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Has the catalog make a change, and then the actor take it in.
async fn change<M>(state: &ServerState, who: Who, change: M) -> Result<HttpResponse, Failure>
where
    M: Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>>,
    Catalog: Receive<By<M>>,
{
    databases::change(state, who, change).await?;
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    state.downsamples.ask_from_edge(SyncDownsamples, deadline).await?;
    Ok(HttpResponse::Ok().finish())
}

/// A duration in nanoseconds.
fn nanos(name: &str, text: &str) -> Result<i64, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("invalid {name}: {why}"));
    let duration = parse_duration(text).map_err(|error| wrong(error.to_string()))?;
    i64::try_from(duration.as_nanos()).map_err(|_| wrong(format!("`{text}` is too long")))
}

pub(super) async fn create(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body: CreateDownsampleBody = read_body(&state, &req, payload).await?;
    let aggregates = body.aggregates.iter().map(|name| Aggregate::named(name.trim()));
    let aggregates = aggregates.collect::<Result<_, _>>().map_err(Failure::bad_request)?;
    let from_ns = match (&body.from, body.backfill) {
        (Some(from), _) => Some(instant(from).map_err(Failure::bad_request)?),
        (None, true) => Some(i64::MIN),
        (None, false) => None,
    };
    let wanted = CreateDownsample {
        db: body.db,
        name: body.name,
        source: body.table,
        target_db: body.to_db,
        target: body.to,
        interval_ns: nanos("interval", &body.interval)?,
        offset_ns: body.offset.map_or(Ok(0), |offset| nanos("offset", &offset))?,
        aggregates,
        from_ns,
        disabled: body.disabled,
    };
    change(&state, who, wanted).await
}

pub(super) async fn delete(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let DownsampleParams { db, name } = read_query_or_body(&state, &req, payload).await?;
    change(&state, who, DeleteDownsample { db, name }).await
}

pub(super) async fn enable(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    set_disabled(&state, who, &req, payload, false).await
}

pub(super) async fn disable(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    set_disabled(&state, who, &req, payload, true).await
}

async fn set_disabled(
    state: &ServerState,
    who: Who,
    req: &HttpRequest,
    payload: web::Payload,
    disabled: bool,
) -> Result<HttpResponse, Failure> {
    let DownsampleParams { db, name } = read_query_or_body(state, req, payload).await?;
    change(state, who, SetDownsampleDisabled { db, name, disabled }).await
}
