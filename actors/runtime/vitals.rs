//! How each actor is: counted by the actor's own thread, readable by anybody at any time without
//! asking the actor, which may be busy or dead.

use arc_swap::ArcSwap;
use protocols::messages::supervisor::LifeEvent;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Times are counted in this many steps between one power of two and the next, so a quantile is
/// off by at most a quarter.
const STEPS: u64 = 4;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// A step for each value that a `u64` of nanoseconds can be told apart from.
const BUCKETS: usize = ((u64::BITS - STEPS_BITS + 1) << STEPS_BITS) as usize;

/// How long things took: counts on a logarithmic scale. Adding takes no lock.
#[derive(Debug)]
struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Histogram {
    fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(ns)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The time that so many of a thousand did not exceed. `None` if there was nothing.
    fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let wanted = (all * per_mille).div_ceil(1_000).max(1);
        let mut passed = 0;
        let bucket = counts.iter().position(|count| {
            passed += count;
            passed >= wanted
        })?;
        Some(Duration::from_nanos(upper_end_of(bucket)))
    }
}

/// The bucket of a time. The first ones hold one value each, the later ones ever more.
fn bucket_of(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let power = ns.ilog2();
    let step = (ns >> (power - STEPS_BITS)) - STEPS;
    (u64::from(power - STEPS_BITS + 1) * STEPS + step) as usize
}

/// The largest time in a bucket.
fn upper_end_of(bucket: usize) -> u64 {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match power {
        0 => step,
        _ => (u128::from(STEPS + step + 1) << (power - 1)).saturating_sub(1).min(u64::MAX.into())
            as u64,
    }
}

/// How one actor is, in this life and the former ones.
#[derive(Debug)]
pub struct Vitals {
    /// Kind of the actor: `store`.
    pub kind: &'static str,
    /// Its name: `store-1`.
    pub name: String,
    /// Messages that may wait or be worked on.
    pub messages_max: usize,
    /// What is left of the room of its mailbox.
    pub(super) messages: Arc<Semaphore>,
    pub(super) kib: Arc<Semaphore>,
    pub(super) kib_max: usize,
    handled: AtomicU64,
    handling: Histogram,
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
    pub(super) fn new(
        kind: &'static str,
        name: String,
        messages_max: usize,
        kib_max: usize,
    ) -> Self {
        Self {
            kind,
            name,
            messages_max,
            messages: Arc::new(Semaphore::new(messages_max)),
            kib: Arc::new(Semaphore::new(kib_max)),
            kib_max,
            handled: AtomicU64::new(0),
            handling: Histogram::default(),
            restarts: AtomicU64::new(0),
            last: AtomicU8::new(LifeEvent::Stopped as u8),
        }
    }

    /// Counts a message that was handled.
    pub(super) fn handled_in(&self, time: Duration) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.handling.add(time);
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
        self.handled.load(Ordering::Relaxed)
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
    pub(super) fn enter(&self, vitals: &Arc<Vitals>) {
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
    fn a_time_is_within_its_bucket() {
        let mut times: Vec<u64> = (0..1_000).chain([u64::MAX, u64::MAX - 1]).collect();
        times.extend((2..64).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        times.sort_unstable();
        let mut last = 0;
        for ns in times {
            let bucket = bucket_of(ns);
            assert!(bucket < BUCKETS && bucket >= last, "{ns}");
            assert!(upper_end_of(bucket) >= ns, "{ns}");
            assert!(bucket == 0 || upper_end_of(bucket - 1) < ns, "{ns}");
            last = bucket;
        }
    }

    #[test]
    fn quantiles_are_about_right() {
        let times = Histogram::default();
        assert_eq!(times.quantile(500), None);
        for us in 1..=1_000 {
            times.add(Duration::from_micros(us));
        }
        let about = |per_mille, us: u64| {
            let found = times.quantile(per_mille).expect("some").as_micros() as u64;
            assert!(found >= us && found <= us * 5 / 4, "{per_mille}: {found}");
        };
        about(500, 500);
        about(990, 990);
        about(1_000, 1_000);
    }

    #[test]
    fn a_name_is_entered_once() {
        let roster = Roster::default();
        let vitals = |kind, name: &str| Arc::new(Vitals::new(kind, name.to_owned(), 10, 20));
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
