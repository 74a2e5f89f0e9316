//! Start-up: opens the store, starts the actors, and puts together what requests are answered with.

mod data_directory;
pub mod memory;
mod spill;
pub mod token_files;

pub use data_directory::make_private;

use crate::config::Config;
use crate::edge::access::Access;
use crate::edge::body_budget::BodyBudget;
use crate::edge::origins::Hosts;
use crate::edge::quota::Quota;
use crate::edge::refusals::Refusals;
use crate::edge::state::{Recovery, ServerState};
use crate::edge::write_counts::WriteCounts;
use actix_web::web;
use actors::runtime::clock::Clock;
use actors::runtime::fatal::Fatal;
use actors::server::Server;
use actors::storage::objects::Objects;
use actors::storage::objects::options::StoreOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use protocols::limits::ADMISSION_WAIT_MS_MAX;
use protocols::messages::audit::AuditEntry;
use protocols::principal::{Origin, Principal};
use spill::SpillDirectory;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// A running server, but for its sockets.
pub struct Booted {
    /// What HTTP handlers are given.
    pub state: web::Data<ServerState>,
    /// The actors.
    pub server: Server,
    /// Raised when the process has to end.
    pub fatal: Fatal,
    /// Set to true when the server begins to stop.
    pub stopping: watch::Sender<bool>,
    /// What queries cannot hold in memory; it goes with this.
    pub spilled: SpillDirectory,
}

/// Starts everything. Returns once the log was replayed and all is ready to serve.
///
/// # Errors
/// When the store cannot be opened, read or written, or holds damage that is to stop the start.
pub async fn boot(config: &Config, metrics: PrometheusHandle) -> anyhow::Result<Booted> {
    let fatal = Fatal::default();
    let clock = Clock::System;
    let objects = Objects::open(&StoreOptions {
        storage: config.storage.clone(),
        file_store_fsync: config.file_store_fsync,
        allow_unfenced: config.allow_unfenced,
        node: config.server.node_id.clone(),
    })
    .await?;
    data_directory::check(&config.storage);
    let spilled = SpillDirectory::prepare(config.server.query.spill.as_ref())?;
    let mut server = Server::start(&config.server, objects, clock.clone(), fatal.clone()).await?;
    let caches = server.start_caches(config.caches).await?;
    server.watch_queries();
    let downsamples = server.start_downsamples(config.server.write_window).await?;

    prepare_directory(config);
    let plugins = server.start_plugins(config.plugins.clone()).await?;

    let (stopping, on_stop) = watch::channel(false);
    let addresses = server.addresses.clone();
    let state = web::Data::new(ServerState {
        ingest: addresses.ingest,
        catalog: addresses.catalog,
        snapshot: addresses.snapshot,
        caches,
        downsamples,
        plugins,
        plugin_settings: config.plugin_settings.clone(),
        refusals: Refusals::new(addresses.audit.clone()),
        audit: addresses.audit,
        redacts: config.access.redacts,
        row_deleter: addresses.row_deleter,
        query: addresses.query,
        roster: addresses.roster,
        pulses: addresses.pulses,
        running_caches: addresses.running_caches,
        compact: addresses.compact,
        writes: WriteCounts::default(),
        metrics,
        max_body_bytes: config.body_bytes_max,
        bodies: BodyBudget::new(
            config.bodies_bytes_max,
            Duration::from_millis(ADMISSION_WAIT_MS_MAX),
        ),
        quota: Quota::new(config.access.token_limits),
        access: access(config),
        recovery: Recovery::default(),
        process_id: Uuid::new_v4(),
        clock,
        stopping: on_stop,
    });
    tell_of_start(&state, config);
    token_files::take_in(&state, &config.access).await?;
    Ok(Booted { state, server, fatal, stopping, spilled })
}

/// Tells the audit log what the server runs with. Secrets among the options are hidden.
fn tell_of_start(state: &ServerState, config: &Config) {
    let who = (&Principal::Server, Origin::default());
    let (now_ns, node) = (state.clock.now_ns(), config.server.node_id.as_str());
    let options = config.server.options.as_deref().unwrap_or_default();
    state.tell_audit(AuditEntry::new(now_ns, who, "start", node).with_detail(options));
}

/// How requests are let in.
fn access(config: &Config) -> Access {
    let bound = config.http_bind.ip();
    Access {
        without_auth: config.access.without_auth,
        exempt: config.access.exempt.clone(),
        hosts: Hosts {
            bound: (!bound.is_unspecified()).then_some(bound),
            allowed: config.access.allowed_hosts.clone(),
        },
        origins: config.access.origins.clone(),
        certificates_name_tokens: config.access.certificates_name_tokens,
        is_encrypted: config.tls.is_some(),
        ..Access::default()
    }
}

/// Makes the plugin directory, so that the first plugin can be put there.
fn prepare_directory(config: &Config) {
    let Some(directory) = &config.plugins.directory else { return };
    if let Err(error) = std::fs::create_dir_all(directory) {
        tracing::error!(path = %directory.display(), %error, "there is no plugin directory");
    }
}
