//! Who is served: the rule of the HTTP API, told as a gRPC status.

use super::{Messages, Peer};
use crate::edge::access::is_this_machine;
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
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => credentials.trim().to_owned(),
        "basic" => {
            let pair = String::from_utf8(base64_decode(credentials)?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())?
        }
        _ => return None,
    };
    (!token.is_empty()).then_some(token)
}

/// Standard base64 with its padding.
fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let data = text.trim_end_matches('=');
    let padding = text.len() - data.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(data.len() * 3 / 4);
    let mut bits = 0_u32;
    let mut bit_count = 0;
    for c in data.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count & 0xff) as u8);
        }
    }
    Some(bytes)
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
        check("bearer T", Some("T"));
        check("TOKEN T", Some("T"));
        check("Basic dXNlcjp0b2tlbg==", Some("token"));
        check("Bearer ", None);
        check("Token", None);
        check("Basic Og==", None); // :
        check("Basic ", None);
        check("Basic !", None);
        check("Digest T", None);
        check("T", None);
    }

    #[test]
    fn base64_of_each_length() {
        for (text, bytes) in [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc")] {
            assert_eq!(base64_decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64_decode("YQ="), None);
        assert_eq!(base64_decode("Y==="), None);
    }
}
