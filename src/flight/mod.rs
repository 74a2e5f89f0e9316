//! Flight and Flight SQL: queries over gRPC. A call is decoded, sent to the `Query` actor, and its
//! rows are written as Arrow messages. Nothing is kept between calls. Beside them there is the
//! health service of gRPC.

mod access;
mod bind;
mod encode;
mod headers;
mod health;
mod metadata;
mod prepared;
mod query;
mod sql_info;
mod status;
mod wire_types;
mod xdbc;

use crate::edge::access::ClientCertificate;
use crate::edge::quota::CountedBody;
use crate::edge::state::ServerState;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use http_body::Body;
use protocols::access::rights::SystemResource;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::{Code, Request, Response, Status, Streaming};

/// What the paths of all Flight calls begin with.
const PATH: &str = "/arrow.flight.protocol.FlightService/";

/// Where a call came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// The other end of its connection.
    pub(crate) address: Option<SocketAddr>,
    /// What that has shown.
    pub(crate) certificate: Option<ClientCertificate>,
}

/// The services with their codecs, as a connection takes them.
#[derive(Clone)]
pub(crate) struct GrpcServices {
    flight: FlightServiceServer<Flight>,
    state: Arc<ServerState>,
}

/// The methods of Flight.
struct Flight {
    state: Arc<ServerState>,
}

impl GrpcServices {
    pub(crate) fn new(state: Arc<ServerState>) -> Self {
        let request_bytes_max = state.max_body_bytes;
        let flight = FlightServiceServer::new(Flight { state: Arc::clone(&state) })
            .max_decoding_message_size(request_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Gzip);
        Self { flight, state }
    }

    /// True if calls to this path are to be answered here.
    pub(crate) fn have(path: &str) -> bool {
        path.starts_with(PATH) || path.starts_with(health::PATH)
    }

    /// Answers one call.
    pub(crate) async fn call<B>(
        mut self,
        mut request: http::Request<B>,
    ) -> http::Response<tonic::body::Body>
    where
        B: Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let is_health = request.uri().path().starts_with(health::PATH);
        let looks_at = is_health.then_some(SystemResource::Health);
        if let Err(status) = access::admit(&self.state, &mut request, looks_at).await {
            return status.into_http();
        }
        let (principal, origin) =
            (access::principal(request.extensions()), access::origin_of(request.extensions()));
        let in_flight = match self.state.quota.enter(&principal) {
            Ok(in_flight) => in_flight,
            Err(too_much) => return Status::resource_exhausted(too_much.to_string()).into_http(),
        };
        let (state, path) = (Arc::clone(&self.state), request.uri().path().to_owned());
        let response = if is_health {
            health::call(self.state, request).await
        } else {
            headers::choose_compression(&mut request);
            match self.flight.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        // What fails before its first message is told in the headers.
        if let Some(status) = Status::from_header_map(response.headers())
            && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
        {
            state.audit_refused((&principal, origin), path, status.message());
        }
        match in_flight {
            Some(in_flight) => {
                response.map(|body| tonic::body::Body::new(CountedBody::new(body, in_flight)))
            }
            None => response,
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoExchangeStream = Messages<FlightData>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        query::read(&self.state, request).await.map(Response::new)
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        query::info(&self.state, request).await.map(Response::new)
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        prepared::act(&self.state, request).await.map(Response::new)
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        prepared::bind(&self.state, request).await.map(Response::new)
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Self::HandshakeStream> {
        access::handshake(request).await
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        Err(not_implemented("get_schema"))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        Err(not_implemented("list_flights"))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        Err(not_implemented("list_actions"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        Err(not_implemented("poll_flight_info"))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Answer<Self::DoExchangeStream> {
        Err(not_implemented("do_exchange"))
    }
}

fn not_implemented(method: &str) -> Status {
    Status::unimplemented(format!("Not yet implemented: {method}"))
}
