//! What the actors of the processing engine accept.

use super::Command;
use super::store::TableBatch;
use crate::error::ErrorKind;
use crate::plugins::host::{Event, Level, Outcome, Response, Source};
use crate::snapshot::ParquetFile;
use arrow_array::RecordBatch;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Why the processing engine refuses or fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PluginError {
    /// What the caller has to do about it.
    pub kind: ErrorKind,
    /// Text for the client.
    pub message: String,
}

impl PluginError {
    /// A failure of that kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A failure that the caller can do little about.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

/// Makes the triggers that run those of the catalog. Answered when they do. Sent by HTTP handlers
/// and a ticker.
#[derive(Clone, Copy, Debug)]
pub struct SyncTriggers;

impl Command for SyncTriggers {
    type Reply = ();
    const NAME: &'static str = "SyncTriggers";
}

/// Rows of databases that have triggers for them, durable and visible. A tell of `Wal`.
#[derive(Clone, Debug)]
pub struct RowsWritten {
    /// The rows in the order of the log.
    pub batches: Vec<TableBatch>,
}

impl Command for RowsWritten {
    type Reply = ();
    const NAME: &'static str = "RowsWritten";
    fn cost_bytes(&self) -> usize {
        // The columns are those of the store.
        256 + self.batches.len() * 128
    }
}

/// The flush interval is over: triggers get the rows that came in it. Sent by a ticker.
#[derive(Clone, Copy, Debug)]
pub struct FlushTriggers;

impl Command for FlushTriggers {
    type Reply = ();
    const NAME: &'static str = "FlushTriggers";
}

/// A snapshot is durable. A tell of `Persist`.
#[derive(Clone, Debug)]
pub struct SnapshotTaken {
    /// Its number.
    pub sequence: u64,
    /// The files that it wrote.
    pub files: Vec<Arc<ParquetFile>>,
}

impl Command for SnapshotTaken {
    type Reply = ();
    const NAME: &'static str = "SnapshotTaken";
}

/// Ends all triggers and the process that runs them. Sent at shutdown.
#[derive(Clone, Copy, Debug)]
pub struct StopTriggers;

impl Command for StopTriggers {
    type Reply = ();
    const NAME: &'static str = "StopTriggers";
}

/// Runs a plugin without writing anything. Sent by HTTP handlers.
#[derive(Clone, Debug)]
pub struct TestPlugin {
    /// The plugin.
    pub plugin: TestedPlugin,
    /// Name of the database.
    pub database: String,
    /// What happens.
    pub event: TestEvent,
    /// What the plugin is given.
    pub arguments: BTreeMap<Arc<str>, Arc<str>>,
    /// Name of the cache that it sees.
    pub cache: Option<String>,
}

/// The plugin of a test.
#[derive(Clone, Debug)]
pub enum TestedPlugin {
    /// By its path in the plugin directory.
    Path(String),
    /// Its text; it need not be in the directory.
    Code(Arc<str>),
}

/// What happens in a test.
#[derive(Clone, Debug)]
pub enum TestEvent {
    /// These lines are written.
    Lines(String),
    /// The next instant of a cron expression has come.
    Schedule(String),
    /// Somebody asks.
    Request {
        /// Parameters of the query string.
        query: BTreeMap<String, String>,
        /// Headers by their names in small letters.
        headers: BTreeMap<String, String>,
        /// The body.
        body: Bytes,
    },
}

impl Command for TestPlugin {
    type Reply = Result<TestReport, PluginError>;
    const NAME: &'static str = "TestPlugin";
}

/// What a test has shown.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// What the plugin said.
    pub log_lines: Vec<String>,
    /// What it would have written, line by line, by database.
    pub writes: BTreeMap<String, Vec<String>>,
    /// What was wrong.
    pub errors: Vec<String>,
    /// The instant that a schedule came to, nanoseconds since 1970.
    pub trigger_time_ns: Option<i64>,
    /// What the request was answered with.
    pub response: Option<(Response, Bytes)>,
}

/// Rows of one flush interval of a database, shared by its triggers.
#[derive(Debug, Default)]
pub struct WriteEvent {
    /// The tables in the order in which they came.
    pub tables: Vec<EventTable>,
}

/// Rows of one table.
#[derive(Debug)]
pub struct EventTable {
    /// Name of the table.
    pub name: Arc<str>,
    /// The rows in the order of the log.
    pub batches: Vec<RecordBatch>,
    /// The same as Arrow IPC streams, one a batch, once somebody has needed them.
    pub streams: OnceLock<Vec<Bytes>>,
}

/// Rows of one flush interval of the trigger's database, some of them for the trigger. A tell of
/// `Triggers`.
#[derive(Clone, Debug)]
pub struct FireWrites {
    /// The rows.
    pub event: Arc<WriteEvent>,
}

