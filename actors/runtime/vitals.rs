//! How each actor is: counted by the actor's own thread, readable by anybody at any time without
//! asking the actor, which may be busy or dead.

use super::bounds::ActorConfig;
use arc_swap::ArcSwap;
use sketches_ddsketch::DDSketch;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What happened to an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeEvent {
    /// It runs for the first time.
    Started,
    /// It panicked and is being rebuilt.
    Died,
    /// It was rebuilt and runs again.
    Rebuilt,
    /// It panicked too often, or could not be rebuilt: it stays down.
    Failed,
    /// It ended in good order.
    Stopped,
}

impl LifeEvent {
    /// How the actor is from then on.
    fn state(self) -> &'static str {
        match self {
            Self::Started | Self::Rebuilt => "running",
            Self::Died => "rebuilding",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// How long things took, each within a hundredth.
#[derive(Default)]
struct Times(Mutex<DDSketch>);

impl std::fmt::Debug for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Times").field(&self.lock().count()).finish()
    }
}

impl Times {
    fn lock(&self) -> MutexGuard<'_, DDSketch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, time: Duration) {
        self.lock().add(time.as_secs_f64());
    }

    fn count(&self) -> u64 {
        self.lock().count() as u64
    }

    /// The time that so many of a thousand did not exceed. `None` if there was nothing.
    fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let seconds = self.lock().quantile(per_mille as f64 / 1_000.0).ok().flatten()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// How one actor is, in this life and the former ones.
#[derive(Debug)]
pub struct Vitals {
    /// Kind of the actor: `store`.
    pub kind: &'static str,
    /// Its name: `store-1`.
    pub name: String,
    /// The server does not go on without it.
    pub vital: bool,
    /// Messages that may wait or be worked on.
    pub messages_max: usize,
    /// What is left of the room of its mailbox.
    pub(super) messages: Arc<Semaphore>,
    pub(super) kib: Arc<Semaphore>,
    pub(super) kib_max: usize,
    /// How long each message took that was handled.
    handling: Times,
    /// Tells that found no room or nobody alive.
    missed: AtomicU64,
    restarts: AtomicU64,
    /// What happened last, as a number.
    last: AtomicU8,
}

/// What can happen, by its number.
const EVENTS: [LifeEvent; 5] = [
    LifeEvent::Started,
    LifeEvent::Died,
    LifeEvent::Rebuilt,
    LifeEvent::Failed,
    LifeEvent::Stopped,
];

impl Vitals {
    pub(super) fn new(config: &ActorConfig, kib_max: usize) -> Self {
        let messages_max = config.messages_max;
        Self {
            kind: config.kind,
            name: config.name.clone(),
            vital: config.vital,
            messages_max,
            messages: Arc::new(Semaphore::new(messages_max)),
            kib: Arc::new(Semaphore::new(kib_max)),
            kib_max,
            handling: Times::default(),
            missed: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            last: AtomicU8::new(LifeEvent::Stopped as u8),
        }
    }

    /// Counts a message that was handled.
    pub(super) fn handled_in(&self, time: Duration) {
        self.handling.add(time);
    }

    /// Counts a tell that the actor will never hear of.
    pub(super) fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells that found no room in the mailbox, or nobody who reads it.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Notes what happened to the actor.
    pub(super) fn note(&self, event: LifeEvent) {
        self.last.store(event as u8, Ordering::Relaxed);
        if event == LifeEvent::Rebuilt {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `running`, `rebuilding`, `failed` or `stopped`.
    pub fn state(&self) -> &'static str {
        let last = usize::from(self.last.load(Ordering::Relaxed));
        EVENTS.get(last).copied().unwrap_or(LifeEvent::Stopped).state()
    }

    /// How often it was rebuilt.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Messages that wait or are worked on.
    pub fn messages_held(&self) -> usize {
        self.messages_max.saturating_sub(self.messages.available_permits())
    }

    /// What these messages hold, in bytes, rounded up to KiB each.
    pub fn bytes_held(&self) -> usize {
        self.kib_max.saturating_sub(self.kib.available_permits()) * 1024
    }

    /// Messages handled so far, continuations of the actor's own work included.
    pub fn messages_handled(&self) -> u64 {
        self.handling.count()
    }

    /// How long so many of a thousand messages took at most; `None` before the first.
    pub fn handling_time(&self, per_mille: u64) -> Option<Duration> {
        self.handling.quantile(per_mille)
    }
}

/// All actors of a server. Cheap to clone; each clone sees all.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<ArcSwap<Vec<Arc<Vitals>>>>);

impl Roster {
    /// Adds an actor, in the place of one that had the name before.
    pub fn enter(&self, vitals: &Arc<Vitals>) {
        self.0.rcu(|all| {
            let mut all: Vec<_> =
                all.iter().filter(|v| v.name != vitals.name).map(Arc::clone).collect();
            all.push(Arc::clone(vitals));
            all
        });
    }

    /// Forgets an actor that has ended.
    pub(super) fn leave(&self, vitals: &Arc<Vitals>) {
        self.0.rcu(|all| {
            all.iter().filter(|v| !Arc::ptr_eq(v, vitals)).map(Arc::clone).collect::<Vec<_>>()
        });
    }

    /// The actors in the order in which they were born.
    pub fn actors(&self) -> Arc<Vec<Arc<Vitals>>> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_about_right() {
        let times = Times::default();
        assert_eq!(times.quantile(500), None);
        for us in 1..=1_000 {
            times.add(Duration::from_micros(us));
        }
        let about = |per_mille, us: u64| {
            let found = times.quantile(per_mille).expect("some").as_micros() as u64;
            assert!(found.abs_diff(us) <= us / 50, "{per_mille}: {found}");
        };
        about(500, 500);
        about(990, 990);
        about(1_000, 1_000);
        assert_eq!(times.count(), 1_000);
    }

    #[test]
    fn a_name_is_entered_once() {
        let roster = Roster::default();
        let vitals = |kind, name: &str| {
            let (name, messages_max, bytes_max) = (name.to_owned(), 10, 20 * 1024);
            let config = ActorConfig { kind, name, messages_max, bytes_max, vital: true };
            Arc::new(Vitals::new(&config, 20))
        };
        for actor in [vitals("a", "a"), vitals("b", "b-1"), vitals("c", "a")] {
            roster.enter(&actor);
        }
        let kinds: Vec<&str> = roster.actors().iter().map(|v| v.kind).collect();
        assert_eq!(kinds, ["b", "c"]);
        let first = &roster.actors()[0];
        assert_eq!((first.state(), first.restarts()), ("stopped", 0));
        first.note(LifeEvent::Started);
        first.note(LifeEvent::Died);
        assert_eq!(first.state(), "rebuilding");
        first.note(LifeEvent::Rebuilt);
        assert_eq!((first.state(), first.restarts()), ("running", 1));
        assert_eq!((first.messages_held(), first.bytes_held()), (0, 0));
    }
}
