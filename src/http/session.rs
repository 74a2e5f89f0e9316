//! `/api/v3/session`: from a token to a cookie, for pages in browsers.

use super::access::Who;
use super::failure::Failure;
use crate::edge::sessions::LIFETIME;
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::access::credentials::COOKIE;
use std::sync::Arc;

/// Begins a session of whoever has the token of this request.
pub(super) async fn begin(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    // No session begins with another, or it would have no end.
    let Some(token) = who.0.token().filter(|_| req.headers().contains_key(AUTHORIZATION)) else {
        let text = "a session begins with a token in the header Authorization";
        return Err(Failure::bad_request(text));
    };
    let text = state.access.sessions.begin(Arc::clone(token)).map_err(|error| {
        let text = format!("the system gives no random numbers: {error}");
        Failure::text(StatusCode::INTERNAL_SERVER_ERROR, text)
    })?;
    state.audit_done((&who.0, who.1.clone()), "begin_session", token.name.as_ref());
    let cookie = cookie(&state, &text, LIFETIME.as_secs());
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, cookie)).finish())
}

/// Ends it.
pub(super) async fn end(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    if let Some(text) = super::access::session(&req) {
        state.access.sessions.end(text);
        state.audit_done((&who.0, who.1.clone()), "end_session", who.0.name());
    }
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, cookie(&state, "", 0))).finish())
}

fn cookie(state: &ServerState, text: &str, seconds: u64) -> String {
    let secure = if state.access.is_encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={text}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}
