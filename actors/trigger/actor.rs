//! See the module's page.

use super::config::TriggerConfig;
use super::delivery::{Delivery, Found};
use super::queue::{Event, Queue, Waiting};
use super::run::{self, Ran, log};
use super::schedule::Instants;

use crate::runtime::actor::{Cx, Receive, Service};

use crate::runtime::mailbox::Responder;
use protocols::limits::{ADMIN_DEADLINE_MS, TRIGGER_EVENTS_MAX};
use protocols::messages::catalog::{By, SetTriggerDisabled};
use protocols::messages::plugins::{
    FireSnapshot, FireWrites, HandleRequest, LookForRows, PluginSource,
};
use protocols::messages::rank;
use protocols::plugins::host::Level;
use protocols::plugins::{ErrorBehavior, TriggerKind};
use protocols::principal::{Origin, Principal};
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

/// See the module's page.
pub struct Trigger {
    config: Arc<TriggerConfig>,
    queue: Queue,
    running: usize,
    /// Runs begun so far.
    begun: u64,
    /// When the events came that run, or that are to be tried again.
    under_way: Vec<i64>,
    /// A failed run waits for its next attempt.
    pausing: bool,
    /// A failure has disabled the trigger.
    ended: bool,
    plugin: Option<PluginSource>,
    instants: Option<Instants>,
    /// How rows are read that it must not miss.
    delivery: Option<Delivery>,
}

impl Trigger {
    /// The actor, without events.
    pub fn new(config: Arc<TriggerConfig>) -> Self {
        Self {
            instants: Instants::of(&config.spec),
            delivery: config.cursor.clone().map(Delivery::new),
            config,
            queue: Queue::default(),
            running: 0,
            begun: 0,
            under_way: Vec::new(),
            pausing: false,
            ended: false,
            plugin: None,
        }
    }

