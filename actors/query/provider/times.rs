//! Spans of time.

/// A span of time, both ends included; empty when it ends before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeRange {
    /// First instant, nanoseconds since 1970.
    pub(super) min_ns: i64,
    /// Last instant, nanoseconds since 1970.
    pub(super) max_ns: i64,
}

impl TimeRange {
    /// Every instant.
    pub(super) const ALL: Self = Self { min_ns: i64::MIN, max_ns: i64::MAX };

    /// No instant at all.
    pub(super) const NONE: Self = Self { min_ns: i64::MAX, max_ns: i64::MIN };

    /// The instants of both spans.
    pub(super) fn and(self, other: Self) -> Self {
        Self { min_ns: self.min_ns.max(other.min_ns), max_ns: self.max_ns.min(other.max_ns) }
    }

    /// The instants before this span.
    pub(super) fn before(self) -> Self {
        self.min_ns.checked_sub(1).map_or(Self::NONE, |max_ns| Self { min_ns: i64::MIN, max_ns })
    }

    /// The instants after this span.
    pub(super) fn after(self) -> Self {
        self.max_ns.checked_add(1).map_or(Self::NONE, |min_ns| Self { min_ns, max_ns: i64::MAX })
    }

    pub(super) fn is_empty(self) -> bool {
        self.min_ns > self.max_ns
    }

    /// The shortest span that has all instants of both.
    pub(super) fn to(self, other: Self) -> Self {
        Self { min_ns: self.min_ns.min(other.min_ns), max_ns: self.max_ns.max(other.max_ns) }
    }

    /// True when every instant of `other` is in this span.
    pub(super) fn covers(self, other: Self) -> bool {
        self.min_ns <= other.min_ns && other.max_ns <= self.max_ns
    }

    /// True when both spans have an instant in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        !self.and(other).is_empty()
    }
}
