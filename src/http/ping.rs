//! `/ping`: client libraries read versions from its headers and its body.

use super::accept;
use super::observe::RequestId;
use crate::edge::state::ServerState;
use crate::version::{COMPAT_VERSION, REVISION};
use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use protocols::http::ping::PingBody;
use serde::Deserialize;

/// Name of the product whose interfaces this server offers; clients look for it.
pub(super) const PRODUCT_NAME: &str = "InfluxDB 3 Core";

/// What clients of version 1 add to be told more than a status.
#[derive(Deserialize)]
pub(super) struct PingQuery {
    verbose: Option<String>,
}

/// Tells who answers. Clients of version 1 take what is no JSON and expect 204 without a body.
pub(super) async fn ping(
    state: web::Data<ServerState>,
    query: web::Query<PingQuery>,
    req: HttpRequest,
) -> HttpResponse {
    let id = req.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    let is_verbose = query.verbose.as_ref().is_some_and(|verbose| verbose != "false");
    let is_told = is_verbose || accept::takes_json(req.headers());
    let status = if is_told { StatusCode::OK } else { StatusCode::NO_CONTENT };
    let mut response = HttpResponse::build(status);
    response
        .insert_header(("request-id", id.as_str()))
        .insert_header(("x-request-id", id.as_str()));
    if !is_told {
        return response.finish();
    }
    response.json(PingBody {
        product_name: PRODUCT_NAME,
        version: COMPAT_VERSION,
        revision: REVISION,
        process_id: state.process_id,
    })
}
