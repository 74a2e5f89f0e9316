//! Who is served: the rules of the HTTP API, told as a gRPC status. Every call is checked before it
//! is given to its service.

use super::{Messages, Peer};
use crate::edge::access::{Brought, FORWARDING_HEADERS, Refusal, is_cross_site};
use crate::edge::state::ServerState;
use arrow_flight::{HandshakeRequest, HandshakeResponse};
use futures::StreamExt;
use futures::stream;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{Extensions, HeaderMap, HeaderName};
use protocols::access::credentials::Credential;
use protocols::access::rights::SystemResource;
use protocols::principal::{Action, Origin, Principal};
use protocols::trace_id::TraceId;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

/// Lets a call in, as somebody: the principal is among its extensions from then on.
///
/// # Errors
/// `UNAUTHENTICATED` or `PERMISSION_DENIED` when it may not come in.
pub(super) async fn admit<B>(
    state: &ServerState,
    request: &mut http::Request<B>,
    looks_at: Option<SystemResource>,
) -> Result<(), Status> {
    let headers = request.headers();
    let host = header(headers, &HOST).or_else(|| request.uri().authority().map(|a| a.as_str()));
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
    let origin = origin(headers, &peer);
    let path = request.uri().path().to_owned();
    let brought = Brought {
        peer: peer.address.map(|peer| peer.ip()),
        is_forwarded: FORWARDING_HEADERS.iter().any(|name| headers.contains_key(*name)),
        authorization: headers.get(AUTHORIZATION).map(|value| value.as_bytes()),
        origin: header(headers, &ORIGIN),
        host,
        is_cross_site: is_cross_site(|name| headers.get(name)?.to_str().ok()),
        certificate: peer.certificate.map(|certificate| certificate.0),
        session: None,
        is_unproven_change: false,
        parameter: None,
    };
    let principal = match looks_at.filter(|what| state.access.exempt.contains(what)) {
        Some(_) => Principal::Nobody,
        None => match state.principal(&brought) {
            Ok(principal) => principal,
            Err(refusal) => {
                state.audit_refused((&Principal::Nobody, origin), path, refusal.reason());
                tokio::time::sleep(state.delay_of(refusal, &brought)).await;
                return Err(told(refusal));
            }
        },
    };
    if let (Some(what), false) = (looks_at, principal == Principal::Nobody) {
        let allowed = state.authorize(&principal, Action::System(what));
        allowed.map_err(|denied| {
            state.audit_refused((&principal, origin.clone()), path, &denied.to_string());
            Status::permission_denied(denied.to_string())
        })?;
    }
    request.extensions_mut().insert(principal);
    request.extensions_mut().insert(origin);
    Ok(())
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn told(refusal: Refusal) -> Status {
    match refusal {
        Refusal::NotAuthenticated | Refusal::Malformed => {
            Status::unauthenticated("Unauthenticated")
        }
        Refusal::Foreign => Status::permission_denied("the call was sent by a foreign page"),
    }
}

fn origin(headers: &HeaderMap, peer: &Peer) -> Origin {
    let trace_id = TraceId::from_headers(|name| headers.get(name)?.to_str().ok());
    Origin { peer: peer.address, trace_id }
}

/// Where a call came from.
pub(super) fn origin_of(extensions: &Extensions) -> Origin {
    extensions.get::<Origin>().cloned().unwrap_or_default()
}

/// On whose behalf a call is answered. Nobody may do nothing, should it not have been checked.
pub(super) fn principal(extensions: &Extensions) -> Principal {
    extensions.get::<Principal>().cloned().unwrap_or_default()
}

/// Echoes what the client sends, and tells it the header that its calls are to carry: clients that
/// know a user and a password use the password as token.
pub(super) async fn handshake(
    request: Request<Streaming<HandshakeRequest>>,
) -> Result<Response<Messages<HandshakeResponse>>, Status> {
    let token = token(request.metadata());
    let first = request.into_inner().message().await?;
    let (protocol_version, payload) =
        first.map(|first| (first.protocol_version, first.payload)).unwrap_or_default();
    let answer = HandshakeResponse { protocol_version, payload };
    let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
    if let Some(value) = token.and_then(|token| format!("Bearer {token}").parse().ok()) {
        response.metadata_mut().insert(AUTHORIZATION.as_str(), value);
    }
    Ok(response)
}

/// The token that the client has, however it says so.
fn token(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get(AUTHORIZATION.as_str())?;
    match Credential::of_header(Some(value.as_bytes())) {
        Credential::Token(token) => Some(token.into_owned()),
        Credential::Missing | Credential::Malformed => None,
    }
}
