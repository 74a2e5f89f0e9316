//! The listener for operators who have lost their token: it knows one request, which replaces the
//! token and needs none, and it ends once that was answered.

use super::access::{self, Who};
use super::failure::Failure;
use super::tokens;
use crate::edge::access::Refusal;
use crate::edge::state::ServerState;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, ORIGIN};
use actix_web::{App, Error, HttpRequest, HttpResponse, web};
use protocols::principal::Principal;

/// The application of this listener.
pub(crate) fn app(
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
        .route("/api/v3/configure/token/admin/regenerate", web::post().to(regenerate))
        .default_service(web::to(not_found))
}

async fn regenerate(
    state: web::Data<ServerState>,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let text = |name| req.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    // A page in a browser of this machine must not lock the operator out.
    let hosts = &state.access.hosts;
    if !text(ORIGIN).is_none_or(|origin| hosts.has_origin(origin))
        || !text(HOST).is_none_or(|host| hosts.has(host) || is_address(host))
    {
        let who = (&Principal::Nobody, access::origin(&req));
        state.audit_refused(who, "the recovery address", Refusal::Foreign.reason());
        return Err(Failure::text(StatusCode::FORBIDDEN, "refused: sent by a foreign page"));
    }
    let mut done = state.recovery.done.lock().await;
    if *done {
        return not_found().await;
    }
    let answer =
        tokens::regenerate(state.clone(), Who(Principal::Server, access::origin(&req))).await?;
    *done = true;
    let peer = req.peer_addr();
    tracing::warn!(?peer, "the operator's token was replaced by way of the recovery address");
    state.recovery.ended.notify_one();
    Ok(answer)
}

/// No name leads a browser here that is an address.
fn is_address(host: &str) -> bool {
    host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok()
}

async fn not_found() -> Result<HttpResponse, Failure> {
    Err(Failure::text(StatusCode::NOT_FOUND, "not found"))
}
