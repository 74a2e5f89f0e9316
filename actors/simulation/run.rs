//! One run: a schedule drawn from a seed, and the checks at its end.

mod end;
mod trouble;

use super::caches;
use super::clients::{query, write};
use super::lines::TableKey;
use super::row_deletes;
use super::trace::Trace;
use super::workload::{Ask, DATABASES, TABLES};
use super::world::{Sets, World};
use crate::runtime::simulated::{self, Machine};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use rand::RngExt;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long the last requests, and a start, may take when nothing is wrong any more.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Equal for equal runs.
    pub digest: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<String>,
    /// What happened, if that was to be kept.
    pub lines: Vec<String>,
    /// Writes that were acknowledged.
    pub stored: usize,
    /// Calls to the disk or the store.
    pub calls: u64,
}

/// Runs the schedule of `seed`, with the bug `canary` awake.
///
/// # Errors
/// When the system has no runtime to give.
pub fn run(seed: u64, canary: Option<&'static str>, keep_lines: bool) -> std::io::Result<Report> {
    let machine = Machine::new(seed, canary);
    let entered = machine.enter();
    simulated::listen_for_panics();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let report = runtime.block_on(async {
        let world = World::new(seed, Rc::clone(&machine), Trace::new(keep_lines));
        let (clients, hold) = (FuturesUnordered::new(), Cell::new(None));
        let driver = Driver { world: Rc::clone(&world), clients, hold };
        beside(world.sets(), driver.drive()).await;
        for id in world.alive() {
            world.kill(id);
        }
        let trace = world.trace.replace(Trace::new(false));
        Report {
            seed,
            digest: trace.digest(),
            violation: world.violation(),
            lines: trace.into_lines(),
            stored: world.model.borrow().stored(),
            calls: world.disk().calls() + world.objects.calls(),
        }
    });
    drop(runtime);
    drop(entered);
    Ok(report)
}

/// Runs `driver`, and beside it the tasks of all processes.
async fn beside(sets: Sets, driver: impl Future<Output = ()>) {
    let mut driver = pin!(driver);
    std::future::poll_fn(|cx| {
        if driver.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        for set in sets.borrow_mut().values_mut() {
            // A set without tasks is ready; it is asked again when it has some.
            Pin::new(set).poll(cx).is_ready();
        }
        Poll::Pending
    })
    .await;
}

/// Makes things happen.
struct Driver {
    world: Rc<World>,
    clients: FuturesUnordered<LocalBoxFuture<'static, ()>>,
    /// How long the next step has to wait.
    hold: Cell<Option<Duration>>,
}

/// How often what happens, in a run of a certain mood.
struct Mood {
    steps: u32,
    crashes: u32,
    twins: u32,
    faults: u32,
    panics: u32,
    changes: u32,
    points: u32,
    deletes: u32,
}

impl Driver {
    async fn drive(mut self) {
        let mood = self.mood();
        self.world.log(format_args!("options {:?}", self.world.state.directory));
        let slow = [0.0, 0.0, 0.02, 0.2][self.world.random().random_range(0..4)];
        self.world.machine.slow.set(slow);
        self.world.start_process();
        self.wait_until_ready().await;
        for _ in 0..mood.steps {
            if self.world.violation().is_some() {
                return;
            }
            self.step(&mood);
            if self.world.caches.is_some() && self.world.random().random_bool(0.2) {
                self.create_cache();
            }
            let span = self.hold.take().unwrap_or_else(|| self.span());
            self.settle(span).await;
        }
        self.end().await;
    }

    fn mood(&self) -> Mood {
        let mut random = self.world.random();
        let mut often =
            |share: f64, weight: u32| if random.random_bool(share) { weight } else { 0 };
        let (crashes, twins) = (often(0.7, 6), often(0.25, 4));
        let (faults, panics, changes) = (often(0.5, 10), often(0.3, 5), often(0.5, 6));
        let points = often(0.4, 6);
        let steps = random.random_range(10..60);
        let deletes = if self.world.deletes_rows { 8 } else { 0 };
        Mood { steps, crashes, twins, faults, panics, changes, points, deletes }
    }

    /// How long until the next step.
    fn span(&self) -> Duration {
        let mut random = self.world.random();
        let micros = match random.random_range(0..20) {
            0..10 => random.random_range(0..3_000),
            10..17 => random.random_range(0..100_000),
            17..19 => random.random_range(0..3_000_000),
            _ => random.random_range(0..30_000_000),
        };
        Duration::from_micros(micros)
    }

