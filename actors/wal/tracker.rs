//! Which periods of the log hold which times of rows, and when a snapshot is due.
//!
//! Decided by the time of rows, never by the clock on the wall: of so many periods the oldest are
//! taken whose rows all lie before the chunk that the newest rows go to. Chunks are then full when
//! they become files, as long as rows arrive about in order; what does not fit this pattern is
//! taken as a whole once twice as many periods have gathered.

use protocols::snapshot::chunk_time;
use std::collections::VecDeque;

/// Rows of one WAL period: where its last file is, and between which times its rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Number of its last file.
    pub through: u64,
    /// Smallest time of a row, nanoseconds since 1970.
    pub min_time_ns: i64,
    /// Largest time of a row; below `min_time_ns` when there are no rows.
    pub max_time_ns: i64,
    /// Stamp of its last group; the smallest there is when there is none.
    pub last_stamp: i64,
}

impl Period {
    /// One without rows.
    pub(super) fn empty(through: u64) -> Self {
        Self { through, min_time_ns: i64::MAX, max_time_ns: i64::MIN, last_stamp: i64::MIN }
    }

    /// Adds rows of these times.
    pub(super) fn add(&mut self, min_time_ns: i64, max_time_ns: i64) {
        self.min_time_ns = self.min_time_ns.min(min_time_ns);
        self.max_time_ns = self.max_time_ns.max(max_time_ns);
    }

    /// Adds a group with that stamp.
    pub(super) fn add_group(&mut self, stamp: i64) {
        self.last_stamp = self.last_stamp.max(stamp);
    }

    pub(super) fn has_rows(&self) -> bool {
        self.min_time_ns <= self.max_time_ns
    }

    /// True if all rows lie before `end_time_ns`; so it is when there are none.
    fn is_before(&self, end_time_ns: i64) -> bool {
        !self.has_rows() || self.max_time_ns < end_time_ns
    }
}

/// What a snapshot is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Chunks that begin before this instant.
    pub(super) end_time_ns: i64,
    /// The last file whose rows all lie in such chunks.
    pub(super) wal_through: u64,
    /// Stamp of the last group in the taken periods: all rows up to there lie in such chunks.
    pub(super) durable_stamp: i64,
}

/// The periods that are not part of a durable snapshot, oldest first.
#[derive(Debug)]
pub(super) struct Tracker {
    periods: VecDeque<Period>,
    /// The configured number of WAL files for a snapshot.
    snapshot_size: usize,
    gen1_duration_ns: i64,
}

impl Tracker {
    pub(super) fn new(snapshot_size: usize, gen1_duration_ns: i64) -> Self {
        Self { periods: VecDeque::new(), snapshot_size, gen1_duration_ns }
    }

    /// Adds the newest period.
    pub(super) fn add(&mut self, period: Period) {
        self.periods.push_back(period);
    }

    /// Forgets the periods that a durable snapshot holds.
    pub(super) fn forget(&mut self, wal_through: u64) {
        while self.periods.front().is_some_and(|p| p.through <= wal_through) {
            self.periods.pop_front();
        }
    }

    /// How many periods there are.
    pub(super) fn len(&self) -> usize {
        self.periods.len()
    }

    /// The snapshot that is due once `newest` is written, if one is.
    pub(super) fn due(&self, newest: Period) -> Option<Due> {
        let count = self.periods.len() + 1;
        if count >= self.snapshot_size.saturating_mul(3) {
            return Some(self.everything(newest));
        }
        if count < self.snapshot_size + self.snapshot_size / 2 {
            return None;
        }
        let newest_rows = self.newest_first(newest).find(Period::has_rows)?;
        let end_time_ns = self.chunk_time(newest_rows.max_time_ns);
        let taken = |p: &&Period| p.is_before(end_time_ns);
        let oldest_first = self.periods.iter().chain([&newest]);
        let taken: Vec<&Period> = oldest_first.take_while(taken).collect();
        let wal_through = taken.last()?.through;
        let durable_stamp = taken.iter().map(|p| p.last_stamp).max()?;
        Some(Due { end_time_ns, wal_through, durable_stamp })
    }

    /// The snapshot of all rows there are once `newest` is written.
    pub(super) fn everything(&self, newest: Period) -> Due {
        let with_rows = self.newest_first(newest).filter(Period::has_rows);
        let end_time_ns = match with_rows.map(|p| p.max_time_ns).max() {
            Some(max) => self.chunk_time(max).saturating_add(self.gen1_duration_ns),
            None => i64::MIN,
        };
        let stamps = self.newest_first(newest).map(|p| p.last_stamp);
        let durable_stamp = stamps.max().unwrap_or(i64::MIN);
        Due { end_time_ns, wal_through: newest.through, durable_stamp }
    }

