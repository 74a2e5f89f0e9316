//! See the module's page.

use super::queue::{Event, Queue, Waiting};
use super::run::{log, read, run};
use super::schedule::Instants;
use crate::catalog::Catalog;
use crate::plugin_files::PluginFiles;
use crate::plugin_log::PluginLog;
use crate::python_host::{HostConfig, PythonHost};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::{Mailbox, Responder};
use bytes::Bytes;
use protocols::limits::{ADMIN_DEADLINE_MS, TRIGGER_EVENTS_MAX};
use protocols::messages::catalog::{By, SetTriggerDisabled};
use protocols::messages::plugins::{
    FireSnapshot, FireWrites, HandleRequest, PluginError, PluginSource,
};
use protocols::messages::rank;
use protocols::plugins::host::{Level, Response};
use protocols::plugins::{ErrorBehavior, TriggerDef, TriggerKind, TriggerSpec};
use protocols::principal::Principal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// First pause before a failed run is tried again; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(1);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often a run is tried that may overlap with others.
const ASYNC_ATTEMPTS_MAX: u32 = 5;
/// The longest sleep until an instant: the wall clock may be set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

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

/// See the module's page.
pub struct Trigger {
    config: Arc<TriggerConfig>,
    queue: Queue,
    running: usize,
    /// A failed run waits for its next attempt.
    pausing: bool,
    /// A failure has disabled the trigger.
    ended: bool,
    plugin: Option<PluginSource>,
    instants: Option<Instants>,
}

type Ran = Result<Option<(Response, Bytes)>, PluginError>;

impl Trigger {
    /// The actor, without events.
    pub fn new(config: Arc<TriggerConfig>) -> Self {
        Self {
            instants: Instants::of(&config.spec),
            config,
            queue: Queue::default(),
            running: 0,
            pausing: false,
            ended: false,
            plugin: None,
        }
    }

    fn push(&mut self, event: Event, cx: &mut Cx<'_, Self>) {
        if self.ended {
            return;
        }
        self.queue.push(event);
        self.start(cx);
        if let Some(lost) = self.queue.lost_to_tell() {
            metrics::counter!("trigger_events_lost_total").increment(lost);
            let text = format!("trigger queue full, dropped {lost} {} events", self.events());
            log(&self.config, Level::Warn, text);
        }
    }

