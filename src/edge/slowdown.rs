//! Makes those wait who try one token after the other.
//!
//! Only refused requests wait, so that nobody else behind the same address is locked out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Limit: addresses that are remembered. The one that failed longest ago goes first.
const PEERS_MAX: usize = 1024;
/// So many refusals are answered at once.
const FREE: u32 = 10;
/// The first wait; each further one is twice as long,
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// An address that did not fail for so long begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The addresses that failed lately.
#[derive(Debug, Default)]
pub struct Slowdown(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Slowdown {
    /// Counts a refused attempt of `peer`, and says how long its answer has to wait.
    pub fn failed(&self, peer: IpAddr) -> Duration {
        metrics::counter!("influxdb3_authentication_failures_total").increment(1);
        self.failed_at(peer, Instant::now())
    }

    fn failed_at(&self, peer: IpAddr, now: Instant) -> Duration {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= PEERS_MAX && !peers.contains_key(&peer) {
            let oldest = peers.iter().min_by_key(|(_, failures)| failures.last).map(|(ip, _)| *ip);
            oldest.map(|oldest| peers.remove(&oldest));
        }
        let failures = peers.entry(peer).or_insert(Failures { count: 0, last: now });
        if now.duration_since(failures.last) > FORGOTTEN_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        match failures.count.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(waits) => FIRST_WAIT.saturating_mul(1 << waits.min(10)).min(LONGEST_WAIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn waits_grow_and_are_forgotten() {
        let (slowdown, now) = (Slowdown::default(), Instant::now());
        let waits: Vec<_> = (0..20).map(|_| slowdown.failed_at(peer(1), now)).collect();
        assert!(waits[..10].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[10..13], [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]);
        assert_eq!(waits[19], LONGEST_WAIT);
        assert_eq!(slowdown.failed_at(peer(2), now), Duration::ZERO, "another address");
        let later = now + FORGOTTEN_AFTER + Duration::from_secs(1);
        assert_eq!(slowdown.failed_at(peer(1), later), Duration::ZERO);
    }

    #[test]
    fn no_number_of_addresses_fills_the_memory() {
        let (slowdown, now) = (Slowdown::default(), Instant::now());
        for number in 0..3 * PEERS_MAX as u32 {
            slowdown.failed_at(peer(number), now + Duration::from_millis(number.into()));
        }
        assert_eq!(slowdown.0.lock().map(|peers| peers.len()).unwrap_or(0), PEERS_MAX);
    }
}
