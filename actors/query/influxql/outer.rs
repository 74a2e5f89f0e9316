//! What a statement takes over from the one that it stands in.

use super::condition::compiled;
use super::kind::Kind;
use super::relation::Columns;
use super::time_range::TimeRange;
use datafusion::error::Result;
use protocols::influxql::Dimension;
use std::sync::Arc;

/// See the module's page.
#[derive(Clone, Default)]
pub(super) struct Outer {
    /// The instants that count.
    pub(super) range: TimeRange,
    /// What is grouped by there.
    pub(super) dimensions: Vec<Dimension>,
    pub(super) zone: Option<Arc<str>>,
    /// False for a statement that stands in no other.
    pub(super) is_inside: bool,
}

impl Outer {
    /// The tags that are grouped by outside.
    pub(super) fn tags(&self, columns: &Columns) -> Result<Vec<String>> {
        let tags = columns.iter().filter(|(_, kind)| **kind == Kind::Tag).map(|(name, _)| name);
        let mut found = Vec::new();
        for dimension in &self.dimensions {
            let regex = match dimension {
                Dimension::Regex(pattern) => Some(compiled(pattern)?),
                _ => None,
            };
            found.extend(
                tags.clone()
                    .filter(|tag| match (dimension, &regex) {
                        (Dimension::Tag(name), _) => name == tag.as_str(),
                        (Dimension::Wildcard, _) => true,
                        (_, Some(regex)) => regex.is_match(tag),
                        _ => false,
                    })
                    .cloned(),
            );
        }
        Ok(found)
    }
}