    fn events(&self) -> &'static str {
        match self.config.spec.kind() {
            TriggerKind::WalRows => "write",
            TriggerKind::Schedule => "schedule",
            TriggerKind::Request => "request",
            TriggerKind::Snapshot => "snapshot",
        }
    }

    /// Begins as many runs as there may be.
    fn start(&mut self, cx: &mut Cx<'_, Self>) {
        let runs_max = if self.config.def.run_async { self.config.async_max } else { 1 };
        while !self.pausing && !self.ended && self.running < runs_max {
            let Some(waiting) = self.queue.pop() else { return };
            if waiting.event.is_abandoned() {
                continue;
            }
            self.running += 1;
            let (config, known) = (Arc::clone(&self.config), self.plugin.clone());
            let work = async move {
                let plugin = read(&config, known).await;
                let ran = match &plugin {
                    Ok(plugin) => run(&config, plugin.clone(), &waiting.event).await,
                    Err(error) => Err(error.clone()),
                };
                (waiting, plugin.ok(), ran)
            };
            cx.then(work, |trigger, (waiting, plugin, ran), cx| {
                trigger.running -= 1;
                trigger.plugin = plugin.or(trigger.plugin.take());
                trigger.ran(waiting, ran, cx);
                trigger.start(cx);
            });
        }
    }

    fn ran(&mut self, mut waiting: Waiting, ran: Ran, cx: &mut Cx<'_, Self>) {
        metrics::counter!("trigger_runs_total").increment(1);
        let error = match ran {
            Ok(Some(response)) => return waiting.event.answer(Ok(response)),
            Ok(None) => return,
            Err(error) => error,
        };
        metrics::counter!("trigger_failures_total").increment(1);
        let kind = self.config.spec.kind();
        let text = format!("error executing {}: {error}", kind.plugin_name());
        log(&self.config, Level::Error, text);
        if kind == TriggerKind::Request {
            return waiting.event.answer(Err(error));
        }
        match self.config.def.error_behavior {
            ErrorBehavior::Log => {}
            ErrorBehavior::Retry => self.retry(waiting, cx),
            ErrorBehavior::Disable => self.disable(cx),
        }
    }

    fn retry(&mut self, mut waiting: Waiting, cx: &mut Cx<'_, Self>) {
        let doubled = RETRY_PAUSE_MIN.saturating_mul(2_u32.saturating_pow(waiting.attempts));
        let pause = doubled.min(RETRY_PAUSE_MAX);
        waiting.attempts += 1;
        let is_async = self.config.def.run_async;
        if is_async && waiting.attempts >= ASYNC_ATTEMPTS_MAX {
            return;
        }
        // Others may go on meanwhile only where runs overlap anyway.
        self.pausing = !is_async;
        cx.then(tokio::time::sleep(pause), |trigger, (), cx| {
            trigger.pausing = false;
            trigger.queue.push_again(waiting);
            trigger.start(cx);
        });
    }

    /// Ends the trigger, also for the next start of the server.
    fn disable(&mut self, cx: &mut Cx<'_, Self>) {
        self.ended = true;
        let config = Arc::clone(&self.config);
        let work = async move {
            let disable = SetTriggerDisabled {
                db: config.database.to_string(),
                trigger: config.def.name.to_string(),
                disabled: true,
            };
            let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
            let disable = By { principal: Principal::Server, change: disable };
            let noted = config.catalog.ask::<{ rank::TRIGGER }, _>(disable, deadline).await;
            match noted {
                Ok(Ok(_)) => tracing::warn!(trigger = %config.def.name, "trigger disabled"),
                Ok(Err(error)) => tracing::error!(%error, "a trigger could not be disabled"),
                Err(error) => tracing::error!(%error, "a trigger could not be disabled"),
            }
        };
        cx.then(work, |_, (), _| ());
    }

    /// Waits for the instant after `last_ns`.
    fn wait(&mut self, last_ns: i64, cx: &mut Cx<'_, Self>) {
        let Some(next_ns) = self.instants.as_ref().and_then(|i| i.after(last_ns)) else { return };
        let ahead = u64::try_from(next_ns.saturating_sub(self.config.clock.now_ns())).unwrap_or(0);
        let sleep = Duration::from_nanos(ahead).min(SLEEP_MAX);
        cx.then(tokio::time::sleep(sleep), move |trigger, (), cx| {
            let now_ns = trigger.config.clock.now_ns();
            if now_ns < next_ns {
                trigger.wait(last_ns, cx);
                return;
            }
            trigger.push(Event::Schedule(next_ns), cx);
            trigger.wait(trigger.made_up(next_ns, now_ns), cx);
        });
    }

    /// The instant that counts as the last one: so many that were missed are made up, no more.
    fn made_up(&self, last_ns: i64, now_ns: i64) -> i64 {
        let Some(instants) = &self.instants else { return last_ns };
        let mut missed = std::iter::successors(Some(last_ns), |ns| instants.after(*ns));
        match missed.nth(TRIGGER_EVENTS_MAX) {
            Some(far_ns) if far_ns < now_ns => now_ns,
            _ => last_ns,
        }
    }
}

impl Service for Trigger {
    const RANK: u8 = rank::TRIGGER;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.wait(self.config.clock.now_ns(), cx);
    }
}

impl Receive<FireWrites> for Trigger {
    fn receive(&mut self, fire: FireWrites, reply: Responder<FireWrites>, cx: &mut Cx<'_, Self>) {
        self.push(Event::Writes(fire.event), cx);
        reply.answer(());
    }
}

impl Receive<FireSnapshot> for Trigger {
    fn receive(
        &mut self,
        fire: FireSnapshot,
        reply: Responder<FireSnapshot>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.push(Event::Snapshot(fire.description), cx);
        reply.answer(());
    }
}

impl Receive<HandleRequest> for Trigger {
    fn receive(
        &mut self,
        request: HandleRequest,
        reply: Responder<HandleRequest>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.push(Event::Request(request, Some(reply)), cx);
    }
}
