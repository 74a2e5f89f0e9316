//! The bins of a range of time, one after the other.

use super::super::local_clock::LocalClock;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use std::sync::Arc;

/// Which bins a result has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BinRange {
    /// Length of a bin, above zero.
    pub(super) stride_ns: i64,
    /// Where a bin starts: an instant, or a time on the clock of `zone`.
    pub(super) origin_ns: i64,
    /// The time zone whose clock the bins follow, if they do.
    pub(super) zone: Option<Arc<str>>,
    /// The first instant that has to be in a bin.
    pub(super) first_ns: i64,
    /// The last instant that has to be in a bin.
    pub(super) last_ns: i64,
}

impl BinRange {
    /// The bins from the first one on.
    ///
    /// # Errors
    /// When there is no such zone, or the first bin starts before all time.
    pub(super) fn bins(&self) -> Result<Bins> {
        if self.stride_ns <= 0 {
            return plan_err!("DATE_BIN stride must be non-zero");
        }
        let clock = self.zone.as_deref().map(LocalClock::new).transpose()?;
        let offset = clock.map_or(0, |clock| clock.offset_ns(self.first_ns));
        let first_local = self.first_ns.checked_add(offset);
        if first_local.and_then(|first| self.bin_of(first)).is_none() {
            return exec_err!("the first bin of the time range is out of range");
        }
        let mut bins = Bins {
            range: self.clone(),
            clock,
            at: (self.first_ns <= self.last_ns).then_some(self.first_ns),
            ahead: None,
            next: None,
            passed: None,
        };
        bins.refill();
        Ok(bins)
    }

    /// Start of the bin that holds a time.
    fn bin_of(&self, ns: i64) -> Option<i64> {
        let (ns, origin) = (i128::from(ns), i128::from(self.origin_ns));
        let since = (ns - origin).rem_euclid(i128::from(self.stride_ns));
        i64::try_from(ns - since).ok()
    }
}

/// The starts of the bins of a range, ascending.
#[derive(Clone, Debug)]
pub(super) struct Bins {
    range: BinRange,
    clock: Option<LocalClock>,
    /// The first instant that is in none of the bins found so far.
    at: Option<i64>,
    /// The bin that comes next.
    next: Option<i64>,
    /// A bin that was found before its turn: where the clock jumps forward over the start of a
    /// bin, its start counts as so much later that shorter bins come first.
    ahead: Option<i64>,
    /// The last bin that was taken.
    passed: Option<i64>,
}

impl Bins {
    /// The bin that comes next.
    pub(super) fn peek(&self) -> Option<i64> {
        self.next
    }

    /// Goes on to the bin after it.
    pub(super) fn advance(&mut self) {
        self.passed = self.next.take();
        self.refill();
    }

    fn refill(&mut self) {
        if self.clock.is_none() {
            self.next = self.find();
            return;
        }
        let mut first = self.ahead.take();
        loop {
            let Some(found) = self.find() else {
                self.next = first;
                return;
            };
            // Where the clock is set back, a bin is found again.
            if self.passed.is_some_and(|passed| found <= passed) || first == Some(found) {
                continue;
            }
            match first {
                None => first = Some(found),
                Some(other) => {
                    self.next = Some(found.min(other));
                    self.ahead = Some(found.max(other));
                    return;
                }
            }
        }
    }

    /// The bin of the first instant that has none yet.
    fn find(&mut self) -> Option<i64> {
        let at = self.at.take()?;
        let offset = self.clock.map_or(0, |clock| clock.offset_ns(at));
        let bin = self.range.bin_of(at.checked_add(offset)?)?;
        let end = i128::from(bin) + i128::from(self.range.stride_ns) - i128::from(offset);
        self.at = i64::try_from(end).ok();
        let start = match self.clock {
            None => bin,
            Some(clock) => {
                self.at = self.at.map(|end| clock.first_change_ns(at, end).unwrap_or(end));
                clock.bin_start_ns(bin, offset, self.range.stride_ns)
            }
        };
        self.at = self.at.filter(|at| *at <= self.range.last_ns);
        Some(start)
    }
}
