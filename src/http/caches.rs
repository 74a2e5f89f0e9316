//! Creating and deleting last-value and distinct-value caches.

use super::access::Who;
use super::databases::{self, read_body, read_query_or_body};
use super::failure::Failure;
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::Catalog;
use actors::runtime::actor::Receive;
use protocols::caches::{DistinctCacheDef, LastCacheDef};
use protocols::catalog::CatalogSnapshot;
use protocols::http::caches::{
    CreateDistinctCacheBody, CreateLastCacheBody, DeleteCacheParams, distinct_cache_created,
    last_cache_created,
};
use protocols::ids::CacheId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::Command;
use protocols::messages::caches::SyncCaches;
use protocols::messages::catalog::{
    By, CacheKind, CatalogError, CreateDistinctCache, CreateLastCache, DeleteCache,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) async fn create_last(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body: CreateLastCacheBody = read_body(&state, &req, payload).await?;
    let wanted = CreateLastCache {
        db: body.db.clone(),
        table: body.table.clone(),
        name: body.name,
        keys: body.key_columns,
        values: body.value_columns,
        count: body.count,
        ttl_seconds: body.ttl,
        starts_empty: body.start_empty,
    };
    let snapshot = change(&state, who, wanted).await?;
    let time_ns = state.clock.now_ns();
    let created = snapshot.database(&body.db).and_then(|db| {
        let table = db.table(&body.table)?;
        let cache: &LastCacheDef = newest(&table.caches.last, |cache| cache.id)?;
        Some(last_cache_created(&snapshot, (db, table), cache, time_ns))
    });
    answer(created)
}

pub(super) async fn create_distinct(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body: CreateDistinctCacheBody = read_body(&state, &req, payload).await?;
    let wanted = CreateDistinctCache {
        db: body.db.clone(),
        table: body.table.clone(),
        name: body.name,
        columns: body.columns,
        max_cardinality: body.max_cardinality,
        max_age_seconds: body.max_age,
        starts_empty: body.start_empty,
    };
    let snapshot = change(&state, who, wanted).await?;
    let time_ns = state.clock.now_ns();
    let created = snapshot.database(&body.db).and_then(|db| {
        let table = db.table(&body.table)?;
        let cache: &DistinctCacheDef = newest(&table.caches.distinct, |cache| cache.id)?;
        Some(distinct_cache_created(&snapshot, (db, table), cache, time_ns))
    });
    answer(created)
}

pub(super) async fn delete_last(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    delete(&state, who, &req, payload, CacheKind::Last).await
}

pub(super) async fn delete_distinct(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    delete(&state, who, &req, payload, CacheKind::Distinct).await
}

/// Named in the query string, or in a JSON body when there is none.
async fn delete(
    state: &ServerState,
    who: Who,
    req: &HttpRequest,
    payload: web::Payload,
    kind: CacheKind,
) -> Result<HttpResponse, Failure> {
    let DeleteCacheParams { db, table, name } = read_query_or_body(state, req, payload).await?;
    change(state, who, DeleteCache { db, table, kind, name }).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Has the catalog make a change, and then the caches that run those of the catalog.
async fn change<M>(
    state: &ServerState,
    who: Who,
    change: M,
) -> Result<Arc<CatalogSnapshot>, Failure>
where
    M: Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>>,
    Catalog: Receive<By<M>>,
{
    let snapshot = databases::change(state, who, change).await?;
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    if let Err(error) = state.caches.ask_from_edge(SyncCaches, deadline).await {
        // The change is durable, and the keeper's ticker has it look again.
        tracing::warn!(%error, "the caches that run are not those of the catalog yet");
    }
    Ok(snapshot)
}

/// The cache that came last. Changes of others may be in the same snapshot, but not of this table
/// in nearly all cases, and then the answer names a cache that was created as well.
fn newest<T>(caches: &[Arc<T>], id: impl Fn(&T) -> CacheId) -> Option<&T> {
    caches.iter().map(AsRef::as_ref).max_by_key(|cache| id(cache))
}

fn answer(created: Option<serde_json::Value>) -> Result<HttpResponse, Failure> {
    match created {
        Some(created) => Ok(HttpResponse::Created().json(created)),
        None => Err(Failure::text(StatusCode::NOT_FOUND, "the cache was deleted meanwhile")),
    }
}
