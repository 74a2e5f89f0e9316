//! Last-value and distinct-value caches as the catalog knows them.
//!
//! The structs are part of the catalog's stored format: a field is never renamed, removed or given
//! another meaning.

mod columns;

use crate::ids::CacheId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The last rows of each combination of key values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastCacheDef {
    /// Its identity in the table.
    pub id: CacheId,
    /// Its name, unique among the last-value caches of the table.
    pub name: Arc<str>,
    /// Key columns in order. Without any, all rows of the table are one series.
    pub keys: Vec<Arc<str>>,
    /// Value columns in order, `time` possibly among them; `None` is every column that is no key,
    /// those included that the table gets later.
    pub values: Option<Vec<Arc<str>>>,
    /// Rows kept for each key.
    pub count: u64,
    /// Seconds for which a row is shown after it came in.
    pub ttl_seconds: u64,
    /// Whenever the cache begins, at its creation or with the server, it has no rows but those that
    /// are written from then on.
    pub starts_empty: bool,
}

/// The combinations of values that columns have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistinctCacheDef {
    /// Its identity in the table.
    pub id: CacheId,
    /// Its name, unique among the distinct-value caches of the table.
    pub name: Arc<str>,
    /// The columns in order.
    pub columns: Vec<Arc<str>>,
    /// Combinations kept.
    pub max_cardinality: u64,
    /// Combinations are shown as long as their newest row is not older than so many seconds.
    pub max_age_seconds: u64,
    /// Whenever the cache begins, at its creation or with the server, it has no rows but those that
    /// are written from then on.
    pub starts_empty: bool,
}

/// The caches of one table, each kind in order of creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableCaches {
    /// The id that the next cache gets.
    pub next_id: u32,
    /// Last-value caches.
    pub last: Vec<Arc<LastCacheDef>>,
    /// Distinct-value caches.
    pub distinct: Vec<Arc<DistinctCacheDef>>,
}

impl TableCaches {
    /// True when the table never had a cache.
    pub fn is_unused(&self) -> bool {
        self.next_id == 0
    }

    /// The last-value cache of that name; without a name the only one that there is.
    pub fn last(&self, name: Option<&str>) -> Option<&Arc<LastCacheDef>> {
        match name {
            Some(name) => self.last.iter().find(|c| c.name.as_ref() == name),
            None => self.last.first().filter(|_| self.last.len() == 1),
        }
    }

    /// The distinct-value cache of that name; without a name the only one that there is.
    pub fn distinct(&self, name: Option<&str>) -> Option<&Arc<DistinctCacheDef>> {
        match name {
            Some(name) => self.distinct.iter().find(|c| c.name.as_ref() == name),
            None => self.distinct.first().filter(|_| self.distinct.len() == 1),
        }
    }
}
