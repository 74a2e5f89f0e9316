//! Who is served: what each route needs, checked where the request was routed, so that no handler
//! is reached by another way.

use super::body::pass_over;
use super::failure::Failure;
use super::needs::Needs;
use crate::edge::access::{Brought, ClientCertificate, FORWARDING_HEADERS, Refusal, is_cross_site};
use crate::edge::quota::{CountedBody, InFlight, TooMuch};
use crate::edge::sessions::PROOF;
use crate::edge::state::ServerState;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use protocols::access::credentials::{MALFORMED, session_of_cookies};
use protocols::principal::{Action, Denied, Origin, Principal};
use protocols::trace_id::TraceId;
use std::future::{Ready, ready};
use std::sync::Arc;
use url::form_urlencoded;

const NOT_AUTHENTICATED: &str = r#"{"error": "the request was not authenticated"}"#;
const TOKENS_DISABLED: &str = r#"{"error": "endpoint disabled, started without auth"}"#;
const FOREIGN: &str = "refused because a page of another server may have sent it: it names such a \
                       page, which --cors-allowed-origins does not list, calls this server by a \
                       name that --allowed-hosts does not list, or changes something in a session \
                       without the header x-influxdb3-session";

/// As they are looked for here.
static FORWARDING: [HeaderName; 3] = [
    HeaderName::from_static(FORWARDING_HEADERS[0]),
    HeaderName::from_static(FORWARDING_HEADERS[1]),
    HeaderName::from_static(FORWARDING_HEADERS[2]),
];

/// Limit: bytes of a form that may hold the token by which it is let in.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// On whose behalf a handler works.
#[derive(Clone, Debug)]
pub(super) struct Who(pub(super) Principal, pub(super) Origin);

impl FromRequest for Who {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Nobody may do nothing, should a handler be reached without a check.
        let principal = req.extensions().get::<Principal>().cloned().unwrap_or_default();
        ready(Ok(Self(principal, origin(req))))
    }
}

/// Answers preflight requests.
pub(super) async fn answer_preflight<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if req.method() == Method::OPTIONS {
        let answer = preflight(&req);
        return Ok(req.into_response(answer).map_into_right_body());
    }
    Ok(next.call(req).await?.map_into_left_body())
}

/// What pages of other servers may do, as far as browsers are concerned.
fn preflight(req: &ServiceRequest) -> HttpResponse {
    let origin = header(req.request(), ORIGIN);
    let mut answer = HttpResponse::NoContent();
    if let Some(state) = state(req.request())
        && state.allowed_origin(origin).is_some()
    {
        // `*` does not stand for this one.
        let headers = "*, authorization";
        answer
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "*"))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "86400"));
    }
    answer.finish()
}

/// Lets a routed request in, as somebody, or not.
pub(super) async fn guard<B: MessageBody + 'static>(
    needs: Needs,
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let principal = match admit(req.request(), needs).await {
        Ok(principal) => principal,
        Err(failure) => return Ok(turn_away(req, failure).await),
    };
    let entered = match state(req.request()).map(|state| state.quota.enter(&principal)) {
        Some(Err(too_much)) => return Ok(turn_away(req, too_much.into()).await),
        Some(Ok(entered)) => entered,
        None => None,
    };
    req.extensions_mut().insert(principal);
    let response = next.call(req).await?.map_into_boxed_body();
    // A form says who sends it where it is read.
    let of_form = || response.request().extensions_mut().remove::<InFlight>();
    Ok(match entered.or_else(of_form) {
        Some(in_flight) => {
            response.map_body(|_, body| BoxBody::new(CountedBody::new(body, in_flight)))
        }
        None => response,
    })
}

/// Answers a request whose body nobody wants.
async fn turn_away(mut req: ServiceRequest, failure: Failure) -> ServiceResponse<BoxBody> {
    let body = req.take_payload();
    pass_over(req.request(), body).await;
    req.into_response(failure.error_response())
}

/// Who sends the request, if it is let in.
pub(super) async fn admit(req: &HttpRequest, needs: Needs) -> Result<Principal, Failure> {
    let Some(state) = state(req) else { return Err(failure(Refusal::NotAuthenticated)) };
    let path = req.path();
    let is_about_tokens = path.starts_with("/api/v3/configure/token")
        || path.starts_with("/api/v3/enterprise/configure/token");
    if state.access.without_auth && is_about_tokens {
        return Err(Failure::text(StatusCode::METHOD_NOT_ALLOWED, TOKENS_DISABLED));
    }
    let mut brought = brought(req);
    let action = match needs {
        Needs::FirstToken => return state.first_principal(&brought).map_err(failure),
        Needs::System(what) if state.access.exempt.contains(&what) => return Ok(Principal::Nobody),
        Needs::System(what) => Some(Action::System(what)),
        Needs::Admin => Some(Action::Administrate),
        Needs::Token => None,
        Needs::TokenOrParameter | Needs::TokenOrForm => {
            brought.parameter = parameter(req.query_string().as_bytes());
            None
        }
    };
    match state.principal(&brought) {
        Ok(principal) => match action {
            Some(action) => Ok(state.authorize(&principal, action).map(|()| principal)?),
            None => Ok(principal),
        },
        // The handler looks for the token where the request's body is read.
        Err(Refusal::NotAuthenticated)
            if needs == Needs::TokenOrForm
                && brought.parameter.is_none()
                && state.snapshot.load().tokens.are_required()
                && is_small_form(req) =>
        {
            Ok(Principal::Nobody)
        }
        Err(refusal) => Err(refused(state, refusal, &brought).await),
    }
}

