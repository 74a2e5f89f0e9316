//! What a trigger is born with.

use super::delivery::Cursor;
use super::standing::TriggerStanding;
use crate::catalog::Catalog;
use crate::plugin_files::PluginFiles;
use crate::plugin_log::PluginLog;
use crate::python_host::{HostConfig, PythonHost};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use protocols::plugins::{TriggerDef, TriggerSpec};
use std::sync::Arc;
use std::time::Duration;

/// What a trigger needs, in all its lives.
#[derive(Clone)]
pub struct TriggerConfig {
    /// Its identity in this process.
    pub key: u64,
    /// Name of its database.
    pub database: Arc<str>,
    /// The trigger.
    pub def: Arc<TriggerDef>,
    /// When it runs.
    pub spec: TriggerSpec,
    /// Where its plugin is.
    pub path: Arc<str>,
    /// The text of its plugin, if the catalog has it.
    pub code: Option<Arc<str>>,
    /// Runs plugins.
    pub host: Mailbox<PythonHost>,
    /// Reads them.
    pub files: Mailbox<PluginFiles>,
    /// Keeps what they say.
    pub log: Mailbox<PluginLog>,
    /// Notes that a trigger is disabled.
    pub catalog: Mailbox<Catalog>,
    /// What writes go to.
    pub services: Arc<HostConfig>,
    /// How far it has been given the log, if it must miss nothing.
    pub(crate) cursor: Option<Arc<Cursor>>,
    /// How it is doing.
    pub standing: Arc<TriggerStanding>,
    /// Name of the node.
    pub node: Arc<str>,
    /// Wall-clock time.
    pub clock: Clock,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Runs of an asynchronous trigger at once.
    pub async_max: usize,
}

impl TriggerConfig {
    /// The table that it is for, if it is for one.
    pub(super) fn table(&self) -> Option<&str> {
        match &self.spec {
            TriggerSpec::Table(table) => Some(table),
            _ => None,
        }
    }
}
