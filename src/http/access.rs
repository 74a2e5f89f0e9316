//! Who is served. No tokens exist: only programs on this machine are, unless the server was
//! started without authentication. What a client says in `Authorization` is not looked at, because
//! many cannot leave that header out and say "none" in ways of their own.

use super::failure::Failure;
use crate::edge::access::is_this_machine;
use crate::edge::state::ServerState;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError, web};

const NOT_AUTHENTICATED: &str = r#"{"error": "the request was not authenticated"}"#;
const TOKENS_DISABLED: &str = r#"{"error": "endpoint disabled, started without auth"}"#;

/// Answers preflight requests and refuses those that may not come in.
pub(super) async fn check<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let answer = if req.method() == Method::OPTIONS {
        Some(preflight())
    } else {
        refusal(&req).map(|failure| failure.error_response())
    };
    match answer {
        Some(answer) => Ok(req.into_response(answer).map_into_right_body()),
        None => Ok(next.call(req).await?.map_into_left_body()),
    }
}

/// Any page of any origin may ask, as far as browsers are concerned.
fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "*"))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "*"))
        .insert_header((ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

fn refusal(req: &ServiceRequest) -> Option<Failure> {
    let open = req.app_data::<web::Data<ServerState>>().is_some_and(|state| state.without_auth);
    if open && req.path().starts_with("/api/v3/configure/token") {
        return Some(Failure::text(StatusCode::METHOD_NOT_ALLOWED, TOKENS_DISABLED));
    }
    if !open && !is_local(req) {
        return Some(Failure::text(StatusCode::UNAUTHORIZED, NOT_AUTHENTICATED));
    }
    None
}

fn is_local(req: &ServiceRequest) -> bool {
    let peer = req.peer_addr().map(|peer| peer.ip());
    is_this_machine(peer, |name| req.headers().contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_this_machine_is_local() {
        let check = |peer: &str, header: Option<&'static str>, expected: bool| {
            let mut req = TestRequest::default().peer_addr(peer.parse().unwrap());
            if let Some(header) = header {
                req = req.insert_header((header, "127.0.0.1"));
            }
            assert_eq!(is_local(&req.to_srv_request()), expected, "{peer} {header:?}");
        };
        check("127.0.0.1:5000", None, true);
        check("127.8.9.1:5000", None, true);
        check("[::1]:5000", None, true);
        check("[::ffff:127.0.0.1]:5000", None, true);
        check("192.168.0.7:5000", None, false);
        check("[2001:db8::1]:5000", None, false);
        for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
            check("127.0.0.1:5000", Some(header), false);
        }
        assert!(!is_local(&TestRequest::default().to_srv_request()));
    }
}
