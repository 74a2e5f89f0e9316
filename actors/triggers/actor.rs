//! See the module's page.

use super::config::TriggersConfig;
use super::directory::{RunningTrigger, Target, TriggerDirectory};
use super::test_run;

use crate::python_host::{HostStanding, PythonHost};
use crate::runtime::actor::{Cx, Receive, Service};

use crate::runtime::guardian::{ActorConfig, Birth, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::published::Publisher;
use crate::trigger::rows::{event, table_names};
use crate::trigger::{Cursor, Trigger, TriggerConfig, TriggerStanding, sweep_cursors};
use hashbrown::HashMap;
use protocols::ids::DbId;
use protocols::limits;

use protocols::catalog::CatalogSnapshot;
use protocols::messages::plugins::{
    FireSnapshot, FireWrites, FlushTriggers, ForgetTrigger, LookForRows, RowsWritten,
    SnapshotTaken, StopHost, StopTriggers, SyncTriggers, TestPlugin,
};
use protocols::messages::rank;
use protocols::messages::store::TableBatch;
use protocols::paths;
use protocols::plugins::{Delivery, Isolation, PluginRef, PluginText, TriggerDef, TriggerSpec};
use protocols::schema::DatabaseSchema;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the host may take to end.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Database and trigger.
type TriggerRef = (DbId, u32);

/// A trigger that runs.
struct Live {
    key: u64,
    database: Arc<str>,
    def: Arc<TriggerDef>,
    mailbox: Mailbox<Trigger>,
    standing: Arc<TriggerStanding>,
    cursor: Option<Arc<Cursor>>,
    birth: Birth,
    /// What runs its plugin, if it has a process of its own.
    host: Option<OwnHost>,
}

/// The host of one trigger only.
struct OwnHost {
    mailbox: Mailbox<PythonHost>,
    standing: Arc<HostStanding>,
    birth: Birth,
}

impl OwnHost {
    /// Ends the process, then the actor.
    async fn end(self) {
        let deadline = Instant::now() + STOP_TIME;
        if let Err(error) = self.mailbox.ask::<{ rank::TRIGGERS }, _>(StopHost, deadline).await {
            tracing::warn!(%error, "the process of a trigger ends with its actor");
        }
        self.birth.end().await;
    }
}

impl Live {
    /// Ends the trigger and its runs. `is_deleted`: it does not come again.
    async fn end(self, shared_host: Mailbox<PythonHost>, is_deleted: bool) {
        self.birth.end().await;
        if let Some(cursor) = self.cursor {
            let kept = if is_deleted { cursor.remove().await } else { cursor.store().await };
            if let Err(error) = kept {
                tracing::warn!(trigger = %self.def.name, %error, "how far it has come is not kept");
            }
        }
        match self.host {
            Some(host) => host.end().await,
            None => {
                shared_host.tell(ForgetTrigger { trigger: self.key });
            }
        }
    }
}

/// Kept from life to life.
#[derive(Default)]
struct Kept {
    live: Mutex<HashMap<TriggerRef, Live>>,
    next_key: AtomicU64,
    /// What deleted triggers have left is gone.
    is_swept: AtomicBool,
}

/// See the module's page.
pub struct Triggers {
    config: Arc<TriggersConfig>,
    directory: Publisher<TriggerDirectory>,
    kept: Arc<Kept>,
    /// Births or ends are under way.
    busy: bool,
    /// The catalog has to be compared once more.
    again: bool,
    is_stopping: bool,
    waiting: Vec<Responder<SyncTriggers>>,
    /// Rows of the flush interval under way.
    pending: HashMap<DbId, Vec<TableBatch>>,
    pending_bytes: usize,
}

impl Triggers {
    /// How the actor comes to life, now and after each death.
    pub fn lives(config: TriggersConfig, directory: Publisher<TriggerDirectory>) -> Lives<Self> {
        let (config, kept) = (Arc::new(config), Arc::new(Kept::default()));
        let directory = Arc::new(directory);
        Lives::of(move || {
            Ok(Self {
                config: Arc::clone(&config),
                directory: directory.again(),
                kept: Arc::clone(&kept),
                busy: false,
                again: false,
                is_stopping: false,
                waiting: Vec::new(),
                pending: HashMap::new(),
                pending_bytes: 0,
            })
        })
    }

    fn live(&self) -> MutexGuard<'_, HashMap<TriggerRef, Live>> {
        self.kept.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the triggers that run those of the catalog.
    fn sync(&mut self, cx: &mut Cx<'_, Self>) {
        if self.busy {
            self.again = true;
            return;
        }
        let catalog = self.config.snapshot.load();
        let wanted = match self.config.is_enabled && !self.is_stopping {
            true => wanted(&catalog),
            false => HashMap::new(),
        };
        let is_as_wanted = |id: &TriggerRef, live: &Live| {
            wanted.get(id).is_some_and(|(db, def)| db.name == live.database && *def == live.def)
        };
        let ending: Vec<(Live, bool)> = {
            let mut live = self.live();
            let ending = live.extract_if(|id, live| !is_as_wanted(id, live));
            ending.map(|(id, live)| (live, !is_there(&catalog, id))).collect()
        };
        let births: Vec<_> = {
            let live = self.live();
            let missing = wanted.into_iter().filter(|(id, _)| !live.contains_key(id));
            missing.map(|(id, (db, def))| self.birth(id, &db, def)).collect()
        };
        if births.is_empty() && ending.is_empty() {
            self.waiting.drain(..).for_each(|reply| reply.answer(()));
            return;
        }
        self.busy = true;
        self.publish();
        let (host, written) = (self.config.host.clone(), self.config.written.clone());
        let sweeps = !self.kept.is_swept.swap(true, Ordering::Relaxed);
        let work = async move {
            if sweeps && let Err(error) = sweep_cursors(&written, &catalog).await {
                tracing::warn!(%error, "what deleted triggers have left stays until the next start");
            }
            for (live, is_deleted) in ending {
                live.end(host.clone(), is_deleted).await;
            }
            futures::future::join_all(births).await
        };
        cx.then(work, |triggers, born, cx| {
            triggers.busy = false;
            triggers.live().extend(born.into_iter().flatten());
            triggers.publish();
            if std::mem::take(&mut triggers.again) {
                triggers.sync(cx);
            } else {
                triggers.waiting.drain(..).for_each(|reply| reply.answer(()));
            }
        });
    }

    fn birth(
        &self,
        id: TriggerRef,
        db: &DatabaseSchema,
        def: Arc<TriggerDef>,
    ) -> impl Future<Output = Option<(TriggerRef, Live)>> + use<> {
        let key = self.kept.next_key.fetch_add(1, Ordering::Relaxed);
        let standing = Arc::default();
        let own = (def.isolation == Isolation::Process).then(|| {
            let config = PythonHost::config(format!("python-host-{}-{}", id.0, id.1));
            (Guardian::mailbox(&config), config)
        });
        let host = own.as_ref().map_or(&self.config.host, |(mailbox, _)| mailbox);
        let trigger = trigger_config(&self.config, key, db, &def, &standing, host);
        let reads = (def.delivery == Delivery::AtLeastOnce).then(|| self.config.written.clone());
        let config = ActorConfig {
            kind: "trigger",
            name: format!("trigger-{}-{}", id.0, id.1),
            messages_max: limits::TRIGGER_MAILBOX_MESSAGES,
            bytes_max: limits::TRIGGER_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let (guardian, threads) = (self.config.guardian.clone(), self.config.threads.clone());
        let (database, services) = (Arc::clone(&db.name), Arc::clone(&self.config.services));
        async move {
            let mut trigger = trigger?;
            if let Some(log) = reads {
                let cursor = Cursor::open(log, id.0, id.1).await;
                trigger.cursor = Some(Arc::new(told(cursor, &def.name)?));
            }
            let (trigger, cursor) = (Arc::new(trigger.clone()), trigger.cursor);
            let host = match own {
                None => None,
                Some((mailbox, config)) => {
                    let standing: Arc<HostStanding> = Arc::default();
                    let lives = PythonHost::lives(services, Arc::clone(&standing));
                    let born = guardian.birth_among(&threads, config, mailbox.clone(), lives).await;
                    let birth = told(born, &def.name)?;
                    Some(OwnHost { mailbox, standing, birth })
                }
            };
            let lives = Lives::of(move || Ok(Trigger::new(Arc::clone(&trigger))));
            let born = guardian.birth_among(&threads, config, mailbox.clone(), lives).await;
            match told(born, &def.name) {
                Some(birth) => {
                    Some((id, Live { key, database, def, mailbox, standing, cursor, birth, host }))
                }
                None => {
                    if let Some(host) = host {
                        host.end().await;
                    }
                    None
                }
            }
        }
    }

    /// Shows others which triggers run.
    fn publish(&self) {
        let mut directory = TriggerDirectory::default();
        let live = self.live();
        metrics::gauge!("triggers_running").set(live.len() as f64);
        directory.hosts.push((String::new(), Arc::clone(&self.config.host_standing)));
        for ((db, _), live) in live.iter() {
            directory.running.push(RunningTrigger {
                database: Arc::clone(&live.database),
                trigger: Arc::clone(&live.def.name),
                standing: Arc::clone(&live.standing),
            });
            if let Some(host) = &live.host {
                let of = format!("{}/{}", live.database, live.def.name);
                directory.hosts.push((of, Arc::clone(&host.standing)));
            }
            let target = |table: Option<Arc<str>>| Target { table, trigger: live.mailbox.clone() };
            if live.cursor.is_some() {
                directory.readers.push(live.mailbox.clone());
                continue;
            }
            match live.def.spec() {
                Some(TriggerSpec::Table(table)) => {
                    directory.writes.entry(*db).or_default().push(target(Some(table)));
                }
                Some(TriggerSpec::AllTables) => {
                    directory.writes.entry(*db).or_default().push(target(None));
                }
                Some(TriggerSpec::Snapshot(table)) => {
                    directory.snapshots.entry(*db).or_default().push(target(table));
                }
                Some(TriggerSpec::Request(path)) => {
                    let answering = (Arc::clone(&live.database), live.mailbox.clone());
                    directory.requests.insert(path, answering);
                }
                Some(TriggerSpec::Cron(_) | TriggerSpec::Every(_)) | None => {}
            }
        }
        drop(live);
        directory.hosts.sort_by(|(a, _), (b, _)| a.cmp(b));
        directory.running.sort_by(|a, b| (&a.database, &a.trigger).cmp(&(&b.database, &b.trigger)));
        self.directory.publish(Arc::new(directory));
    }

    /// Hands the rows of the interval to the triggers that they are for.
    fn flush(&mut self) {
        for reader in &self.directory.load().readers {
            reader.tell(LookForRows); // one that is busy looks when it is done
        }
        self.pending_bytes = 0;
        if self.pending.is_empty() {
            return;
        }
        let (directory, snapshot) = (self.directory.load(), self.config.snapshot.load());
        for (db, batches) in self.pending.drain() {
            let Some(targets) = directory.writes.get(&db) else { continue };
            let Some(database) = by_id(&snapshot, db) else { continue };
            let event = Arc::new(event(database, batches));
            for target in targets {
                let is_for_it = event.tables.iter().any(|table| target.wants(&table.name));
                let fire = FireWrites { event: Arc::clone(&event) };
                if is_for_it && !target.trigger.tell(fire) {
                    metrics::counter!("processing_engine_events_lost_total").increment(1);
                    tracing::warn!("a trigger is busy: rows did not reach it");
                }
            }
        }
    }

    fn snapshot_taken(&self, taken: &SnapshotTaken) {
        let (directory, snapshot) = (self.directory.load(), self.config.snapshot.load());
        for (db, targets) in &directory.snapshots {
            let Some(database) = by_id(&snapshot, *db) else { continue };
            let names = table_names(database);
            for target in targets {
                let files = taken.files.iter().filter(|file| file.db == *db);
                let files = files.filter_map(|file| {
                    let table = names.get(&file.table).filter(|name| target.wants(name))?;
                    Some(json!({
                        "table_name": table,
                        "path": paths::parquet_file(&self.config.node, file),
                        "size_bytes": file.size_bytes,
                        "row_count": file.row_count,
                        "min_time": file.min_time_ns,
                        "max_time": file.max_time_ns,
                    }))
                });
                let files: Vec<_> = files.collect();
                if files.is_empty() {
                    continue;
                }
                let description = json!({
                    "sequence": taken.sequence, "database": database.name, "files": files,
                });
                target.trigger.tell(FireSnapshot { description });
            }
        }
    }
}

/// What was to be, or none; a failure is logged.
fn told<T>(born: anyhow::Result<T>, trigger: &str) -> Option<T> {
    born.inspect_err(|error| tracing::error!(trigger, %error, "a trigger could not be started"))
        .ok()
}

/// The triggers that are to run.
fn wanted(
    catalog: &CatalogSnapshot,
) -> HashMap<TriggerRef, (Arc<DatabaseSchema>, Arc<TriggerDef>)> {
    let databases = catalog.live_databases();
    let enabled = databases.into_iter().flat_map(|db| {
        let enabled = db.plugins.triggers.iter().filter(|trigger| !trigger.disabled);
        enabled.map(move |def| ((db.id, def.id), (Arc::clone(db), Arc::clone(def))))
    });
    enabled.collect()
}

/// Whether there is such a trigger, disabled or not.
fn is_there(catalog: &CatalogSnapshot, (db, id): TriggerRef) -> bool {
    let database = catalog.databases.values().find(|database| database.id == db);
    database.is_some_and(|database| database.plugins.triggers.iter().any(|def| def.id == id))
}

/// What a trigger needs; nothing when it has a form that this release does not know.
fn trigger_config(
    config: &TriggersConfig,
    key: u64,
    db: &DatabaseSchema,
    def: &Arc<TriggerDef>,
    standing: &Arc<TriggerStanding>,
    host: &Mailbox<PythonHost>,
) -> Option<TriggerConfig> {
    let code = match &def.plugin {
        PluginRef::Path(_) => None,
        PluginRef::Named(name) => match &db.plugins.plugin(name)?.text {
            PluginText::Code(code) => Some(Arc::clone(code)),
            PluginText::File(_) => None,
        },
    };
    Some(TriggerConfig {
        key,
        database: Arc::clone(&db.name),
        def: Arc::clone(def),
        spec: def.spec()?,
        path: db.plugins.file_name(def).into(),
        code,
        host: host.clone(),
        files: config.files.clone(),
        log: config.log.clone(),
        catalog: config.catalog.clone(),
        services: Arc::clone(&config.services),
        cursor: None,
        standing: Arc::clone(standing),
        node: config.node.as_str().into(),
        clock: config.clock.clone(),
        timeout: config.timeout,
        async_max: config.async_max,
    })
}

fn by_id(catalog: &CatalogSnapshot, db: DbId) -> Option<&Arc<DatabaseSchema>> {
    catalog.databases.values().find(|database| database.id == db && database.deletion.is_none())
}

impl Service for Triggers {
    const RANK: u8 = rank::TRIGGERS;
}

impl Receive<SyncTriggers> for Triggers {
    fn receive(&mut self, _: SyncTriggers, reply: Responder<SyncTriggers>, cx: &mut Cx<'_, Self>) {
        self.waiting.push(reply);
        self.sync(cx);
    }
}

impl Receive<RowsWritten> for Triggers {
    fn receive(&mut self, rows: RowsWritten, reply: Responder<RowsWritten>, _: &mut Cx<'_, Self>) {
        for batch in rows.batches {
            self.pending_bytes += batch.size_bytes;
            self.pending.entry(batch.db).or_default().push(batch);
        }
        if self.pending_bytes > limits::TRIGGER_EVENT_BYTES_MAX {
            self.flush();
        }
        reply.answer(());
    }
}

impl Receive<FlushTriggers> for Triggers {
    fn receive(&mut self, _: FlushTriggers, reply: Responder<FlushTriggers>, _: &mut Cx<'_, Self>) {
        self.flush();
        reply.answer(());
    }
}

impl Receive<SnapshotTaken> for Triggers {
    fn receive(
        &mut self,
        taken: SnapshotTaken,
        reply: Responder<SnapshotTaken>,
        _: &mut Cx<'_, Self>,
    ) {
        self.snapshot_taken(&taken);
        reply.answer(());
    }
}

impl Receive<TestPlugin> for Triggers {
    fn receive(&mut self, test: TestPlugin, reply: Responder<TestPlugin>, cx: &mut Cx<'_, Self>) {
        let config = Arc::clone(&self.config);
        let key = self.kept.next_key.fetch_add(1, Ordering::Relaxed);
        let work = async move { test_run::test(&config, key, test).await };
        cx.then(work, |_, report, _| reply.answer(report));
    }
}

impl Receive<StopTriggers> for Triggers {
    fn receive(&mut self, _: StopTriggers, reply: Responder<StopTriggers>, cx: &mut Cx<'_, Self>) {
        self.is_stopping = true;
        self.pending.clear();
        self.directory.publish(Arc::new(TriggerDirectory::default()));
        let live: Vec<Live> = self.live().drain().map(|(_, live)| live).collect();
        let host = self.config.host.clone();
        let work = async move {
            let ended = live.into_iter().map(|live| live.end(host.clone(), false));
            futures::future::join_all(ended).await;
            let deadline = Instant::now() + STOP_TIME;
            if let Err(error) = host.ask::<{ rank::TRIGGERS }, _>(StopHost, deadline).await {
                tracing::warn!(%error, "the plugin host ends with the server");
            }
        };
        cx.then(work, |_, (), _| reply.answer(()));
    }
}
