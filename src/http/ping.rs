//! `/ping`: client libraries read versions from its headers and its body.

use super::observe::RequestId;
use crate::edge::state::ServerState;
use crate::version::{COMPAT_VERSION, REVISION};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use protocols::http::ping::PingBody;

/// Name of the product whose interfaces this server offers; clients look for it.
pub(super) const PRODUCT_NAME: &str = "InfluxDB 3 Core";

pub(super) async fn ping(state: web::Data<ServerState>, req: HttpRequest) -> HttpResponse {
    let id = req.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    HttpResponse::Ok()
        .insert_header(("request-id", id.as_str()))
        .insert_header(("x-request-id", id.as_str()))
        .json(PingBody {
            product_name: PRODUCT_NAME,
            version: COMPAT_VERSION,
            revision: REVISION,
            process_id: state.process_id,
        })
}
