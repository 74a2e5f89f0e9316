//! The outermost layer: request ids, headers that every answer carries, metrics, and the log of
//! failed requests.

use super::access;
use super::exchange::{Exchange, OTHER};
use super::failure::FailureText;
use crate::edge::state::ServerState;
use crate::version::COMPAT_VERSION;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use bytes::Bytes;
use protocols::principal::Principal;
use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tracing::Instrument;
use uuid::Uuid;

/// Clients of version 1 read from any answer what they talk to.
const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const CLUSTER_UUID: HeaderName = HeaderName::from_static("cluster-uuid");

/// Identity of one request, for its log lines and for `/ping`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId(pub(super) Uuid);

/// The path of its route, as the route table has it; left in a request for the metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routed(pub(super) &'static str);

/// See the module's page.
pub(super) async fn observe<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Observed>, Error> {
    let id = RequestId(Uuid::now_v7());
    req.extensions_mut().insert(id);
    let mut exchange = Exchange::begin(req.method());
    let state = req.app_data::<web::Data<ServerState>>().cloned();
    let cluster = state.as_ref().and_then(|state| {
        let mut text = Uuid::encode_buffer();
        let uuid = state.snapshot.peek().uuid;
        HeaderValue::from_str(uuid.hyphenated().encode_lower(&mut text)).ok()
    });
    let origin = state
        .as_ref()
        .and_then(|state| state.allowed_origin(header(req.headers(), ORIGIN.as_str())))
        .and_then(|origin| HeaderValue::from_str(origin).ok());
    let span = tracing::error_span!("request", id = %id.0);
    let mut response = next.call(req).instrument(span.clone()).await?;

    let status = response.status();
    exchange.status = Some(status);
    let routed = response.request().extensions().get::<Routed>().map(|routed| routed.0);
    exchange.path = routed.unwrap_or(OTHER);
    if let Some(state) = &state {
        audit_refusal(state, &response);
        log_failure(&span, &response, state);
    }
    let headers = response.headers_mut();
    if let Some(value) = cluster {
        headers.insert(CLUSTER_UUID, value);
    }
    headers.insert(VERSION, HeaderValue::from_static(COMPAT_VERSION));
    headers.insert(BUILD, HeaderValue::from_static("Core"));
    if let Some(origin) = origin.filter(|_| !status.is_client_error() && !status.is_server_error())
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    Ok(response.map_body(|_, body| {
        let body = body.boxed();
        exchange.expect(body.size());
        Observed { body, exchange }
    }))
}

/// The body of an answer, counted on its way out.
pub(super) struct Observed {
    body: BoxBody,
    exchange: Exchange,
}

impl MessageBody for Observed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = ready!(Pin::new(&mut self.body).poll_next(cx));
        match &piece {
            None => self.exchange.is_complete = true,
            Some(Ok(bytes)) => self.exchange.body_bytes += bytes.len() as u64,
            Some(Err(error)) => tracing::warn!(
                %error,
                method = %self.exchange.method,
                path = %self.exchange.path,
                "Error while sending an answer, the connection is cut"
            ),
        }
        Poll::Ready(piece)
    }
}

/// Tells of a failed request: neither its query string nor its headers, which may hold
/// credentials. Only what is this server's fault is an error. Of many that are turned away, not
/// each is told.
fn log_failure<B>(span: &tracing::Span, response: &ServiceResponse<B>, state: &ServerState) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let is_turned_away = is_refusal(status) || status == StatusCode::TOO_MANY_REQUESTS;
    if is_turned_away && !state.refusals.is_told_alone() {
        return;
    }
    let req = response.request();
    let extensions = response.response().extensions();
    let error = extensions.get::<FailureText>().map_or(status.as_str(), |text| &text.0);
    // What is wrong with a statement is told with parts of it.
    let is_hidden = state.redacts && is_about_statement(req.path()) && !is_refusal(status);
    let error = if is_hidden { "hidden (--query-log-redact)" } else { error };
    macro_rules! told {
        ($log:ident) => {
            tracing::$log!(
                parent: span,
                error,
                method = %req.method(),
                path = req.path(),
                content_length = header(req.headers(), CONTENT_LENGTH.as_str()),
                database = database(req.query_string()).as_deref(),
                client_ip = client_ip(req).as_deref(),
                "Error while handling request"
            )
        };
    }
    match status {
        StatusCode::SERVICE_UNAVAILABLE => told!(warn),
        status if status.is_server_error() => told!(error),
        _ => told!(info),
    }
}

/// Tells the audit log of whoever was not let in, or may not do what they want to.
fn audit_refusal<B>(state: &ServerState, response: &ServiceResponse<B>) {
    if !is_refusal(response.status()) {
        return;
    }
    let req = response.request();
    let extensions = response.response().extensions();
    let reason = extensions.get::<FailureText>().map_or("", |text| &text.0);
    let principal = req.extensions().get::<Principal>().cloned().unwrap_or_default();
    let object = match database(req.query_string()) {
        Some(db) => format!("{} {} db={db}", req.method(), req.path()),
        None => format!("{} {}", req.method(), req.path()),
    };
    state.audit_refused((&principal, access::origin(req)), object, reason);
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn is_about_statement(path: &str) -> bool {
    path == "/query" || path.starts_with("/api/v3/query_")
}

/// The `db` parameter.
fn database(query: &str) -> Option<Cow<'_, str>> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "db").map(|(_, db)| db)
}

/// The client as its proxy names it, else the other end of the connection.
fn client_ip(req: &HttpRequest) -> Option<Cow<'_, str>> {
    let forwarded = header(req.headers(), "x-forwarded-for")
        .and_then(|list| list.split(',').next())
        .map(str::trim)
        .filter(|ip| !ip.is_empty());
    match forwarded.or_else(|| header(req.headers(), "x-real-ip")) {
        Some(ip) => Some(Cow::Borrowed(ip)),
        None => req.peer_addr().map(|peer| Cow::Owned(peer.ip().to_string())),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_client_behind_a_proxy() {
        let req = |headers: &[(&'static str, &'static str)]| {
            let mut req = TestRequest::default().peer_addr("10.0.0.1:7".parse().unwrap());
            for header in headers {
                req = req.insert_header(*header);
            }
            client_ip(&req.to_http_request()).map(Cow::into_owned)
        };
        assert_eq!(req(&[]).as_deref(), Some("10.0.0.1"));
        assert_eq!(req(&[("x-real-ip", "1.2.3.4")]).as_deref(), Some("1.2.3.4"));
        let both = [("x-real-ip", "1.2.3.4"), ("x-forwarded-for", "5.6.7.8, 9.9.9.9")];
        assert_eq!(req(&both).as_deref(), Some("5.6.7.8"));
    }

    #[test]
    fn the_database_of_a_query_string() {
        assert_eq!(database("p=secret&db=a+b%2Fc").as_deref(), Some("a b/c"));
        assert_eq!(database("p=secret"), None);
    }
}
