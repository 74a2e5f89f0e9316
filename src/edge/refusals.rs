//! Requests that are turned away, on their way to the audit log and to the log of the process.
//!
//! Whoever is refused may ask as often as they like, and what that costs is taken from others. So
//! refusals are gathered for a moment: the audit log gets each of them, and is woken once for all;
//! the log of the process gets the first ones of each moment and the number of the others.

use actors::audit::Audit;
use actors::runtime::mailbox::Mailbox;
use protocols::messages::audit::{AuditEntry, KeepAudit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The moment.
const GATHERED_FOR: Duration = Duration::from_millis(200);
/// Limit: entries that are gathered. More than these do not wait for the end of the moment.
const ENTRIES_MAX: usize = 1024;
/// So many of them are told before other requests have their turn.
const TOLD_AT_ONCE: usize = 32;
/// So many refusals of a moment are told one by one in the log of the process.
const TOLD_ALONE: u64 = 10;

/// What was refused of late.
#[derive(Clone, Debug)]
pub struct Refusals {
    audit: Mailbox<Audit>,
    gathered: Arc<Mutex<Gathered>>,
}

#[derive(Debug, Default)]
struct Gathered {
    entries: Vec<AuditEntry>,
    /// Refusals of this moment.
    count: u64,
    /// When the moment is over. `None` if nothing was refused since the last one.
    ends: Option<Instant>,
}

impl Refusals {
    /// Refusals that `audit` is to be told of.
    pub fn new(audit: Mailbox<Audit>) -> Self {
        Self { audit, gathered: Arc::default() }
    }

    /// Has an entry told at the end of the moment. Call it where tasks of this thread run.
    pub(super) fn gather(&self, entry: AuditEntry) {
        let mut gathered = self.lock();
        self.begin(&mut gathered);
        gathered.entries.push(entry);
        if gathered.entries.len() >= ENTRIES_MAX {
            let full = std::mem::take(&mut gathered.entries);
            drop(actix_rt::spawn(tell(self.audit.clone(), full)));
        }
    }

    /// Counts a refusal; false if the log of the process is to tell the number only.
    pub fn is_told_alone(&self) -> bool {
        let mut gathered = self.lock();
        self.begin(&mut gathered);
        gathered.count += 1;
        gathered.count <= TOLD_ALONE
    }

    /// Tells the audit log what was gathered.
    pub async fn tell(&self) {
        let entries = std::mem::take(&mut self.lock().entries);
        tell(self.audit.clone(), entries).await;
    }

    /// Begins a moment unless one is under way.
    fn begin(&self, gathered: &mut Gathered) {
        // The thread that was to end the former one may have ended itself.
        let now = Instant::now();
        let is_under_way = gathered.ends.is_some_and(|ends| now < ends + GATHERED_FOR);
        if is_under_way {
            return;
        }
        gathered.ends = Some(now + GATHERED_FOR);
        let refusals = self.clone();
        drop(actix_rt::spawn(async move {
            tokio::time::sleep(GATHERED_FOR).await;
            refusals.end().await;
        }));
    }

    async fn end(&self) {
        let count = self.lock().end();
        if let Some(more) = count.checked_sub(TOLD_ALONE).filter(|more| *more > 0) {
            tracing::info!(more, "More requests were turned away than are told one by one");
        }
        self.tell().await;
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    /// Ends the moment; returns how many refusals were counted.
    fn end(&mut self) -> u64 {
        self.ends = None;
        std::mem::take(&mut self.count)
    }
}

/// Tells `audit`, which counts what it has no room for.
async fn tell(audit: Mailbox<Audit>, entries: Vec<AuditEntry>) {
    for (number, entry) in entries.into_iter().enumerate() {
        audit.tell(KeepAudit(entry));
        if number % TOLD_AT_ONCE == TOLD_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::runtime::guardian::{ActorConfig, Guardian};
    use protocols::principal::{Origin, Principal};

    fn refusals() -> Refusals {
        let (kind, name) = ("audit", "audit".to_owned());
        let config = ActorConfig { kind, name, messages_max: 4, bytes_max: 4096, vital: false };
        Refusals::new(Guardian::mailbox(&config))
    }

    #[actix_web::test]
    async fn the_first_ones_of_a_moment_are_told_alone() {
        let refusals = refusals();
        let told = || (0..3 * TOLD_ALONE).filter(|_| refusals.is_told_alone()).count() as u64;
        assert_eq!(told(), TOLD_ALONE);
        let next_moment = async {
            while refusals.lock().ends.is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), next_moment).await.expect("it ends");
        assert_eq!(told(), TOLD_ALONE);
    }

    #[actix_web::test]
    async fn no_number_of_refusals_fills_the_memory() {
        let refusals = refusals();
        for _ in 0..3 * ENTRIES_MAX {
            let who = (&Principal::Nobody, Origin::default());
            refusals.gather(AuditEntry::new(1, who, "request", "GET /ping"));
            assert!(refusals.lock().entries.len() < ENTRIES_MAX);
        }
        refusals.gather(AuditEntry::new(1, (&Principal::Nobody, Origin::default()), "a", "b"));
        refusals.tell().await;
        assert!(refusals.lock().entries.is_empty());
    }
}
