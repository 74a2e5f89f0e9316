//! What the host of plugins needs.

use crate::ingest::Ingest;
use crate::plugin_log::PluginLog;
use crate::query::Query;
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox_pool::MailboxPool;
use std::path::PathBuf;

/// What the actor needs.
pub struct HostConfig {
    /// Answers queries of plugins.
    pub query: Mailbox<Query>,
    /// Takes writes of plugins.
    pub ingest: MailboxPool<Ingest>,
    /// Keeps what they say.
    pub log: Mailbox<PluginLog>,
    /// Wall-clock time.
    pub clock: Clock,
    /// The virtual environment, whether it is there or not.
    pub environment: Option<PathBuf>,
    /// Memory that the process may take.
    pub memory_bytes: Option<u64>,
}
