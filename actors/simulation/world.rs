//! The machine, the servers on it, and what the driver knows of both.

use super::model::Model;
use super::objects::{SimObjects, Weather};
use super::retention::Moment;
use super::setup;
use super::trace::Trace;
use super::workload::Present;
use crate::cache_keeper::CacheKeeper;
use crate::runtime::clock::{Clock, PausedClock};
use crate::runtime::fatal::Fatal;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::simulated::Machine;
use crate::server::{Addresses, CacheOptions, Server, ServerConfig};
use crate::storage::objects::Objects;
use crate::storage::simulated_disk::{HasDisk, SimDisk};
use futures::future::LocalBoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// What the wall clock shows first: an instant in 2026.
const START_NS: i64 = 1_790_000_000_000_000_000;
/// A call that a dead process has sent is over after this time.
const CALLS_OVER: Duration = Duration::from_secs(35);
/// When nothing was wrong for so long, everything has to work.
pub(super) const CALM: Duration = Duration::from_secs(60);

/// A server process, alive or dead.
struct Process {
    started: Moment,
    started_at: Instant,
    /// When it was ready.
    booted: Option<Moment>,
    running: Option<Running>,
    died_at: Option<Instant>,
    fatal: Fatal,
    /// Dropped when the process dies.
    life: Option<oneshot::Sender<()>>,
}

/// A server that is ready.
struct Running {
    server: Server,
    /// What looks after its caches, if it is to have some.
    keeper: Option<Mailbox<CacheKeeper>>,
}

/// See the module's page.
pub(super) struct World {
    pub(super) machine: Rc<Machine>,
    pub(super) objects: SimObjects,
    pub(super) clock: Arc<PausedClock>,
    pub(super) model: RefCell<Model>,
    pub(super) trace: RefCell<Trace>,
    pub(super) config: ServerConfig,
    /// What caches run with, if there are to be some.
    pub(super) caches: Option<CacheOptions>,
    /// Whether clients delete rows.
    pub(super) deletes_rows: bool,
    /// Where the server keeps its state.
    pub(super) state: Objects,
    /// Requests under way, and whatever else the driver waits for.
    pub(super) started: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    /// True while a change of the schema is under way.
    pub(super) changing: Cell<bool>,
    /// True when the next stop of the machine takes its unsynced bytes.
    pub(super) stop_is_power_loss: Cell<bool>,
    random: RefCell<StdRng>,
    moment: Cell<Moment>,
    violation: RefCell<Option<String>>,
    processes: RefCell<BTreeMap<u64, Process>>,
    sets: Rc<RefCell<BTreeMap<u64, LocalSet>>>,
    begun: Instant,
    troubled: Cell<bool>,
    calm_since: Cell<Instant>,
}

/// Where the tasks of each process live. Dropping a set kills the process.
pub(super) type Sets = Rc<RefCell<BTreeMap<u64, LocalSet>>>;

