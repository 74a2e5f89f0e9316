//! Connections that speak HTTP/2: gRPC calls go to their services, everything else to the HTTP application.

use super::App;
use super::forward::{self, ApiBody};
use super::io::Io;
use crate::flight::{GrpcServices, Peer};
use actix_server::GracefulShutdownSignal;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// A connection is asked this often whether somebody is still there,
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// and given up when nobody answers for this long.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes that a client may send ahead, for one request and for all of a connection: line protocol
/// comes in bodies of megabytes.
const REQUEST_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes of an answer that wait for the client to take them.
const SEND_BUFFER_BYTES: usize = 1024 * 1024;
/// Largest headers of a request.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// Requests that one connection may have open.
const STREAMS_MAX: u32 = 256;

/// Tells requests of a connection apart.
#[derive(Clone)]
pub(super) struct Router {
    app: App,
    grpc: GrpcServices,
    peer: Peer,
}

/// Serves a connection to its end. Once the server stops no more requests are taken from it.
pub(super) async fn serve(io: Io, router: Router, closing: &GracefulShutdownSignal) {
    let peer = router.peer.address;
    let service = service_fn(move |request| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.answer(request).await) }
    });
    let connection = Builder::new(ThisThread)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(REQUEST_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.notified() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?peer, %error, "an HTTP/2 connection ended with an error");
    }
}

impl Router {
    pub(super) fn new(app: App, grpc: GrpcServices, peer: Peer) -> Self {
        Self { app, grpc, peer }
    }

    async fn answer(self, mut request: http::Request<Incoming>) -> http::Response<AnyBody> {
        if GrpcServices::have(request.uri().path()) {
            request.extensions_mut().insert(self.peer);
            return self.grpc.call(request).await.map(AnyBody::Grpc);
        }
        let is_grpc = |value: &http::HeaderValue| value.as_bytes().starts_with(GRPC.as_bytes());
        if request.headers().get(CONTENT_TYPE).is_some_and(is_grpc) {
            return tonic::Status::unimplemented("no such service").into_http();
        }
        forward::call(&self.app, request, &self.peer).await.map(AnyBody::Api)
    }
}

const GRPC: &str = "application/grpc";

/// Runs the tasks of a connection on the thread that serves it: the application cannot leave it.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F> Executor<F> for ThisThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        drop(actix_rt::spawn(task));
    }
}

/// The body of an answer.
pub(super) enum AnyBody {
    Api(ApiBody),
    Grpc(tonic::body::Body),
}

/// Of a refused gRPC call.
impl Default for AnyBody {
    fn default() -> Self {
        Self::Grpc(tonic::body::Body::empty())
    }
}

impl Body for AnyBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Api(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Grpc(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Api(body) => body.is_end_stream(),
            Self::Grpc(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Api(body) => body.size_hint(),
            Self::Grpc(body) => body.size_hint(),
        }
    }
}