impl Command for FireWrites {
    type Reply = ();
    const NAME: &'static str = "FireWrites";
}

/// The flush interval is over: the trigger looks in the log for rows that it has not been given. A
/// tell of `Triggers`.
#[derive(Clone, Copy, Debug)]
pub struct LookForRows;

impl Command for LookForRows {
    type Reply = ();
    const NAME: &'static str = "LookForRows";
}

/// Files of a snapshot with rows that the trigger is for. A tell of `Triggers`.
#[derive(Clone, Debug)]
pub struct FireSnapshot {
    /// The snapshot as the plugin sees it.
    pub description: serde_json::Value,
}

impl Command for FireSnapshot {
    type Reply = ();
    const NAME: &'static str = "FireSnapshot";
}

/// A request for a path that a trigger has. Sent by HTTP handlers.
#[derive(Clone, Debug)]
pub struct HandleRequest {
    /// Parameters of the query string.
    pub query: BTreeMap<String, String>,
    /// Headers by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Command for HandleRequest {
    type Reply = Result<(Response, Bytes), PluginError>;
    const NAME: &'static str = "HandleRequest";
    fn cost_bytes(&self) -> usize {
        1024 + self.body.len()
    }
}

/// A plugin as it was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSource {
    /// When it changed last, or another mark of the version; equal marks are equal texts.
    pub mark: i64,
    /// Its text, or where it is.
    pub source: Source,
}

/// Runs a plugin in the host and waits for its end. Sent by `Trigger` and `Triggers`.
#[derive(Clone, Debug)]
pub struct RunPlugin {
    /// Identity of the running trigger, or of a test, in this process.
    pub trigger: u64,
    /// Name of the trigger.
    pub name: Arc<str>,
    /// Name of its database.
    pub database: Arc<str>,
    /// Name of the node.
    pub node: Arc<str>,
    /// Which run of its trigger it is.
    pub number: u64,
    /// The plugin.
    pub plugin: PluginSource,
    /// What happened.
    pub event: Event,
    /// The bytes of the event, in pieces.
    pub body: Vec<Bytes>,
    /// What the plugin is given each time.
    pub arguments: BTreeMap<Arc<str>, Arc<str>>,
    /// Runs of the trigger may overlap.
    pub run_async: bool,
    /// Name of the cache of a test; nothing is written then.
    pub test: Option<String>,
    /// How long it may run.
    pub timeout: Option<std::time::Duration>,
}

impl Command for RunPlugin {
    type Reply = Result<(Outcome, Bytes), PluginError>;
    const NAME: &'static str = "RunPlugin";
    fn cost_bytes(&self) -> usize {
        512 + self.body.iter().map(Bytes::len).sum::<usize>()
    }
}

/// A trigger has ended: its runs are interrupted, and what the host keeps of it goes. A tell of
/// `Triggers`.
#[derive(Clone, Copy, Debug)]
pub struct ForgetTrigger {
    /// Which trigger.
    pub trigger: u64,
}

impl Command for ForgetTrigger {
    type Reply = ();
    const NAME: &'static str = "ForgetTrigger";
}

/// Makes sure that plugins can run. Sent by HTTP handlers before a trigger is created.
#[derive(Clone, Copy, Debug)]
pub struct CheckHost;

impl Command for CheckHost {
    type Reply = Result<(), PluginError>;
    const NAME: &'static str = "CheckHost";
}

/// Interrupts all runs and ends the host. Sent at shutdown.
#[derive(Clone, Copy, Debug)]
pub struct StopHost;

impl Command for StopHost {
    type Reply = ();
    const NAME: &'static str = "StopHost";
}

/// Reads a plugin. Sent by `Trigger` before a run, by `Triggers` and HTTP handlers.
#[derive(Clone, Debug)]
pub struct ReadPlugin {
    /// Its path in the plugin directory, or after `gh:` in the repository.
    pub path: Arc<str>,
    /// The mark of what the asker has; the text is not sent again if it is the same.
    pub known: Option<i64>,
    /// What was fetched from the repository earlier will do if that does not answer.
    pub or_copy: bool,
}

impl Command for ReadPlugin {
    /// `None` if it is as known.
    type Reply = Result<Option<PluginSource>, PluginError>;
    const NAME: &'static str = "ReadPlugin";
}

/// Writes a file of a plugin. Sent by HTTP handlers.
#[derive(Clone, Debug)]
pub struct SavePluginFile {
    /// Its path in the plugin directory.
    pub path: String,
    /// It has to be there already; a directory stands for its `__init__.py`.
    pub replaces: bool,
    /// Its text.
    pub content: String,
}

