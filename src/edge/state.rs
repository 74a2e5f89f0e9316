//! What every handler is given.

use super::access::Access;
use crate::config::PluginSettings;
use crate::edge::body_budget::BodyBudget;
use crate::edge::write_counts::WriteCounts;
use actors::cache_keeper::CacheKeeper;
use actors::cache_kit::CacheDirectory;
use actors::catalog::Catalog;
use actors::ingest::Ingest;
use actors::query::Query;
use actors::runtime::clock::Clock;
use actors::runtime::mailbox::Mailbox;
use actors::runtime::mailbox_pool::MailboxPool;
use actors::runtime::published::Published;
use actors::server::{PluginAddresses, Pulses};
use actors::supervisor::Supervisor;
use metrics_exporter_prometheus::PrometheusHandle;
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify, watch};
use uuid::Uuid;

/// The operator's token can be replaced once without a token.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// True once that has happened.
    pub done: Arc<Mutex<bool>>,
    /// Told of it.
    pub ended: Arc<Notify>,
}

/// Mailboxes of the actors, and settings that never change.
pub struct ServerState {
    /// Takes writes.
    pub ingest: MailboxPool<Ingest>,
    /// Takes changes of databases and tables.
    pub catalog: Mailbox<Catalog>,
    /// The newest state of the catalog.
    pub snapshot: Published<CatalogSnapshot>,
    /// Starts and ends caches.
    pub caches: Mailbox<CacheKeeper>,
    /// The processing engine.
    pub plugins: PluginAddresses,
    /// What may be done with it.
    pub plugin_settings: PluginSettings,
    /// Takes queries.
    pub query: Mailbox<Query>,
    /// Knows how the actors are.
    pub supervisor: Mailbox<Supervisor>,
    /// Whether writes and queries get on.
    pub pulses: Pulses,
    /// The caches that run.
    pub running_caches: CacheDirectory,
    /// What was written to each database.
    pub writes: WriteCounts,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Largest request body, on the wire and decompressed.
    pub max_body_bytes: usize,
    /// What all bodies may take together.
    pub bodies: BodyBudget,
    /// How requests are let in.
    pub access: Access,
    /// The operator's way back to a token.
    pub recovery: Recovery,
    /// Changes with each start.
    pub process_id: Uuid,
    /// Wall-clock time.
    pub clock: Clock,
    /// True once the server stops: writes and queries are refused from then on.
    pub stopping: watch::Receiver<bool>,
}