    fn push(&mut self, event: Event, cx: &mut Cx<'_, Self>) {
        if self.ended {
            return;
        }
        self.queue.push(event, self.config.clock.now_ns());
        self.start(cx);
        if let Some(lost) = self.queue.lost_to_tell() {
            self.config.standing.lost(lost);
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

    /// Reads the next rows, unless others wait for a run already.
    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        let is_free = !self.pausing && !self.ended && self.running < self.runs_max();
        let Some(delivery) = &mut self.delivery else { return };
        if !is_free || delivery.is_reading || self.queue.len() > 0 {
            return;
        }
        delivery.is_reading = true;
        let work = delivery.next(self.config.table().map(str::to_owned));
        cx.then(work, |trigger, found, cx| {
            if let Some(delivery) = &mut trigger.delivery {
                delivery.is_reading = false;
            }
            match found {
                Ok(found) => trigger.found(found, cx),
                Err(error) => {
                    let text = format!("rows are not read for now: {error}");
                    log(&trigger.config, Level::Warn, text);
                }
            }
        });
    }

    fn found(&mut self, Found { stretch, event }: Found, cx: &mut Cx<'_, Self>) {
        let Some(delivery) = &mut self.delivery else { return };
        let is_event = !event.tables.is_empty();
        delivery.has_read(stretch.through, is_event);
        if stretch.missing_files > 0 {
            self.config.standing.lost(stretch.missing_files);
            let files = stretch.missing_files;
            let text = format!("{files} files of the WAL are gone or damaged: rows may be missing");
            log(&self.config, Level::Warn, text);
        }
        if is_event {
            self.queue.push_read(Arc::new(event), stretch.written_ns, stretch.through);
            self.start(cx);
        }
    }

    fn runs_max(&self) -> usize {
        if self.config.def.run_async { self.config.async_max } else { 1 }
    }

    /// Begins as many runs as there may be.
    fn start(&mut self, cx: &mut Cx<'_, Self>) {
        while !self.pausing && !self.ended && self.running < self.runs_max() {
            let Some(waiting) = self.queue.pop() else { break };
            if waiting.event.is_abandoned() {
                continue;
            }
            self.begin(waiting, cx);
        }
        let oldest_ns = self.queue.oldest_ns().into_iter().chain(self.under_way.iter().copied());
        self.config.standing.set_waiting(self.queue.len(), oldest_ns.min());
        self.look(cx);
    }

    fn begin(&mut self, waiting: Waiting, cx: &mut Cx<'_, Self>) {
        self.running += 1;
        self.begun += 1;
        self.under_way.push(waiting.came_ns);
        let (config, known, number) = (Arc::clone(&self.config), self.plugin.clone(), self.begun);
        let work = async move {
            let ran = run::attempt(&config, known, number, &waiting).await;
            (waiting, ran)
        };
        cx.then(work, |trigger, (waiting, (plugin, ran)), cx| {
            trigger.running -= 1;
            trigger.plugin = plugin.or(trigger.plugin.take());
            trigger.ran(waiting, ran, cx);
            trigger.start(cx);
        });
    }

    /// An event does not run, nor wait for its next attempt.
    fn rests(&mut self, waiting: &Waiting) {
        if let Some(at) = self.under_way.iter().position(|came_ns| *came_ns == waiting.came_ns) {
            self.under_way.swap_remove(at);
        }
    }

    /// Nothing more is done about an event.
    fn is_done(&mut self, waiting: &Waiting) {
        self.rests(waiting);
        if let (Some(delivery), Some(place)) = (&mut self.delivery, waiting.place) {
            delivery.is_done(place);
        }
    }

    fn ran(&mut self, mut waiting: Waiting, ran: Ran, cx: &mut Cx<'_, Self>) {
        let is_retried = ran.is_err() && self.is_retried(&waiting);
        // One that disables the trigger comes again once it is enabled.
        let disables = ran.is_err() && self.config.def.error_behavior == ErrorBehavior::Disable;
        let comes_again = is_retried || (disables && waiting.place.is_some());
        if !comes_again {
            self.is_done(&waiting);
        }
        let error = match ran {
            Ok(Some(response)) => return waiting.event.answer(Ok(response)),
            Ok(None) => return,
            Err(error) => error,
        };
        let kind = self.config.spec.kind();
        let text = format!("error executing {}: {error}", kind.plugin_name());
        log(&self.config, Level::Error, text);
        if kind == TriggerKind::Request {
            return waiting.event.answer(Err(error));
        }
        match self.config.def.error_behavior {
            ErrorBehavior::Log => {}
            ErrorBehavior::Retry if is_retried => self.retry(waiting, cx),
            ErrorBehavior::Retry => {}
            ErrorBehavior::Disable => self.disable(cx),
        }
    }

    /// True if an event whose run failed is tried again.
    fn is_retried(&self, waiting: &Waiting) -> bool {
        let def = &self.config.def;
        def.error_behavior == ErrorBehavior::Retry
            && self.config.spec.kind() != TriggerKind::Request
            && (!def.run_async || waiting.attempts + 1 < ASYNC_ATTEMPTS_MAX)
    }

    fn retry(&mut self, mut waiting: Waiting, cx: &mut Cx<'_, Self>) {
        let doubled = RETRY_PAUSE_MIN.saturating_mul(2_u32.saturating_pow(waiting.attempts));
        let pause = doubled.min(RETRY_PAUSE_MAX);
        waiting.attempts += 1;
        let is_async = self.config.def.run_async;
        // Others may go on meanwhile only where runs overlap anyway.
        self.pausing = !is_async;
        cx.then(tokio::time::sleep(pause), |trigger, (), cx| {
            trigger.pausing = false;
            trigger.rests(&waiting);
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
            let disable =
                By { principal: Principal::Server, origin: Origin::default(), change: disable };
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

impl Receive<LookForRows> for Trigger {
    fn receive(&mut self, _: LookForRows, reply: Responder<LookForRows>, cx: &mut Cx<'_, Self>) {
        self.look(cx);
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
