//! The health service of gRPC, beside Flight on the same port. Its messages are so small that they
//! are written here as bytes.

use super::RUNTIME;
use crate::support::server::Server;
use reqwest::{Client, Response};

/// States of the protocol.
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;
const SERVICE_UNKNOWN: u8 = 3;

/// A gRPC message: no compression, its length, a request with one text.
fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([10, u8::try_from(service.len()).expect("short")]);
        message.extend(service.as_bytes());
    }
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0], length.as_slice(), &message].concat()
}

/// The same of an answer with one state.
fn state(state: u8) -> Vec<u8> {
    vec![0, 0, 0, 0, 2, 8, state]
}

async fn call(server: &Server, method: &str, service: &str) -> Response {
    let client = Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let url = format!("{}/grpc.health.v1.Health/{method}", server.client.base());
    let request = client.post(url).header("te", "trailers").body(request(service));
    request.header("content-type", "application/grpc").send().await.expect("an answer")
}

/// The code of a call that failed before it had an answer.
fn code(response: &Response) -> &str {
    response.headers().get("grpc-status").map_or("", |code| code.to_str().expect("text"))
}

#[test]
fn a_server_that_runs_is_serving() {
    let server = Server::memory();
    RUNTIME.block_on(async {
        for service in ["", "arrow.flight.protocol.FlightService"] {
            let answer = call(&server, "Check", service).await;
            assert_eq!(answer.headers()["content-type"], "application/grpc", "{service}");
            assert_eq!(answer.bytes().await.unwrap(), state(SERVING), "{service}");
        }
        // NOT_FOUND, UNIMPLEMENTED
        assert_eq!(code(&call(&server, "Check", "nope").await), "5");
        assert_eq!(code(&call(&server, "List", "").await), "12");
    });
}

#[test]
fn watchers_hear_of_the_end() {
    let mut server = Server::memory();
    RUNTIME.block_on(async {
        let mut known = call(&server, "Watch", "").await;
        let mut unknown = call(&server, "Watch", "nope").await;
        assert_eq!(known.chunk().await.unwrap().unwrap(), state(SERVING));
        assert_eq!(unknown.chunk().await.unwrap().unwrap(), state(SERVICE_UNKNOWN));
        server.signal("TERM");
        assert_eq!(known.chunk().await.unwrap().unwrap(), state(NOT_SERVING));
        assert_eq!(known.chunk().await.unwrap(), None);
    });
    assert!(server.wait().success(), "{}", server.log());
}
