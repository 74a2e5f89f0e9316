//! The processing engine: what runs plugins, and when.

use super::Server;
use crate::packages::{PackageManager, Packages};
use crate::plugin_files::{PluginFiles, PluginFilesConfig};
use crate::plugin_log::PluginLog;
use crate::python_host::{HostConfig, HostStanding, PythonHost};
use crate::query::PluginTables;
use crate::runtime::actor::Service;
use crate::runtime::guardian::{ActorConfig, Guardian, SharedThreads};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::{Published, Publisher};
use crate::runtime::ticker;
use crate::triggers::{RowsFeed, TriggerDirectory, Triggers, TriggersConfig};
use crate::wal::LogReader;
use protocols::limits;
use protocols::line_protocol::SchemaLimits;
use protocols::messages::plugins::{FlushTriggers, StopTriggers, SyncTriggers};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often triggers are compared with the catalog without anybody asking for it.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How the processing engine runs.
#[derive(Clone, Debug)]
pub struct PluginOptions {
    /// The plugin directory; without one there is no engine.
    pub directory: Option<PathBuf>,
    /// The virtual environment, whether it is there or not.
    pub environment: Option<PathBuf>,
    /// What installs packages into it.
    pub package_manager: PackageManager,
    /// Address of the repository of plugins.
    pub repository: String,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Memory that the process with all plugins may take.
    pub memory_bytes: Option<u64>,
    /// Runs of an asynchronous trigger at once.
    pub async_max: usize,
    /// How often triggers get the rows that were written.
    pub flush_interval: Duration,
    /// Limits on new tables and columns, for tests.
    pub limits: SchemaLimits,
    /// Threads that triggers share.
    pub threads: usize,
}

/// Whom requests about plugins are sent to.
#[derive(Clone)]
pub struct PluginAddresses {
    /// Runs triggers, and tests.
    pub triggers: Mailbox<Triggers>,
    /// Runs Python.
    pub host: Mailbox<PythonHost>,
    /// Reads and writes plugins.
    pub files: Mailbox<PluginFiles>,
    /// Installs packages.
    pub packages: Mailbox<Packages>,
    /// The triggers that run.
    pub directory: Published<TriggerDirectory>,
}

fn config(name: &'static str, messages_max: usize, bytes_max: usize) -> ActorConfig {
    ActorConfig { kind: name, name: name.to_owned(), messages_max, bytes_max, vital: false }
}

fn triggers() -> ActorConfig {
    config("triggers", limits::TRIGGERS_MAILBOX_MESSAGES, limits::TRIGGERS_MAILBOX_BYTES)
}

fn files() -> ActorConfig {
    let (messages, bytes) =
        (limits::PLUGIN_FILES_MAILBOX_MESSAGES, limits::PLUGIN_FILES_MAILBOX_BYTES);
    config("plugin-files", messages, bytes)
}

fn log() -> ActorConfig {
    config("plugin-log", limits::PLUGIN_LOG_MAILBOX_MESSAGES, limits::PLUGIN_LOG_MAILBOX_BYTES)
}

/// The parts that others need before they are born.
pub(super) struct Engine {
    triggers: Mailbox<Triggers>,
    files: Mailbox<PluginFiles>,
    log: Mailbox<PluginLog>,
    directory: Publisher<TriggerDirectory>,
    /// For those who have rows or files for triggers.
    pub(super) feed: RowsFeed,
}

impl Engine {
    pub(super) fn new() -> Self {
        let triggers = Guardian::mailbox(&triggers());
        let (directory, published) = Published::new(Arc::default());
        let feed = RowsFeed::new(published, triggers.clone());
        let (files, log) = (Guardian::mailbox(&files()), Guardian::mailbox(&log()));
        Self { triggers, files, log, directory, feed }
    }

    /// For the system tables.
    pub(super) fn tables(&self) -> PluginTables {
        PluginTables { log: self.log.clone(), files: self.files.clone() }
    }

    /// Ends all plugins, if any were ever to run.
    pub(super) async fn stop(&self, deadline: Instant) {
        // An engine that was never born does not answer, and has nothing to stop.
        self.triggers.ask_from_edge(StopTriggers, deadline).await.ok();
    }
}

