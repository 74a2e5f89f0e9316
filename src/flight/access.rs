//! Who is served: the rule of the HTTP API, told as a gRPC status.

use super::{Messages, Peer};
use crate::edge::access::{base64_decode, is_this_machine};
use crate::edge::state::ServerState;
use arrow_flight::{HandshakeRequest, HandshakeResponse};
use futures::StreamExt;
use futures::stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

const AUTHORIZATION: &str = "authorization";

/// Refuses a call that may not come in.
///
/// # Errors
/// `UNAUTHENTICATED` then.
pub(super) fn check<T>(state: &ServerState, request: &Request<T>) -> Result<(), Status> {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.0);
    let has_header = |name: &str| request.metadata().contains_key(name);
    if state.without_auth || is_this_machine(peer.map(|peer| peer.ip()), has_header) {
        return Ok(());
    }
    Err(Status::unauthenticated("Unauthenticated"))
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
        response.metadata_mut().insert(AUTHORIZATION, value);
    }
    Ok(response)
}

/// The token that the client has, however it says so.
fn token(metadata: &MetadataMap) -> Option<String> {
    let (scheme, credentials) = metadata.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match scheme {
        "Bearer" | "Token" => Some(credentials.to_owned()),
        "Basic" => {
            let pair = String::from_utf8(base64_decode(credentials)?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_token() {
        let check = |value: &str, expected: Option<&str>| {
            let mut metadata = MetadataMap::new();
            metadata.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(token(&metadata).as_deref(), expected, "{value}");
        };
        check("Bearer T", Some("T"));
        check("Token T", Some("T"));
        check("Basic dXNlcjp0b2tlbg==", Some("token"));
        check("Basic !", None);
        check("Digest T", None);
        check("T", None);
    }
}
