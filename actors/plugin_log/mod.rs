//! The `PluginLog` actor: what plugins and triggers said last.
//!
//! ## Owns
//! The newest entries of all triggers, in memory: so many, and so many bytes. How the last runs of
//! each trigger went.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `KeepPluginLog` | `Trigger`, `Triggers`, the link of `PythonHost` (tell) | – |
//! | `KeepPluginRun` | `Trigger` (tell) | – |
//! | `ReadPluginLog` | `Query`, for a system table | the entries, the oldest first |
//! | `ReadPluginRuns` | `Query`, for a system table | the runs, by trigger |
//!
//! ## Emits
//! Each entry to the log of the server. It asks nobody.
//!
//! ## Invariants
//! An entry that finds no room in the mailbox is lost, and nobody waits for it.
//!
//! ## On failure
//! Rebuilt empty.

mod runs;

use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Responder;
use protocols::limits;
use protocols::messages::plugins::{
    KeepPluginLog, KeepPluginRun, PluginLogEntry, ReadPluginLog, ReadPluginRuns,
};
use protocols::messages::rank;
use protocols::plugins::host::Level;
use runs::Runs;
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module's page.
#[derive(Debug)]
pub struct PluginLog {
    entries: VecDeque<Arc<PluginLogEntry>>,
    bytes: usize,
    runs: Runs,
    clock: Clock,
}

impl PluginLog {
    /// A log without entries.
    pub fn new(clock: Clock) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, runs: Runs::default(), clock }
    }

    fn keep(&mut self, entry: PluginLogEntry) {
        self.bytes += entry.text.len();
        self.entries.push_back(Arc::new(entry));
        while self.entries.len() > limits::PLUGIN_LOG_ENTRIES_MAX
            || self.bytes > limits::PLUGIN_LOG_BYTES_MAX
        {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
    }
}

impl Service for PluginLog {
    const RANK: u8 = rank::PLUGIN_LOG;
}

impl Receive<KeepPluginLog> for PluginLog {
    fn receive(
        &mut self,
        said: KeepPluginLog,
        reply: Responder<KeepPluginLog>,
        _: &mut Cx<'_, Self>,
    ) {
        let KeepPluginLog { database, trigger, level, mut text } = said;
        if text.len() > limits::PLUGIN_LOG_TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(limits::PLUGIN_LOG_TEXT_BYTES_MAX));
            text.push('…');
        }
        match level {
            Level::Info => tracing::info!(%database, %trigger, "processing engine: {text}"),
            Level::Warn => tracing::warn!(%database, %trigger, "processing engine: {text}"),
            Level::Error => tracing::error!(%database, %trigger, "processing engine: {text}"),
        }
        let time_ns = self.clock.now_ns();
        self.keep(PluginLogEntry { time_ns, database, trigger, level, text });
        reply.answer(());
    }
}

impl Receive<ReadPluginLog> for PluginLog {
    fn receive(
        &mut self,
        read: ReadPluginLog,
        reply: Responder<ReadPluginLog>,
        _: &mut Cx<'_, Self>,
    ) {
        let wanted = |entry: &&Arc<PluginLogEntry>| {
            read.database.as_ref().is_none_or(|db| entry.database == *db)
        };
        reply.answer(self.entries.iter().filter(wanted).cloned().collect());
    }
}

impl Receive<KeepPluginRun> for PluginLog {
    fn receive(
        &mut self,
        keep: KeepPluginRun,
        reply: Responder<KeepPluginRun>,
        _: &mut Cx<'_, Self>,
    ) {
        self.runs.keep(keep.run);
        reply.answer(());
    }
}

impl Receive<ReadPluginRuns> for PluginLog {
    fn receive(
        &mut self,
        read: ReadPluginRuns,
        reply: Responder<ReadPluginRuns>,
        _: &mut Cx<'_, Self>,
    ) {
        reply.answer(self.runs.of(read.database.as_deref()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entries_stay() {
        let mut log = PluginLog::new(Clock::System);
        let entry = |n: usize, text: String| PluginLogEntry {
            time_ns: n as i64,
            database: "d".into(),
            trigger: "t".into(),
            level: Level::Info,
            text,
        };
        for n in 0..limits::PLUGIN_LOG_ENTRIES_MAX + 50 {
            log.keep(entry(n, "x".to_owned()));
        }
        assert_eq!(log.entries.len(), limits::PLUGIN_LOG_ENTRIES_MAX);
        assert_eq!(log.entries.front().map(|entry| entry.time_ns), Some(50));
        for n in 0..2000 {
            log.keep(entry(n, "y".repeat(limits::PLUGIN_LOG_TEXT_BYTES_MAX)));
        }
        assert!(log.bytes <= limits::PLUGIN_LOG_BYTES_MAX);
        assert_eq!(log.entries.iter().map(|entry| entry.text.len()).sum::<usize>(), log.bytes);
    }
}
