//! The HTTP API: decode a request, ask an actor, shape the answer. Handlers own no state.

mod absent;
mod accept;
pub(crate) mod access;
mod body;
mod caches;
mod compaction;
mod databases;
mod downsamples;
mod exchange;
mod failure;
pub mod format;
mod head;
pub(crate) mod health;
pub(crate) mod limits;
mod metric_labels;
pub mod metrics;
mod needs;
mod observe;
mod params;
mod ping;
mod plugins;
mod query;
pub(crate) mod recovery;
pub mod routes;
mod row_deletes;
mod session;
mod tables;
mod tokens;
mod trigger_metrics;
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
/// compressed if the client asks for that, then it is routed, HEAD as GET, and who sends it is
/// checked by what its route needs.
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
        .configure(routes::add)
        .wrap(from_fn(head::as_get))
        .wrap(from_fn(access::answer_preflight))
        .wrap(Compress::default())
        .wrap(from_fn(observe::observe))
}
