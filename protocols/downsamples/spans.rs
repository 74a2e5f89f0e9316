//! Sets of intervals.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limit: stretches of intervals that are told apart. Beyond it those are joined that lie closest
/// together, with what is between them.
const SPANS_MAX: usize = 1_000;

/// A set of numbers of intervals, as stretches that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(i64, i64)>", into = "Vec<(i64, i64)>")]
pub struct Spans(
    /// The first of each stretch, and the one behind its last.
    BTreeMap<i64, i64>,
);

impl From<Vec<(i64, i64)>> for Spans {
    fn from(stored: Vec<(i64, i64)>) -> Self {
        let mut spans = Self::default();
        stored.into_iter().for_each(|(start, end)| spans.add(start, end));
        spans
    }
}

impl From<Spans> for Vec<(i64, i64)> {
    fn from(spans: Spans) -> Self {
        spans.0.into_iter().collect()
    }
}

impl Spans {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the intervals from `start` on up to the one before `end`.
    pub fn add(&mut self, mut start: i64, mut end: i64) {
        if start >= end {
            return;
        }
        while let Some((from, to)) = self.0.range(..=end).next_back().map(|(f, t)| (*f, *t)) {
            if to < start {
                break;
            }
            self.0.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.0.insert(start, end);
        if self.0.len() > SPANS_MAX {
            self.join_closest();
        }
    }

    fn join_closest(&mut self) {
        let gaps = self.0.iter().zip(self.0.keys().skip(1));
        let closest = gaps.min_by_key(|((_, end), next)| next.abs_diff(**end));
        if let Some((start, next)) = closest.map(|((start, _), next)| (*start, *next))
            && let Some(end) = self.0.remove(&next)
        {
            self.0.insert(start, end);
        }
    }

    /// Takes the intervals from `start` on up to the one before `end` out.
    pub fn remove(&mut self, start: i64, end: i64) {
        while let Some((from, to)) = self.0.range(..end).next_back().map(|(f, t)| (*f, *t)) {
            if to <= start || start >= end {
                break;
            }
            self.0.remove(&from);
            if to > end {
                self.0.insert(end, to);
            }
            if from < start {
                self.0.insert(from, start);
            }
        }
    }

    /// The first one.
    pub fn first(&self) -> Option<i64> {
        self.0.keys().next().copied()
    }

    /// The newest ones before `end` that follow each other, `most` at most: the first of them and the
    /// one behind the last.
    pub fn newest_before(&self, end: i64, most: i64) -> Option<(i64, i64)> {
        let (start, last) = self.0.range(..end).next_back()?;
        let last = (*last).min(end);
        Some(((*start).max(last.saturating_sub(most.max(1))), last))
    }

    /// How many there are from `start` on up to the one before `end`.
    pub fn count(&self, start: i64, end: i64) -> u64 {
        let within = self.0.range(..end).map(|(from, to)| ((*from).max(start), (*to).min(end)));
        within.filter(|(from, to)| from < to).map(|(from, to)| to.abs_diff(from)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_newest_come_first_and_the_open_ones_not_at_all() {
        let spans = Spans::from(vec![(0, 4), (6, 9)]);
        assert_eq!(spans.newest_before(8, 100), Some((6, 8)));
        assert_eq!(spans.newest_before(9, 2), Some((7, 9)));
        assert_eq!(spans.newest_before(6, 3), Some((1, 4)));
        assert_eq!(spans.newest_before(0, 3), None);
        assert_eq!((spans.first(), spans.count(2, 7), spans.count(4, 6)), (Some(0), 3, 0));
    }

    #[test]
    fn the_whole_of_time_fits() {
        let mut spans = Spans::default();
        spans.add(i64::MIN, i64::MAX);
        spans.remove(0, 5);
        assert_eq!(spans.newest_before(i64::MAX, 1), Some((i64::MAX - 1, i64::MAX)));
        assert_eq!(spans.newest_before(3, i64::MAX), Some((-i64::MAX, 0)));
        assert_eq!(spans.count(i64::MIN, i64::MAX), u64::MAX - 5);
    }

    #[test]
    fn of_too_many_those_are_joined_that_are_closest() {
        let mut spans = Spans::default();
        for n in 0..SPANS_MAX as i64 {
            spans.add(n * 10, n * 10 + 1);
        }
        spans.add(500_003, 500_004);
        assert_eq!(spans.0.len(), SPANS_MAX);
        spans.add(500_005, 500_006);
        assert_eq!(spans.newest_before(i64::MAX, 100), Some((500_003, 500_006)));
    }

    proptest! {
        #[test]
        fn they_are_what_a_set_is(
            steps in prop::collection::vec((any::<bool>(), -20_i64..20, -20_i64..20), 0..40),
        ) {
            let (mut spans, mut set) = (Spans::default(), BTreeSet::new());
            for (adds, start, end) in steps {
                if adds {
                    spans.add(start, end);
                    set.extend(start..end);
                } else {
                    spans.remove(start, end);
                    set.retain(|n| !(start..end).contains(n));
                }
                let all: Vec<i64> = spans.0.iter().flat_map(|(from, to)| *from..*to).collect();
                prop_assert_eq!(&all, &set.iter().copied().collect::<Vec<_>>());
                let apart = spans.0.iter().zip(spans.0.keys().skip(1)).all(|((_, to), from)| to < from);
                prop_assert!(apart);
                prop_assert_eq!(spans.count(-5, 7), set.range(-5..7).count() as u64);
                let newest = spans.newest_before(7, 3).map(|(_, end)| end - 1);
                prop_assert_eq!(newest, set.range(..7).next_back().copied());
            }
            let stored = serde_json::to_string(&spans).unwrap();
            prop_assert_eq!(serde_json::from_str::<Spans>(&stored).unwrap(), spans);
        }
    }
}