impl Server {
    /// Starts the processing engine, and with it the triggers that the catalog has.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub async fn start_plugins(
        &mut self,
        options: PluginOptions,
    ) -> anyhow::Result<PluginAddresses> {
        let threads = SharedThreads::start(options.threads);
        let clock = self.clock.clone();
        let of_log = Lives::of(move || Ok(PluginLog::new(clock.clone())));
        self.birth(&threads, log(), &self.plugins.log.clone(), of_log).await?;
        let of_files = PluginFilesConfig {
            directory: options.directory.clone(),
            repository: options.repository.clone(),
        };
        let of_files = Lives::of(move || PluginFiles::new(of_files.clone()));
        self.birth(&threads, files(), &self.plugins.files.clone(), of_files).await?;
        let packages = self.start_packages(&threads, &options).await?;
        let services = Arc::new(HostConfig {
            query: self.addresses.query.clone(),
            ingest: self.addresses.ingest.clone(),
            log: self.plugins.log.clone(),
            clock: self.clock.clone(),
            environment: options.environment.clone(),
            memory_bytes: options.memory_bytes,
        });
        let host_standing: Arc<HostStanding> = Arc::default();
        let host = self.start_host(Arc::clone(&services), Arc::clone(&host_standing)).await?;
        let of_triggers = TriggersConfig {
            node: self.owner.node().to_owned(),
            is_enabled: options.directory.is_some(),
            snapshot: self.addresses.snapshot.clone(),
            catalog: self.addresses.catalog.clone(),
            guardian: self.guardian.clone(),
            threads: threads.clone(),
            host: host.clone(),
            host_standing,
            files: self.plugins.files.clone(),
            log: self.plugins.log.clone(),
            services,
            written: LogReader::new(self.owner.clone(), self.addresses.snapshot.clone()),
            clock: self.clock.clone(),
            timeout: options.timeout,
            async_max: options.async_max,
            limits: options.limits,
        };
        let lives = Triggers::lives(of_triggers, self.plugins.directory.again());
        let mailbox = self.plugins.triggers.clone();
        self.birth(&threads, triggers(), &mailbox, lives).await?;
        let deadline = Instant::now() + Duration::from_millis(limits::ADMIN_DEADLINE_MS);
        if let Err(error) = mailbox.ask_from_edge(SyncTriggers, deadline).await {
            // The server is of use without triggers, and the ticker has them started.
            tracing::error!(%error, "the triggers could not be started yet");
        }
        self.tickers.extend([
            ticker::start(mailbox.clone(), options.flush_interval, || FlushTriggers),
            ticker::start(mailbox.clone(), SYNC_INTERVAL, || SyncTriggers),
        ]);
        let (files, directory) = (self.plugins.files.clone(), self.plugins.directory.reader());
        Ok(PluginAddresses { triggers: mailbox, host, files, packages, directory })
    }

    async fn start_packages(
        &mut self,
        threads: &SharedThreads,
        options: &PluginOptions,
    ) -> anyhow::Result<Mailbox<Packages>> {
        let (messages, bytes) = (limits::PACKAGES_MAILBOX_MESSAGES, limits::PACKAGES_MAILBOX_BYTES);
        let config = config("packages", messages, bytes);
        let mailbox = Guardian::mailbox(&config);
        let (environment, manager) = (options.environment.clone(), options.package_manager);
        let environment = environment.filter(|_| options.directory.is_some());
        let lives = Lives::of(move || Packages::new(environment.clone(), manager));
        self.birth(threads, config, &mailbox, lives).await?;
        Ok(mailbox)
    }

    /// It has a thread of its own: what plugins ask for passes through it.
    async fn start_host(
        &mut self,
        services: Arc<HostConfig>,
        standing: Arc<HostStanding>,
    ) -> anyhow::Result<Mailbox<PythonHost>> {
        let config = PythonHost::config("python-host".to_owned());
        let mailbox = Guardian::mailbox(&config);
        let lives = PythonHost::lives(services, standing);
        self.births.push(self.guardian.birth(config, mailbox.clone(), lives).await?);
        Ok(mailbox)
    }

    async fn birth<A: Service>(
        &mut self,
        threads: &SharedThreads,
        config: ActorConfig,
        mailbox: &Mailbox<A>,
        lives: Lives<A>,
    ) -> anyhow::Result<()> {
        let born = self.guardian.birth_among(threads, config, mailbox.clone(), lives).await?;
        self.births.push(born);
        Ok(())
    }
}
