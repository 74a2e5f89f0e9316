//! What a simulation puts in the place of the machine, for the thread it runs on: randomness that
//! follows a seed, planted faults, and jobs that run on the spot. What else belongs to the machine,
//! like its disk, is a part that somebody else puts in.
//!
//! Threads without a simulation see none of it, so tests of both kinds run in one process.

use super::fault_plan::FaultPlan;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

/// How long a job on a pool may take, at most.
const JOB_MAX: Duration = Duration::from_millis(4);

/// How long an actor stands still between two messages, at most.
const PAUSE_MAX: Duration = Duration::from_millis(60);

thread_local! {
    static CURRENT: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
}

/// A part of a machine that the kit knows nothing of.
pub trait Part: Any + std::fmt::Debug {
    /// The part in a machine of this seed.
    fn new(seed: u64) -> Self
    where
        Self: Sized;
    /// The machine stops.
    fn stop(&self);
}

/// The machine that a simulation runs on.
#[derive(Debug)]
pub struct Machine {
    seed: u64,
    random: RefCell<StdRng>,
    part: OnceCell<Box<dyn Part>>,
    /// Faults that wait for their moment.
    pub faults: RefCell<FaultPlan>,
    canary: Cell<Option<&'static str>>,
    /// Share of messages after which an actor stands still for a while.
    pub slow: Cell<f64>,
    /// Panics that nobody has planted.
    pub panics: RefCell<Vec<String>>,
    /// What was logged, if that is kept.
    pub notes: RefCell<Vec<String>>,
}

impl Machine {
    /// A machine on which the bug `canary` is awake.
    pub fn new(seed: u64, canary: Option<&'static str>) -> Rc<Self> {
        Rc::new(Self {
            seed,
            random: RefCell::new(StdRng::seed_from_u64(seed)),
            part: OnceCell::new(),
            faults: RefCell::default(),
            canary: Cell::new(canary),
            slow: Cell::new(0.0),
            panics: RefCell::default(),
            notes: RefCell::default(),
        })
    }

    /// Its part, which is put in when it is looked at first. There is one kind.
    pub fn part<P: Part>(&self) -> &P {
        let part: &dyn Any = self.part.get_or_init(|| Box::new(P::new(self.seed))).as_ref();
        part.downcast_ref().expect("a machine has one kind of part")
    }

    /// Does what is planted at the fail point `name`. True when the caller is to fail.
    pub fn pass(&self, name: &str) -> bool {
        let mut faults = self.faults.borrow_mut();
        if faults.stops(name)
            && let Some(part) = self.part.get()
        {
            part.stop();
        }
        faults.fails(name)
    }

    /// Makes it the machine of this thread until the handle is dropped.
    pub fn enter(self: &Rc<Self>) -> Entered {
        let before = CURRENT.with(|current| current.replace(Some(Rc::clone(self))));
        Entered(before)
    }
}

/// While it lives, the thread runs on a simulated machine.
#[derive(Debug)]
pub struct Entered(Option<Rc<Machine>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

/// The machine that this thread runs on, if it is simulated.
pub fn machine() -> Option<Rc<Machine>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// True when this thread runs on a simulated machine.
pub fn is_active() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

/// From now on, panics on simulated threads are kept with their machine and not printed.
pub fn listen_for_panics() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let Some(machine) = machine() else { return before(info) };
            let text = info.to_string();
            if !text.contains("planted panic")
                && let Ok(mut panics) = machine.panics.try_borrow_mut()
            {
                panics.push(text);
            }
        }));
    });
}

/// Random bits of the simulation.
pub(super) fn draw() -> Option<u128> {
    Some(machine()?.random.borrow_mut().random())
}

/// How long the actor that handles a message now leaves the next ones waiting.
pub(super) fn pause() -> Option<Duration> {
    let machine = machine()?;
    let mut random = machine.random.borrow_mut();
    let slow = machine.slow.get();
    (slow > 0.0 && random.random_bool(slow))
        .then(|| Duration::from_micros(random.random_range(0..PAUSE_MAX.as_micros() as u64)))
}

/// How long the job that is run now is said to take.
pub(crate) fn job_time() -> Duration {
    let Some(machine) = machine() else { return Duration::ZERO };
    let micros = machine.random.borrow_mut().random_range(0..JOB_MAX.as_micros() as u64);
    Duration::from_micros(micros)
}

pub(super) fn canary() -> Option<&'static str> {
    machine()?.canary.get()
}
