//! What the actor is born with.

use crate::catalog::Catalog;
use crate::plugin_files::PluginFiles;
use crate::plugin_log::PluginLog;
use crate::python_host::{HostConfig, HostStanding, PythonHost};
use crate::runtime::clock::Clock;
use crate::runtime::guardian::{Guardian, SharedThreads};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::wal::LogReader;
use protocols::catalog::CatalogSnapshot;
use protocols::line_protocol::SchemaLimits;
use std::sync::Arc;
use std::time::Duration;

/// What the actor needs, in all its lives.
#[derive(Clone)]
pub struct TriggersConfig {
    /// Name of the node.
    pub node: String,
    /// False without a plugin directory: then no trigger runs.
    pub is_enabled: bool,
    /// Which triggers there are.
    pub snapshot: Published<CatalogSnapshot>,
    /// Notes that a trigger is disabled.
    pub catalog: Mailbox<Catalog>,
    /// Gives birth to triggers.
    pub guardian: Guardian,
    /// What they live on.
    pub threads: SharedThreads,
    /// Runs plugins.
    pub host: Mailbox<PythonHost>,
    /// What that one takes.
    pub host_standing: Arc<HostStanding>,
    /// Reads them.
    pub files: Mailbox<PluginFiles>,
    /// Keeps what they say.
    pub log: Mailbox<PluginLog>,
    /// What writes of plugins go to.
    pub services: Arc<HostConfig>,
    /// What rows are read from that a trigger must not miss.
    pub written: LogReader,
    /// Wall-clock time.
    pub clock: Clock,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Runs of an asynchronous trigger at once.
    pub async_max: usize,
    /// Limits on new tables and columns, for tests.
    pub limits: SchemaLimits,
}
