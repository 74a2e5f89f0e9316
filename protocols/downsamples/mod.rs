//! Downsamples: a coarse table that is kept up to date with a fine one.
//!
//! Time is divided into intervals `[k * i, (k + 1) * i)` from 1970 on, before it as well. Each
//! interval of the source that is over becomes a row for each combination of tags in the target.
//! The structs are part of the catalog's stored format: a field is never renamed, removed or given
//! another meaning.

mod spans;

pub use spans::Spans;

use crate::schema::columns::{ColumnKind, FieldType};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The shortest interval, in nanoseconds.
pub const INTERVAL_NS_MIN: i64 = 1_000_000_000;

/// What is made of the values of a field in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The sum.
    Sum,
    /// How many there are.
    Count,
    /// The one in the middle, or the mean of the two there.
    Median,
    /// The deviation from the mean, of a sample.
    Stddev,
    /// That of the earliest row which has one.
    First,
    /// That of the latest row which has one.
    Last,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::Sum,
        Self::Count,
        Self::Median,
        Self::Stddev,
        Self::First,
        Self::Last,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Median => "median",
            Self::Stddev => "stddev",
            Self::First => "first",
            Self::Last => "last",
        }
    }

    /// The one that is called so; `mean` is `avg`.
    ///
    /// # Errors
    /// Which ones there are, in words.
    pub fn named(name: &str) -> Result<Self, String> {
        let wanted = match name.to_ascii_lowercase().as_str() {
            "mean" => "avg".to_owned(),
            other => other.to_owned(),
        };
        Self::ALL.into_iter().find(|known| known.name() == wanted).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown aggregate '{name}': there are {known}")
        })
    }

    /// True if it can be made of such a column.
    pub fn takes(self, kind: ColumnKind) -> bool {
        match (self, kind) {
            (_, ColumnKind::Tag) => false,
            (Self::Count | Self::First | Self::Last, _) => true,
            (_, ColumnKind::Field(FieldType::String | FieldType::Boolean)) => false,
            (_, ColumnKind::Field(_)) => true,
        }
    }
}

/// A downsample as the catalog has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownsampleDef {
    /// Its identity in its database.
    pub id: u32,
    /// Its name, unique in its database.
    pub name: Arc<str>,
    /// The table that is read, by its name.
    pub source: Arc<str>,
    /// The database that is written to.
    pub target_db: Arc<str>,
    /// The table that is written to.
    pub target: Arc<str>,
    /// How long an interval is, in nanoseconds.
    pub interval_ns: i64,
    /// How long after its end an interval is computed, in nanoseconds.
    pub offset_ns: i64,
    /// What is computed of each field.
    pub aggregates: Vec<Aggregate>,
    /// Rows that were there at its creation are taken from this instant on, nanoseconds since 1970.
    /// `None` for none of them.
    pub from_ns: Option<i64>,
    /// When it was created, nanoseconds since 1970.
    pub created_at_ns: i64,
    /// Nothing is computed for the time being.
    pub disabled: bool,
}

impl DownsampleDef {
    /// Number of the interval that an instant is in.
    pub fn interval_at(&self, time_ns: i64) -> i64 {
        time_ns.div_euclid(self.interval_ns)
    }

    /// Number of the first interval that is not to be computed yet at `now_ns`: all before it are
    /// over, and the offset as well.
    pub fn open_at(&self, now_ns: i64) -> i64 {
        self.interval_at(now_ns.saturating_sub(self.offset_ns))
    }

    /// Number of the first interval that begins at that instant or later.
    pub fn first_since(&self, time_ns: i64) -> i64 {
        let inside = time_ns.rem_euclid(self.interval_ns) > 0;
        self.interval_at(time_ns).saturating_add(i64::from(inside))
    }

    /// Where an interval begins, nanoseconds since 1970, as far as there are such times.
    pub fn start_ns(&self, interval: i64) -> i64 {
        interval.saturating_mul(self.interval_ns)
    }
}

/// The downsamples of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseDownsamples {
    /// The id that the next one gets.
    pub next_id: u32,
    /// In order of creation.
    pub all: Vec<Arc<DownsampleDef>>,
}

impl DatabaseDownsamples {
    /// True when the database never had one.
    pub fn is_unused(&self) -> bool {
        self.next_id == 0
    }

    /// The one of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<DownsampleDef>> {
        self.all.iter().find(|downsample| downsample.name.as_ref() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn downsample(interval_ns: i64, offset_ns: i64) -> DownsampleDef {
        DownsampleDef {
            id: 0,
            name: "n".into(),
            source: "s".into(),
            target_db: "d".into(),
            target: "t".into(),
            interval_ns,
            offset_ns,
            aggregates: vec![Aggregate::Avg],
            from_ns: None,
            created_at_ns: 0,
            disabled: false,
        }
    }

    #[test]
    fn intervals_before_1970_are_as_long_as_those_after_it() {
        let tens = downsample(10, 0);
        let at = |times: &[i64]| times.iter().map(|ns| tens.interval_at(*ns)).collect::<Vec<_>>();
        assert_eq!(at(&[-11, -10, -1, 0, 9, 10]), [-2, -1, -1, 0, 0, 1]);
        let since = |ns| tens.first_since(ns);
        assert_eq!([since(-11), since(-10), since(-9), since(0), since(1)], [-1, -1, 0, 0, 1]);
        assert_eq!(tens.start_ns(-2), -20);
    }

    #[test]
    fn an_interval_is_computed_after_its_end_and_the_offset() {
        let late = downsample(10, 3);
        assert_eq!([late.open_at(12), late.open_at(13), late.open_at(22)], [0, 1, 1]);
    }

    #[test]
    fn aggregates_have_names_and_fields_that_they_fit() {
        for aggregate in Aggregate::ALL {
            assert_eq!(Aggregate::named(aggregate.name()), Ok(aggregate));
            let stored = serde_json::to_string(&aggregate).unwrap();
            assert_eq!(stored, format!("{:?}", aggregate.name()));
            assert!(aggregate.takes(ColumnKind::Field(FieldType::UInteger)));
            assert!(!aggregate.takes(ColumnKind::Tag));
        }
        assert_eq!(Aggregate::named("Mean"), Ok(Aggregate::Avg));
        assert!(Aggregate::named("mode").unwrap_err().starts_with("unknown aggregate 'mode'"));
        assert!(Aggregate::Last.takes(ColumnKind::Field(FieldType::String)));
        assert!(!Aggregate::Max.takes(ColumnKind::Field(FieldType::Boolean)));
    }

    proptest! {
        #[test]
        fn each_instant_is_in_one_interval(
            time_ns: i64, now_ns in -1_000_000_i64..1_000_000,
            interval_ns in 1_i64..100_000, offset_ns in 0_i64..100_000,
        ) {
            let of = downsample(interval_ns, offset_ns);
            let interval = i128::from(of.interval_at(time_ns));
            let (time, width) = (i128::from(time_ns), i128::from(interval_ns));
            prop_assert!(interval * width <= time && time < (interval + 1) * width);
            prop_assert!(of.start_ns(of.interval_at(time_ns)) <= time_ns);
            let open = of.open_at(now_ns);
            prop_assert!(of.start_ns(open) + offset_ns <= now_ns);
            prop_assert!(of.start_ns(open + 1) + offset_ns > now_ns);
            let first = of.first_since(now_ns);
            prop_assert!(of.start_ns(first) >= now_ns && of.start_ns(first - 1) < now_ns);
        }
    }
}