    fn newest_first(&self, newest: Period) -> impl Iterator<Item = Period> {
        [newest].into_iter().chain(self.periods.iter().rev().copied())
    }

    fn chunk_time(&self, time_ns: i64) -> i64 {
        chunk_time(time_ns, self.gen1_duration_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GEN1: i64 = 60;

    fn period(through: u64, min_time_ns: i64, max_time_ns: i64) -> Period {
        Period { through, min_time_ns, max_time_ns, last_stamp: 100 + through as i64 }
    }

    /// Due up to a file, and so up to the last group in it.
    fn due(end_time_ns: i64, wal_through: u64) -> Due {
        Due { end_time_ns, wal_through, durable_stamp: 100 + wal_through as i64 }
    }

    fn of(size: usize, periods: &[Period]) -> Tracker {
        let mut tracker = Tracker::new(size, GEN1);
        periods.iter().for_each(|p| tracker.add(*p));
        tracker
    }

    fn tracker(size: usize, times: &[i64]) -> Tracker {
        let periods: Vec<_> = times.iter().zip(1..).map(|(t, n)| period(n, *t, *t)).collect();
        of(size, &periods)
    }

    #[test]
    fn the_oldest_periods_before_the_newest_chunk_are_taken() {
        let mut tracker = tracker(4, &[1, 2, 3, 59]);
        assert_eq!(tracker.due(period(5, 61, 61)), None, "five are too few");
        tracker.add(period(5, 61, 61));
        let due = due(60, 4);
        assert_eq!(tracker.due(period(6, 62, 62)), Some(due));
        tracker.forget(4);
        assert_eq!(tracker.len(), 1);
    }

    #[test]
    fn a_row_of_the_future_waits_for_the_larger_rule() {
        let mut times = vec![7200];
        times.extend(1..=10);
        let tracker = tracker(4, &times);
        assert_eq!(tracker.len() + 1, 12);
        let due = due(7260, 12);
        assert_eq!(tracker.due(period(12, 11, 11)), Some(due));
        let fewer = super::tests::tracker(4, &times[..10]);
        assert_eq!(fewer.due(period(11, 10, 10)), None);
    }

    #[test]
    fn historical_rows_keep_the_end_low_until_the_larger_rule() {
        let tracker = tracker(4, &[100, 200, 300, 400, 500]);
        assert_eq!(tracker.due(period(6, 5, 5)), None);
    }

    #[test]
    fn periods_without_rows_go_along_and_decide_nothing() {
        let mut tracker = of(2, &[Period::empty(1), period(2, 5, 5)]);
        let due = due(120, 2);
        assert_eq!(tracker.due(period(3, 130, 130)), Some(due));
        tracker.add(period(3, 130, 130));
        assert_eq!(tracker.due(Period::empty(4)), Some(due));
        let none = of(1, &[Period::empty(1), Period::empty(2)]);
        let due = Due { end_time_ns: i64::MIN, wal_through: 3, durable_stamp: i64::MIN };
        assert_eq!(none.due(Period::empty(3)), Some(due));
    }

    #[test]
    fn everything_reaches_beyond_the_newest_row() {
        let tracker = tracker(600, &[-1, 59]);
        let due = due(60, 3);
        assert_eq!(tracker.everything(period(3, -500, -400)), due);
    }

    proptest! {
        /// Whatever is decided, every row of the files that become unnecessary lies in a chunk
        /// that is taken.
        #[test]
        fn no_row_is_left_behind(
            size in 1..5_usize,
            spans in prop::collection::vec((-500..500_i64, 0..200_i64), 1..20),
            forced in any::<bool>(),
        ) {
            let mut periods: Vec<Period> = spans
                .iter()
                .zip(1..)
                .map(|((min, width), n)| period(n, *min, min + width))
                .collect();
            let newest = periods.pop().unwrap();
            let tracker = of(size, &periods);
            periods.push(newest);
            let due = if forced { Some(tracker.everything(newest)) } else { tracker.due(newest) };
            if let Some(due) = due {
                prop_assert!(due.wal_through >= 1);
                prop_assert_eq!(due.end_time_ns.rem_euclid(GEN1), 0);
                for p in periods.iter().filter(|p| p.through <= due.wal_through) {
                    prop_assert!(p.max_time_ns < due.end_time_ns);
                }
                for p in periods.iter().filter(|p| p.last_stamp <= due.durable_stamp) {
                    prop_assert!(p.max_time_ns < due.end_time_ns);
                }
            }
        }
    }
}