impl Command for SavePluginFile {
    type Reply = Result<(), PluginError>;
    const NAME: &'static str = "SavePluginFile";
    fn cost_bytes(&self) -> usize {
        256 + self.content.len()
    }
}

/// Replaces a directory of plugins by these files in one step. Sent by HTTP handlers.
#[derive(Clone, Debug)]
pub struct ReplacePluginDirectory {
    /// Its path in the plugin directory.
    pub path: String,
    /// Paths in it, and texts.
    pub files: Vec<(String, String)>,
}

impl Command for ReplacePluginDirectory {
    type Reply = Result<(), PluginError>;
    const NAME: &'static str = "ReplacePluginDirectory";
    fn cost_bytes(&self) -> usize {
        256 + self.files.iter().map(|(path, text)| path.len() + text.len()).sum::<usize>()
    }
}

/// Lists the files of plugins. Sent by `Query` for a system table.
#[derive(Clone, Debug)]
pub struct ListPluginFiles {
    /// Names of triggers and paths of their plugins.
    pub plugins: Vec<(Arc<str>, String)>,
}

impl Command for ListPluginFiles {
    type Reply = Vec<PluginFile>;
    const NAME: &'static str = "ListPluginFiles";
}

/// A file of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFile {
    /// Name of the trigger.
    pub trigger: Arc<str>,
    /// Name of the file.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Its length.
    pub size_bytes: i64,
    /// When it changed last, milliseconds since 1970.
    pub changed_ms: i64,
}

/// Installs Python packages into the virtual environment. Sent by HTTP handlers.
#[derive(Clone, Debug)]
pub enum InstallPackages {
    /// Packages by name, possibly with versions.
    Named(Vec<String>),
    /// Those of a file, by its path.
    Requirements(String),
}

impl Command for InstallPackages {
    type Reply = Result<(), PluginError>;
    const NAME: &'static str = "InstallPackages";
}

/// Keeps what a plugin or the engine said. A tell.
#[derive(Clone, Debug)]
pub struct KeepPluginLog {
    /// Name of the trigger's database.
    pub database: Arc<str>,
    /// Name of the trigger.
    pub trigger: Arc<str>,
    /// How important it is.
    pub level: Level,
    /// What was said.
    pub text: String,
}

impl Command for KeepPluginLog {
    type Reply = ();
    const NAME: &'static str = "KeepPluginLog";
    fn cost_bytes(&self) -> usize {
        128 + self.text.len()
    }
}

/// Keeps how a run of a trigger went. A tell of `Trigger`.
#[derive(Clone, Debug)]
pub struct KeepPluginRun {
    /// The run.
    pub run: PluginRun,
}

impl Command for KeepPluginRun {
    type Reply = ();
    const NAME: &'static str = "KeepPluginRun";
    fn cost_bytes(&self) -> usize {
        256 + self.run.error.as_ref().map_or(0, String::len)
    }
}

/// How a run of a trigger went.
#[derive(Clone, Debug)]
pub struct PluginRun {
    /// Name of the trigger's database.
    pub database: Arc<str>,
    /// Name of the trigger.
    pub trigger: Arc<str>,
    /// Which run of the trigger, from 1 on since it was started.
    pub number: u64,
    /// How often the event had been tried before.
    pub attempt: u32,
    /// When it began, nanoseconds since 1970.
    pub started_ns: i64,
    /// How long it took, with what it waited for the host.
    pub duration: std::time::Duration,
    /// Rows that it was given.
    pub rows_in: u64,
    /// Lines that it wrote.
    pub lines_out: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// Asks for the runs that are kept. Sent by `Query` for a system table.
#[derive(Clone, Debug)]
pub struct ReadPluginRuns {
    /// Of this database only.
    pub database: Option<Arc<str>>,
}

impl Command for ReadPluginRuns {
    /// By trigger, the oldest of each first.
    type Reply = Vec<Arc<PluginRun>>;
    const NAME: &'static str = "ReadPluginRuns";
}

/// Asks for what is kept. Sent by `Query` for a system table.
#[derive(Clone, Debug)]
pub struct ReadPluginLog {
    /// Of this database only.
    pub database: Option<Arc<str>>,
}

impl Command for ReadPluginLog {
    /// The oldest first.
    type Reply = Vec<Arc<PluginLogEntry>>;
    const NAME: &'static str = "ReadPluginLog";
}

/// Something that a plugin or the engine said.
#[derive(Clone, Debug)]
pub struct PluginLogEntry {
    /// When, nanoseconds since 1970.
    pub time_ns: i64,
    /// Name of the trigger's database.
    pub database: Arc<str>,
    /// Name of the trigger.
    pub trigger: Arc<str>,
    /// How important it is.
    pub level: Level,
    /// What.
    pub text: String,
}
