//! What every handler is given.

use super::access::Access;
use crate::edge::body_budget::BodyBudget;
use crate::edge::quota::Quota;
use crate::edge::refusals::Refusals;
use crate::edge::write_counts::WriteCounts;
use actors::audit::Audit;
use actors::cache_directory::CacheDirectory;
use actors::cache_keeper::CacheKeeper;
use actors::catalog::Catalog;
use actors::compact::Compact;
use actors::downsample::Downsamples;
use actors::ingest::Ingest;
use actors::query::Query;
use actors::runtime::clock::Clock;
use actors::runtime::mailbox::Mailbox;
use actors::runtime::mailbox_pool::MailboxPool;
use actors::runtime::published::Published;
use actors::runtime::vitals::Roster;
use actors::server::{PluginAddresses, Pulses, RowDeleter};
use metrics_exporter_prometheus::PrometheusHandle;
use protocols::catalog::CatalogSnapshot;
use protocols::plugins::TriggerKind;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify, watch};
use uuid::Uuid;

/// What may be done with plugins over HTTP.
#[derive(Clone, Debug, Default)]
pub struct PluginSettings {
    /// There is a plugin directory.
    pub is_enabled: bool,
    /// Nothing comes into it over HTTP.
    pub directory_only: bool,
    /// Kinds of triggers that may be created; none is all.
    pub kinds: Vec<TriggerKind>,
}

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
    /// Keeps coarse tables up to date.
    pub downsamples: Mailbox<Downsamples>,
    /// The processing engine.
    pub plugins: PluginAddresses,
    /// What may be done with it.
    pub plugin_settings: PluginSettings,
    /// Deletes rows.
    pub row_deleter: RowDeleter,
    /// Takes queries.
    pub query: Mailbox<Query>,
    /// Hears of what is done and refused.
    pub audit: Mailbox<Audit>,
    /// What was refused of late, before it hears of that.
    pub refusals: Refusals,
    /// Statements are not told with their literals.
    pub redacts: bool,
    /// How the actors are.
    pub roster: Roster,
    /// Whether writes and queries get on.
    pub pulses: Pulses,
    /// The caches that run.
    pub running_caches: CacheDirectory,
    /// Makes files fewer.
    pub compact: Option<Mailbox<Compact>>,
    /// What was written to each database.
    pub writes: WriteCounts,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Largest request body, on the wire and decompressed.
    pub max_body_bytes: usize,
    /// What all bodies may take together.
    pub bodies: BodyBudget,
    /// What each token has under way.
    pub quota: Quota,
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
