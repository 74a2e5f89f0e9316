//! The query types of the Time Series Benchmark Suite on `cpu`, one that it lacks, and how one of a
//! type is drawn.

use crate::generators::DataOptions;
use crate::generators::cpu::FIELDS;
use crate::generators::random::Random;

/// A type of query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two fields of the one row of a random host at a random time; the suite does not have this
    OneRow,
    /// The first `fields` fields of `hosts` random hosts: maximum by minute over `hours` hours
    SingleGroupBy { fields: usize, hosts: usize, hours: u64 },
    /// All fields of `hosts` random hosts: maximum by hour over 8 hours
    CpuMaxAll { hosts: usize },
    /// The first `fields` fields of all hosts: average by hour and host over 12 hours
    DoubleGroupBy { fields: usize },
    /// Every column of rows with `usage_user` above 90 in 12 hours, of one host or of all
    HighCpu { all_hosts: bool },
    /// The newest row of each host
    LastPoint,
    /// Maximum of `usage_user` by minute, the newest five before a random end
    GroupByOrderByLimit,
}

pub(crate) const KINDS: [Kind; 16] = [
    single(1, 1, 1),
    single(1, 1, 12),
    single(1, 8, 1),
    single(5, 1, 1),
    single(5, 1, 12),
    single(5, 8, 1),
    Kind::CpuMaxAll { hosts: 1 },
    Kind::CpuMaxAll { hosts: 8 },
    Kind::DoubleGroupBy { fields: 1 },
    Kind::DoubleGroupBy { fields: 5 },
    Kind::DoubleGroupBy { fields: FIELDS.len() },
    Kind::HighCpu { all_hosts: false },
    Kind::HighCpu { all_hosts: true },
    Kind::LastPoint,
    Kind::GroupByOrderByLimit,
    Kind::OneRow,
];

const fn single(fields: usize, hosts: usize, hours: u64) -> Kind {
    Kind::SingleGroupBy { fields, hosts, hours }
}

impl Kind {
    pub(crate) fn name(self) -> String {
        match self {
            Self::OneRow => "one row".to_owned(),
            Self::SingleGroupBy { fields, hosts, hours } => {
                format!("single-groupby-{fields}-{hosts}-{hours}")
            }
            Self::CpuMaxAll { hosts } => format!("cpu-max-all-{hosts}"),
            Self::DoubleGroupBy { fields } if fields == FIELDS.len() => {
                "double-groupby-all".to_owned()
            }
            Self::DoubleGroupBy { fields } => format!("double-groupby-{fields}"),
            Self::HighCpu { all_hosts: false } => "high-cpu-1".to_owned(),
            Self::HighCpu { all_hosts: true } => "high-cpu-all".to_owned(),
            Self::LastPoint => "lastpoint".to_owned(),
            Self::GroupByOrderByLimit => "groupby-orderby-limit".to_owned(),
        }
    }

    /// Seconds between the first and the last row that the query looks at; none for all.
    /// Each host has a row every `interval` seconds.
    fn seconds(self, interval: u64) -> Option<u64> {
        match self {
            Self::OneRow => Some(interval),
            Self::SingleGroupBy { hours, .. } => Some(hours * 3600),
            Self::CpuMaxAll { .. } => Some(8 * 3600),
            Self::DoubleGroupBy { .. } | Self::HighCpu { .. } => Some(12 * 3600),
            Self::LastPoint | Self::GroupByOrderByLimit => None,
        }
    }

    fn host_count(self) -> usize {
        match self {
            Self::SingleGroupBy { hosts, .. } | Self::CpuMaxAll { hosts } => hosts,
            Self::OneRow | Self::HighCpu { all_hosts: false } => 1,
            Self::DoubleGroupBy { .. }
            | Self::HighCpu { all_hosts: true }
            | Self::LastPoint
            | Self::GroupByOrderByLimit => 0,
        }
    }

    /// A query of this type with random hosts and a random window within the data.
    pub(crate) fn draw(self, data: &DataOptions, random: &mut Random) -> Query {
        let hosts = random.distinct(self.host_count(), data.hosts);
        let span = data.span_seconds();
        let window = self.seconds(data.interval).map_or(span, |seconds| seconds.min(span));
        let from = data.start + random.below(span - window + 1);
        let until = match self {
            // An end in the second half, so that there is something before it.
            Self::GroupByOrderByLimit => data.start + span / 2 + random.below(span / 2 + 1),
            _ => from + window,
        };
        Query { kind: self, hosts, from: from as i64, until: until as i64 }
    }
}

/// A query with everything that was drawn for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) kind: Kind,
    /// None for all.
    pub(crate) hosts: Vec<u32>,
    /// Seconds since 1970: rows from here on,
    pub(crate) from: i64,
    /// and before this.
    pub(crate) until: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::DataSet;

    #[test]
    fn names_are_those_of_the_suite() {
        let names = KINDS.map(Kind::name);
        assert_eq!(names[0], "single-groupby-1-1-1");
        assert!(names.contains(&"double-groupby-all".to_owned()));
        let different: std::collections::HashSet<&String> = names.iter().collect();
        assert_eq!(different.len(), KINDS.len());
    }

    #[test]
    fn what_is_drawn_lies_within_the_data_and_depends_on_the_seed_alone() {
        for span in [1800, 24 * 3600] {
            let data = DataOptions::new(DataSet::CpuOnly, 5, span);
            for kind in KINDS {
                let mut random = Random::new(9);
                for _ in 0..50 {
                    let query = kind.draw(&data, &mut random);
                    assert!(query.from >= data.start as i64, "{query:?}");
                    assert!(query.until <= (data.start + span) as i64, "{query:?}");
                    assert!(query.from <= query.until, "{query:?}");
                    assert_eq!(query.hosts.len(), kind.host_count().min(5));
                    assert!(query.hosts.iter().all(|host| *host < 5));
                }
                let (mut one, mut other) = (Random::new(3), Random::new(3));
                assert_eq!(kind.draw(&data, &mut one), kind.draw(&data, &mut other));
            }
        }
    }
}
