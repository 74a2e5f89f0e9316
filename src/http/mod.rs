//! The HTTP API: decode a request, ask an actor, shape the answer. Handlers own no state.

mod absent;
mod accept;
pub(crate) mod access;
mod body;
mod caches;
mod databases;
mod failure;
pub mod format;
mod head;
pub(crate) mod health;
pub(crate) mod limits;
pub mod metrics;
mod observe;
mod params;
mod ping;
mod query;
mod tables;
mod v1;
mod write;

#[cfg(test)]
mod tests;

use crate::edge::state::ServerState;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, Error, web};

/// The whole API as one actix-web application. Every worker makes its own; `state` is shared.
///
/// A request passes the layers from the last to the first: it is observed, its answer is
/// compressed if the client asks for that, its sender is checked, then it is routed, HEAD as GET.
pub fn app(
    state: web::Data<ServerState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(state)
        .configure(routes)
        .wrap(from_fn(head::as_get))
        .wrap(from_fn(access::check))
        .wrap(Compress::default())
        .wrap(from_fn(observe::observe))
}

/// The route table. A known path with another method falls through to `Not found` as well.
fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/write", web::post().to(write::v1))
        .route("/api/v2/write", web::post().to(write::v2))
        .route("/api/v3/write_lp", web::post().to(write::v3))
        .route("/api/v3/query_sql", web::get().to(query::sql_get))
        .route("/api/v3/query_sql", web::post().to(query::sql_post))
        .route("/api/v3/query_influxql", web::get().to(query::influxql_get))
        .route("/api/v3/query_influxql", web::post().to(query::influxql_post))
        .route("/query", web::get().to(v1::get))
        .route("/query", web::post().to(v1::post))
        .route("/api/v3/configure/database", web::get().to(databases::list))
        .route("/api/v3/configure/database", web::post().to(databases::create))
        .route("/api/v3/configure/database", web::put().to(databases::update))
        .route("/api/v3/configure/database", web::delete().to(databases::delete))
        .route(RETENTION_PATH, web::post().to(databases::set_retention))
        .route(RETENTION_PATH, web::delete().to(databases::clear_retention))
        .route("/api/v3/configure/database/undelete", web::post().to(databases::undelete))
        .route("/api/v3/configure/table/undelete", web::post().to(tables::undelete))
        .route("/api/v3/configure/table", web::post().to(tables::create))
        .route("/api/v3/configure/table", web::delete().to(tables::delete))
        .route(LAST_CACHE_PATH, web::post().to(caches::create_last))
        .route(LAST_CACHE_PATH, web::delete().to(caches::delete_last))
        .route(DISTINCT_CACHE_PATH, web::post().to(caches::create_distinct))
        .route(DISTINCT_CACHE_PATH, web::delete().to(caches::delete_distinct))
        .route("/health", web::get().to(health::health))
        .route("/api/v1/health", web::get().to(health::health))
        .route("/ready", web::get().to(health::ready))
        .route("/ping", web::get().to(ping::ping))
        .route("/ping", web::post().to(ping::ping))
        .route("/metrics", web::get().to(metrics::metrics))
        .default_service(web::to(failure::not_found));
}

const LAST_CACHE_PATH: &str = "/api/v3/configure/last_cache";
const DISTINCT_CACHE_PATH: &str = "/api/v3/configure/distinct_cache";
const RETENTION_PATH: &str = "/api/v3/configure/database/retention_period";
