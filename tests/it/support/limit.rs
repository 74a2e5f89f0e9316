//! A time limit for each test, since the test harness has none: one that hangs is named, and ends
//! the run, instead of stopping it for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Minutes that a test's server may live, unless `INFLUXDB3_TEST_MINUTES` says otherwise. Whole runs
/// take about as long as that.
const MINUTES: u64 = 10;

/// The tests with a server, by the number of their limit: name and beginning.
type Running = HashMap<u64, (String, Instant)>;

static RUNNING: LazyLock<Mutex<Running>> = LazyLock::new(|| {
    std::thread::spawn(watch);
    Mutex::default()
});
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Holds the test on this thread to the limit, until it is dropped.
#[derive(Debug)]
pub(super) struct Limit(u64);

impl Limit {
    pub(super) fn begin() -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        // The harness names each test's thread after the test.
        let name = std::thread::current().name().unwrap_or("a thread without a name").to_owned();
        with_running(|running| running.insert(number, (name, Instant::now())));
        Self(number)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        with_running(|running| running.remove(&self.0));
    }
}

fn with_running<T>(change: impl FnOnce(&mut Running) -> T) -> T {
    change(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

fn watch() {
    let minutes = std::env::var("INFLUXDB3_TEST_MINUTES").ok().and_then(|m| m.parse().ok());
    let limit = Duration::from_secs(60 * minutes.unwrap_or(MINUTES));
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let over = with_running(|running| {
            running
                .values()
                .find(|(_, begun)| begun.elapsed() > limit)
                .map(|(name, _)| name.clone())
        });
        if let Some(name) = over {
            eprintln!("the test {name} has a server for longer than {limit:?}: the run ends here");
            std::process::exit(101);
        }
    }
}
