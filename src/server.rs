//! The running server: from options to the last acknowledged write.

use crate::boot::{self, Booted};
use crate::cli::serve::ServeArgs;
use crate::config::{Config, memory};
use crate::port::tls::Tls;
use crate::port::{self, PortOptions, Purpose};
use crate::{http, logging, version};
use actix_server::ServerHandle;
use actors::runtime::fatal::FatalReason;
use anyhow::Context;
use protocols::access::tokens::OPERATOR;
use protocols::catalog::CatalogSnapshot;
use protocols::principal::{Origin, Principal};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Exit code after a second signal, as shells know it from an interrupted program.
const EXIT_INTERRUPTED: u8 = 130;

/// Runs the server until a signal or a fatal fault ends it.
///
/// # Errors
/// When it cannot start; the text says why.
pub fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::new(args)?;
    logging::start(&args.log)?;
    boot::memory::refuse_huge_pages();
    boot::memory::give_back_soon(memory::available_bytes());
    boot::make_private();
    actix_rt::System::new().block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<ExitCode> {
    tracing::info!(
        node_id = config.server.node_id,
        version = version::COMPAT_VERSION,
        revision = version::REVISION,
        cores = config.server.io_threads,
        product = "influxdb3, compatible with InfluxDB 3 Core",
        "server starting"
    );
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    // Taken before the log is: a second start on the same port must not disturb the first.
    let socket = reserve(config.http_bind)?;
    let metrics = http::metrics::install()?;
    let booted = boot::boot(&config, metrics).await?;
    http::metrics::record_start(booted.state.process_id, booted.state.clock.now_ns());
    let listener = listen(socket, config.http_bind, config.listener_file.as_deref())?;
    let address = listener.local_addr()?;

    let options = PortOptions {
        purpose: Purpose::Everything,
        workers: config.server.io_threads,
        shutdown_timeout: config.shutdown_timeout,
        tls: tls.clone(),
    };
    serve_recovery(&config, &booted, options.clone())?;
    let catalog = booted.state.snapshot.load();
    let server = port::serve(listener, booted.state.clone(), options)?;
    let handle = server.handle();
    let http = actix_rt::spawn(server);
    announce(&config, &catalog, address);
    #[cfg(unix)]
    let _reloading = tls.map(|tls| reload_on_hangup(tls, &booted)).transpose()?; // ends with the process

    let mut signals = Signals::new()?;
    let fatal = booted.fatal.clone();
    tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            tokio::select! {
                code = stop(booted, handle, config.shutdown_timeout) => Ok(code),
                _ = signals.next() => {
                    tracing::warn!("stopping at once after a second signal");
                    std::process::exit(i32::from(EXIT_INTERRUPTED));
                }
            }
        }
        reason = fatal.raised() => Ok(abandon(booted, handle, &reason).await),
        ended = http => {
            ended?.context("the HTTP server ended")?;
            anyhow::bail!("the HTTP server ended by itself")
        }
    }
}

/// Binds the address without listening yet, so that nobody connects before the server is ready.
fn reserve(address: SocketAddr) -> anyhow::Result<tokio::net::TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    let bound = socket.bind(address);
    bound.with_context(|| format!("Failed to bind address {address}"))?;
    Ok(socket)
}

/// Serves the address where an operator without a token gets a new one, until that has happened.
fn serve_recovery(config: &Config, booted: &Booted, options: PortOptions) -> anyhow::Result<()> {
    let Some(bind) = config.access.recovery_bind else { return Ok(()) };
    let file = config.access.recovery_listener_file.as_deref();
    let listener = listen(reserve(bind)?, bind, file)?;
    tracing::warn!(
        address = %listener.local_addr()?,
        "whoever reaches the recovery address can replace the operator's token, once"
    );
    let options = PortOptions { purpose: Purpose::Recovery, workers: 1, ..options };
    let server = port::serve(listener, booted.state.clone(), options)?;
    let (handle, ended) = (server.handle(), Arc::clone(&booted.state.recovery.ended));
    drop(actix_rt::spawn(server)); // ends with the process
    drop(actix_rt::spawn(async move {
        ended.notified().await;
        handle.stop(true).await;
    }));
    Ok(())
}

