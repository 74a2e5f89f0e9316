//! The triggers that run, for those who have something for them.

use super::Triggers;
use crate::python_host::HostStanding;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::trigger::{Trigger, TriggerStanding};
use crate::wal::RowsWatcher;
use hashbrown::HashMap;
use protocols::ids::DbId;
use protocols::messages::plugins::{RowsWritten, SnapshotTaken};
use protocols::messages::store::TableBatch;
use protocols::snapshot::ParquetFile;
use std::sync::Arc;

/// A trigger for rows or files of a database.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Of this table only.
    pub(super) table: Option<Arc<str>>,
    pub(super) trigger: Mailbox<Trigger>,
}

impl Target {
    /// True if something of that table is for it.
    pub(super) fn wants(&self, table: &str) -> bool {
        self.table.as_ref().is_none_or(|name| **name == *table)
    }
}

/// A trigger that runs, and how it is doing.
#[derive(Clone, Debug)]
pub struct RunningTrigger {
    /// Name of its database.
    pub database: Arc<str>,
    /// Its name.
    pub trigger: Arc<str>,
    /// How it is doing.
    pub standing: Arc<TriggerStanding>,
}

/// The triggers that run.
#[derive(Debug, Default)]
pub struct TriggerDirectory {
    pub(super) writes: HashMap<DbId, Vec<Target>>,
    pub(super) snapshots: HashMap<DbId, Vec<Target>>,
    /// Those that read rows from the log.
    pub(super) readers: Vec<Mailbox<Trigger>>,
    pub(super) requests: HashMap<Arc<str>, (Arc<str>, Mailbox<Trigger>)>,
    pub(super) running: Vec<RunningTrigger>,
    pub(super) hosts: Vec<(String, Arc<HostStanding>)>,
}

impl TriggerDirectory {
    /// All of them, by database and name.
    pub fn running(&self) -> &[RunningTrigger] {
        &self.running
    }

    /// The processes that run plugins: whose they are, database and trigger, empty for that of all
    /// others; and what they take.
    pub fn hosts(&self) -> &[(String, Arc<HostStanding>)] {
        &self.hosts
    }

    /// The trigger of a request path, and the name of its database.
    pub fn of_path(&self, path: &str) -> Option<&(Arc<str>, Mailbox<Trigger>)> {
        self.requests.get(path)
    }
}

/// The way of rows and files to triggers.
#[derive(Clone, Debug)]
pub struct RowsFeed {
    directory: Published<TriggerDirectory>,
    triggers: Mailbox<Triggers>,
}

impl RowsFeed {
    /// To these triggers.
    pub fn new(directory: Published<TriggerDirectory>, triggers: Mailbox<Triggers>) -> Self {
        Self { directory, triggers }
    }

    /// Hands on what a snapshot has written, without waiting.
    pub(crate) fn tell_snapshot(&self, sequence: u64, files: &[Arc<ParquetFile>]) {
        let directory = self.directory.load();
        let wanted = files.iter().filter(|file| directory.snapshots.contains_key(&file.db));
        let files: Vec<_> = wanted.map(Arc::clone).collect();
        if !files.is_empty() && !self.triggers.tell(SnapshotTaken { sequence, files }) {
            tracing::warn!("the processing engine is busy: a snapshot did not reach triggers");
        }
    }
}

impl RowsWatcher for RowsFeed {
    fn wants(&self, db: DbId) -> bool {
        self.directory.load().writes.contains_key(&db)
    }

    fn tell_rows(&self, batches: Vec<TableBatch>) {
        if !batches.is_empty() && !self.triggers.tell(RowsWritten { batches }) {
            metrics::counter!("processing_engine_events_lost_total").increment(1);
            tracing::warn!("the processing engine is busy: rows did not reach triggers");
        }
    }
}
