//! The health service of gRPC, for load balancers that know nothing else. `tonic-health` answers
//! from what it was told last; here the server is looked at when it is asked for.

use super::{Messages, access};
use crate::edge::state::ServerState;
use crate::http::health::is_ready;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use http_body::Body;
use prost::Message;
use protocols::access::rights::SystemResource;
use protocols::flight::health::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use protocols::principal::Principal;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};

/// What the paths of all its calls begin with.
pub(super) const PATH: &str = "/grpc.health.v1.Health/";
/// Services that can be asked about; the empty name is the whole server.
const SERVICES: [&str; 2] = ["", "arrow.flight.protocol.FlightService"];
/// How often it is looked whether whoever watches still may.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Limit: bytes of a request, which holds a name.
const REQUEST_BYTES_MAX: usize = 4096;

/// Answers one call.
pub(super) async fn call<B>(
    state: Arc<ServerState>,
    request: http::Request<B>,
) -> http::Response<tonic::body::Body>
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let codec = ProtobufCodec::<HealthCheckResponse, HealthCheckRequest>(PhantomData);
    let mut grpc = Grpc::new(codec).max_decoding_message_size(REQUEST_BYTES_MAX);
    match request.uri().path().strip_prefix(PATH) {
        Some("Check") => grpc.unary(Check(state), request).await,
        Some("Watch") => grpc.server_streaming(Watch(state), request).await,
        _ => Status::unimplemented("no such method").into_http(),
    }
}

/// The state at this moment.
struct Check(Arc<ServerState>);

impl UnaryService<HealthCheckRequest> for Check {
    type Response = HealthCheckResponse;
    type Future = BoxFuture<'static, Result<Response<HealthCheckResponse>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let state = Arc::clone(&self.0);
        async move {
            match status(&state, &request.get_ref().service) {
                ServingStatus::ServiceUnknown => Err(Status::not_found("unknown service")),
                status => Ok(Response::new(status.into())),
            }
        }
        .boxed()
    }
}

/// The state at this moment, and the end of it: a server that cannot go on ends, so there is
/// nothing between.
struct Watch(Arc<ServerState>);

impl ServerStreamingService<HealthCheckRequest> for Watch {
    type Response = HealthCheckResponse;
    type ResponseStream = Messages<HealthCheckResponse>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let state = Arc::clone(&self.0);
        let principal = access::principal(request.extensions());
        async move {
            let first = status(&state, &request.get_ref().service);
            let last = match first {
                ServingStatus::ServiceUnknown => first,
                _ => ServingStatus::NotServing,
            };
            let mut stopping = state.stopping.clone();
            // The stream ends then, because an orderly stop waits for open calls.
            let stopped = async move {
                tokio::select! {
                    _ = stopping.wait_for(|stopping| *stopping) => Ok(last.into()),
                    () = until_refused(&state, &principal) => {
                        Err(Status::unauthenticated("the token was deleted or has expired"))
                    }
                }
            };
            let states = stream::iter([Ok(first.into())]).chain(stream::once(stopped));
            Ok(Response::new(states.boxed()))
        }
        .boxed()
    }
}

/// Resolves when whoever watches would not be let in any more.
async fn until_refused(state: &ServerState, principal: &Principal) {
    while state.still_lets_in(principal, SystemResource::Health) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn status(state: &ServerState, service: &str) -> ServingStatus {
    if !SERVICES.contains(&service) {
        return ServingStatus::ServiceUnknown;
    }
    match is_ready(state) {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    }
}

/// Sends messages of one kind and takes those of another.
struct ProtobufCodec<E, D>(PhantomData<fn() -> (E, D)>);

impl<E, D> Codec for ProtobufCodec<E, D>
where
    E: Message + 'static,
    D: Message + Default + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProtobufCodec<E, D>;
    type Decoder = ProtobufCodec<E, D>;

    fn encoder(&mut self) -> Self::Encoder {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self(PhantomData)
    }
}

impl<E: Message, D> Encoder for ProtobufCodec<E, D> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, bytes: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(bytes).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<E, D: Message + Default> Decoder for ProtobufCodec<E, D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let decoded = D::decode(bytes);
        decoded.map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}