fn listen(
    socket: tokio::net::TcpSocket,
    bind: SocketAddr,
    file: Option<&std::path::Path>,
) -> anyhow::Result<TcpListener> {
    let listener = socket
        .listen(BACKLOG)
        .and_then(tokio::net::TcpListener::into_std)
        .with_context(|| format!("Failed to bind address {bind}"))?;
    if let Some(path) = file {
        let address = listener.local_addr()?.to_string();
        let context = || format!("cannot write the listener's address to {}", path.display());
        // Readers wait for the file, so it must be complete when it appears.
        anyhow::ensure!(!path.exists(), "{}: it exists", context());
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, address).with_context(context)?;
        std::fs::rename(&temporary, path).with_context(context)?;
    }
    Ok(listener)
}

/// Reads the certificate again whenever the process gets SIGHUP.
#[cfg(unix)]
fn reload_on_hangup(
    tls: Arc<Tls>,
    booted: &Booted,
) -> anyhow::Result<actix_rt::task::JoinHandle<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    let state = booted.state.clone();
    Ok(actix_rt::spawn(async move {
        while hangups.recv().await.is_some() {
            match tls.reload() {
                Ok(()) => {
                    tracing::info!("TLS certificate loaded again");
                    let who = (&Principal::Server, Origin::default());
                    state.audit_done(who, "reload_certificates", "tls");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "TLS certificate not loaded again, the former one stays in use"
                ),
            }
        }
    }))
}

/// Tells a newcomer where data goes and how to go on.
fn announce(config: &Config, catalog: &CatalogSnapshot, address: SocketAddr) {
    let data = config.storage.to_string();
    let host = match address.ip() {
        ip if ip.is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ => address.to_string(),
    };
    let tokens = &catalog.tokens;
    if config.access.without_auth {
        tracing::warn!("started without authentication: everybody who can connect may do anything");
    } else if !tokens.are_required() {
        tracing::info!(
            "only programs on this machine are answered, without a token; from the first token on \
             everybody has to have one: influxdb3 create token --admin"
        );
    } else if tokens.named(OPERATOR).is_none() {
        tracing::info!("the operator has no token yet: influxdb3 create token --admin");
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let host = format!("{scheme}://{host}");
    tracing::info!(%address, data, "server ready");
    tracing::info!("write: influxdb3 write -H {host} -d mydb 'home,room=Kitchen temp=21.5'");
    tracing::info!("query: influxdb3 query -H {host} -d mydb 'SELECT * FROM home'");
}

/// Ends everything in order: no new writes, the log, HTTP, the actors from the highest rank down.
async fn stop(booted: Booted, http: ServerHandle, timeout: Duration) -> ExitCode {
    let deadline = Instant::now() + timeout;
    booted.stopping.send_replace(true);
    let who = (&Principal::Server, Origin::default());
    booted.state.audit_done(who, "stop", "server");
    let clean = booted.server.drain(deadline).await;
    http.stop(true).await;
    booted.state.refusals.tell().await;
    booted.server.end(deadline).await;
    tracing::info!("stopped");
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ends the process because going on could lose data. Whoever waits gets an answer first.
async fn abandon(booted: Booted, http: ServerHandle, reason: &FatalReason) -> ExitCode {
    eprintln!("Serve command failed: {}", reason.reason);
    booted.stopping.send_replace(true);
    let answers = Duration::from_millis(500);
    if tokio::time::timeout(answers, http.stop(true)).await.is_err() {
        http.stop(false).await;
    }
    std::process::exit(reason.code)
}

/// The signals that end the server. They are handled explicitly, because the first process of a
/// container has no default handlers.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