    fn step(&mut self, mood: &Mood) {
        let (writes, queries) = (40, 14);
        let Mood { crashes, twins, faults, panics, changes, points, deletes, .. } = *mood;
        let weights =
            [writes, queries, crashes, twins, faults, panics, changes, points, 2, deletes];
        let mut dice = self.world.random().random_range(0..weights.iter().sum());
        let mut chosen = 0;
        while dice >= weights[chosen] {
            dice -= weights[chosen];
            chosen += 1;
        }
        match chosen {
            0 => self.send_writes(),
            1 => self.send_query(),
            2 => self.crash(),
            3 => self.twin(),
            4 => self.fault(),
            5 => self.panic(),
            6 => self.change(),
            7 => self.fail_point(),
            8 => self.step_clock(),
            _ => self.delete_rows(),
        }
    }

    fn send_writes(&self) {
        let many = self.world.random().random_range(1..5);
        for _ in 0..many {
            if let Some((id, server)) = self.world.any_server() {
                self.world.start(write(Rc::clone(&self.world), id, server));
            }
        }
    }

    fn send_query(&self) {
        let Some((id, server)) = self.world.any_server() else { return };
        let table = {
            let mut random = self.world.random();
            TableKey {
                db: random.random_range(0..DATABASES),
                table: random.random_range(0..TABLES),
            }
        };
        let ask = Ask::choose(&mut self.world.random(), self.world.present());
        self.world.start(query(Rc::clone(&self.world), id, server, table, ask));
    }

    fn delete_rows(&self) {
        if let Some((id, server)) = self.world.any_server() {
            self.world.start(row_deletes::delete(Rc::clone(&self.world), id, server));
        }
    }

    fn create_cache(&self) {
        let Some((_, server)) = self.world.any_server() else { return };
        let mut random = self.world.random();
        let (db, table) = (random.random_range(0..DATABASES), random.random_range(0..TABLES));
        drop(random);
        let table = TableKey { db, table };
        self.world.start(caches::create(Rc::clone(&self.world), server, table));
    }

    /// Lets everything go on for a while.
    async fn settle(&mut self, span: Duration) {
        let until = Instant::now() + span;
        let on_stop = self.world.disk().on_stop();
        loop {
            self.clients.extend(self.world.started.borrow_mut().drain(..));
            tokio::select! {
                biased;
                () = on_stop.notified() => {
                    if self.world.disk().is_stopped() {
                        self.world.stop_machine(self.world.stop_is_power_loss.get());
                        self.start_later();
                    }
                }
                Some(()) = self.clients.next(), if !self.clients.is_empty() => {}
                () = sleep_until(until) => break,
            }
            if self.world.violation().is_some() {
                return;
            }
        }
        if self.world.alive().is_empty() && self.world.random().random_bool(0.2) {
            self.start_later();
        }
    }

    /// Waits until one process is ready; starts one if there is none.
    async fn wait_until_ready(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.world.violation().is_none() && self.world.only_server().is_none() {
            let alive = self.world.alive();
            match alive.as_slice() {
                [] => drop(self.world.start_process()),
                [_] => {}
                [replaced @ .., _] => replaced.iter().for_each(|id| self.world.kill(*id)),
            }
            if Instant::now() > until {
                self.world.violated("no process is ready although nothing is wrong");
            }
            self.settle(Duration::from_millis(500)).await;
        }
    }

    /// Waits for all answers.
    async fn finish_requests(&mut self) {
        let begun = Instant::now();
        self.settle(Duration::from_millis(1)).await;
        while self.waiting() > 0 && self.world.violation().is_none() {
            if begun.elapsed() > PATIENCE {
                self.world.violated("requests are not answered");
            }
            match self.world.alive().as_slice() {
                [] => drop(self.world.start_process()),
                // One that is replaced and has nothing to write does not notice, and a change of
                // the schema waits until there is only one.
                [replaced @ .., _] if begun.elapsed() > PATIENCE / 2 => {
                    replaced.iter().for_each(|id| self.world.kill(*id));
                }
                _ => {}
            }
            self.settle(Duration::from_millis(50)).await;
        }
    }

    /// Requests under way. For each living process there is a future that waits for its end.
    fn waiting(&self) -> usize {
        self.clients.len().saturating_sub(self.world.alive().len())
    }
}