/// Who sends a form: whoever sends its request, or has the token in it.
pub(super) async fn of_form(
    req: &HttpRequest,
    who: Principal,
    token: Option<&str>,
) -> Result<Principal, Failure> {
    if who != Principal::Nobody {
        return Ok(who);
    }
    let Some(state) = state(req) else { return Err(failure(Refusal::NotAuthenticated)) };
    let brought = Brought { parameter: token.map(str::to_owned), ..brought(req) };
    match state.principal(&brought) {
        Ok(principal) => {
            if let Some(in_flight) = state.quota.enter(&principal)? {
                req.extensions_mut().insert(in_flight);
            }
            req.extensions_mut().insert(principal.clone());
            Ok(principal)
        }
        Err(refusal) => Err(refused(state, refusal, &brought).await),
    }
}

async fn refused(state: &ServerState, refusal: Refusal, brought: &Brought<'_>) -> Failure {
    let delay = state.delay_of(refusal, brought);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    failure(refusal)
}

fn state(req: &HttpRequest) -> Option<&ServerState> {
    req.app_data::<web::Data<ServerState>>().map(|state| state.get_ref())
}

fn brought(req: &HttpRequest) -> Brought<'_> {
    Brought {
        peer: req.peer_addr().map(|peer| peer.ip()),
        is_forwarded: FORWARDING.iter().any(|name| req.headers().contains_key(name)),
        authorization: req.headers().get(AUTHORIZATION).map(|value| value.as_bytes()),
        origin: header(req, ORIGIN),
        host: header(req, HOST),
        is_cross_site: is_cross_site(|name| header(req, HeaderName::from_static(name))),
        certificate: certificate(req),
        session: session(req),
        is_unproven_change: !matches!(*req.method(), Method::GET | Method::HEAD)
            && !req.headers().contains_key(HeaderName::from_static(PROOF)),
        parameter: None,
    }
}

/// Where a request came from.
pub(super) fn origin(req: &HttpRequest) -> Origin {
    let value = |name| req.headers().get(HeaderName::from_static(name))?.to_str().ok();
    let trace_id = TraceId::from_headers(value);
    Origin { peer: req.peer_addr(), trace_id }
}

/// The certificate that the connection of a request was opened with.
fn certificate(req: &HttpRequest) -> Option<Arc<str>> {
    // HTTP/1.1 knows connections, what comes over HTTP/2 is told with each request.
    let of_connection = || req.conn_data::<ClientCertificate>().cloned();
    let found = req.extensions().get::<ClientCertificate>().cloned().or_else(of_connection);
    found.map(|certificate| certificate.0)
}

/// The text of the session that a browser sends with a request.
pub(super) fn session(req: &HttpRequest) -> Option<&str> {
    session_of_cookies(req.headers().get_all(COOKIE).filter_map(|cookies| cookies.to_str().ok()))
}

/// The token among parameters.
fn parameter(query: &[u8]) -> Option<String> {
    let found = form_urlencoded::parse(query).find(|(name, _)| name == "p");
    found.map(|(_, token)| token.into_owned()).filter(|token| !token.is_empty())
}

fn is_small_form(req: &HttpRequest) -> bool {
    let kind = header(req, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let is_form = kind.starts_with("application/x-www-form-urlencoded")
        || kind.starts_with("multipart/form-data");
    let length = header(req, CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    is_form && length.is_some_and(|length| length <= FORM_BYTES_MAX)
}

fn header(req: &HttpRequest, name: HeaderName) -> Option<&str> {
    // What is no text is no name that this server has.
    req.headers().get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn failure(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotAuthenticated => Failure::text(StatusCode::UNAUTHORIZED, NOT_AUTHENTICATED),
        Refusal::Malformed => Failure::text(StatusCode::BAD_REQUEST, MALFORMED),
        Refusal::Foreign => Failure::json(StatusCode::FORBIDDEN, FOREIGN),
    }
}

impl From<TooMuch> for Failure {
    fn from(too_much: TooMuch) -> Self {
        let failure = Self::json(StatusCode::TOO_MANY_REQUESTS, too_much.to_string());
        failure.after(too_much.after_seconds)
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::json(StatusCode::FORBIDDEN, denied.to_string())
    }
}