impl World {
    pub(super) fn new(seed: u64, machine: Rc<Machine>, trace: Trace) -> Rc<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        let root = PathBuf::from("/data");
        let (objects, directory, remote) = match random.random_range(0..5) {
            0..3 => (SimObjects::folder(seed, root.clone()), Some(root), false),
            3 => (SimObjects::bucket(seed), None, true),
            _ => (SimObjects::bucket(seed), None, false),
        };
        let clock = Arc::new(PausedClock::new(START_NS));
        let state = Objects { store: Arc::new(objects.clone()), directory, remote, fsync: true };
        let config = setup::config(seed, &mut random);
        let now = Instant::now();
        Rc::new(Self {
            machine,
            objects,
            clock,
            model: RefCell::default(),
            trace: RefCell::new(trace),
            config,
            caches: setup::caches(seed),
            deletes_rows: setup::deletes_rows(seed),
            state,
            started: RefCell::default(),
            changing: Cell::new(false),
            stop_is_power_loss: Cell::new(false),
            random: RefCell::new(random),
            moment: Cell::new(1),
            violation: RefCell::new(None),
            processes: RefCell::default(),
            sets: Rc::default(),
            begun: now,
            troubled: Cell::new(false),
            calm_since: Cell::new(now),
        })
    }

    pub(super) fn sets(&self) -> Sets {
        Rc::clone(&self.sets)
    }

    pub(super) fn random(&self) -> RefMut<'_, StdRng> {
        self.random.borrow_mut()
    }

    pub(super) fn disk(&self) -> RefMut<'_, SimDisk> {
        self.machine.disk()
    }

    /// The next moment.
    pub(super) fn moment(&self) -> Moment {
        self.moment.set(self.moment.get() + 1);
        self.model.borrow_mut().retention.tick(self.clock.now_ns());
        self.moment.get()
    }

    pub(super) fn present(&self) -> Present {
        Present { clock_ns: self.clock.now_ns(), gen1_ns: self.config.gen1_duration_ns }
    }

    /// Notes what happens.
    pub(super) fn log(&self, what: impl Display) {
        for note in self.machine.notes.borrow_mut().drain(..) {
            self.trace.borrow_mut().note(note);
        }
        let at = self.begun.elapsed().as_micros();
        self.trace.borrow_mut().line(format!("{at:>12} {what}"));
    }

    /// Notes a broken promise; the run ends with the first.
    pub(super) fn violated(&self, what: impl Display) {
        self.log(format_args!("VIOLATION: {what}"));
        self.violation.borrow_mut().get_or_insert_with(|| what.to_string());
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone().or_else(|| {
            let panic = self.machine.panics.borrow().first().cloned();
            panic.map(|text| format!("somebody panicked: {text}"))
        })
    }

    /// Runs `work` beside the driver.
    pub(super) fn start(&self, work: impl Future<Output = ()> + 'static) {
        self.started.borrow_mut().push(Box::pin(work));
    }

    /// Notes that from now on something may fail.
    pub(super) fn trouble(&self) {
        self.troubled.set(true);
    }

    /// Ends all faults.
    pub(super) fn heal(&self) {
        self.objects.set_weather(Weather::FAIR);
        self.disk().heal();
        self.machine.faults.borrow_mut().clear();
        self.troubled.set(false);
        self.calm_since.set(Instant::now());
    }

    /// True when nothing can be an excuse for a failure.
    pub(super) fn is_calm(&self) -> bool {
        !self.troubled.get() && self.calm_since.get().elapsed() >= CALM
    }

    /// Starts another process on the same state.
    pub(super) fn start_process(self: &Rc<Self>) -> u64 {
        let started = self.moment();
        let mut processes = self.processes.borrow_mut();
        let id = processes.len() as u64 + 1;
        let fatal = Fatal::default();
        let (life, death) = oneshot::channel();
        processes.insert(
            id,
            Process {
                started,
                started_at: Instant::now(),
                booted: None,
                running: None,
                died_at: None,
                fatal: fatal.clone(),
                life: Some(life),
            },
        );
        drop(processes);
        self.log(format_args!("process {id} starts"));
        let set = LocalSet::new();
        let (sender, booted) = oneshot::channel();
        let fatal_of_process = fatal.clone();
        let (config, caches, state) = (self.config.clone(), self.caches, self.state.clone());
        let clock = Clock::Paused(Arc::clone(&self.clock));
        set.spawn_local(async move {
            let start = async {
                let mut server = Server::start(&config, state, clock, fatal_of_process).await?;
                let keeper = match caches {
                    Some(caches) => Some(server.start_caches(caches).await?),
                    None => None,
                };
                Ok(Running { server, keeper })
            };
            sender.send(Box::pin(start).await).ok();
        });
        self.sets.borrow_mut().insert(id, set);
        let world = Rc::clone(self);
        self.start(async move {
            if let Ok(result) = booted.await {
                world.booted(id, result);
            }
        });
        let world = Rc::clone(self);
        self.start(async move { world.watch(id, fatal, death).await });
        id
    }

    fn booted(self: &Rc<Self>, id: u64, result: anyhow::Result<Running>) {
        match result {
            Ok(running) => {
                let now = self.moment();
                self.log(format_args!("process {id} is ready"));
                if let Some(process) = self.processes.borrow_mut().get_mut(&id) {
                    process.booted = Some(now);
                    process.running = Some(running);
                }
            }
            Err(error) => {
                self.log(format_args!("process {id} cannot start: {error:#}"));
                if self.is_calm() && !self.has_rivals(id) {
                    self.violated(format_args!("a start failed in fair weather: {error:#}"));
                }
                self.kill(id);
            }
        }
    }

    /// Ends the process when it wants to.
    async fn watch(self: Rc<Self>, id: u64, fatal: Fatal, death: oneshot::Receiver<()>) {
        let reason = tokio::select! {
            biased;
            _ = death => return,
            reason = fatal.raised() => reason,
        };
        self.log(format_args!("process {id} wants to end: {}", reason.reason));
        // Faults of the disk and the store are no excuse for seeing a rival where there is none.
        let fenced = reason.reason.contains("another process");
        if (fenced || self.is_calm()) && !self.has_rivals(id) {
            self.violated(format_args!("a process gave up without need: {}", reason.reason));
        }
        let grace = self.random().random_range(0..500);
        tokio::time::sleep(Duration::from_millis(grace)).await;
        if self.is_alive(id) {
            self.kill(id);
        }
    }

    /// True when another process lived, or had calls under way, during the life of this one.
    fn has_rivals(&self, id: u64) -> bool {
        let processes = self.processes.borrow();
        let Some(this) = processes.get(&id) else { return false };
        let overlaps =
            |other: &Process| other.died_at.is_none_or(|died| died + CALLS_OVER > this.started_at);
        processes.iter().any(|(other, process)| *other != id && overlaps(process))
    }

    pub(super) fn is_alive(&self, id: u64) -> bool {
        self.processes.borrow().get(&id).is_some_and(|process| process.died_at.is_none())
    }

    /// Ends the process on the spot.
    pub(super) fn kill(&self, id: u64) {
        self.log(format_args!("process {id} is gone"));
        let set = self.sets.borrow_mut().remove(&id);
        drop(set);
        self.disk().forget_lost();
        // The next process knows nothing of what this one has synced.
        self.machine.durable_folders().clear();
        let running = self.processes.borrow_mut().get_mut(&id).and_then(|process| {
            process.died_at = Some(Instant::now());
            process.life = None;
            process.running.take()
        });
        drop(running);
    }

    /// Ends all processes on the spot; the disk may lose what was not synced.
    pub(super) fn stop_machine(&self, power_loss: bool) {
        let all: Vec<u64> = self.sets.borrow().keys().copied().collect();
        self.disk().stop();
        for id in all {
            self.kill(id);
        }
        if power_loss {
            self.disk().lose_power();
        }
        self.disk().start();
        self.log(if power_loss { "power lost" } else { "machine stopped" });
    }

    /// The processes that are alive, oldest first.
    pub(super) fn alive(&self) -> Vec<u64> {
        self.sets.borrow().keys().copied().collect()
    }

    /// The addresses of a process that is ready.
    pub(super) fn server(&self, id: u64) -> Option<Addresses> {
        let processes = self.processes.borrow();
        processes.get(&id)?.running.as_ref().map(|running| running.server.addresses.clone())
    }

    /// What looks after the caches of a process that is ready, if it has some.
    pub(super) fn keeper(&self, id: u64) -> Option<Mailbox<CacheKeeper>> {
        self.processes.borrow().get(&id)?.running.as_ref()?.keeper.clone()
    }

    /// One of the processes that are ready.
    pub(super) fn any_server(&self) -> Option<(u64, Addresses)> {
        let ready: Vec<u64> =
            self.alive().into_iter().filter(|id| self.server(*id).is_some()).collect();
        if ready.is_empty() {
            return None;
        }
        let id = ready[self.random().random_range(0..ready.len())];
        Some((id, self.server(id)?))
    }

    /// The one process, when it is ready and there is no other.
    pub(super) fn only_server(&self) -> Option<(u64, Addresses)> {
        match self.alive().as_slice() {
            [id] => Some((*id, self.server(*id)?)),
            _ => None,
        }
    }

    /// True when no other process can have acknowledged anything that this one does not know.
    pub(super) fn is_current(&self, id: u64) -> bool {
        let processes = self.processes.borrow();
        let Some(this) = processes.get(&id) else { return false };
        let before = |other: &Process| other.booted.is_none_or(|booted| booted < this.started);
        processes.iter().all(|(other, process)| *other == id || before(process))
            && this.fatal.reason().is_none()
    }

    /// Takes what is needed to end the process in good order.
    pub(super) fn take_running(&self, id: u64) -> Option<Server> {
        let running = self.processes.borrow_mut().get_mut(&id)?.running.take();
        running.map(|running| running.server)
    }
}
