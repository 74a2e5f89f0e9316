//! One port for HTTP/1.1, HTTP/2 and gRPC, with or without TLS.
//!
//! Every worker thread has one instance of the HTTP application. A connection is looked at once:
//! if it begins with the preface of HTTP/2 it is served by `http2`, which tells gRPC calls from
//! requests to the same application; everything else is HTTP/1.1. A connection stays on the thread
//! that accepted it.

mod forward;
mod http2;
mod io;
pub mod tls;

use self::io::{Io, Protocol};
use self::tls::Tls;
use crate::edge::state::ServerState;
use crate::flight::{GrpcServices, Peer};
use crate::http;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::boxed::{self, RcService};
use actix_service::{Service, ServiceExt, ServiceFactory, fn_factory, fn_service, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::AppConfig;
use actix_web::web;
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A client has this long to agree on encryption and to send its first bytes, and again this long
/// for its request line and headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is kept for this long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Everything.
    Everything,
    /// The replacement of the operator's token.
    Recovery,
}

/// How the port is served.
#[derive(Clone)]
pub struct PortOptions {
    /// What it is for.
    pub purpose: Purpose,
    /// Threads that serve connections.
    pub workers: usize,
    /// How long open requests may take once the server is told to stop.
    pub shutdown_timeout: Duration,
    /// Encryption, if there is to be any.
    pub tls: Option<Arc<Tls>>,
}

/// Serves connections of `listener` until the server is stopped by its handle.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    state: web::Data<ServerState>,
    options: PortOptions,
) -> std::io::Result<Server> {
    let builder = Server::build();
    let closing = builder.graceful_shutdown_signal();
    let workers = options.workers;
    let shutdown_timeout = options.shutdown_timeout.as_secs();
    let factory = move || {
        let (state, options, closing) = (state.clone(), options.clone(), closing.clone());
        fn_factory(move || {
            let (state, options, closing) = (state.clone(), options.clone(), closing.clone());
            async move {
                let worker = worker(state, options, closing).await?;
                Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                    let worker = Rc::clone(&worker);
                    async move {
                        worker.connection(tcp).await;
                        Ok::<(), ()>(())
                    }
                }))
            }
        })
    };
    let builder = builder.workers(workers).shutdown_timeout(shutdown_timeout).disable_signals();
    Ok(builder.listen("port", listener, factory)?.run())
}

/// The HTTP application of a thread.
type App = RcService<Request, Response<BoxBody>, actix_web::Error>;

/// What one thread serves its connections with.
struct Worker {
    purpose: Purpose,
    http1: RcService<(Io, Option<SocketAddr>), (), DispatchError>,
    app: App,
    grpc: GrpcServices,
    tls: Option<Arc<Tls>>,
    closing: GracefulShutdownSignal,
}

/// A worker whose HTTP/1.1 and HTTP/2 sides share one application.
async fn worker(
    state: web::Data<ServerState>,
    PortOptions { purpose, tls, .. }: PortOptions,
    closing: GracefulShutdownSignal,
) -> Result<Rc<Worker>, ()> {
    let grpc = GrpcServices::new(state.clone().into_inner());
    let app: App = match purpose {
        Purpose::Everything => {
            let app = map_config(http::app(state), |()| AppConfig::default());
            let app = app.new_service(()).await?;
            boxed::rc_service(app.map(|answer| Response::from(answer).map_into_boxed_body()))
        }
        Purpose::Recovery => {
            let app = map_config(http::recovery::app(state), |()| AppConfig::default());
            let app = app.new_service(()).await?;
            boxed::rc_service(app.map(|answer| Response::from(answer).map_into_boxed_body()))
        }
    };
    let (shared, signal) = (App::clone(&app), closing.clone());
    let http1 = HttpService::<Io, _, BoxBody>::build()
        .graceful_shutdown_signal(move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        })
        .client_request_timeout(HEADERS_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .on_connect_ext(|io: &Io, connection| {
            if let Some(certificate) = io.certificate() {
                connection.insert(certificate.clone());
            }
        })
        // A client that closes its connection has given up: its query stops.
        .h1_allow_half_closed(false)
        .h1::<_, BoxBody>(fn_factory(move || ready(Ok::<_, ()>(App::clone(&shared)))))
        .new_service(())
        .await?;
    Ok(Rc::new(Worker { purpose, http1: boxed::rc_service(http1), app, grpc, tls, closing }))
}

impl Worker {
    /// Serves one connection to its end.
    async fn connection(&self, tcp: TcpStream) {
        let peer = tcp.peer_addr().ok();
        let opened = tokio::time::timeout(HEADERS_TIMEOUT, io::open(tcp, self.tls.as_deref()));
        match opened.await {
            Ok(Ok((io, Protocol::Http1))) => {
                if self.http1.call((io, peer)).await.is_err() {
                    tracing::debug!(?peer, "an HTTP/1.1 connection ended with an error");
                }
            }
            Ok(Ok((_, Protocol::Http2))) if self.purpose == Purpose::Recovery => {
                tracing::debug!(?peer, "the recovery address speaks HTTP/1.1 only");
            }
            Ok(Ok((io, Protocol::Http2))) => {
                let peer = Peer { address: peer, certificate: io.certificate().cloned() };
                let router = http2::Router::new(App::clone(&self.app), self.grpc.clone(), peer);
                http2::serve(io, router, &self.closing).await;
            }
            Ok(Err(error)) => tracing::debug!(?peer, %error, "a connection was not opened"),
            Err(_) => tracing::debug!(?peer, "a connection said nothing in time"),
        }
    }
}
