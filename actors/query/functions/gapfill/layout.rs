//! What gap filling knows of its result.

use super::bins::BinRange;
use super::stubs::FillKind;
use datafusion::common::ScalarValue;
use std::fmt;

/// What happens to a column when rows are added.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ColumnRole {
    /// The bin.
    Bin,
    /// Part of what tells one series from another.
    Series,
    /// An aggregate that is this value in added rows.
    Value(ScalarValue),
    /// An aggregate whose missing values are found from those of other rows.
    Filled(FillKind),
}

/// The bins of the result and what its columns are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    /// The bins that every series has.
    pub(super) bins: BinRange,
    /// What each column is.
    pub(super) roles: Vec<ColumnRole>,
    /// True if the bins of a series begin with its first row, whatever the range is.
    pub(super) from_first_row: bool,
}

impl Layout {
    /// The place of the bin.
    pub(super) fn bin(&self) -> Option<usize> {
        self.roles.iter().position(|role| *role == ColumnRole::Bin)
    }

    /// True if the rows that are there stay as they are.
    pub(super) fn keeps_rows(&self) -> bool {
        !self.roles.iter().any(|role| matches!(role, ColumnRole::Filled(_)))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BinRange { stride_ns, first_ns, last_ns, .. } = &self.bins;
        write!(f, "stride_ns={stride_ns}, range_ns=[{first_ns}, {last_ns}], columns=[")?;
        for (at, role) in self.roles.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            match role {
                ColumnRole::Bin => write!(f, "{separator}bin")?,
                ColumnRole::Series => write!(f, "{separator}series")?,
                ColumnRole::Value(value) => write!(f, "{separator}{value}")?,
                ColumnRole::Filled(FillKind::Previous) => write!(f, "{separator}locf")?,
                ColumnRole::Filled(FillKind::Linear) => write!(f, "{separator}interpolate")?,
            }
        }
        write!(f, "]")
    }
}
