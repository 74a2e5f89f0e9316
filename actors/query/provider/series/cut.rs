//! Which rows of a series are shown.

use arrow::datatypes::{Field, FieldRef};
use std::fmt;
use std::sync::Arc;

/// Which rows are shown. Columns are told by their places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::query) struct Cut {
    /// What tells series apart.
    pub(in crate::query) series: Vec<usize>,
    /// When a row was.
    pub(in crate::query) time: usize,
    /// What orders rows of one time.
    pub(in crate::query) keys: Vec<usize>,
    /// Columns that are cut each on its own, by the rows in which it has a value. Rows without any
    /// do not count. If there is none, rows are cut.
    pub(in crate::query) fields: Vec<usize>,
    /// True if the newest rows come first.
    pub(in crate::query) descending: bool,
    /// How many of each series are left out in front.
    pub(in crate::query) skip: usize,
    /// How many of each series are shown after these.
    pub(in crate::query) fetch: Option<usize>,
    /// How many series are left out in front.
    pub(in crate::query) series_skip: usize,
    /// How many series are shown after these.
    pub(in crate::query) series_fetch: Option<usize>,
}

impl Cut {
    /// How many rows of a series, or values of a field of it, are looked at.
    pub(super) fn wanted(&self) -> usize {
        self.fetch.map_or(usize::MAX, |fetch| self.skip.saturating_add(fetch))
    }

    /// How many series are looked at.
    pub(super) fn series_wanted(&self) -> usize {
        self.series_fetch.map_or(usize::MAX, |fetch| self.series_skip.saturating_add(fetch))
    }

    /// True if all series are shown.
    pub(super) fn has_all_series(&self) -> bool {
        self.series_skip == 0 && self.series_fetch.is_none()
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, fields, skip, fetch, series_skip, series_fetch, .. } = self;
        let order = if self.descending { "newest" } else { "oldest" };
        write!(f, "series={series:?}, fields={fields:?}, first={order}, skip={skip}")?;
        if let Some(fetch) = fetch {
            write!(f, ", fetch={fetch}")?;
        }
        if *series_skip > 0 {
            write!(f, ", series_skip={series_skip}")?;
        }
        series_fetch.iter().try_for_each(|fetch| write!(f, ", series_fetch={fetch}"))
    }
}

/// What a column becomes: values that are cut are null.
pub(super) fn as_cut(field: &FieldRef, at: usize, cut: &Cut) -> FieldRef {
    match cut.fields.contains(&at) {
        true => Arc::new(Field::clone(field).with_nullable(true)),
        false => Arc::clone(field),
    }
}
